/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a cluster's desired state (state.h): what may be in it, and how it
 * is written for signing. Pure: no files, no clock, no network.
 *
 *	{v: 1, cluster, serial, changed,
 *	 authorities: [{name, attest: "host:port", attest_cert, attest_also?, kmx: "host:port", kmx_cert, kmx_also?,
 *	 token_key, version}],
 *	 tpm2: {require_ek_certificate, ca_certificates: [{name, pem}], eks: [{name, ek, pub}]},
 *	 policy: {pcrs: [0..15], secure_boot, token_lifetime, lease, hosts_destroy_keys?},
 *	 images: [{imported, and what trust/evidence/image.h has}],
 *	 key_providers: [{name, kind: "kmip", servers: ["host:port"], default, username?, tls_min?, ca_pem?, pins?}],
 *	 principals: [{name, fingerprint, role}]}
 *
 * attest_cert and kmx_cert is what a service shows; what is in attest_also or kmx_also is believed as well, while the one
 * takes the place of the other. changed is in seconds since 1970, imported in RFC 3339; certificates and keys are PEM; ek is the SHA-256 of
 * the key in pub (its SubjectPublicKeyInfo), fingerprint that of a certificate.
 */
#ifndef VMC_TRUST_TSTATE_H
#define VMC_TRUST_TSTATE_H

#include <jansson.h>
#include <stddef.h>

#include "../../lib/error.h"

#define TSTATE_VERSION		1
#define TSTATE_AUTHORITIES_MAX	16
#define TSTATE_CA_MAX		64
#define TSTATE_EKS_MAX		1024
#define TSTATE_IMAGES_MAX	64
#define TSTATE_PROVIDERS_MAX	16
#define TSTATE_PRINCIPALS_MAX	4096
#define TSTATE_LIFETIME_MIN	300	/* seconds that a token is good for */
#define TSTATE_LIFETIME_MAX	600
#define TSTATE_LEASE_MAX		(7 * 24 * 3600)	/* seconds; 0: keys stay until a reboot */

/* Refuses whole what is not exactly a state: VMC_EINVAL names the member and what is wrong with it. */
int tstate_check(const json_t *state, struct vmc_error *err);
/* The same of bytes from outside, at most TRUST_STATE_MAX. @state is new. */
int tstate_parse(const char *text, size_t len, json_t **state, struct vmc_error *err);
/* Keys sorted, no spaces: the same bytes for the same state. free() it. */
int tstate_canonical(const json_t *state, char **text, size_t *len, struct vmc_error *err);
/* The first state of a cluster. */
json_t *tstate_new(const char *cluster, json_int_t now);

/* The element of the array @list whose member @key is the text @value, or NULL; its place in *@at (may be NULL). */
json_t *tstate_find(const json_t *list, const char *key, const char *value, size_t *at);

#endif
