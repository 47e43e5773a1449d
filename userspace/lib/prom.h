/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures in Prometheus' text format. All names get "vmcrypt_" in front. */
#ifndef VMC_LIB_PROM_H
#define VMC_LIB_PROM_H

#include <stdio.h>

/* @type: "gauge" or "counter". Once for each name, before its values. */
void prom_head(FILE *f, const char *name, const char *type, const char *help);
/* NAME="VALUE", in quotes as the format wants them. */
void prom_label(FILE *f, const char *name, const char *value);
/* A figure without labels, whole. */
void prom_plain(FILE *f, const char *name, const char *type, const char *help, long long value);
/* One value with one label, or two (@label2 not NULL). */
void prom_value(FILE *f, const char *name, const char *label, const char *is, const char *label2, const char *is2,
		long long value);

#endif
