/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A KMIP provider: several servers that hold the same keys. The one that last
 * answered is asked first; one that fails is passed over for a while, longer
 * each time; every call has a deadline within which all of them get a chance.
 */
#ifndef VMC_KMIP_CLUSTER_H
#define VMC_KMIP_CLUSTER_H

#include "../registry.h"
#include "conf.h"

extern const struct provider_kind kmip_kind;

/* @dir holds the provider's files. The result has one reference. */
int cluster_new(const char *name, const char *dir, const struct vmc_config *cfg,
		struct provider_base **out, struct vmc_error *err);

#endif
