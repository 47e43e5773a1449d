/* SPDX-License-Identifier: GPL-2.0-or-later */
/* provider.conf of a native provider. */
#ifndef VMC_NATIVE_CONF_H
#define VMC_NATIVE_CONF_H

#include <stdbool.h>

#include "kdk.h"

struct native_conf {
	vmc_uuid key_id;
	uint8_t check[KDK_CHECK_LEN];	/* kdk_check() of the KDK */
	bool tpm;			/* the KDK is sealed to the TPM; else it lies there as it is */
	char created[32], backed_up[32];	/* RFC 3339; backed_up: "" while there is no backup */
};

int native_conf_load(struct native_conf *c, const char *path, struct vmc_error *err);
char *native_conf_text(const struct native_conf *c);	/* free(3) it; NULL: no memory */

#endif
