// SPDX-License-Identifier: GPL-2.0-or-later
#include "help.h"

#include <string.h>

#include "../lib/i18n.h"
#include "../lib/util.h"
#include "table.h"

/* Columns that help texts keep to. */
#define WIDTH	80

static size_t append(char *out, size_t n, size_t used, const char *text)
{
	int r = used < n ? snprintf(out + used, n - used, "%s", text) : 0;

	return r > 0 ? used + (size_t)r : used;
}

static size_t append_option(char *out, size_t n, size_t used, enum opt_id id, bool required)
{
	const struct opt_def *o = &opt_defs[id];

	used = append(out, n, used, required ? " --" : " [--");
	used = append(out, n, used, o->name);
	if (o->type != TYPE_FLAG) {
		used = append(out, n, used, " ");
		used = append(out, n, used, o->metavar);
	}
	if (!required)
		used = append(out, n, used, "]");
	if (o->type == TYPE_LIST)
		used = append(out, n, used, " ...");
	if (id == OPT_EXEC)
		used = append(out, n, used, " [-- COMMAND...]");
	return used;
}

void help_usage(const struct verb *v, char *out, size_t n)
{
	size_t used = append(out, n, 0, v->pattern);
	int i;

	for (i = 0; i < OPT__N; i++)
		if (v->required >> i & 1)
			used = append_option(out, n, used, i, true);
	for (i = 0; i < OPT__N; i++)
		if ((v->options & ~v->required) >> i & 1)
			used = append_option(out, n, used, i, false);
}

/* Print @text from column @at on, broken at blanks, further lines indented. */
static void wrap(FILE *f, const char *text, int at, int indent)
{
	while (*text) {
		size_t len = strlen(text), room = text_fit(text, WIDTH - at), cut = len;

		if (len > room) {
			for (cut = room; cut && text[cut] != ' '; cut--)
				;
			if (!cut)
				cut = strcspn(text, " ");
		}
		fprintf(f, "%.*s\n", (int)cut, text);
		text += cut;
		text += strspn(text, " ");
		if (*text)
			fprintf(f, "%*s", indent, "");
		at = indent;
	}
}

static void print_option(FILE *f, enum opt_id id)
{
	const struct opt_def *o = &opt_defs[id];
	int n = fprintf(f, "  --%s%s%s", o->name, o->type == TYPE_FLAG ? "" : " ", o->metavar);

	if (n > 26) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", 28 - n, "");
	wrap(f, _(o->help), 28, 28);
}

static void print_options(FILE *f, const char *title, optset set)
{
	int i;

	if (!set)
		return;
	fprintf(f, "\n%s\n", title);
	for (i = 0; i < OPT__N; i++)
		if (set >> i & 1)
			print_option(f, i);
}

static void print_verb(FILE *f, const struct verb *v)
{
	char usage[1024];

	help_usage(v, usage, sizeof(usage));
	fprintf(f, "%s vmcrypt ", _("Usage:"));
	wrap(f, usage, (int)text_width(_("Usage:")) + 9, 17);
	fputc('\n', f);
	wrap(f, _(v->summary), 0, 0);
	if (v->details) {
		fputc('\n', f);
		wrap(f, _(v->details), 0, 0);
	}
	print_options(f, _("Options:"), v->options);
	print_options(f, _("Options of every verb:"), OPTS_GLOBAL);
}

static void print_line(FILE *f, const struct verb *v)
{
	int n = fprintf(f, "  %s", v->pattern);

	if (n > 38) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", 40 - n, "");
	wrap(f, _(v->summary), 40, 40);
}

static void print_all(FILE *f)
{
	size_t i, len, last = 0;

	fputs(_("Usage: vmcrypt VERB [OPTION...]\n"
		"Keys and encrypted disks for virtual machines of this host.\n"), f);
	for (i = 0; i < n_verbs; i++) {
		if (verbs[i].options & VERB_HIDDEN)
			continue;
		len = strcspn(verbs[i].pattern, " ");
		/* a blank line between families, none between single verbs */
		if (!i || ((len != last || strncmp(verbs[i].pattern, verbs[i - 1].pattern, len) != 0) &&
			   (verbs[i].pattern[len] || verbs[i - 1].pattern[last])))
			fputc('\n', f);
		last = len;
		print_line(f, &verbs[i]);
	}
	print_options(f, _("Options of every verb:"), OPTS_GLOBAL);
	fprintf(f, "\n%s\n", _("'vmcrypt VERB --help' tells more; vmcrypt(1) tells all."));
}

int help_print(FILE *f, const char *const *words, size_t n, struct vmc_error *err)
{
	const struct verb *only = NULL;
	size_t i, found = 0;

	if (!n) {
		print_all(f);
		return 0;
	}
	for (i = 0; i < n_verbs; i++) {
		if (!verb_has_prefix(&verbs[i], words, n))
			continue;
		only = &verbs[i];
		found++;
	}
	if (!found) {
		vmc_fail(err, VMC_EINVAL, "there is no help on '%s%s%s'", words[0], n > 1 ? " " : "",
			 n > 1 ? words[1] : "");
		vmc_hint(err, "'vmcrypt help' lists the verbs");
		return VMC_EINVAL;
	}
	if (found == 1) {
		print_verb(f, only);
		return 0;
	}
	fprintf(f, "%s vmcrypt", _("Usage:"));
	for (i = 0; i < n; i++)
		fprintf(f, " %s", words[i]);
	fputs(" ...\n\n", f);
	for (i = 0; i < n_verbs; i++)
		if (verb_has_prefix(&verbs[i], words, n))
			print_line(f, &verbs[i]);
	return 0;
}

int verb_help(struct cli *c)
{
	return help_print(stdout, c->operands, c->n_operands, &c->err);
}
