/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How other threads hand things to the loop thread: a queue with an eventfd in the event loop. */
#ifndef VMC_DAEMON_MAILBOX_H
#define VMC_DAEMON_MAILBOX_H

#include <systemd/sd-event.h>

#include "../lib/error.h"

/* Embedded in what is sent, so that posting needs no memory and cannot fail. */
struct mail {
	void (*deliver)(struct mail *m);	/* in the loop thread; may free what holds @m */
	struct mail *next;			/* private */
};

struct mailbox;

int mailbox_new(struct mailbox **b, sd_event *event, struct vmc_error *err);
/* From any thread. Mail is delivered in the order in which it was posted. */
void mailbox_post(struct mailbox *b, struct mail *m);
/* Deliver what is there, now. NULL is fine. */
void mailbox_drain(struct mailbox *b);
/* Nobody may post any more; what is still there is delivered first. NULL is fine. */
void mailbox_free(struct mailbox *b);

#endif
