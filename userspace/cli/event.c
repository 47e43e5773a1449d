// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmcrypt event ...": what happened, and what happens. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
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

#define LIMIT_DEFAULT	50

static const struct column columns[] = {
	{ N_("TIME"), "time" }, { N_("TYPE"), "type" }, { N_("VM"), "vm" }, { N_("TEXT"), "text" },
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

static int list_events(struct cli *c)
{
	uint32_t limit = args_has(&c->args, OPT_LIMIT) ? c->args.number[OPT_LIMIT] : LIMIT_DEFAULT;
	json_t *events = NULL, *ordered, *one;
	size_t i;
	int r = bus_json(c, &events, BUS_ROOT, IFACE_MANAGER, "ListEvents", "u", limit);

	if (r)
		return r;
	ordered = oldest_first(events);
	if (c->json && args_has(&c->args, OPT_FOLLOW)) {
		json_array_foreach(ordered, i, one) {
			json_dumpf(one, stdout, JSON_COMPACT);
			putchar('\n');
		}
	} else if (c->json) {
		out_json(ordered);
	} else {
		r = render_list(stdout, ordered, columns, ARRAY_SIZE(columns), "nothing has happened yet");
	}
	fflush(stdout);
	json_decref(ordered);
	json_decref(events);
	return r;
}

static void print_member(const json_t *event, const char *key)
{
	char *text = render_value(key, json_object_get(event, key));

	text_print(stdout, text ? text : "?", false);
	free(text);
}

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const struct cli *c = data;
	const char *type, *vm, *text, *json;
	json_t *event;
	char now[32];

	(void)e;
	if (sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) <= 0)
		return 0;
	event = json_loads(json, 0, NULL);
	if (!json_is_object(event)) {
		json_decref(event);
		event = json_object();
	}
	vmc_time_format(vmc_time(), now);
	if (!json_object_get(event, "time"))
		json_object_set_new(event, "time", json_string(now));
	json_object_set_new(event, "type", json_string(type));
	json_object_set_new(event, "vm", json_string(vm));
	json_object_set_new(event, "text", json_string(text));
	message_localize(event);	/* a signal is for everybody, so the text came in English */
	if (c->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
	} else {
		print_member(event, "time");
		fputs("  ", stdout);
		print_member(event, "type");
		fputs("  ", stdout);
		print_member(event, "vm");
		fputs("  ", stdout);
		print_member(event, "text");
	}
	putchar('\n');
	fflush(stdout);
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

int verb_event_list(struct cli *c)
{
	sd_bus_slot *slot = NULL;
	sigset_t set;
	int r, sigfd;

	if (!args_has(&c->args, OPT_FOLLOW))
		return list_events(c);
	r = bus_connect(c);
	if (r)
		return r;
	/* listen first: what happens during the list comes twice rather than never */
	r = sd_bus_match_signal(c->bus, &slot, BUS_NAME, BUS_ROOT, IFACE_MANAGER, "Event", on_event,
				c);
	if (r < 0)
		return bus_fail(c, r, "listen for events");
	r = list_events(c);
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
