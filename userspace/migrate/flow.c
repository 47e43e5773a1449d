// SPDX-License-Identifier: GPL-2.0-or-later
/* The connections of one migration. See flow.h. */
#include "flow.h"

#include <linux/vmcrypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/message.h"
#include "relay.h"

struct flow {
	struct vmk *k;
	uint32_t kernel;
	pthread_mutex_t lock;
	struct relay **relays;
	size_t n_relays;
	struct flow_figures figures;
	bool broken;
	uint32_t reason, number;	/* of the first that broke */
	void (*on_break)(void *data);
	void *data;
};

int flow_new(struct flow **out, struct vmk *k, uint32_t kernel, struct vmc_error *err)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	f->k = k;
	f->kernel = kernel;
	pthread_mutex_init(&f->lock, NULL);
	*out = f;
	return 0;
}

void flow_free(struct flow *f)
{
	if (!f)
		return;
	if (f->kernel)
		vmk_migration_del(f->k, f->kernel, true, NULL);
	for (size_t i = 0; i < f->n_relays; i++)
		relay_stop(f->relays[i]);
	free(f->relays);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

bool flow_encrypted(const struct flow *f)
{
	return f->kernel;
}

uint32_t flow_kernel(const struct flow *f)
{
	return f->kernel;
}

void flow_on_break(struct flow *f, void (*fn)(void *data), void *data)
{
	f->on_break = fn;
	f->data = data;
}

static int join_clear(struct flow *f, int wire, int plain, struct vmc_error *err)
{
	struct relay **more;
	int rc;

	if (f->n_relays == FLOW_CLEAR_MAX) {
		close(wire);
		close(plain);
		return vmc_fail(err, VMC_EBUSY, "a migration that is not encrypted has %d connections at most",
				FLOW_CLEAR_MAX);
	}
	more = realloc(f->relays, (f->n_relays + 1) * sizeof(struct relay *));
	if (!more) {
		close(wire);
		close(plain);
		return vmc_fail(err, VMC_ENOMEM, "no memory for a connection");
	}
	f->relays = more;
	rc = relay_start(wire, plain, &more[f->n_relays], err);
	if (!rc)
		f->n_relays++;
	return rc;
}

int flow_join(struct flow *f, uint32_t number, int wire, int plain, struct vmc_error *err)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	if (f->kernel) {
		rc = vmk_channel_new(f->k, f->kernel, number, wire, plain, NULL, err);
		close(wire);
		close(plain);
	} else {
		rc = join_clear(f, wire, plain, err);
	}
	if (!rc)
		f->figures.connections++;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

bool flow_event(struct flow *f, const struct vmk_event *e)
{
	bool first;

	if (!f->kernel || e->type != VMK_EV_CHANNEL_CLOSE || e->migration != f->kernel)
		return false;
	pthread_mutex_lock(&f->lock);
	f->figures.sent += e->channel.sent;
	f->figures.received += e->channel.received;
	first = !f->broken && !vmk_end_good(e->reason) && e->reason != VMCRYPT_END_REMOVED;
	if (first) {
		f->broken = true;
		f->reason = e->reason;
		f->number = e->channel.number;
	}
	pthread_mutex_unlock(&f->lock);
	if (first && f->on_break)
		f->on_break(f->data);
	return true;
}

int flow_broken(struct flow *f, struct vmc_error *err)
{
	uint32_t reason, number;
	bool broken;

	pthread_mutex_lock(&f->lock);
	broken = f->broken;
	reason = f->reason;
	number = f->number;
	pthread_mutex_unlock(&f->lock);
	if (!broken)
		return 0;
	return vmc_fail(err, reason == VMCRYPT_END_AUTH_FAILED || reason == VMCRYPT_END_MALFORMED ? VMC_EAUTH : VMC_EIO,
			"connection %u to the other host broke: %s", number, message_say(vmk_end_text(reason)));
}

void flow_figures(struct flow *f, struct flow_figures *out)
{
	pthread_mutex_lock(&f->lock);
	*out = f->figures;
	for (size_t i = 0; i < f->n_relays; i++)
		out->sent += relay_bytes(f->relays[i]);
	pthread_mutex_unlock(&f->lock);
}
