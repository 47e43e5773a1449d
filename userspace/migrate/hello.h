/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host says of itself to another before anything else: the method "hello". */
#ifndef VMC_MIGRATE_HELLO_H
#define VMC_MIGRATE_HELLO_H

#include <jansson.h>
#include <stdint.h>

#include "../kernel/client.h"
#include "../lib/error.h"

/* Of what two hosts say to each other about a migration; both must have the same. */
#define MIGRATION_PROTOCOL	1
/* Clocks that differ by more make certificates and leases end at other times here than there. */
#define MIGRATION_CLOCK_S	300

struct hello {
	char version[32];		/* of vmcrypt */
	char host[256];			/* its own name */
	uint32_t protocol;
	char module[64];		/* version; "" it cannot encrypt */
	char cannot[256];		/* why not, in English; "" it can */
	uint32_t module_protocol;
	int64_t time;			/* seconds since 1970 */
};

/* Of this host. @k may be NULL: then @no_module says why. */
void hello_here(struct vmk *k, const struct vmc_error *no_module, const char *host, struct hello *h);
json_t *hello_json(const struct hello *h);
/* What the other said. VMC_EPROTO. */
int hello_parse(const json_t *o, struct hello *h, struct vmc_error *err);
/*
 * Do the two go together? VMC_ENOTSUP (versions), VMC_ESTATE (clocks). Whether either can encrypt is not asked here.
 * @name: the other host's.
 */
int hello_match(const struct hello *here, const struct hello *there, const char *name, struct vmc_error *err);

#endif
