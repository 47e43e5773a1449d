/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a command run by "power-on --exec" gets to know: arguments and environment. */
#ifndef VMC_CLI_SUBST_H
#define VMC_CLI_SUBST_H

#include <jansson.h>

#include "../lib/error.h"

/*
 * A copy of @argv with {home} and {disk:NAME} replaced from @on, the answer of
 * PowerOn: {home, disks:{NAME: device}}. Other braces stay, for QEMU's own JSON
 * has many. VMC_EINVAL names a disk there is none of. Free with strings_free().
 */
int subst_argv(char *const *argv, const json_t *on, char ***out, struct vmc_error *err);

/*
 * A copy of @env with VMCRYPT_VM (@vm), VMCRYPT_HOME and VMCRYPT_DISK_<NAME> added;
 * in NAME, letters become upper case and '-' and '.' become '_'. VMC_EINVAL when
 * two disks would share a name. Such names that are in @env are left out.
 */
int subst_env(char *const *env, const char *vm, const json_t *on, char ***out,
	      struct vmc_error *err);

void strings_free(char **s);

#endif
