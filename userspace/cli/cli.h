/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run of vmcrypt: what was asked for, and what the verbs share. */
#ifndef VMC_CLI_CLI_H
#define VMC_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../lib/error.h"
#include "args.h"

struct sd_bus;
struct verb;

/* The longest pattern, "trust key-provider trust KEY-PROVIDER import CERT KEYFILE", has seven words. */
#define OPERANDS_MAX	8

struct cli {
	struct args args;
	const struct verb *verb;
	const char **operands;		/* what stands for the upper-case words of the pattern */
	size_t n_operands;
	struct sd_bus *bus;		/* NULL until bus_connect() */
	bool json;
	bool progress_json;
	bool bytes;			/* progress of this verb counts bytes */
	bool foreign;			/* the verb is not for vmcryptd, which is not to be woken */
	bool no_object;			/* the last D-Bus error: the object is not there */
	uint64_t deadline;		/* of all calls, as vmc_now_ms() counts; 0: none */
	int exit_status;		/* when the verb returns 0 */
	struct vmc_error err;		/* when it does not */
};

/* --json: @text alone is not printed; the verbs print text only when this is false. */
static inline bool cli_text(const struct cli *c)
{
	return !c->json;
}

/* For VMC_CLEANUP() */
static inline void free_string(char **s)
{
	free(*s);
}

/* The value of a text, path or choice option, or NULL when it was not given. */
static inline const char *cli_value(const struct cli *c, enum opt_id id)
{
	return args_has(&c->args, id) ? c->args.value[id] : NULL;
}

#endif
