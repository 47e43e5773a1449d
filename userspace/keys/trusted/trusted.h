/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A trusted key provider: its keys are released by the Key Provider Service of
 * a Trust Authority to hosts that its Attestation Service found to have booted
 * what it knows. This host has no credential of the key server behind it. File
 * in its folder: provider.conf.
 */
#ifndef VMC_TRUSTED_TRUSTED_H
#define VMC_TRUSTED_TRUSTED_H

#include <jansson.h>

#include "../provider.h"
#include "agent.h"

#define TRUSTED_KIND	"trusted"

struct provider_kind;
extern const struct provider_kind trusted_kind;

/* VMC_ENOTSUP: @p is of another kind. */
int trusted_status(struct provider *p, json_t **status, struct vmc_error *err);
int trusted_attest(struct provider *p, enum agent_how how, struct vmc_error *err);

/* In place of trusted_world_real(), for tests; NULL: that. */
typedef int (*trusted_world_fn)(struct trusted_world *w, const struct vmc_config *cfg, struct vmc_error *err);
void trusted_set_world(trusted_world_fn fn);

#endif
