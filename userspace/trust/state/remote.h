/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an authority asks another one: HTTPS, as its Attestation Service. */
#ifndef VMC_TRUST_REMOTE_H
#define VMC_TRUST_REMOTE_H

#include "admin.h"

/* A trust_remote_fn; @data: the folder of the state, a string. */
int remote_https(void *data, const char *where, const char *cert, const char *path, const json_t *body,
		 json_t **answer, struct vmc_error *err);

#endif
