/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an administrator of a Trust Authority asks for, by D-Bus (bus.h) or as
 * POST /v1/admin/VERB: one function for both, the role checked in it. Any
 * function may be called from any thread.
 */
#ifndef VMC_TRUST_ADMIN_H
#define VMC_TRUST_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../lib/error.h"
#include "state.h"

#define TRUST_ATTEST_PORT	5700
#define TRUST_KMX_PORT		5701
#define TRUST_REMOTE_MS		5000	/* for each question to another authority */

/*
 * How another authority is asked, with attestd's identity. @where: HOST:PORT; @cert: PEM of who must be there.
 * @body NULL: GET. remote_https() in remote.h is the one that is used outside of tests.
 */
typedef int (*trust_remote_fn)(void *data, const char *where, const char *cert, const char *path, const json_t *body,
			       json_t **answer, struct vmc_error *err);

struct trust_admin_options {
	const char *host;		/* this authority's name; NULL: its host name */
	uint16_t attest_port, kmx_port;	/* where its services listen; 0: the standard ones */
	trust_remote_fn remote;
	void *remote_data;
	const char *config;		/* trust.conf, for backups; NULL: there is none */
	bool named;			/* @host is what trust.conf says */
	/* Would a service start with this file? NULL: whatever is in it. */
	int (*config_check)(const char *path, struct vmc_error *err);
};

struct trust_admin;

/* @s stays the caller's, and must outlive it. */
int trust_admin_open(struct trust_admin **a, struct trust_state *s, const struct trust_admin_options *o,
		     struct vmc_error *err);
void trust_admin_close(struct trust_admin *a);		/* no call is in it; NULL is fine */

/*
 * @verb with @params, an object (NULL: empty). @result is the caller's, always an object on success. VMC_EPERM: the
 * role may not; VMC_ENOENT: no such verb. Verbs that need files of the caller are not for here.
 * "state-put" needs no role: the cluster's signature is what tells.
 */
int trust_admin(struct trust_admin *a, enum trust_role role, const char *verb, const json_t *params, json_t **result,
		struct vmc_error *err);

/* The same with open files of a caller on this machine; -1: none. */
struct trust_files {
	int password;	/* one line */
	int key;	/* a private key, PEM */
	int data;	/* a file to be written, or read */
};
int trust_admin_local(struct trust_admin *a, enum trust_role role, const char *verb, const json_t *params,
		      const struct trust_files *files, json_t **result, struct vmc_error *err);
/* VMC_ENOENT, or which role @verb needs. */
int trust_admin_role(const char *verb, enum trust_role *role);

/*
 * A host attested as @image (an id), after a kexec of another or not. Kept: of each host (@ek, hex id of its
 * endorsement key) the last one, in attested.json; written at most every TRUST_ATTESTED_SECONDS. Cheap.
 */
#define TRUST_ATTESTED_SECONDS	30
void trust_admin_attested(struct trust_admin *a, const char *ek, const char *host, const char *image, bool quick_boot);

/*
 * What GET /v1/health of the Attestation Service answers: {status: "ok", service: "attestation", version, cluster,
 * serial, hash, images: {ID: {last, host, hosts, quick_boot: [HOST...]}}}. GET of the Key Provider Service is to have
 * {status, service: "key-provider", version, serial, hash, providers: [{name, reachable, error?, servers: [{host,
 * port, ok, error?}]}]}; its part without providers comes of trust_health_base().
 */
int trust_admin_health(struct trust_admin *a, json_t **health, struct vmc_error *err);
json_t *trust_health_base(struct trust_state *s, const char *service);	/* NULL: no memory */

/* What trusted hosts must know of the cluster: what 'services-info' gives, for GET /v1/services. Nothing of it is secret. */
int trust_admin_services_info(struct trust_admin *a, json_t **info, struct vmc_error *err);

/* trust_state_sync(), and what follows of a new state. */
int trust_admin_sync(struct trust_admin *a, struct vmc_error *err);

/*
 * Asks each authority of the state: [{name, attest, kmx, state: "in step", "drifted" or "unreachable", serial?, version?,
 * error?}]. @over (may be NULL): true when no more are to be asked.
 */
int trust_admin_peers(struct trust_admin *a, bool (*over)(void *data), void *data, json_t **list, struct vmc_error *err);

/* Days that the first certificate of @pem, of a state, is still valid; less than zero: it is not. */
int trust_cert_days(const char *pem);

/* Figures for node_exporter; free() them. Asks nobody. */
int trust_admin_metrics(struct trust_admin *a, char **text, struct vmc_error *err);

#endif
