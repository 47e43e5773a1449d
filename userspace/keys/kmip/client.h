/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to one KMIP server: requests out, replies in, one at a time.
 * Not for several threads at once; a struct kmip_server is.
 */
#ifndef VMC_KMIP_CLIENT_H
#define VMC_KMIP_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg.h"
#include "tls.h"

struct kmip_settings {
	const char *provider;
	struct tls_context *tls;
	struct kmip_auth auth;
	unsigned int connect_timeout_ms, request_timeout_ms;
	size_t max_reply;		/* bytes; a longer reply is refused by its header */
	unsigned int batch;		/* keys asked for in one message, 1..KMIP_BATCH_MAX / 2 */
	struct kmip_version version;	/* 0.0: the best in common */
	const char *operation_policy;	/* of new keys, or NULL; keeps to KMIP 1.x */
};

/* What is known of a server; filled in as it is talked to, under @lock. */
struct kmip_server {
	char host[256], name[300];	/* name: host:port */
	uint16_t port;
	pthread_mutex_t lock;
	struct kmip_version version;	/* 0.0: not negotiated yet */
	bool no_batch;			/* it refused a message of several items */
	unsigned int batch_cuts;	/* it hung up on that many in a row */
	bool no_app_info;		/* it refused our Application Specific Information */
	bool no_attribute;		/* it refused Add Attribute */
	bool queried;
	struct kmip_query_info info;
};
void kmip_server_init(struct kmip_server *s, const char *host, uint16_t port);
void kmip_server_clear(struct kmip_server *s);
/* It may have become another one: its version and abilities are asked for anew. */
void kmip_server_forget(struct kmip_server *s);

struct kmip_client;
/* Connect, and agree on a version when the server's is not known yet. */
int kmip_open(const struct kmip_settings *set, struct kmip_server *server, uint64_t deadline,
	      struct kmip_client **c, struct vmc_error *err);
void kmip_close(struct kmip_client *c);
bool kmip_idle(struct kmip_client *c);		/* fit for another request */
/* The last request may have reached the server although the call failed. */
bool kmip_maybe_done(const struct kmip_client *c);
/* After a failed call: the connection is in step and may be used on. */
bool kmip_usable(const struct kmip_client *c);
/* Of the last reply; KMIP_R_NONE when there was none or it was a success. */
uint32_t kmip_reason(const struct kmip_client *c);
struct kmip_version kmip_client_version(const struct kmip_client *c);
const struct tls *kmip_tls(const struct kmip_client *c);

/* The operations. Errors name server, operation and key. */
int kmip_query(struct kmip_client *c, uint64_t deadline, struct vmc_error *err);	/* into the server's info */
int kmip_create(struct kmip_client *c, const struct kmip_new_key *k, uint64_t deadline,
		char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err);
int kmip_register(struct kmip_client *c, const struct kmip_new_key *k,
		  const uint8_t key[PROVIDER_KEY_LEN], uint64_t deadline,
		  char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err);
/* Calls @fn for each; at most @max (which is also asked of the server; 0: all). */
int kmip_locate(struct kmip_client *c, const struct kmip_new_key *k, uint32_t max, uint32_t offset,
		int (*fn)(const char *id, void *data), void *data, uint64_t deadline,
		struct vmc_error *err);
int kmip_activate(struct kmip_client *c, const char *id, uint64_t deadline, struct vmc_error *err);
int kmip_revoke(struct kmip_client *c, const char *id, enum kmip_revocation why, uint64_t deadline,
		struct vmc_error *err);
int kmip_destroy(struct kmip_client *c, const char *id, uint64_t deadline, struct vmc_error *err);
int kmip_add_attribute(struct kmip_client *c, const char *id, const char *name, const char *value,
		       uint64_t deadline, struct vmc_error *err);
/* The key @id wrapped by @kek, both on the server; at most @max bytes. */
int kmip_get_wrapped(struct kmip_client *c, const char *id, const char *kek, uint8_t *out,
		     size_t max, size_t *n, uint64_t deadline, struct vmc_error *err);

/*
 * State, and material when @material is set, of @n keys, in messages of
 * settings.batch keys. Each key gets its own code, state and material
 * (secure heap); what it had before is wiped. Returns 0 when every key has its
 * answer (good or bad); else an error of the connection, and the keys that got
 * no answer are as they were. The deadline is that of each message.
 */
int kmip_fetch(struct kmip_client *c, struct provider_key **keys, size_t n, bool material,
	       uint64_t deadline, struct vmc_error *err);

#endif
