/* SPDX-License-Identifier: GPL-2.0-or-later */
/* provider.conf of a KMIP provider. */
#ifndef VMC_KMIP_CONF_H
#define VMC_KMIP_CONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../lib/config.h"
#include "msg.h"

#define KMIP_SERVERS_MAX 8

struct kmip_conf {
	struct {
		char host[256];
		uint16_t port;
	} servers[KMIP_SERVERS_MAX];
	unsigned int n_servers;
	char installation[64];		/* marks the keys that this installation makes */
	char username[128];
	char server_name[256];		/* the name in the servers' certificates; empty: their host names */
	char operation_policy[128];
	bool tls13;
	struct kmip_version version;	/* 0.0: negotiate */
	unsigned int connect_timeout_ms, request_timeout_ms;	/* 100..600000 */
	unsigned int batch;		/* 1..KMIP_BATCH_MAX / 2 */
	unsigned int connections;	/* per server, 1..32 */
	size_t max_reply;		/* 4 KiB .. 64 MiB */
};

/* What vmcrypt.conf says, and nothing more. */
void kmip_conf_defaults(struct kmip_conf *c, const struct vmc_config *cfg);
int kmip_conf_load(struct kmip_conf *c, const char *path, const struct vmc_config *cfg,
		   struct vmc_error *err);
/* From the options of providers_add_kmip(); unknown ones are refused. */
int kmip_conf_from_json(struct kmip_conf *c, const json_t *options, const struct vmc_config *cfg,
			struct vmc_error *err);
/* The file's text, with only what differs from @cfg; free() it. NULL: no memory. */
char *kmip_conf_text(const struct kmip_conf *c, const struct vmc_config *cfg);

#endif
