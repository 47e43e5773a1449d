// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt event ...": what happened, and what happens. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/util.h"
#include "bus.h"
#include "out.h"
#include "render.h"
#include "table.h"
#include "verbs.h"
#include "when.h"

#define LIMIT_DEFAULT	50

static const struct column columns[] = {
	{ N_("TIME"), "time" }, { N_("TYPE"), "type" }, { N_("VM"), "vm_name|vm" }, { N_("TEXT"), "text" },
};

/* The daemon gives the newest first; people read downwards. */
static json_t *oldest_first(const json_t *events)
{
	json_t *out = json_array();
	size_t i;

	for (i = json_array_size(events); i-- > 0;)
		json_array_append(out, json_array_get(events, i));
	return out;
}

struct listing {
	struct cli *c;
	int64_t since, last;	/* last: the highest id that was printed */
	json_t *early;		/* what came before the list was printed; NULL: it is */
};

static int ask(struct listing *l, json_t **events)
{
	struct cli *c = l->c;
	uint32_t limit = args_has(&c->args, OPT_LIMIT) ? c->args.number[OPT_LIMIT] : LIMIT_DEFAULT;
	sd_bus_message *m;
	int r = bus_message(c, &m, BUS_ROOT, IFACE_MANAGER, "ListEvents");

	if (r)
		return r;
	r = sd_bus_message_append(m, "u", limit);
	options_begin(m, &r);
	options_u64(m, &r, "since", (uint64_t)l->since);
	options_string(m, &r, "vm", cli_value(c, OPT_VM));
	options_string(m, &r, "type", cli_value(c, OPT_TYPE));
	options_end(m, &r);
	r = bus_send_json(c, m, r, events);
	return r;
}

static int list_events(struct listing *l)
{
	json_t *events = NULL, *ordered, *one;
	struct cli *c = l->c;
	size_t i;
	int r = ask(l, &events);

	if (r)
		return r;
	ordered = oldest_first(events);
	json_array_foreach(ordered, i, one) {
		json_int_t id = json_integer_value(json_object_get(one, "id"));

		l->last = id > l->last ? id : l->last;
		if (!c->json || !args_has(&c->args, OPT_FOLLOW))
			continue;
		json_dumpf(one, stdout, JSON_COMPACT);
		putchar('\n');
	}
	if (!c->json)
		r = render_list(stdout, ordered, columns, ARRAY_SIZE(columns), "nothing has happened yet");
	else if (!args_has(&c->args, OPT_FOLLOW))
		out_json(ordered);
	fflush(stdout);
	json_decref(ordered);
	json_decref(events);
	return r;
}

static void print_member(const json_t *event, const char *key, const char *end)
{
	char *text = render_value(key, json_pick(event, key));

	text_print(stdout, text ? text : "?", false);
	fputs(end, stdout);
	free(text);
}

static bool same(const json_t *event, const char *key, const char *want)
{
	const char *s = json_string_value(json_object_get(event, key));

	return s && !strcmp(s, want);
}

/* Is it new, and one of those that were asked for? */
static bool wanted(const struct listing *l, const json_t *event)
{
	const char *vm = cli_value(l->c, OPT_VM), *type = cli_value(l->c, OPT_TYPE);
	json_int_t id = json_integer_value(json_object_get(event, "id"));

	return (!id || id > l->last) && (!type || same(event, "type", type)) &&
	       (!vm || same(event, "vm", vm) || same(event, "vm_name", vm));
}

static void print_event(const struct listing *l, json_t *event)
{
	if (!json_is_object(event) || !wanted(l, event))
		return;
	message_localize(event);	/* a signal is for everybody, so the text came in English */
	if (l->c->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_member(event, "time", "  ");
		print_member(event, "type", "  ");
		print_member(event, "vm_name|vm", "  ");
		print_member(event, "text", "\n");
	}
	fflush(stdout);
}

static void print_early(struct listing *l)
{
	json_t *early = l->early, *event;
	size_t i;

	l->early = NULL;
	json_array_foreach(early, i, event)
		print_event(l, event);
	json_decref(early);
}

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type, *vm, *text, *json;
	struct listing *l = data;
	json_t *event;

	(void)e;
	if (sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) <= 0)
		return 0;
	event = json_loads(json, 0, NULL);
	if (l->early)
		json_array_append(l->early, event);
	else
		print_event(l, event);
	json_decref(event);
	return 0;
}

/* Until a signal, or until nobody reads what we print. */
static int follow(struct cli *c, int sigfd)
{
	int r;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = sd_bus_get_fd(c->bus) },
			{ .fd = sigfd, .events = POLLIN },
			{ .fd = STDOUT_FILENO },
		};

		r = sd_bus_process(c->bus, NULL);
		if (r < 0) {
			vmc_fail(&c->err, VMC_EIO, "the connection to the bus broke");
			vmc_hint(&c->err, "systemctl status dbus vmcryptd");
			return VMC_EIO;
		}
		if (r > 0)
			continue;
		fds[0].events = sd_bus_get_events(c->bus);
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return bus_fail(c, -errno, "wait for events");
		if (fds[1].revents || fds[2].revents)
			return 0;
	}
}

static int list_and_follow(struct listing *l)
{
	sd_bus_slot *slot = NULL;
	struct cli *c = l->c;
	sigset_t set;
	int r, sigfd;

	r = bus_connect(c);
	if (r)
		return r;
	/* Listen first: what comes meanwhile is kept, and has an id that tells whether it was in the list. */
	l->early = json_array();
	r = sd_bus_match_signal(c->bus, &slot, BUS_NAME, BUS_ROOT, IFACE_MANAGER, "Event", on_event, l);
	if (r < 0) {
		json_decref(l->early);
		return bus_fail(c, r, "listen for events");
	}
	r = list_events(l);
	print_early(l);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = r ? -1 : signalfd(-1, &set, SFD_CLOEXEC);
	if (sigfd >= 0) {
		r = follow(c, sigfd);
		close(sigfd);
	}
	sd_bus_slot_unref(slot);
	return r;
}

int verb_event_list(struct cli *c)
{
	const char *since = cli_value(c, OPT_SINCE);
	struct listing l = { .c = c };
	int r;

	if (since) {
		r = when_parse(since, vmc_time(), &l.since, &c->err);
		if (r)
			return r;
	}
	return args_has(&c->args, OPT_FOLLOW) ? list_and_follow(&l) : list_events(&l);
}
