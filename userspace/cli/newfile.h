/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that --out names: made, and never written over. */
#ifndef VMC_CLI_NEWFILE_H
#define VMC_CLI_NEWFILE_H

#include "../lib/error.h"

/*
 * An empty file for a backup (0600), open for reading and writing, its name on the disk; the caller closes *@fd.
 * VMC_EEXIST: there is one.
 */
int newfile_backup(const char *path, int *fd, struct vmc_error *err);

/* @text as the new file @path (0644), on the disk when this returns 0; nothing of it is left when it fails. */
int newfile_write(const char *path, const char *text, struct vmc_error *err);

#endif
