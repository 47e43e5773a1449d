/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A native key provider: no server, but a key derivation key on this host from
 * which each KEK is derived by its id. Files in its folder: provider.conf,
 * keys.json, and the KDK as kdk.tpm (sealed) or kdk.file (as it is, 0600).
 */
#ifndef VMC_NATIVE_NATIVE_H
#define VMC_NATIVE_NATIVE_H

#include <jansson.h>

#include "../registry.h"
#include "conf.h"

#define KDK_TPM_FILE	"kdk.tpm"
#define KDK_PLAIN_FILE	"kdk.file"

extern const struct provider_kind native_kind;

/* The KDK that lies in @dir, checked against @c. */
int native_load_kdk(const char *dir, const struct native_conf *c, const struct vmc_config *cfg,
		    struct kdk *kdk, struct vmc_error *err);
/* Warnings for people about a provider as @c describes it: an array, NULL without memory. */
json_t *native_warnings(const char *name, const struct native_conf *c);
const char *native_state(const struct native_conf *c);	/* "Active", "Not backed up" */

#endif
