/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /etc/vmcrypt-trust/trust.conf: INI by inih. An unknown key is an error that names file and line. */
#ifndef VMC_TRUST_CONF_H
#define VMC_TRUST_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "../../lib/error.h"

#define TRUST_CONFIG_DIR	"/etc/vmcrypt-trust"	/* or $VMCRYPT_TRUST_CONFIG_DIR */

struct trust_conf {
	/* [authority] */
	char name[64];			/* in tokens and certificates; default: the host's name */
	bool named;			/* it is in the file */
	/* [attest], [kmx] */
	char attest_listen[256];	/* ADDRESS[:PORT], default 0.0.0.0 and the service's own port */
	char kmx_listen[256];
	/* [service] */
	int log_level;			/* syslog level, default 6 (info) */
	unsigned int secure_heap;	/* KiB, power of two from 64 to 262144, default 4096 */
	/* [state] */
	bool etcd;			/* backend: "etcd"; "file" (default): what is pushed is all there is */
	char etcd_endpoints[192], etcd_prefix[64];	/* prefix: default "/vmcrypt-trust" */
	char etcd_ca[128], etcd_cert[128], etcd_key[128];	/* below the folder of the state, so that backups have them */
	unsigned int etcd_interval;	/* seconds between two looks at it, 1 to 300, default 5 */
	/* [metrics] */
	char metrics_folder[200];	/* SERVICE.prom is written in it; "" (default): nowhere */
	unsigned int metrics_interval;	/* seconds, 10 to 3600, default 60 */
};

/* @path NULL: trust.conf in the configuration's folder; none is fine then. */
int trust_conf_load(struct trust_conf *c, const char *path, struct vmc_error *err);

/* Where that is, in @out. VMC_EINVAL: too long a path. */
int trust_conf_path(const char *path, char out[512], struct vmc_error *err);
/* Would it be loaded? */
int trust_conf_check(const char *path, struct vmc_error *err);

#endif
