/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must not travel over the bus comes as an open file. */
#ifndef VMC_API_FD_READ_H
#define VMC_API_FD_READ_H

#include <stddef.h>

#include "../lib/error.h"

/*
 * All of the regular file @fd (1 to @max bytes), from its beginning, into the
 * secure heap; secmem_free(*data, *len + 1). A NUL follows it. @what names it
 * in errors: "the private key". Not a pipe: that could keep a worker waiting.
 */
int fd_read_secret(int fd, const char *what, size_t max, char **data, size_t *len, struct vmc_error *err);

#endif
