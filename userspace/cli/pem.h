/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PEM files (RFC 7468) as the operator gives them; what is in them, the daemon checks. */
#ifndef VMC_CLI_PEM_H
#define VMC_CLI_PEM_H

#include <stddef.h>

#include "../lib/error.h"

#define PEM_MAX	(256 * 1024)

/*
 * Read @path, which must have a "-----BEGIN ...@what-----" line: "CERTIFICATE",
 * "PRIVATE KEY". VMC_EINVAL says what is there instead. Caller frees.
 */
int pem_read(const char *path, const char *what, char **pem, struct vmc_error *err);

/* The same for private keys: in the secure heap, secmem_free(*pem, *size) wipes it. */
int pem_read_secret(const char *path, const char *what, char **pem, size_t *size,
		    struct vmc_error *err);

/* Append @text as a JSON string, quotes and all, to @out of size @n at *@used. VMC_EINVAL when it
 * does not fit or is not ASCII, as PEM is. */
int pem_json(const char *text, char *out, size_t n, size_t *used);

#endif
