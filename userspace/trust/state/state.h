/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desired state of a Trust Authority cluster: one signed document that every
 * authority has, of which it knows who may do what, which hosts, images and key
 * providers there are. It lives in DIR/state.jws, a compact JWS (RFC 7515, ES256)
 * over the canonical JSON, so that state and signature change together; the key
 * is DIR/attestd/cluster.key on the one authority that makes changes, its public half
 * DIR/cluster.pub on all. Any function may be called from any thread.
 */
#ifndef VMC_TRUST_STATE_H
#define VMC_TRUST_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/error.h"

#define TRUST_DIR		"/var/lib/vmcrypt-trust"	/* or $VMCRYPT_TRUST_STATE_DIR */
#define TRUST_STATE_MAX		(700u << 10)	/* bytes of the canonical JSON; with base64 it fits into a request */
#define TRUST_STATE_TYPE	"vmcrypt-state+jws"	/* what state.jws says that it is */
#define TRUST_NAME_MAX		63

/*
 * What the holder of a certificate may do, each more than the one before. An
 * authority of the cluster is an auditor to the others.
 */
enum trust_role { TRUST_ROLE_NONE, TRUST_ROLE_HOST, TRUST_ROLE_AUDITOR, TRUST_ROLE_ADMIN };

const char *trust_role_name(enum trust_role r);		/* "none", "host", "auditor", "trust-admin" */
int trust_role_parse(const char *name, enum trust_role *r);	/* 0 or VMC_EINVAL */

struct trust_state;

/* $VMCRYPT_TRUST_STATE_DIR or TRUST_DIR */
const char *trust_dir(void);

/*
 * The state in @dir, whether there is one yet or not. VMC_EAUTH: it is not signed
 * by the cluster's key; other errors name the file.
 */
int trust_state_open(struct trust_state **s, const char *dir, struct vmc_error *err);
void trust_state_close(struct trust_state *s);		/* NULL is fine */
const char *trust_state_dir(const struct trust_state *s);

/*
 * Look whether the file changed, and take it. What is wrong, or older than what
 * there is, is refused: the state stays as it was, and @err tells. Cheap when
 * nothing changed (one stat()).
 */
int trust_state_reload(struct trust_state *s, struct vmc_error *err);

/*
 * The state as it is now, counted: json_decref() it. It does not change under
 * the caller, who changes nothing in it either. NULL: this authority is in no
 * cluster yet.
 */
json_t *trust_state_json(struct trust_state *s);

/* What the certificate whose SHA-256 is @cert_sha256 (64 hex digits) may do. 0, also for TRUST_ROLE_NONE. */
int trust_state_role(const json_t *snapshot, const char *cert_sha256, enum trust_role *role);

/* Is that the certificate of a service of an authority in the cluster, or the one that is to come or go? */
bool trust_state_lists(const json_t *snapshot, const char *cert_sha256);

/* SHA-256 of the canonical JSON, in hex: two authorities with the same serial and hash are in step. */
#define TRUST_HASH	65
int trust_state_hash(const json_t *snapshot, char out[TRUST_HASH], struct vmc_error *err);

/*
 * A state that came from elsewhere, signed: taken when it is newer. VMC_EAUTH: not
 * signed by the cluster's key. VMC_EREPLAY: older, or another of the same serial.
 * What this authority has already is fine.
 */
int trust_state_put(struct trust_state *s, const char *jws, struct vmc_error *err);
/* The signed document itself; free() it. VMC_ENOENT: there is none yet. */
int trust_state_get(struct trust_state *s, char **jws, struct vmc_error *err);

/*
 * For those who change it: @edit works on a deep copy; when it returns 0, one is added to the serial, the time
 * is set, and the whole is checked, signed and made durable. VMC_ENOTSUP: the
 * cluster's key is on another authority.
 */
typedef int (*trust_edit_fn)(json_t *state, void *data, struct vmc_error *err);
int trust_state_edit(struct trust_state *s, trust_edit_fn edit, void *data, struct vmc_error *err);

/* A new cluster: key and first state. VMC_EEXIST: this authority is in one. */
int trust_state_init(struct trust_state *s, const char *cluster, struct vmc_error *err);
/* This authority takes the states that the key with the public half @pem signs. VMC_EEXIST: it is in another cluster. */
int trust_state_join(struct trust_state *s, const char *pem, struct vmc_error *err);
/*
 * The authorities share their state in @store (store.h), too; the caller's, must outlive @s or be replaced by NULL. Each
 * change goes there first, and is none when that fails.
 */
struct trust_store;
void trust_state_share(struct trust_state *s, struct trust_store *store);
/*
 * Take what is there, if it is newer (*@changed), as trust_state_put() does. When this authority has a newer one, or the
 * store has none, it is put there: a store that was set back does not set authorities back.
 */
int trust_state_sync(struct trust_state *s, bool *changed, struct vmc_error *err);

/* The files were replaced as a whole, as a restore does: take them, whatever there was. */
int trust_state_reopen(struct trust_state *s, struct vmc_error *err);
/* The cluster's public key, PEM; free() it. VMC_ENOENT. */
int trust_state_public(struct trust_state *s, char **pem, struct vmc_error *err);
bool trust_state_can_change(struct trust_state *s);	/* the cluster's private key is here */

#endif
