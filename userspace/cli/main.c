// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcrypt: takes the command line apart, runs one verb, tells how it went. */
#include <locale.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/version.h"
#include "bus.h"
#include "cli.h"
#include "complete.h"
#include "help.h"
#include "out.h"
#include "verbs.h"

/* --json, in its place: what programs read is not translated, errors neither. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

/*
 * Names may hold any letters: without a locale, take them as UTF-8 all the same.
 * LC_NUMERIC stays as it is in C: numbers are read, and written into JSON.
 */
static void set_locale(bool translate)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	if (translate)
		setlocale(LC_MESSAGES, "");
	i18n_init();
}

/* D-Bus and JSON take UTF-8 only; refuse here, where the word can be told by its place. */
static int check_utf8(int argc, char **argv, struct vmc_error *err)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		json_t *s = json_string(argv[i]);

		if (!s)
			return vmc_fail(err, VMC_EINVAL, "word %d of the command line is not UTF-8", i);
		json_decref(s);
	}
	return 0;
}

static int run(struct cli *c, int argc, char **argv)
{
	int r = check_utf8(argc, argv, &c->err);

	if (!r)
		r = args_parse(&c->args, argc - 1, argv + 1, &c->err);
	c->json = args_has(&c->args, OPT_JSON);
	c->progress_json = args_has(&c->args, OPT_PROGRESS_JSON);
	if (r)
		return r;
	if (args_has(&c->args, OPT_HELP))
		return help_print(stdout, c->args.words, c->args.n_words, &c->err);
	if (args_has(&c->args, OPT_VERSION)) {
		puts("vmcrypt " VMC_VERSION);
		return 0;
	}
	if (!c->args.n_words) {
		help_print(stderr, NULL, 0, NULL);
		c->exit_status = vmc_code_exit(VMC_EINVAL);
		return 0;
	}
	c->operands = calloc(c->args.n_words + 1, sizeof(*c->operands));
	if (!c->operands)
		return vmc_fail(&c->err, VMC_ENOMEM, "out of memory");
	r = verb_find(c, &c->err);
	return r ? r : c->verb->run(c);
}

/* A result that could not be written, to a full disk for instance, is no result. */
static int flush(struct cli *c)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	return vmc_fail(&c->err, VMC_EIO, "cannot write to standard output: %m");
}

int main(int argc, char **argv)
{
	bool completion = argc > 1 && !strcmp(argv[1], "__complete");
	struct cli c = { 0 };
	int r;

	set_locale(!completion && !wants_json(argc, argv));
	if (completion) {
		complete(&c, stdout, argv + 2, (size_t)argc - 2);
	} else {
		r = run(&c, argc, argv);
		if (!r)
			r = flush(&c);
		if (r) {
			/* with --exec, a command that did not start has a status of its own */
			r = out_error(&c, &c.err);
			if (!c.exit_status)
				c.exit_status = r;
		}
	}
	bus_close(&c);
	args_clear(&c.args);
	free(c.operands);
	return c.exit_status;
}
