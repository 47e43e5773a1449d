/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions to etcd's JSON gateway (API v3), and its answers. Pure. */
#ifndef VMC_TRUST_ETCD_H
#define VMC_TRUST_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define ETCD_ANSWER_MAX	(2u << 20)	/* bytes; a state in base64, twice, is less */

/* Bodies; free() them. NULL: no memory. @whole: with the value, not only its revision. */
char *etcd_range_body(const char *key, bool whole);
/* @value for @key, if that is still of @revision (0: is not there). */
char *etcd_txn_body(const char *key, const char *value, uint64_t revision);

/* POST /v3/kv/range: *@revision 0 when there is none; *@value (free() it) is NULL then, and when it was not asked for. */
int etcd_parse_range(const char *text, size_t n, uint64_t *revision, char **value, struct vmc_error *err);
/* POST /v3/kv/txn */
int etcd_parse_txn(const char *text, size_t n, bool *succeeded, struct vmc_error *err);
/* What an answer with an error status says, in @out; "" when it says nothing. */
void etcd_parse_error(const char *text, size_t n, char out[200]);

#endif
