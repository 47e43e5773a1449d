/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Providers and keys are looked at all the time, so that an outage is an alarm before a reboot makes locked VMs of it.
 * While all is well every [health] interval; when something is not, after [health] retry, and then ever more rarely up to
 * the interval; soon when providers, keys or the module changed. Some jitter, so that the hosts of a rack do not ask
 * their key server all at once. It has a thread of its own. All functions: loop thread.
 */
#ifndef VMC_DAEMON_HEALTH_H
#define VMC_DAEMON_HEALTH_H

#include "../api/api.h"
#include "../lib/config.h"

struct health;

/* @checked: after each check, api.health has what was seen. */
int health_new(struct health **h, struct api *a, void (*checked)(void *data), void *data, struct vmc_error *err);
/* With a new backend: how often from now on. The first check is soon. */
void health_configure(struct health *h, const struct vmc_config *cfg);
void health_poke(struct health *h);
/* No check begins any more; api.ended is called when the one that runs is done. */
void health_stop(struct health *h);
bool health_idle(const struct health *h);
void health_free(struct health *h);	/* no check runs; NULL is fine */

#endif
