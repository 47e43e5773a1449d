/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Key Provider Service: what it answers, without HTTP. It alone holds what the
 * key servers know; a host gets keys for a token of an Attestation Service, each
 * encrypted to the key that this token names. Any function from any thread.
 */
#ifndef VMC_TRUST_KMX_SERVICE_H
#define VMC_TRUST_KMX_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../keys/provider.h"
#include "../http/refusal.h"

#define KMX_IDS_MAX	256	/* keys in one request */
#define KMX_HOST_MAX	128

struct kmx_service;

/* @cfg: config_dir is the service's own folder, with providers/ in it. */
int kmx_open(struct kmx_service **s, const struct vmc_config *cfg, struct vmc_error *err);
void kmx_close(struct kmx_service *s);	/* no call is in it; NULL is fine */
/* The files of the providers changed: they are read anew; requests that are under way end with what they have. */
int kmx_reload(struct kmx_service *s, struct vmc_error *err);

/* One message. */
struct kmx_call {
	const json_t *state;		/* snapshot of the desired state */
	const json_t *body;
	const char *token;		/* "": none */
	int64_t now;			/* seconds since 1970 */
};

/* Who asked and for what, for the log; as far as it was found out. */
struct kmx_note {
	char host[KMX_HOST_MAX], ek[65], jti[65];
	char provider[PROVIDER_NAME_MAX + 1];
	char verb[16];			/* what was asked for; "": nothing that there is */
	unsigned int keys;		/* how many left this service, encrypted */
	char destroyed[PROVIDER_KEY_ID_MAX + 1];	/* the key that is no more; "": none */
	char orphan[PROVIDER_KEY_ID_MAX + 1];	/* a key that was made, but reached nobody; "": none */
	bool orphan_gone;		/* it was destroyed again */
};

/*
 * "create" {provider?, label} -> {provider, id, key}, a key that cannot be answered with is destroyed again; "get" {provider?, ids} -> {provider, keys: [{id, state, key?,
 * error?}]}; "state" {provider?, ids} -> {provider, keys: [{id, state}]}; "list" {provider?} -> {provider, ids};
 * "destroy" {provider?, id} -> {provider}; "providers" {} -> {providers: [{name, default}]}. Without "provider": the
 * default one of the state. VMC_ENOENT with reason not_found: another verb.
 */
int kmx_keys(struct kmx_service *s, const char *verb, const struct kmx_call *c, json_t **result,
	     struct kmx_note *note, struct refusal *r);

/* Does @token let its host ask? What kmx_keys() checks first. */
int kmx_token(struct kmx_service *s, const struct kmx_call *c, struct kmx_note *note, struct refusal *r);

/*
 * Talks to the key servers, unless that was done a few seconds ago: [{name, reachable, error?, servers: [{host, port,
 * ok, error?}], made?, refused?}]; counted. "made": the key that this authority made last, if the key server gives it;
 * "refused": why it does not.
 */
int kmx_health(struct kmx_service *s, const json_t *state, json_t **providers, struct vmc_error *err);

/*
 * Whether this authority gets keys that others made: {provider?, ids} -> {provider, keys: [{id, state, error?}]}. The
 * caller has found out that who asks may know; keys do not leave this function.
 */
int kmx_gets(struct kmx_service *s, const struct kmx_call *c, json_t **result, struct refusal *r);

#endif
