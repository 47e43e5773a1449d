/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells when the kernel module comes or goes: the generic netlink controller
 * announces families as they are registered, so that nothing is polled.
 */
#ifndef VMC_DAEMON_MODULE_WATCH_H
#define VMC_DAEMON_MODULE_WATCH_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "../lib/error.h"

struct module_watch;

/* @fn: in the loop thread, with whether the family is there now. */
typedef void (*module_watch_fn)(bool there, void *data);

int module_watch_new(struct module_watch **w, sd_event *event, module_watch_fn fn, void *data,
		     struct vmc_error *err);
void module_watch_free(struct module_watch *w);		/* NULL is fine */

#endif
