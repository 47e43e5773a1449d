/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PEM files (RFC 7468) as the operator gives them; what is in them, the daemon checks. */
#ifndef VMC_CLI_PEM_H
#define VMC_CLI_PEM_H

#include <stddef.h>

#include "../lib/error.h"

#define PEM_MAX	((size_t)256 * 1024)

/*
 * Read @path, which must have a "-----BEGIN ...@what-----" line: "CERTIFICATE"
 * for instance. VMC_EINVAL says what is there instead. Caller frees.
 */
int pem_read(const char *path, const char *what, char **pem, struct vmc_error *err);

/*
 * Open @path for reading, for the daemon to read it: private keys are not for us to see. *@fd is a
 * regular file; the caller closes it.
 */
int pem_open(const char *path, int *fd, struct vmc_error *err);

#endif
