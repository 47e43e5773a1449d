// SPDX-License-Identifier: GPL-2.0-or-later
/* Lists of what the module has: dumps, put together entry by entry. */
#include <stdlib.h>
#include <string.h>

#include "../lib/message.h"
#include "client_priv.h"

#define DUMP_TRIES	16

struct entries {
	const struct vmk_list *list;
	char *items;
	size_t n, room;
};

static int on_entry(struct nlmsghdr *h, struct nlattr **tb, void *data, struct vmc_error *err)
{
	struct entries *e = data;
	size_t size = e->list->size;
	void *entry;

	(void)h;
	if (e->n == e->room) {
		size_t room = e->room ? 2 * e->room : 64;
		void *more = reallocarray(e->items, room, size);

		if (!more)
			return vmc_fail(err, VMC_ENOMEM, "no memory for a list of %zu entries", room);
		e->items = more;
		e->room = room;
	}
	entry = memset(e->items + e->n++ * size, 0, size);
	return e->list->parse(tb, entry, err);
}

static int ask_once(struct vmk *k, struct entries *e, bool *interrupted, struct vmc_error *err)
{
	struct vmk_req r;
	int rc = vmk_req_new(k, &r, e->list->cmd, true, err);

	if (rc)
		return rc;
	r.reply = on_entry;
	r.data = e;
	r.policy = e->list->policy;
	r.max_attr = e->list->max_attr;
	e->n = 0;
	rc = vmk_ask(k, &r, &e->list->subject, err);
	*interrupted = r.interrupted;
	return rc;
}

int vmk_ask_list(struct vmk *k, const struct vmk_list *list, void **out, size_t *n, struct vmc_error *err)
{
	struct entries e = { .list = list };
	bool interrupted = true;
	int rc = 0;

	for (int tries = 0; !rc && interrupted && tries < DUMP_TRIES; tries++)
		rc = ask_once(k, &e, &interrupted, err);
	if (!rc && interrupted)
		rc = vmc_fail(err, VMC_EBUSY, "cannot %s: it changed %d times while it was read",
			      message_say(list->subject.doing), DUMP_TRIES);
	if (rc) {
		free(e.items);
		return rc;
	}
	*out = e.items;
	*n = e.n;
	return 0;
}
