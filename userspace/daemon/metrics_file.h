/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of [metrics] in vmcrypt.conf, for node_exporter's textfile collector: whole or not there, written anew every so
 * often and soon after an alarm. That it cannot be written is told once. All functions: loop thread.
 */
#ifndef VMC_DAEMON_METRICS_FILE_H
#define VMC_DAEMON_METRICS_FILE_H

#include "../api/api.h"
#include "../lib/config.h"

struct metrics_file;

int metrics_file_new(struct metrics_file **f, struct api *a, struct vmc_error *err);
/* With the backend there: name and interval, from now on. The first is written at once. */
void metrics_file_configure(struct metrics_file *f, const struct vmc_config *cfg);
/* Something changed: write it soon. */
void metrics_file_poke(struct metrics_file *f);
void metrics_file_free(struct metrics_file *f);		/* none is being written; NULL is fine */

#endif
