/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Alarms run what the administrator put at CONFIG_DIR/hooks/on-alarm: a program, or a folder of programs that are run in
 * the order of their names. One at a time, in the order of the alarms, in a thread of their own. One that fails is told by
 * the event "hook-failed". All functions: loop thread.
 */
#ifndef VMC_DAEMON_HOOKS_H
#define VMC_DAEMON_HOOKS_H

#include <stdbool.h>

#include "../api/api.h"
#include "../lib/config.h"

struct hooks;

int hooks_new(struct hooks **h, struct api *a, struct vmc_error *err);
/* Folder and deadline, for alarms from now on. */
void hooks_configure(struct hooks *h, const struct vmc_config *cfg);
/* @state: "raised", "cleared" or "acknowledged"; @alarm: the object, as text. */
void hooks_alarm(struct hooks *h, const char *state, const char *alarm);
/* End what runs, forget what waits; api.ended is called when that is done. */
void hooks_stop(struct hooks *h);
bool hooks_idle(const struct hooks *h);
void hooks_free(struct hooks *h);	/* idle ones; NULL is fine */

#endif
