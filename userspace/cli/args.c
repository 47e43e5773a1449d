// SPDX-License-Identifier: GPL-2.0-or-later
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/util.h"

/* Longer words are not worth guessing about. */
#define NEAR_MAX	32u

static size_t edit_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i, j, row[NEAR_MAX + 1];

	if (la > NEAR_MAX || lb > NEAR_MAX)
		return NEAR_MAX;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *nearest_word(const char *bad, const char *const *words, size_t n)
{
	/* a third of the letters may be wrong: more is another word */
	size_t i, best = strlen(bad) / 3 + 2;
	const char *found = NULL;

	for (i = 0; i < n; i++) {
		size_t d = edit_distance(bad, words[i]);

		/* the start of a word is as good as one wrong letter */
		if (*bad && !strncmp(words[i], bad, strlen(bad)) && d > 1)
			d = 1;
		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

char *path_absolute(const char *path)
{
	char *cwd, *out;

	if (*path == '/' || !*path)
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	if (asprintf(&out, "%s/%s", cwd, path) < 0)
		out = NULL;
	free(cwd);
	return out;
}

static int unknown_option(const char *word, size_t len, struct vmc_error *err)
{
	const char *names[OPT__N], *near;
	char bad[64];
	int i;

	for (i = 0; i < OPT__N; i++)
		names[i] = opt_defs[i].name;
	vmc_fail(err, VMC_EINVAL, "unknown option '--%.*s'", (int)len, word);
	snprintf(bad, sizeof(bad), "%.*s", (int)len, word);
	near = nearest_word(bad, names, OPT__N);
	if (near)
		vmc_hint(err, "did you mean '--%s'?", near);
	else
		vmc_hint(err, "'vmcrypt help' lists the verbs, 'vmcrypt VERB --help' its options");
	return VMC_EINVAL;
}

/* Is @v one of the words of "a|b|c"? */
static bool choice_has(const char *choices, const char *v)
{
	size_t len = strlen(v);

	while (len) {
		size_t part = strcspn(choices, "|");

		if (part == len && !memcmp(choices, v, len))
			return true;
		if (!choices[part])
			break;
		choices += part + 1;
	}
	return false;
}

static int parse_count(const char *v, uint64_t *n)
{
	char *end;

	if (*v < '0' || *v > '9')
		return VMC_EINVAL;
	errno = 0;
	*n = strtoull(v, &end, 10);
	return errno || *end || !*n || *n > UINT32_MAX ? VMC_EINVAL : 0;
}

static int take_path(struct args *a, enum opt_id id, const char *v, struct vmc_error *err)
{
	char *path;

	if (!*v)
		return vmc_fail(err, VMC_EINVAL, "option '--%s' needs a path, not an empty word",
				opt_defs[id].name);
	path = path_absolute(v);
	if (!path)
		return vmc_fail(err, VMC_ENOMEM, "cannot tell the current folder of '%s'", v);
	a->owned[a->n_owned++] = path;
	a->value[id] = path;
	return 0;
}

static int take_value(struct args *a, enum opt_id id, const char *v, struct vmc_error *err)
{
	const struct opt_def *o = &opt_defs[id];

	a->value[id] = v;
	switch (o->type) {
	case TYPE_FLAG:
	case TYPE_TEXT:
		return 0;
	case TYPE_LIST:
		a->list[a->n_list++] = v;
		return 0;
	case TYPE_PATH:
		return take_path(a, id, v, err);
	case TYPE_CHOICE:
		if (choice_has(o->metavar, v))
			return 0;
		return vmc_fail(err, VMC_EINVAL, "option '--%s' takes %s, not '%s'",
				o->name, o->metavar, v);
	case TYPE_SIZE:
		if (!vmc_size_parse(v, &a->number[id]) && a->number[id])
			return 0;
		vmc_fail(err, VMC_EINVAL, "option '--%s': '%s' is not a size", o->name, v);
		vmc_hint(err, "write bytes, or a number with K, M, G or T: 512M, 20G");
		return VMC_EINVAL;
	case TYPE_COUNT:
		if (!parse_count(v, &a->number[id]))
			return 0;
		return vmc_fail(err, VMC_EINVAL,
				"option '--%s' takes a number from 1, not '%s'", o->name, v);
	}
	return vmc_fail(err, VMC_EINTERNAL, "option '--%s' has no type", o->name);
}

/* The word at *@i is an option; moves *@i over a value in the next word. */
static int take_option(struct args *a, char **argv, int argc, int *i, struct vmc_error *err)
{
	const char *name = argv[*i] + 2, *value = NULL;
	size_t len = strcspn(name, "=");
	enum opt_id id = opt_find(name, len);

	if (id == OPT__N)
		return unknown_option(name, len, err);
	if (name[len] == '=')
		value = name + len + 1;
	if (opt_defs[id].type == TYPE_FLAG) {
		if (value)
			return vmc_fail(err, VMC_EINVAL, "option '--%s' takes no value",
					opt_defs[id].name);
	} else if (!value) {
		if (*i + 1 >= argc || !strcmp(argv[*i + 1], "--"))
			return vmc_fail(err, VMC_EINVAL, "option '--%s' needs a value: --%s %s",
					opt_defs[id].name, opt_defs[id].name,
					opt_defs[id].metavar);
		value = argv[++*i];
	}
	a->given |= OPTSET(id);
	return take_value(a, id, value, err);
}

int args_parse(struct args *a, int argc, char **argv, struct vmc_error *err)
{
	int i, r;

	memset(a, 0, sizeof(*a));
	/* no more of each than there are words */
	a->list = calloc(argc + 1, sizeof(*a->list));
	a->words = calloc(argc + 1, sizeof(*a->words));
	a->owned = calloc(argc + 1, sizeof(*a->owned));
	if (!a->list || !a->words || !a->owned)
		return vmc_fail(err, VMC_ENOMEM, "out of memory");
	for (i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (!strcmp(word, "--")) {
			a->command = &argv[i + 1];
			break;
		}
		if (!strcmp(word, "-h"))
			word = argv[i] = (char *)"--help";
		if (!strncmp(word, "--", 2)) {
			r = take_option(a, argv, argc, &i, err);
			if (r)
				return r;
		} else if (word[0] == '-' && word[1]) {
			vmc_fail(err, VMC_EINVAL, "unknown option '%s'", word);
			vmc_hint(err, "options are written in full, with two dashes: --json");
			return VMC_EINVAL;
		} else {
			a->words[a->n_words++] = word;
		}
	}
	return 0;
}

void args_clear(struct args *a)
{
	size_t i;

	for (i = 0; i < a->n_owned; i++)
		free(a->owned[i]);
	free(a->owned);
	free(a->list);
	free(a->words);
	memset(a, 0, sizeof(*a));
}
