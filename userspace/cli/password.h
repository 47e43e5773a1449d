/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passwords come from a file, a descriptor or the terminal: never from the arguments or the environment. */
#ifndef VMC_CLI_PASSWORD_H
#define VMC_CLI_PASSWORD_H

#include "cli.h"

/*
 * The password of --password-file or --password-fd (its first line), else asked
 * for at the terminal as @prompt, twice when @confirm: into *@fd, a memfd that
 * holds it and nothing else. The caller closes that.
 */
int password_get(struct cli *c, const char *prompt, bool confirm, int *fd);

#endif
