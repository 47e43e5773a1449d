/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line, taken apart. */
#ifndef VMC_CLI_ARGS_H
#define VMC_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"
#include "options.h"

struct args {
	optset given;			/* OPT_BIT()s */
	const char *value[OPT__N];	/* as typed; TYPE_PATH absolute; the last one counts */
	uint64_t number[OPT__N];	/* TYPE_SIZE, TYPE_COUNT */
	const char **list;		/* values of OPT_SERVER, the only TYPE_LIST */
	size_t n_list;
	const char **words;		/* what is no option: verb and operands */
	size_t n_words;
	char **command;			/* what follows "--", NULL when there was none */
	char **owned;			/* strings to free */
	size_t n_owned;
};

/*
 * Take @argv (without the program's name) apart. Options may stand anywhere
 * before "--". Returns 0 or VMC_EINVAL; free with args_clear() either way.
 */
int args_parse(struct args *a, int argc, char **argv, struct vmc_error *err);
void args_clear(struct args *a);

static inline bool args_has(const struct args *a, enum opt_id id)
{
	return a->given >> id & 1;
}

/* @path below the current folder unless it is absolute; NULL: no memory. Caller frees. */
char *path_absolute(const char *path);

/* The word of @words (n of them) that @bad was probably meant to be, or NULL. */
const char *nearest_word(const char *bad, const char *const *words, size_t n);

#endif
