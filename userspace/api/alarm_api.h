/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods of Manager about alarms and events. */
#ifndef VMC_API_ALARM_API_H
#define VMC_API_ALARM_API_H

#include "call.h"

int run_list_alarms(struct call *c, struct backend *b, struct vmc_error *err);
int run_acknowledge_alarm(struct call *c, struct backend *b, struct vmc_error *err);
int run_list_events(struct call *c, struct backend *b, struct vmc_error *err);
extern const struct option_spec list_events_options[];

#endif
