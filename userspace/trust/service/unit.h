/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two services of a Trust Authority are as processes: arguments, the
 * desired state, an identity, HTTPS, and the loop that waits for the end, for
 * SIGHUP and for changes of files.
 */
#ifndef VMC_TRUST_UNIT_H
#define VMC_TRUST_UNIT_H

#include <systemd/sd-event.h>

#include "../http/server.h"
#include "../state/state.h"
#include "care.h"
#include "conf.h"
#include "stats.h"

struct unit;

struct unit_kind {
	const char *name;		/* program and journald identifier */
	const char *certificate;	/* the member of an authority that has what it shows: "attest_cert" */
	const char *folder;		/* below the folder of the state: its identity, and what else it keeps */
	const char *usage;		/* what it does, one line */
	uint16_t port;
	const char *(*listen)(const struct trust_conf *c);
	/* Into @u->data; before anybody is listened to. */
	int (*open)(struct unit *u, struct vmc_error *err);
	/* SIGHUP, or the desired state changed; what fails leaves all as it was. */
	int (*reload)(struct unit *u, struct vmc_error *err);
	void (*close)(struct unit *u);	/* no request is in it */
	http_handler handle;		/* its data: the unit */
	/* Alarms and figures, now and then (care.h); in a thread of its own, while requests are served. */
	void (*look)(struct unit *u, struct care *c, FILE *f);
};

struct unit {
	const struct unit_kind *kind;
	struct trust_conf conf;
	char conf_path[512];		/* that it was read from, if it is there */
	struct trust_state *state;
	char dir[512];			/* its own folder */
	sd_event *event;
	sd_event_source *settled;	/* some time after the last change of the state's files */
	struct http_identity identity;
	json_t *member_of;		/* of this state it is known whether it lists @identity: @member */
	bool member;
	struct http_server *server;
	struct stats *stats;
	struct care *care;
	void *data;
};

/* All of main(). */
int unit_main(int argc, char **argv, const struct unit_kind *kind);

/*
 * For handlers: the state as it is now, counted, and what the client's certificate may do. VMC_ESTATE with reason
 * "unavailable": this authority is in no cluster, or not any more.
 */
int unit_state(struct unit *u, const struct http_call *c, json_t **state, enum trust_role *role, struct refusal *r);
/* The identity changed, or the unit comes to its end. */
void unit_forget_member(struct unit *u);
/* For handlers: the requests that a role is needed for. VMC_EPERM with reason "not_authorized". */
int unit_allow(enum trust_role has, enum trust_role needs, struct refusal *r);
/* For handlers: a refusal for the metrics, by its reason. */
void unit_count_refusal(struct unit *u, const struct refusal *r);
/* For looks: the certificate @name has @days left; too few are an alarm. After the last one: stats_alarms_end(). */
#define UNIT_ALARM_CERT	"certificate-expires"
void unit_look_cert(struct unit *u, const char *name, int days);
/* For handlers: no such path. */
int unit_unknown(const struct http_call *c, struct refusal *r);

#endif
