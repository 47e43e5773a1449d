/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are whole or not there: atomic replace, bounded reads, crash points. */
#ifndef VMC_LIB_FS_H
#define VMC_LIB_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* Read a whole file of at most @max bytes; *@data gets a closing NUL that *@len does not count. */
int fs_read(const char *path, size_t max, char **data, size_t *len, struct vmc_error *err);

/* Replace @path: write a temporary beside it, fsync, rename, fsync the folder. */
int fs_replace(const char *path, const void *data, size_t len, mode_t mode, struct vmc_error *err);

/* Remove what fs_replace() calls that were killed left in @dir; only while nobody else writes there. */
int fs_remove_temps(const char *dir, struct vmc_error *err);

int fs_mkdirs(const char *path, mode_t mode, struct vmc_error *err);	/* like mkdir -p, durable; what is made has @mode whatever the umask */
int fs_unlink(const char *path, struct vmc_error *err);		/* durable; ENOENT is fine */
int fs_rename(const char *from, const char *to, struct vmc_error *err);	/* durable */
int fs_remove_tree(const char *path, struct vmc_error *err);	/* a folder and all in it; ENOENT is fine */
int fs_sync(int fd, const char *path, struct vmc_error *err);		/* fsync through the crash points */
/* Is @path, by its words alone, in @dir or further below? Never in "". */
bool fs_is_below(const char *path, const char *dir);
int fs_free_bytes(const char *path, uint64_t *bytes, struct vmc_error *err);

/*
 * Every fsync, rename and unlink of this file passes a crash point. In a test
 * build (-DVMC_CRASHPOINTS) the environment variable VMCRYPT_CRASH_AT=N makes the
 * process end by SIGKILL at the Nth one; VMCRYPT_CRASH_LOG=FILE lists them.
 */
void fs_crashpoint(const char *where);

#endif
