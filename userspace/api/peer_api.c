// SPDX-License-Identifier: GPL-2.0-or-later
/* Methods about other hosts, and about who this one is to them. */
#include "peer_api.h"

#include <stdlib.h>

#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "event_api.h"

static void tell(struct call *c, const char *type, const char *message_id, const char *name, const char *what)
{
	json_t *d = json_pack("{s:s}", "peer", name);

	event_tell(c->api, type, message_id, NULL, d, "host '%s' %s", name, message_say(what));
	json_decref(d);
}

/* ---- the trust store ------------------------------------------------------ */

const struct option_spec add_peer_options[] = {
	OPTION(address, 's'), OPTION(fingerprint, 's'), OPTION(ca, 's'), OPTIONS_END
};

int run_list_peers(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = peers_list(b->peers, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

int run_show_peer(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = peers_show(b->peers, c->s[0], &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

int run_add_peer(struct call *c, struct backend *b, struct vmc_error *err)
{
	const struct peer_add a = {
		.name = c->s[0], .address = c->o.address, .fingerprint = c->o.fingerprint, .ca_pem = c->o.ca,
	};
	int rc = peers_add(b->peers, &a, err);

	if (!rc)
		tell(c, "peer-added", VMC_MSG_PEER_ADDED, a.name, N_("is trusted from now on"));
	return rc;
}

int run_test_peer(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = migrations_test(b->migrations, c->s[0], &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

int run_remove_peer(struct call *c, struct backend *b, struct vmc_error *err)
{
	int rc = peers_remove(b->peers, c->s[0], err);

	if (!rc)
		tell(c, "peer-removed", VMC_MSG_PEER_REMOVED, c->s[0], N_("is not trusted any more"));
	return rc;
}

/* ---- this host ------------------------------------------------------------ */

int run_identity_show(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = peers_identity(b->peers, &o, err);

	if (rc)
		return rc;
	json_object_update_new(o, migrations_listening(b->migrations));
	return call_answer_json(c, o, err);
}

int run_identity_csr(struct call *c, struct backend *b, struct vmc_error *err)
{
	char *pem = NULL;
	int rc = peers_csr(b->peers, &pem, err);
	json_t *o;

	if (rc)
		return rc;
	o = json_pack("{s:s}", "pem", pem);
	free(pem);
	return call_answer_json(c, o, err);
}

int run_identity_upload(struct call *c, struct backend *b, struct vmc_error *err)
{
	char fingerprint[CERT_FINGERPRINT];
	int rc = peers_upload(b->peers, c->s[0], err);
	json_t *d;

	if (rc)
		return rc;
	peers_fingerprint(b->peers, fingerprint);
	d = json_pack("{s:s}", "fingerprint", fingerprint);
	event_tell(c->api, "host-identity", VMC_MSG_HOST_IDENTITY, NULL, d,
		   "this host shows others a new certificate, of fingerprint sha256:%s", fingerprint);
	json_decref(d);
	return 0;
}
