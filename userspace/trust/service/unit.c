// SPDX-License-Identifier: GPL-2.0-or-later
/* A service of a Trust Authority as a process. */
#include "unit.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/events.h"
#include "../../lib/fs.h"
#include "../../lib/i18n.h"
#include "../../lib/log.h"
#include "../../lib/secmem.h"
#include "../../lib/version.h"

#define EXIT_USAGE	2
#define STATE_PREFIX	"state."
#define SETTLE_USEC	(200 * 1000)	/* several files change together; then all are read once */

struct options {
	const char *config;
	bool foreground;
};

static void usage(const struct unit_kind *k, FILE *f)
{
	fprintf(f, "Usage: %s [OPTION...]\n%s\n\n"
		"  -c, --config=FILE   read FILE instead of " TRUST_CONFIG_DIR "/trust.conf\n"
		"  -f, --foreground    log to standard error, not to the journal\n"
		"  -h, --help          print this and exit\n"
		"  -V, --version       print the version and exit\n\n"
		"SIGHUP reads the desired state, certificates and key providers anew. See %s(8).\n", k->name, k->usage,
		k->name);
}

/* 0: run; otherwise exit, with *@status. */
static int parse(int argc, char **argv, const struct unit_kind *k, struct options *o, int *status)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int c;

	*status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'h':
			usage(k, stdout);
			return 1;
		case 'V':
			printf("%s %s\n", k->name, VMC_VERSION);
			return 1;
		default:
			usage(k, stderr);
			*status = EXIT_USAGE;
			return 1;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "%s: unexpected argument '%s'\n", k->name, argv[optind]);
	usage(k, stderr);
	*status = EXIT_USAGE;
	return 1;
}

/* ---- what changes while it runs ------------------------------------------- */

static void log_error(const char *what, const struct vmc_error *err)
{
	log_err("%s: %s%s%s", what, err->text, err->hint[0] ? ". Hint: " : "", err->hint);
}

static void tell_status(struct unit *u)
{
	json_t *state = trust_state_json(u->state);

	if (state)
		sd_notifyf(0, "STATUS=cluster '%s', desired state %lld, port %u",
			   json_string_value(json_object_get(state, "cluster")),
			   (long long)json_integer_value(json_object_get(state, "serial")), http_server_port(u->server));
	else
		sd_notifyf(0, "STATUS=in no cluster yet, port %u", http_server_port(u->server));
	json_decref(state);
}

/* The desired state says that it shows its next certificate: from now on it does. */
static int follow_certificate(struct unit *u, struct vmc_error *err)
{
	json_t *state = trust_state_json(u->state), *e;
	size_t i;
	int rc = http_identity_follow(u->dir, NULL, err);	/* what was cut short */

	json_array_foreach(json_object_get(state, "authorities"), i, e)
		if (!rc)
			rc = http_identity_follow(u->dir, json_string_value(json_object_get(e, u->kind->certificate)), err);
	json_decref(state);
	return rc;
}

/* Each part on its own: one that is bad stays as it was, and keeps no other from being read. */
static void reload(struct unit *u)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct http_identity id;

	if (trust_state_reload(u->state, &err))
		log_error("the desired state is not taken", &err);
	if (follow_certificate(u, &err) || http_identity_open(u->dir, u->conf.name, &id, &err)) {
		log_error("the certificate is not taken", &err);
	} else if (http_server_identity(u->server, &id, &err)) {
		log_error("the certificate is not taken", &err);
		http_identity_close(&id);
	} else {
		http_identity_close(&u->identity);
		u->identity = id;
	}
	unit_forget_member(u);
	if (u->kind->reload && u->kind->reload(u, &err))
		log_error("its own files are not taken", &err);
	tell_status(u);
}

static int on_hup(sd_event_source *src, const struct signalfd_siginfo *si, void *data)
{
	struct unit *u = data;
	struct timespec now;

	(void)src;
	(void)si;
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	reload(u);
	sd_notify(0, "READY=1");
	return 0;
}

static int on_settled(sd_event_source *src, uint64_t usec, void *data)
{
	(void)src;
	(void)usec;
	reload(data);
	return 0;
}

static int on_change(sd_event_source *src, const struct inotify_event *ev, void *data)
{
	struct unit *u = data;
	uint64_t now;

	(void)src;
	if (!ev->len || strncmp(ev->name, STATE_PREFIX, strlen(STATE_PREFIX)) || !(ev->mask & IN_MOVED_TO))
		return 0;
	sd_event_now(u->event, CLOCK_MONOTONIC, &now);
	sd_event_source_set_time(u->settled, now + SETTLE_USEC);
	return sd_event_source_set_enabled(u->settled, SD_EVENT_ONESHOT);
}

static int watch(struct unit *u, struct vmc_error *err)
{
	int r = sd_event_add_time(u->event, &u->settled, CLOCK_MONOTONIC, 0, 0, on_settled, u);

	if (r >= 0)
		r = sd_event_source_set_enabled(u->settled, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_inotify(u->event, NULL, trust_state_dir(u->state), IN_MOVED_TO | IN_ONLYDIR,
					 on_change, u);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot watch '%s' for changes", trust_state_dir(u->state)) : 0;
}

/* ---- start and end ---------------------------------------------------------- */

static int make_event(struct unit *u, struct vmc_error *err)
{
	int r = sd_event_default(&u->event);

	if (r >= 0)
		r = sd_event_add_signal(u->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(u->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(u->event, NULL, SIGHUP, on_hup, u);
	if (r >= 0)
		r = sd_event_set_watchdog(u->event, 1);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot set the event loop up") : 0;
}

static void on_look(struct care *c, FILE *f, void *data)
{
	struct unit *u = data;

	u->kind->look(u, c, f);
}

static int start_care(struct unit *u, struct vmc_error *err)
{
	char path[256] = "";
	const struct care_setup s = { .path = path, .interval = u->conf.metrics_interval, .stats = u->stats,
				      .look = on_look, .data = u };

	if (*u->conf.metrics_folder)
		snprintf(path, sizeof(path), "%s/%s.prom", u->conf.metrics_folder, u->kind->name);
	return care_start(&u->care, &s, err);
}

static int start(struct unit *u, struct vmc_error *err)
{
	const char *dir = trust_dir();
	int rc = fs_mkdirs(dir, 0700, err);

	snprintf(u->dir, sizeof(u->dir), "%s/%s", dir, u->kind->folder);
	if (!rc)
		rc = trust_state_open(&u->state, dir, err);
	if (!rc)
		rc = follow_certificate(u, err);
	if (!rc)
		rc = http_identity_open(u->dir, u->conf.name, &u->identity, err);
	if (!rc)
		rc = make_event(u, err);
	u->stats = stats_new();
	if (!rc && !u->stats)
		rc = vmc_fail(err, VMC_ENOMEM, "no memory for metrics");
	if (!rc)
		rc = u->kind->open(u, err);
	if (!rc)
		rc = http_server_start(u->kind->listen(&u->conf), u->kind->port, &u->identity, u->kind->handle, u,
				       &u->server, err);
	if (!rc)
		rc = watch(u, err);
	return rc ? rc : start_care(u, err);
}

static void stop(struct unit *u)
{
	care_stop(u->care);
	http_server_stop(u->server);
	if (u->data)
		u->kind->close(u);
	unit_forget_member(u);
	stats_free(u->stats);
	http_identity_close(&u->identity);
	trust_state_close(u->state);
	sd_event_source_unref(u->settled);
	sd_event_unref(u->event);
}

static int run(struct unit *u)
{
	struct vmc_error err = VMC_ERROR_INIT;
	int r = 0;

	if (start(u, &err)) {
		log_error("cannot start", &err);
		sd_notifyf(0, "STATUS=cannot start: %s", err.text);
		stop(u);
		return EXIT_FAILURE;
	}
	log_info("%s %s serves port %u, certificate SHA-256 %s", u->kind->name, VMC_VERSION, http_server_port(u->server),
		 u->identity.fingerprint);
	tell_status(u);
	sd_notify(0, "READY=1");
	r = sd_event_loop(u->event);
	sd_notify(0, "STOPPING=1");
	stop(u);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Before the first thread: all take their signals from the event loop. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int unit_main(int argc, char **argv, const struct unit_kind *kind)
{
	struct unit u = { .kind = kind };
	struct vmc_error err = VMC_ERROR_INIT;
	struct options o = { .config = NULL };
	int status;

	if (parse(argc, argv, kind, &o, &status))
		return status;
	umask(0077);
	block_signals();
	unsetenv("LANGUAGE");
	i18n_init();
	log_init(kind->name, LOG_INFO);
	if (o.foreground)
		log_to_stderr();
	if (trust_conf_load(&u.conf, o.config, &err) || trust_conf_path(o.config, u.conf_path, &err) ||
	    secmem_init((size_t)u.conf.secure_heap << 10, &err)) {
		log_error("cannot start", &err);
		return EXIT_FAILURE;
	}
	log_init(kind->name, u.conf.log_level);
	return run(&u);
}

/* ---- for handlers ------------------------------------------------------------ */

static pthread_mutex_t member_lock = PTHREAD_MUTEX_INITIALIZER;	/* member_of and member of the unit */

void unit_forget_member(struct unit *u)
{
	pthread_mutex_lock(&member_lock);
	json_decref(u->member_of);
	u->member_of = NULL;
	pthread_mutex_unlock(&member_lock);
}

/* Is this one of the authorities in @state? Found out once for each state: it takes all their certificates. */
static bool is_member(struct unit *u, json_t *state)
{
	bool member;

	pthread_mutex_lock(&member_lock);
	if (u->member_of != state) {
		json_decref(u->member_of);
		u->member_of = json_incref(state);
		u->member = trust_state_lists(state, u->identity.fingerprint);
	}
	member = u->member;
	pthread_mutex_unlock(&member_lock);
	return member;
}

/* Who was taken out, for instance because the machine is not to be trusted any more, serves no host. */
static int not_member(const json_t *state, struct refusal *r)
{
	vmc_fail(&r->err, VMC_ESTATE, "this authority is not in the Trust Authority cluster '%s'",
		 json_string_value(json_object_get(state, "cluster")));
	vmc_hint(&r->err, "another authority serves; to take this one in: 'vmcrypt trust authority show --out FILE' on it, 'vmcrypt trust authority add FILE' where changes are made");
	return refuse(r, REASON_UNAVAILABLE);
}

int unit_state(struct unit *u, const struct http_call *c, json_t **state, enum trust_role *role, struct refusal *r)
{
	/* the loop looks, too, and tells what is wrong; here it is so that nobody gets an old answer */
	(void)trust_state_reload(u->state, NULL);
	*state = trust_state_json(u->state);
	if (!*state) {
		vmc_fail(&r->err, VMC_ESTATE, "this authority is in no Trust Authority cluster yet");
		vmc_hint(&r->err, "on it: 'vmcrypt trust init CLUSTER' for a new cluster, 'vmcrypt trust join' for one that there is");
		return refuse(r, REASON_UNAVAILABLE);
	}
	if (!is_member(u, *state)) {
		not_member(*state, r);
		json_decref(*state);
		*state = NULL;
		return r->err.code;
	}
	*role = TRUST_ROLE_NONE;
	return *c->fingerprint ? trust_state_role(*state, c->fingerprint, role) : 0;
}

int unit_allow(enum trust_role has, enum trust_role needs, struct refusal *r)
{
	if (has >= needs)
		return 0;
	vmc_fail(&r->err, VMC_EPERM, "this needs the role '%s', and the certificate shown has the role '%s'",
		 trust_role_name(needs), trust_role_name(has));
	vmc_hint(&r->err, "on an authority: vmcrypt trust principal add");
	return refuse(r, REASON_NOT_AUTHORIZED);
}

void unit_count_refusal(struct unit *u, const struct refusal *r)
{
	static const struct stats_counter refusals = {
		.name = "trust_refusals_total", .help = "Requests of hosts that a service refused.", .label = "service",
		.label2 = "reason",
	};

	stats_count(u->stats, &refusals, u->kind->folder, *r->reason ? r->reason : "other", 1);
}

void unit_look_cert(struct unit *u, const char *name, int days)
{
	const struct stats_alarm a = { UNIT_ALARM_CERT, VMC_MSG_TA_CERT_EXPIRES, name };
	char text[160];

	if (days < 0)
		snprintf(text, sizeof(text), "the certificate has expired");
	else
		snprintf(text, sizeof(text), "the certificate expires in %d days", days);
	stats_alarm(u->stats, &a, days < CARE_WARN_DAYS, text);
}

int unit_unknown(const struct http_call *c, struct refusal *r)
{
	vmc_fail(&r->err, VMC_ENOENT, "nothing answers to '%s'", c->head->path);
	return refuse(r, REASON_NOT_FOUND);
}
