/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The authority of a Trust Authority, as the verbs see it: org.vmcrypt1.Trust on the system bus. */
#ifndef VMC_CLI_TRUST_CALL_H
#define VMC_CLI_TRUST_CALL_H

#include <jansson.h>

#include "cli.h"
#include "render.h"

/* Open files that go with a call; -1: none. */
struct trust_fds {
	int password, key, data;
};
#define TRUST_NO_FDS { -1, -1, -1 }

/*
 * @params is consumed; NULL: what was given is not UTF-8, which is refused. @out, which may be NULL, is the caller's.
 * @fds are handed over open: passwords, private keys and backups never travel over the bus.
 */
int trust_ask(struct cli *c, const char *verb, json_t *params, json_t **out);
int trust_ask_with(struct cli *c, const char *verb, json_t *params, const struct trust_fds *fds, json_t **out);

/* Ask, and print the member @list of the answer as a table, or @empty (of N_()); all of it as JSON. */
int trust_table(struct cli *c, const char *verb, const char *list, const struct column *cols, size_t n,
		const char *empty);
/* Ask, and print the answer. */
int trust_object(struct cli *c, const char *verb, json_t *params);
/* Ask about @name, and say @done, a sentence of N_(). */
int trust_do(struct cli *c, const char *verb, json_t *params, const char *name, const char *done);

/* A JSON object in a file, at most 4 MiB. */
int trust_read_json(struct cli *c, const char *path, json_t **o);
/* @text into the new file of --out, or on standard output with a newline. */
int trust_write(struct cli *c, const char *text);

#endif
