/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key library tells how key providers are cared for on a host: "vmcrypt provider trust kms1 csr". Those of an
 * authority are cared for by "vmcrypt trust key-provider trust kms1 csr", on the authority. See vmcrypt-trust(1).
 */
#ifndef VMC_TRUST_ADVICE_H
#define VMC_TRUST_ADVICE_H

#include <jansson.h>
#include <stddef.h>

#include "../../lib/error.h"

/* In place, @size with the NUL. What has no room stays as it is. */
void advice_fit(char *text, size_t size);
void advice_fit_error(struct vmc_error *err);
/* All texts in @v, which nobody else has. */
void advice_fit_json(json_t *v);

#endif
