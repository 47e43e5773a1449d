/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the client's self-tests share. They run as root on a host with the module loaded. */
#ifndef SELFTESTS_CLIENT_FIXTURE_H
#define SELFTESTS_CLIENT_FIXTURE_H

#include <stdbool.h>

#include "testing/testing.h"

#include "kernel/client.h"

extern struct vmk *fx_k;		/* open while the tests run */

/* For cmocka's group: opens fx_k; closes it and removes all KEKs and VMs. */
int fx_setup(void **state);
int fx_teardown(void **state);

/* Secure heap, random; fx_free() wipes. */
uint8_t *fx_random(size_t n);
void fx_free(uint8_t *p, size_t n);

/* "test/NAME-N", unique in this run, in a static buffer of a few. */
const char *fx_kek_id(const char *name);
/* A random KEK in the kernel's cache; its id, good until the end of the test. */
const char *fx_kek(void);
void fx_uuid(vmc_uuid *u);

/* A random DEK of @volume of @vm, wrapped under @kek. */
void fx_wrap(const vmc_uuid *vm, const char *volume, const char *kek,
	     uint8_t wrapped[VMK_WRAPPED_LEN]);

/* Remove every KEK and VM of the module. */
void fx_clear_module(void);

/* What "cmd" prints, at most @n - 1 bytes; its exit status. */
int fx_run(char *out, size_t n, const char *cmd);

#endif
