// SPDX-License-Identifier: GPL-2.0-or-later
/* What a client says of itself once, for all its calls. */
#include "hints.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "api.h"
#include "bus_error.h"

#define SENDERS_MAX	256u	/* connections remembered at once */
#define HINTS_MAX	16u	/* in one call */
#define SENDER_NAME_MAX	64	/* of a connection, such as ":1.42" */

struct sender {
	struct sender *next;
	struct hints *hints;
	sd_bus_track *track;		/* tells when it leaves */
	char name[SENDER_NAME_MAX];
	locale_t locale;
};

struct hints {
	sd_bus *bus;
	struct sender *senders;
	unsigned int n;
};

static struct sender *find(const struct hints *h, const char *name)
{
	struct sender *s = h->senders;

	while (s && strcmp(s->name, name))
		s = s->next;
	return s;
}

locale_t hints_locale(const struct hints *h, const char *sender)
{
	const struct sender *s = h && sender ? find(h, sender) : NULL;

	return s ? s->locale : (locale_t)0;
}

unsigned int hints_count(const struct hints *h)
{
	return h->n;
}

static void forget(struct sender *s)
{
	struct sender **at = &s->hints->senders;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at) {
		*at = s->next;
		s->hints->n--;
	}
	sd_bus_track_unref(s->track);
	free(s);
}

static int on_left(sd_bus_track *track, void *data)
{
	(void)track;
	forget(data);
	return 0;
}

static int remember(struct hints *h, const char *name, locale_t locale)
{
	struct sender *s = find(h, name);
	int r;

	if (s) {
		s->locale = locale;
		return 0;
	}
	if (!locale)		/* what it would get anyway */
		return 0;
	if (h->n == SENDERS_MAX || strlen(name) >= sizeof(s->name))
		return -EBUSY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->hints = h;
	memcpy(s->name, name, strlen(name) + 1);
	s->locale = locale;
	s->next = h->senders;
	h->senders = s;
	h->n++;
	r = sd_bus_track_new(h->bus, &s->track, on_left, s);
	if (r >= 0)
		r = sd_bus_track_add_name(s->track, name);
	if (r < 0)
		forget(s);
	return r;
}

/* Hints of later versions are passed over. */
static int read_hints(sd_bus_message *m, const char **locale)
{
	const char *key, *value;
	unsigned int n = 0;
	int r = sd_bus_message_enter_container(m, 'a', "{ss}");

	while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0) {
		if (++n > HINTS_MAX)
			return -E2BIG;
		if (!strcmp(key, "locale"))
			*locale = value;
	}
	return r;
}

static int refuse(sd_bus_error *e, int r)
{
	struct vmc_error err = VMC_ERROR_INIT;

	if (r == -EBUSY) {
		vmc_fail(&err, VMC_EBUSY, "%u clients have given hints already", SENDERS_MAX);
		vmc_hint(&err, "answers come in English; try again when other clients have left");
	} else {
		vmc_fail_errno(&err, -r, "cannot take the hints");
	}
	return bus_error_set(e, &err);
}

int hints_method(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
	struct hints *h = ((struct object *)userdata)->api->hints;
	const char *sender = sd_bus_message_get_sender(m), *locale = "";
	int r = read_hints(m, &locale);

	if (r >= 0 && sender)
		r = remember(h, sender, i18n_locale(locale));
	return r < 0 ? refuse(e, r) : sd_bus_reply_method_return(m, NULL);
}

int hints_new(struct hints **ret, sd_bus *bus, struct vmc_error *err)
{
	struct hints *h = calloc(1, sizeof(*h));

	if (!h)
		return vmc_fail(err, VMC_ENOMEM, "no memory for the clients' languages");
	h->bus = bus;
	*ret = h;
	return 0;
}

void hints_free(struct hints *h)
{
	if (!h)
		return;
	for (struct sender *s = h->senders, *next; s; s = next) {
		next = s->next;
		sd_bus_track_unref(s->track);
		free(s);
	}
	free(h);
}
