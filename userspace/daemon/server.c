// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmcryptd's life.
 *
 * Threads: the loop thread (this file) owns the bus, all objects and every
 * structure of api/. Workers (pool.c) run what touches network, disk or kernel,
 * and hand results back through the mailbox. The backend (configuration,
 * providers, manager) is replaced only while no call uses it: new calls are
 * held back meanwhile, so that a reload never pulls anything from under a call.
 */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "../api/api.h"
#include "../api/event_api.h"
#include "../api/job_api.h"
#include "../api/model.h"
#include "../audit/audit.h"
#include "../lib/events.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "../lib/version.h"
#include "backend.h"
#include "boot.h"
#include "health.h"
#include "hooks.h"
#include "metrics_file.h"
#include "module_watch.h"
#include "resume.h"

#define USEC		1000000ull
#define BUS_TIMEOUT	(10 * USEC)	/* for the bus driver */
#define NAME_TIMEOUT	(5 * USEC)	/* for the bus to notice that a killed vmcryptd is gone */
#define STOP_SECONDS	30u		/* for workers to reach a safe point; the unit allows 45 */

struct server {
	const struct server_options *o;
	struct vmc_config cfg;
	sd_event *event;
	sd_bus *bus;
	struct api api;
	struct module_watch *watch;
	struct resume *resume;
	struct boot *boot;
	struct health *health;
	struct hooks *hooks;
	struct metrics_file *metrics;
	struct audit *audit;
	sd_event_source *kernel_events, *deadline;
	/* the backend is to be opened anew */
	bool wanted, changing, ready, reloading, had_module;
	struct pool_task change;
	struct mail migrated;		/* a VM has come in, or has not */
	atomic_bool migrated_posted;
	struct vmc_config new_cfg;
	struct backend *old, *new;
	int change_rc;
	struct vmc_error change_err;
	bool named, stopping;
	int status;
};

/* ---- telling systemd -------------------------------------------------- */

static void tell_ready(struct server *s)
{
	const struct backend *b = s->api.backend;

	sd_notifyf(0, "READY=1\nSTATUS=%zu VMs, %zu key providers, kernel module %s%s",
		   model_count_vms(s->api.model), model_count_providers(s->api.model),
		   b && b->k ? b->info.module_version : "not loaded",
		   s->wanted ? "; a reload waits for jobs to end" : "");
}

/* ---- the module ------------------------------------------------------- */

static void on_kernel_event(const struct vmk_event *e, void *data)
{
	struct server *s = data;

	event_from_kernel(&s->api, e);
	migrations_kernel_event(s->api.backend->migrations, e);
}

static int on_kernel_readable(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	struct server *s = data;
	struct vmc_error err = VMC_ERROR_INIT;

	(void)source, (void)fd, (void)revents;
	if (vmk_events_read(s->api.backend->k, on_kernel_event, s, &err)) {
		log_warn("some word of the kernel module was lost: %s", err.text);
		model_stale(s->api.model, NULL);
	}
	return 0;
}

static void listen_to_kernel(struct server *s)
{
	struct backend *b = s->api.backend;
	int fd = b->k ? vmk_events_fd(b->k) : -1, r;

	if (fd < 0)
		return;
	r = sd_event_add_io(s->event, &s->kernel_events, fd, EPOLLIN, on_kernel_readable, s);
	if (r < 0)
		log_warn("cannot listen to the kernel module: %s", strerror(-r));
}

/* ---- a new backend ---------------------------------------------------- */

static void try_change(struct server *s);

static void deliver_migrated(struct mail *m)
{
	struct server *s = (struct server *)((char *)m - offsetof(struct server, migrated));

	atomic_store(&s->migrated_posted, false);
	try_change(s);
}

/* In any thread: a change of the backend may have waited for it. */
static void on_migration_ended(void *data)
{
	struct server *s = data;

	if (atomic_exchange(&s->migrated_posted, true))
		return;
	s->migrated.deliver = deliver_migrated;
	mailbox_post(s->api.box, &s->migrated);
}

/* In a worker. The old one goes first: two managers must not have one inventory. */
static void change_run(struct pool_task *t)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, change));
	const struct backend_hooks hooks = { event_from_manager, &s->api, on_migration_ended, s };
	struct vmc_error err = VMC_ERROR_INIT;
	struct vmc_config was;
	bool had = s->old;

	if (had)
		was = s->old->cfg;
	backend_close(s->old);
	s->old = NULL;
	s->change_rc = backend_open(&s->new, &s->new_cfg, &hooks, &s->change_err);
	if (s->change_rc && had && backend_open(&s->new, &was, &hooks, &err))
		log_err("cannot go back to the configuration from before: %s", err.text);
	if (s->new) {
		model_look_providers(s->api.model, s->new);
		model_look_vm(s->api.model, s->new, NULL);
	}
}

static void try_finish(struct server *s);

static void log_module(struct server *s)
{
	bool is = s->api.backend->k;

	if (s->ready && is == s->had_module)
		return;
	s->had_module = is;
	if (is)
		event_tell(&s->api, "module-loaded", VMC_MSG_MODULE_LOADED, NULL, NULL,
			   "the kernel module vmcrypt %s is there", s->api.backend->info.module_version);
	else
		event_tell(&s->api, "module-gone", VMC_MSG_MODULE_GONE, NULL, NULL,
			   "%s", s->api.backend->no_module.text);
}

static void log_change(struct server *s)
{
	if (s->change_rc) {
		log_err("cannot take up the new configuration: %s%s%s", s->change_err.text,
			s->change_err.hint[0] ? ". Hint: " : "", s->change_err.hint);
		event_tell(&s->api, "reload-failed", VMC_MSG_DAEMON_RELOAD_FAILED, NULL, NULL,
			   "the configuration is as before: %s", s->change_err.text);
	} else if (!s->ready) {
		event_tell(&s->api, "ready", VMC_MSG_DAEMON_READY, NULL, NULL,
			   "vmcryptd %s is ready", VMC_VERSION);
	} else if (s->reloading) {
		event_tell(&s->api, "reloaded", VMC_MSG_DAEMON_RELOADED, NULL, NULL,
			   "the configuration was read anew");
	}
}

static void give_up(struct server *s)
{
	log_err("cannot start: %s%s%s", s->change_err.text, s->change_err.hint[0] ? ". Hint: " : "",
		s->change_err.hint);
	s->status = EXIT_FAILURE;
	sd_notifyf(0, "STATUS=cannot start: %s", s->change_err.text);
}

static void stop(struct server *s, int status);

static void change_done(struct pool_task *t, bool ran)
{
	struct server *s = (struct server *)((char *)t - offsetof(struct server, change));

	s->changing = false;
	if (!ran) {	/* stopped meanwhile: the end closes it */
		s->new = s->old;
		s->old = NULL;
	}
	if (s->stopping || !s->new) {
		s->api.backend = s->new;
		s->new = NULL;
		if (!s->stopping) {
			give_up(s);
			stop(s, EXIT_FAILURE);
		}
		try_finish(s);
		return;
	}
	if (!s->change_rc)
		s->cfg = s->new_cfg;
	hooks_configure(s->hooks, &s->cfg);
	metrics_file_configure(s->metrics, &s->cfg);
	health_configure(s->health, &s->cfg);
	api_attach(&s->api, s->new);
	s->new = NULL;
	listen_to_kernel(s);
	log_module(s);
	log_change(s);
	s->ready = true;
	s->reloading = false;
	tell_ready(s);
	if (s->had_module)
		resume_jobs(s->resume);
	boot_begin(s->boot);
	try_change(s);
}

/*
 * As soon as nobody uses the backend. Short calls end soon: new ones wait for
 * the change. A job may run for hours: then the change waits, the calls do not.
 */
static void try_change(struct server *s)
{
	struct vmc_error err = VMC_ERROR_INIT;
	bool coming;

	if (!s->wanted || s->changing || s->stopping)
		return;
	coming = s->api.backend && migrations_busy(s->api.backend->migrations);
	s->api.hold = !s->api.long_users && !coming;
	if (s->api.users || coming)
		return;
	s->wanted = false;
	s->changing = true;
	s->change.run = change_run;
	s->change.done = change_done;
	s->change_err = (struct vmc_error)VMC_ERROR_INIT;
	s->kernel_events = sd_event_source_disable_unref(s->kernel_events);
	s->old = api_detach(&s->api);
	/* Nobody uses the backend, so that at most its own looks were in the queue. */
	if (!pool_submit(s->api.pools[POOL_ACT], &s->change, &err))
		return;
	s->changing = false;
	s->wanted = true;
	log_warn("cannot change the configuration yet: %s", err.text);
	api_attach(&s->api, s->old);
	s->old = NULL;
}

static void want_change(struct server *s)
{
	s->wanted = true;
	try_change(s);
	if (s->ready && s->wanted)
		tell_ready(s);	/* it waits */
}

static void on_module(bool there, void *data)
{
	struct server *s = data;

	(void)there;	/* opening it tells; by then it may be otherwise */
	want_change(s);
}

/* ---- the end ---------------------------------------------------------- */

static void try_finish(struct server *s)
{
	if (s->stopping && !s->changing && api_idle(&s->api) && health_idle(s->health) &&
	    boot_idle(s->boot) && hooks_idle(s->hooks))
		sd_event_exit(s->event, s->status);
}

static void on_ended(struct api *a, void *data)
{
	struct server *s = data;

	(void)a;
	try_change(s);
	try_finish(s);
}

static void on_resume_failed(struct api *a, const struct vmc_error *err, void *data)
{
	struct server *s = data;

	(void)a;
	resume_again(s->resume, err);
}

static void on_alarm(struct api *a, const char *state, const char *alarm, void *data)
{
	struct server *s = data;

	(void)a;
	hooks_alarm(s->hooks, state, alarm);
	metrics_file_poke(s->metrics);
}

static void on_poke(struct api *a, void *data)
{
	struct server *s = data;

	(void)a;
	health_poke(s->health);
}

static void on_checked(void *data)
{
	struct server *s = data;

	metrics_file_poke(s->metrics);
	boot_again(s->boot);
}

static unsigned int stop_seconds(const struct server *s)
{
	return s->o->stop_seconds ? s->o->stop_seconds : STOP_SECONDS;
}

/*
 * What still runs is safe to leave: every step of the manager survives a kill.
 * The mappings and the VMs stay, and so do the jobs, which go on at the next start.
 */
static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct server *s = data;

	(void)source, (void)usec;
	log_warn("%u jobs did not reach a safe point within %u s; they go on at the next start",
		 bus_jobs_count(s->api.jobs), stop_seconds(s));
	sd_bus_flush(s->bus);
	_exit(s->status);
}

static void stop(struct server *s, int status)
{
	int r;

	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	sd_notifyf(0, "STOPPING=1\nSTATUS=waiting for %u jobs to reach a safe point", bus_jobs_count(s->api.jobs));
	log_info("stopping; %u jobs are to reach a safe point first", bus_jobs_count(s->api.jobs));
	if (s->api.backend)
		vmm_shutdown(s->api.backend->m);
	api_quiesce(&s->api);
	health_stop(s->health);
	boot_stop(s->boot);
	hooks_stop(s->hooks);
	r = sd_event_add_time_relative(s->event, &s->deadline, CLOCK_MONOTONIC,
				       stop_seconds(s) * USEC, 0, on_deadline, s);
	if (r < 0)
		log_warn("no deadline for the end: %s", strerror(-r));
	try_finish(s);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)source, (void)info;
	stop(data, EXIT_SUCCESS);
	return 0;
}

static int on_bus_lost(sd_bus_message *m, void *data, sd_bus_error *e)
{
	(void)m, (void)e;
	if (!((struct server *)data)->stopping)
		log_err("the bus is gone; vmcryptd ends, and is started again when the bus is back");
	stop(data, EXIT_FAILURE);
	return 0;
}

/* ---- reload ----------------------------------------------------------- */

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct server *s = data;
	struct vmc_config cfg;
	struct vmc_error err = VMC_ERROR_INIT;
	uint64_t now = 0;

	(void)source, (void)info;
	if (s->stopping)
		return 0;
	(void)sd_event_now(s->event, CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now);
	if (config_load(&cfg, s->o->config, &err)) {
		log_err("the new configuration is not taken: %s%s%s", err.text,
			err.hint[0] ? ". Hint: " : "", err.hint);
		event_tell(&s->api, "reload-failed", VMC_MSG_DAEMON_RELOAD_FAILED, NULL, NULL,
			   "the configuration is as before: %s", err.text);
		tell_ready(s);
		return 0;
	}
	if (cfg.workers != s->cfg.workers || cfg.secure_heap != s->cfg.secure_heap)
		log_warn("workers and secure_heap change at the next start only");
	log_init("vmcryptd", cfg.log_level);
	s->new_cfg = cfg;
	s->reloading = true;
	want_change(s);
	return 0;
}

/* ---- the beginning ---------------------------------------------------- */

static int open_bus(struct server *s, struct vmc_error *err)
{
	int r;

	if (s->o->bus_address) {
		r = sd_bus_new(&s->bus);
		if (r >= 0)
			r = sd_bus_set_address(s->bus, s->o->bus_address);
		if (r >= 0)
			r = sd_bus_set_bus_client(s->bus, 1);
		if (r >= 0)
			r = sd_bus_negotiate_fds(s->bus, 1);
		if (r >= 0)
			r = sd_bus_start(s->bus);
	} else {
		r = s->o->session ? sd_bus_open_user(&s->bus) : sd_bus_open_system(&s->bus);
	}
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(s->bus, BUS_TIMEOUT);
	if (r >= 0)
		r = sd_bus_attach_event(s->bus, s->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0) {
		vmc_fail_errno(err, -r, "cannot connect to the %s bus", s->o->bus_address ? "given" :
			       s->o->session ? "session" : "system");
		vmc_hint(err, "is dbus-daemon running? For a try without it: dbus-run-session vmcryptd --session");
		return err->code;
	}
	return 0;
}

static int on_name_acquired(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *name;

	(void)e;
	if (sd_bus_message_read(m, "s", &name) >= 0 && !strcmp(name, API_NAME))
		((struct server *)data)->named = true;
	return 0;
}

/*
 * In line behind the one who has it: a vmcryptd that was killed a moment ago
 * has it until the bus reads the end of its connection. -ETIMEDOUT: it lives.
 */
static int take_name(struct server *s)
{
	uint64_t until = vmc_now_ms() + NAME_TIMEOUT / 1000, now;
	sd_bus_slot *slot = NULL;
	int r = sd_bus_match_signal(s->bus, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
				    "org.freedesktop.DBus", "NameAcquired", on_name_acquired, s);

	if (r >= 0)
		r = sd_bus_request_name(s->bus, API_NAME, SD_BUS_NAME_QUEUE);
	if (r > 0)
		s->named = true;
	while (r >= 0 && !s->named) {
		r = sd_bus_process(s->bus, NULL);
		if (r)
			continue;
		now = vmc_now_ms();
		r = now < until ? sd_bus_wait(s->bus, (until - now) * 1000) : -ETIMEDOUT;
	}
	if (r == -ETIMEDOUT)
		sd_bus_release_name(s->bus, API_NAME);
	sd_bus_slot_unref(slot);
	return r;
}

/* Before the process ends, so that the next one finds it free. */
static void give_name(struct server *s)
{
	if (s->named && sd_bus_is_open(s->bus) > 0)
		sd_bus_release_name(s->bus, API_NAME);
	s->named = false;
}

static int own_name(struct server *s, struct vmc_error *err)
{
	int r = sd_bus_match_signal(s->bus, NULL, "org.freedesktop.DBus.Local", NULL,
				    "org.freedesktop.DBus.Local", "Disconnected", on_bus_lost, s);

	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot watch the bus");
	r = take_name(s);
	if (r == -ETIMEDOUT) {
		vmc_fail(err, VMC_EEXIST, "the bus name %s is taken: another vmcryptd runs", API_NAME);
		vmc_hint(err, "systemctl status vmcryptd; busctl status %s", API_NAME);
		return VMC_EEXIST;
	}
	if (r < 0) {
		vmc_fail_errno(err, -r, "cannot own the bus name %s", API_NAME);
		vmc_hint(err, "does the bus policy allow it? See share/dbus-1/system.d/org.vmcrypt1.conf");
		return err->code;
	}
	return 0;
}

static int watch_signals(struct server *s, struct vmc_error *err)
{
	int r = sd_event_add_signal(s->event, NULL, SIGTERM, on_terminate, s);

	if (r >= 0)
		r = sd_event_add_signal(s->event, NULL, SIGINT, on_terminate, s);
	if (r >= 0)
		r = sd_event_add_signal(s->event, NULL, SIGHUP, on_reload, s);
	if (r >= 0)
		r = sd_event_set_watchdog(s->event, 1);
	return r < 0 ? vmc_fail_errno(err, -r, "cannot watch signals") : 0;
}

/* To the journal, which may be sent elsewhere: whoever alters the log later alters what was said of it then. */
static void on_anchor(const struct audit_chain *c, void *data)
{
	char seq[24];

	(void)data;
	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)c->seq);
	log_event(LOG_INFO, VMC_MSG_AUDIT_HEAD, (struct log_field []){
			{ "AUDIT_SEQ", seq }, { "AUDIT_HASH", c->hash }, { NULL, NULL } },
		  "the audit log has %s entries; anchor %s:%s", seq, seq, c->hash);
}

static int open_audit(struct server *s, struct vmc_error *err)
{
	const struct audit_options o = {
		.state_dir = s->cfg.state_dir, .append_only = s->cfg.audit_append_only, .anchor = on_anchor,
	};
	int rc = audit_open(&s->audit, &o, err);

	if (rc)
		vmc_prefix(err, "the audit log cannot be opened: ");
	return rc;
}

static int begin(struct server *s, struct vmc_error *err)
{
	int r, rc;

	r = sd_event_default(&s->event);
	if (r < 0)
		return vmc_fail_errno(err, -r, "cannot make an event loop");
	rc = watch_signals(s, err);
	if (!rc)
		rc = open_bus(s, err);
	if (!rc)
		rc = api_start(&s->api, s->event, s->bus, s->cfg.workers, err);
	if (rc)
		return rc;
	s->api.hold = true;
	s->api.ended = on_ended;
	s->api.resume_failed = on_resume_failed;
	s->api.alarm = on_alarm;
	s->api.poke = on_poke;
	s->api.hook_data = s;
	rc = resume_new(&s->resume, &s->api, err);
	if (!rc)
		rc = boot_new(&s->boot, &s->api, err);
	if (!rc)
		rc = health_new(&s->health, &s->api, on_checked, s, err);
	if (!rc)
		rc = hooks_new(&s->hooks, &s->api, err);
	if (!rc)
		rc = metrics_file_new(&s->metrics, &s->api, err);
	if (!rc)
		rc = module_watch_new(&s->watch, s->event, on_module, s, err);
	/* The name first: opening the manager mends what a crash left, and two must not. */
	if (!rc)
		rc = own_name(s, err);
	if (!rc)
		rc = open_audit(s, err);
	return rc;
}

static void end(struct server *s)
{
	module_watch_free(s->watch);
	resume_free(s->resume);
	sd_event_source_disable_unref(s->kernel_events);
	sd_event_source_disable_unref(s->deadline);
	backend_close(s->api.backend);	/* may have last words, for the mailbox */
	s->api.backend = NULL;
	mailbox_drain(s->api.box);	/* what they set off needs these */
	s->api.alarm = NULL;
	s->api.poke = NULL;
	boot_free(s->boot);
	health_free(s->health);
	metrics_file_free(s->metrics);
	hooks_free(s->hooks);
	api_stop(&s->api);
	audit_close(s->audit);
	if (s->bus) {
		give_name(s);
		sd_bus_flush(s->bus);
	}
	sd_bus_close_unref(s->bus);
	sd_event_unref(s->event);
}

int server_run(const struct server_options *o, const struct vmc_config *cfg)
{
	struct server *s = calloc(1, sizeof(*s));
	struct vmc_error err = VMC_ERROR_INIT;
	int status = EXIT_FAILURE;

	if (!s)
		return EXIT_FAILURE;
	s->o = o;
	s->cfg = s->new_cfg = *cfg;
	if (begin(s, &err)) {
		log_err("cannot start: %s%s%s", err.text, err.hint[0] ? ". Hint: " : "", err.hint);
		sd_notifyf(0, "STATUS=cannot start: %s", err.text);
	} else {
		want_change(s);		/* opens the first backend */
		status = sd_event_loop(s->event);
		log_event(LOG_INFO, VMC_MSG_DAEMON_STOPPED, NULL, "vmcryptd ends; mappings and VMs stay");
	}
	end(s);
	free(s);
	return status < 0 ? EXIT_FAILURE : status;
}
