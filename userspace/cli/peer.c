// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt peer ...": other hosts that VMs are migrated to and from. */
#include <stdio.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "pem.h"
#include "render.h"
#include "verbs.h"

static int send_add(struct cli *c, const char *ca)
{
	sd_bus_message *m = NULL;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "AddPeer");

	if (r)
		return r;
	r = sd_bus_message_append(m, "s", c->operands[0]);
	options_begin(m, &r);
	options_string(m, &r, "address", cli_value(c, OPT_ADDRESS));
	options_string(m, &r, "fingerprint", cli_value(c, OPT_FINGERPRINT));
	options_string(m, &r, "ca", ca);
	options_end(m, &r);
	return bus_send(c, m, r, NULL);
}

int verb_peer_add(struct cli *c)
{
	VMC_CLEANUP(free_string) char *ca = NULL;
	int r = 0;

	if (!cli_value(c, OPT_CA) == !cli_value(c, OPT_FINGERPRINT)) {
		vmc_fail(&c->err, VMC_EINVAL, "give exactly one of --fingerprint and --ca");
		vmc_hint(&c->err, "'vmcrypt host identity show' on that host tells its fingerprint");
		return VMC_EINVAL;
	}
	if (cli_value(c, OPT_CA))
		r = pem_read(cli_value(c, OPT_CA), "CERTIFICATE", &ca, &c->err);
	if (!r)
		r = send_add(c, ca);
	if (r)
		return r;
	out_say(c, "host '%s' is trusted from now on", c->operands[0]);
	out_say(c, "Next: the same on '%s' for this host, then vmcrypt peer test %s", c->operands[0], c->operands[0]);
	out_done(c, "peer", c->operands[0]);
	return 0;
}

int verb_peer_list(struct cli *c)
{
	static const struct column cols[] = {
		{ N_("NAME"), "name" }, { N_("ADDRESS"), "address" }, { N_("PORT"), "port" },
		{ N_("TRUSTED BY"), "trust|error" }, { N_("FINGERPRINT"), "fingerprint" },
	};
	json_t *list = NULL;
	int r = bus_json(c, &list, BUS_ROOT, IFACE_MANAGER, "ListPeers", "");

	if (!r && c->json)
		out_json(list);
	else if (!r)
		r = render_list(stdout, list, cols, ARRAY_SIZE(cols),
				"no other host is trusted; 'vmcrypt peer add NAME --address HOST --fingerprint SHA256' adds one");
	json_decref(list);
	return r;
}

static int show(struct cli *c, const char *member, json_t **out)
{
	int r = bus_json(c, out, BUS_ROOT, IFACE_MANAGER, member, "s", c->operands[0]);

	if (r)
		return r;
	if (c->json)
		out_json(*out);
	else
		r = render_object(stdout, *out, 0);
	return r;
}

int verb_peer_show(struct cli *c)
{
	json_t *o = NULL;
	int r = show(c, "ShowPeer", &o);

	json_decref(o);
	return r;
}

int verb_peer_test(struct cli *c)
{
	json_t *o = NULL;
	int r = show(c, "TestPeer", &o);

	if (!r && !json_is_true(json_object_get(o, "ok")))
		c->exit_status = vmc_code_exit(VMC_ESTATE);
	json_decref(o);
	return r;
}

int verb_peer_remove(struct cli *c)
{
	int r = bus_method(c, BUS_ROOT, IFACE_MANAGER, "RemovePeer", "s", c->operands[0]);

	if (r)
		return r;
	out_say(c, "host '%s' is not trusted any more", c->operands[0]);
	out_done(c, "peer", c->operands[0]);
	return 0;
}
