// SPDX-License-Identifier: GPL-2.0-or-later
/* How other threads hand things to the loop thread. */
#include "mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct mail *first, **last;
	int fd;
	sd_event_source *source;
};

static void deliver_all(struct mailbox *b)
{
	struct mail *m, *next;

	pthread_mutex_lock(&b->lock);
	m = b->first;
	b->first = NULL;
	b->last = &b->first;
	pthread_mutex_unlock(&b->lock);

	for (; m; m = next) {
		next = m->next;	/* deliver may free m */
		m->deliver(m);
	}
}

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *data)
{
	uint64_t count;

	(void)s;
	(void)revents;
	(void)!read(fd, &count, sizeof(count));
	deliver_all(data);
	return 0;
}

int mailbox_new(struct mailbox **ret, sd_event *event, struct vmc_error *err)
{
	struct mailbox *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a mailbox");
	b->last = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0) {
		vmc_fail_errno(err, errno, "cannot make an eventfd");
		goto fail;
	}
	r = sd_event_add_io(event, &b->source, b->fd, EPOLLIN, on_readable, b);
	if (r < 0) {
		vmc_fail_errno(err, -r, "cannot watch an eventfd");
		goto fail;
	}
	*ret = b;
	return 0;
fail:
	if (b->fd >= 0)
		close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return err ? err->code : VMC_EIO;
}

void mailbox_post(struct mailbox *b, struct mail *m)
{
	static const uint64_t one = 1;

	m->next = NULL;
	pthread_mutex_lock(&b->lock);
	*b->last = m;
	b->last = &m->next;
	/* Within the lock: once the mail is delivered, the box may be freed. */
	(void)!write(b->fd, &one, sizeof(one));
	pthread_mutex_unlock(&b->lock);
}

void mailbox_drain(struct mailbox *b)
{
	while (b && b->first)
		deliver_all(b);
}

void mailbox_free(struct mailbox *b)
{
	if (!b)
		return;
	mailbox_drain(b);
	sd_event_source_disable_unref(b->source);
	close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
