// SPDX-License-Identifier: GPL-2.0-or-later
/* Prometheus' text format. */
#include "prom.h"

void prom_head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP vmcrypt_%s %s\n# TYPE vmcrypt_%s %s\n", name, help, name, type);
}

void prom_label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fprintf(f, "\\%c", *value);
		else if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

void prom_plain(FILE *f, const char *name, const char *type, const char *help, long long value)
{
	prom_head(f, name, type, help);
	fprintf(f, "vmcrypt_%s %lld\n", name, value);
}

void prom_value(FILE *f, const char *name, const char *label, const char *is, const char *label2, const char *is2,
		long long value)
{
	fprintf(f, "vmcrypt_%s{", name);
	prom_label(f, label, is);
	if (label2) {
		fputc(',', f);
		prom_label(f, label2, is2);
	}
	fprintf(f, "} %lld\n", value);
}
