// SPDX-License-Identifier: GPL-2.0-or-later
/* Figures about the cluster, as this authority has them, in Prometheus' text format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../keys/cert.h"
#include "../../lib/prom.h"
#include "admin_priv.h"

static void gauge(FILE *f, const char *name, const char *help, long long v)
{
	prom_plain(f, name, "gauge", help, v);
}

static size_t size_of(const json_t *o, const char *name)
{
	return json_array_size(json_object_get(o, name));
}

int trust_cert_days(const char *pem)
{
	STACK_OF(X509) *chain;
	int days;

	/* the state was checked when it was taken */
	if (!pem || cert_chain_from_pem(pem, "certificate", &chain, NULL))
		return -1;
	days = cert_days_left(sk_X509_value(chain, 0));
	cert_chain_free(chain);
	return days;
}

static void days_left(FILE *f, const char *kind, const char *name, const char *pem)
{
	prom_value(f, "trust_certificate_days_left", "kind", kind, "name", name, trust_cert_days(pem));
}

static void certificates(FILE *f, const json_t *state)
{
	const json_t *e;
	const char *name;
	size_t i;

	prom_head(f, "trust_certificate_days_left", "gauge", "Days that a certificate is still valid.");
	json_array_foreach(json_object_get(state, "authorities"), i, e) {
		name = json_string_value(json_object_get(e, "name"));
		days_left(f, "attestation", name, json_string_value(json_object_get(e, "attest_cert")));
		days_left(f, "key-provider", name, json_string_value(json_object_get(e, "kmx_cert")));
	}
	json_array_foreach(json_object_get(json_object_get(state, "tpm2"), "ca_certificates"), i, e)
		days_left(f, "ca", json_string_value(json_object_get(e, "name")),
			  json_string_value(json_object_get(e, "pem")));
}

int trust_admin_metrics(struct trust_admin *a, char **text, struct vmc_error *err)
{
	json_t *state = trust_state_json(a->state);
	const json_t *tpm2 = json_object_get(state, "tpm2");
	size_t n;
	FILE *f = open_memstream(text, &n);

	if (!f) {
		json_decref(state);
		return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
	}
	gauge(f, "trust_configured", "Whether this authority is in a cluster.", !!state);
	if (state) {
		gauge(f, "trust_state_serial", "Serial of the desired state.",
		      json_integer_value(json_object_get(state, "serial")));
		gauge(f, "trust_state_changed_seconds", "When the desired state was changed, in seconds since 1970.",
		      json_integer_value(json_object_get(state, "changed")));
		gauge(f, "trust_authorities", "Authorities of the cluster.", size_of(state, "authorities"));
		gauge(f, "trust_base_images", "Base images that hosts may have booted.", size_of(state, "images"));
		gauge(f, "trust_ca_certificates", "CAs whose TPMs are believed.", size_of(tpm2, "ca_certificates"));
		gauge(f, "trust_endorsement_keys", "TPMs that are believed one by one.", size_of(tpm2, "eks"));
		gauge(f, "trust_key_providers", "Key providers of the cluster.", size_of(state, "key_providers"));
		gauge(f, "trust_principals", "Certificates that have a role.", size_of(state, "principals"));
		certificates(f, state);
	}
	json_decref(state);
	if (!fclose(f))
		return 0;
	free(*text);
	return vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
}
