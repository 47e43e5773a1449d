/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A key provider: a cluster, that is a name and several servers that hold the
 * same keys. Bundles record the name, never an address. Knows nothing of VMs.
 * Calls may come from several threads at once.
 */
#ifndef VMC_KEYS_PROVIDER_H
#define VMC_KEYS_PROVIDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/config.h"
#include "../lib/error.h"

#define PROVIDER_NAME_MAX	63
#define PROVIDER_KEY_ID_MAX	180
#define PROVIDER_KEY_LEN	32

/* KMIP 1.4 section 3.22, NIST SP 800-57 part 1 section 7 */
enum provider_key_state {
	PKS_UNKNOWN = 0, PKS_PRE_ACTIVE, PKS_ACTIVE, PKS_DEACTIVATED, PKS_COMPROMISED,
	PKS_DESTROYED, PKS_DESTROYED_COMPROMISED, PKS_MISSING,
};
const char *provider_key_state_name(enum provider_key_state s);	/* "Active", "Pre-Active" ... */

/* One key in a batch. get fills code/err per key: VMC_ENOKEY gone, VMC_EKEYSTATE not active (the text says which
 * state and how to reactivate), VMC_EREFUSED. */
struct provider_key {
	char id[PROVIDER_KEY_ID_MAX + 1];	/* the server's Unique Identifier */
	enum provider_key_state state;
	uint8_t *material;			/* secure heap, PROVIDER_KEY_LEN bytes, or NULL */
	uint32_t lease;				/* seconds that it may stay on this host, as the provider says; 0: no limit */
	int code;
	struct vmc_error err;
};
void provider_keys_clear(struct provider_key *keys, size_t n);	/* wipes */

struct provider;

struct provider_ops {
	const char *kind;		/* "kmip", "native", "trusted" */
	/* New active AES-256 key; @label is a human name for it on the server. */
	int (*create)(struct provider *p, const char *label, char id[PROVIDER_KEY_ID_MAX + 1], struct vmc_error *err);
	/* Material and state of @n keys, over few connections, batched where the server allows. */
	int (*get)(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err);
	/* State only. */
	int (*state)(struct provider *p, struct provider_key *keys, size_t n, struct vmc_error *err);
	/* Ids of the keys this installation made (Locate). */
	int (*list)(struct provider *p, char ***ids, size_t *n, struct vmc_error *err);
	/* Revoke where needed, then destroy. */
	int (*destroy)(struct provider *p, const char *id, struct vmc_error *err);
	/* Talk to every server; the result is an object {reachable, servers:[{host,port,ok,error,latency_ms,version,
	 * vendor,cert_subject,cert_not_after,cert_days_left,pinned}], client_cert:{subject,not_after,days_left}, warnings:[]}.
	 * A trusted one has {kind, reachable, error?, code?, hint?, servers, attestation: agent_status(), next: seconds until it
	 * is to be tested again}. A native provider has {kind, reachable, error?, hint?, warnings:[]} and what providers_list() says of it. */
	int (*test)(struct provider *p, json_t **report, struct vmc_error *err);
	/* May be NULL. True: this host was refused when it last asked; what it got before is for running VMs only. */
	bool (*distrusts)(struct provider *p);
	void (*free)(struct provider *p);
};

struct provider {
	const struct provider_ops *ops;
	char name[PROVIDER_NAME_MAX + 1];
};

/* The set of configured providers: one folder each in CONFIG_DIR/providers/NAME/ with provider.conf (INI) and its
 * certificates or its KDK; CONFIG_DIR/providers/default holds the default's name. */
struct providers;
int providers_open(struct providers **ps, const struct vmc_config *cfg, struct vmc_error *err);
void providers_close(struct providers *ps);
/* Counted reference; drop with provider_put(). VMC_ENOENT names the providers there are. NULL name: the default. */
int providers_get(struct providers *ps, const char *name, struct provider **p, struct vmc_error *err);
void provider_put(struct provider *p);
int providers_list(struct providers *ps, json_t **list, struct vmc_error *err);	/* [{name,kind,default,servers:[],client_cert:{}|null,state}];
	 * of a native provider also key_id, kdk ("tpm", "file"), created, backed_up?, warnings:[], and its state is
	 * "Not backed up" or "Active"; of a trusted one its attestation, as agent_status() has it, and that state */
int providers_set_default(struct providers *ps, const char *name, struct vmc_error *err);
/* Cleared state of a provider whose files changed. */
int providers_remove(struct providers *ps, const char *name, struct vmc_error *err);

/*
 * KMIP trust verbs. @options of add: {"servers":["host[:port]",...], "username":?, "tls_min":?, "protocol":? ...}.
 * trust @verb: "csr" (generate P-256 key + CSR; result {pem}), "self-signed" (key + self-signed certificate; {pem}),
 * "upload" (install the signed client certificate given as "pem"; must match the key), "import" ("pem"+"key_pem": both),
 * "show" (certificates the servers present, with SHA-256 fingerprints and chain verdict), "pin" ("fingerprint" or "ca_pem": trust it).
 */
int providers_add_kmip(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err);
int providers_trust(struct providers *ps, const char *name, const char *verb, const json_t *args,
		    json_t **result, struct vmc_error *err);

/*
 * Native providers: a key derivation key (KDK) on this host instead of servers.
 * @options: {"insecure_no_tpm": bool}: leave the KDK unsealed in a file (mode
 * 0600) instead of sealing it to this host's TPM, without which it is refused.
 * A new one makes no keys until it was exported once.
 */
int providers_add_native(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err);
/* The backup under @password (secure heap) into the empty regular file @fd, durably. */
int providers_export(struct providers *ps, const char *name, const char *password, int fd, struct vmc_error *err);
/*
 * The provider of a backup, on this host; over the one that is there, whose KDK
 * it must be, it seals that anew. VMC_EEXIST: the name is another provider's.
 * @options: "insecure_no_tpm" as above, "key_id" that the backup must have, "new_tpm": the TPM that is there is
 * this host's from now on.
 * @result: {name, key_id, restored: bool}.
 */
int providers_import(struct providers *ps, const void *backup, size_t len, const char *password,
		     const json_t *options, json_t **result, struct vmc_error *err);

/*
 * Trusted providers: keys for hosts that a Trust Authority attests. @options: {"services_info": the text of the file that
 * the authority exports}. One of that name that is there learns where the services are now; it must be of the same key
 * provider of the same authority (VMC_EEXIST), and the file no older (VMC_EREPLAY).
 */
int providers_add_trusted(struct providers *ps, const char *name, const json_t *options, struct vmc_error *err);

#endif
