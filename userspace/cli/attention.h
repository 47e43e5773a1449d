/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What needs somebody, from what the daemon says: for "vmcrypt status". Pure functions. */
#ifndef VMC_CLI_ATTENTION_H
#define VMC_CLI_ATTENTION_H

#include <jansson.h>

/*
 * [{what, why, do}] in the user's language: what is wrong, why, and what to type. @daemon: Describe(), @vms: ListVMs(),
 * @alarms: ListAlarms(). What an alarm tells is not told twice. NULL: no memory.
 */
json_t *attention(const json_t *daemon, const json_t *vms, const json_t *alarms);

#endif
