/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things with no better home: ids, encodings, time, names. */
#ifndef VMC_LIB_UTIL_H
#define VMC_LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "error.h"

#define VMC_CLEANUP(f) __attribute__((cleanup(f)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

typedef struct { uint8_t b[16]; } vmc_uuid;
#define VMC_UUID_STR 37		/* with the closing NUL, lower case, with dashes */

int vmc_uuid_new(vmc_uuid *u);				/* version 4 */
int vmc_uuid_parse(const char *s, vmc_uuid *u);		/* 0 or VMC_EINVAL */
void vmc_uuid_format(const vmc_uuid *u, char out[VMC_UUID_STR]);
bool vmc_uuid_equal(const vmc_uuid *a, const vmc_uuid *b);

size_t vmc_base64_len(size_t n);			/* with the closing NUL */
void vmc_base64_encode(const uint8_t *in, size_t n, char *out);
int vmc_base64_decode(const char *in, uint8_t *out, size_t max, size_t *n); /* strict; 0 or VMC_EINVAL */
void vmc_hex_encode(const uint8_t *in, size_t n, char *out);	/* 2n + 1 bytes */
int vmc_hex_decode(const char *in, uint8_t *out, size_t max, size_t *n);

uint64_t vmc_now_ms(void);				/* CLOCK_BOOTTIME */
/* A deadline of that clock for pthread_cond_timedwait() with CLOCK_MONOTONIC. */
void vmc_deadline(uint64_t deadline, struct timespec *ts);
int64_t vmc_time(void);					/* seconds since 1970 */
void vmc_time_format(int64_t t, char out[32]);		/* RFC 3339, UTC */

/* The bus and JSON take UTF-8 only, file names may be anything: bytes that are not become '?'. */
void utf8_make_valid(char *s);
/* The same, and what moves a cursor or ends a line becomes a blank: for texts from outside in what a person reads. */
void utf8_one_line(char *s);

bool vmc_name_ok(const char *s, size_t max);		/* [A-Za-z0-9._-], no leading dot or dash */
int vmc_size_parse(const char *s, uint64_t *bytes);	/* 10G, 512M, 4096: powers of 1024 */
void vmc_size_format(uint64_t bytes, char out[32]);	/* 10.0 GiB */

#endif
