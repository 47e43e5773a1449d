// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DIR/attestd/.restore/new gets what comes, and old beside it what was there; both are on one file system, so that only renames
 * are left when something is replaced. The state goes first and comes last. See restore.h.
 */
#include "restore.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/fs.h"

#define WORK	ATTESTD_DIR "/.restore"	/* where no other service sees the keys */
#define SUBDIR	(PATH_MAX - 512)	/* room for a record's path behind it */

struct restore {
	struct trust_admin *a;
	char work[SUBDIR], fresh[SUBDIR], old[SUBDIR];
	char config[SUBDIR];		/* trust.conf as it comes; "": the backup has none, or there is nowhere to put it */
	char *config_before;		/* NULL: there was none */
	size_t config_len;
	bool config_put, moved_out;	/* what has to be undone */
};

/* ---- beside ------------------------------------------------------------------------------- */

static int stage_file(const struct restore *r, const struct backup_record *file, struct vmc_error *err)
{
	char path[PATH_MAX], *slash;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", r->fresh, file->path);
	slash = strrchr(path, '/');
	*slash = '\0';
	rc = fs_mkdirs(path, 0700, err);
	*slash = '/';
	return rc ? rc : fs_replace(path, file->data, file->len, strcmp(file->path, PUBLIC_NAME) ? 0600 : 0644, err);
}

/* The folder of the configuration: on a fresh machine only the unit makes it. */
static int make_config_dir(const char *config, struct vmc_error *err)
{
	char dir[SUBDIR], *slash;

	snprintf(dir, sizeof(dir), "%s", config);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return fs_mkdirs(dir, 0755, err);
}

/* Beside the one that it is to replace, and read as a service would read it. */
static int stage_config(struct restore *r, const struct backup_record *file, struct vmc_error *err)
{
	const struct trust_admin_options *o = &r->a->o;
	char path[SUBDIR];
	int rc;

	if (!o->config)
		return 0;
	if (snprintf(path, sizeof(path), "%s.restore", o->config) >= (int)sizeof(path))
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", o->config);
	rc = make_config_dir(o->config, err);
	if (!rc)
		rc = fs_replace(path, file->data, file->len, 0644, err);
	if (rc)
		return rc;
	memcpy(r->config, path, sizeof(path));
	rc = o->config_check ? o->config_check(path, err) : 0;
	if (rc)
		return vmc_prefix(err, "the backup is refused: its configuration is none for this version: ");
	rc = fs_read(o->config, CONFIG_MAX, &r->config_before, &r->config_len, err);
	return rc == VMC_ENOENT ? 0 : rc;
}

static int stage(struct restore *r, const struct backup_body *b, struct vmc_error *err)
{
	struct backup_record file;
	size_t at = 0;
	int rc = fs_mkdirs(r->work, 0700, err);		/* the folder that it is in is there from now on */

	if (!rc)
		rc = fs_remove_tree(r->work, err);
	if (!rc)
		rc = fs_mkdirs(r->fresh, 0700, err);
	if (!rc)
		rc = fs_mkdirs(r->old, 0700, err);
	while (!rc && backup_next(b, &at, &file)) {
		if (at >= b->n)
			break;		/* the signature */
		rc = strcmp(file.path, CONFIG_NAME) ? stage_file(r, &file, err) : stage_config(r, &file, err);
	}
	return rc;
}

/* ---- in place ------------------------------------------------------------------------------ */

static int move(const char *from, const char *to, const char *name, struct vmc_error *err)
{
	char a[PATH_MAX], b[PATH_MAX];

	snprintf(a, sizeof(a), "%s/%s", from, name);
	snprintf(b, sizeof(b), "%s/%s", to, name);
	if (access(a, F_OK) && errno == ENOENT)
		return 0;
	return fs_rename(a, b, err);
}

static bool is_folder(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

/*
 * All but the state itself, and what begins with a dot. The folders of the services (@depth 0) stay, and what is in them is
 * moved: other processes have mounts on them.
 */
static int move_all(const char *from, const char *to, int depth, struct vmc_error *err)
{
	char below[PATH_MAX], target[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(from);
	int rc = 0;

	if (!d)
		return vmc_fail_errno(err, errno, "cannot open folder '%s'", from);
	while (!rc && (e = readdir(d))) {
		if (e->d_name[0] == '.' || (!depth && !strcmp(e->d_name, STATE_NAME)))
			continue;
		if (depth || !is_folder(from, e->d_name)) {
			rc = move(from, to, e->d_name, err);
			continue;
		}
		snprintf(below, sizeof(below), "%s/%s", from, e->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, e->d_name);
		rc = fs_mkdirs(target, 0700, err);
		if (!rc)
			rc = move_all(below, target, 1, err);
	}
	closedir(d);
	return rc;
}

static int put_config(struct restore *r, struct vmc_error *err)
{
	int rc;

	if (!*r->config)
		return 0;
	rc = fs_rename(r->config, r->a->o.config, err);
	r->config_put = !rc;
	return rc;
}

static int swap(struct restore *r, struct vmc_error *err)
{
	const char *dir = trust_state_dir(r->a->state);
	int rc = move(dir, r->old, STATE_NAME, err);

	if (!rc)
		rc = move_all(dir, r->old, 0, err);
	r->moved_out = !rc;
	if (!rc)
		rc = move_all(r->fresh, dir, 0, err);
	if (!rc)
		rc = put_config(r, err);
	return rc ? rc : move(r->fresh, dir, STATE_NAME, err);
}

/* As it was, as far as that can be done; the words are those of what went wrong first. */
static void swap_back(struct restore *r)
{
	const char *dir = trust_state_dir(r->a->state);

	if (r->moved_out)	/* from here on, all that is there had come */
		(void)move_all(dir, r->fresh, 0, NULL);
	if (r->config_put && r->config_before)
		(void)fs_replace(r->a->o.config, r->config_before, r->config_len, 0644, NULL);
	else if (r->config_put)
		(void)fs_unlink(r->a->o.config, NULL);
	(void)move_all(r->old, dir, 0, NULL);
	(void)move(r->old, dir, STATE_NAME, NULL);
}

int restore_files(struct trust_admin *a, const struct backup_body *b, struct vmc_error *err)
{
	struct restore r = { .a = a };
	int rc = 0;

	if (snprintf(r.work, sizeof(r.work) - 8, "%s/" WORK, trust_state_dir(a->state)) >= (int)sizeof(r.work) - 8)
		return vmc_fail(err, VMC_EINVAL, "the path '%.100s...' is too long", trust_state_dir(a->state));
	snprintf(r.fresh, sizeof(r.fresh), "%s/new", r.work);
	snprintf(r.old, sizeof(r.old), "%s/old", r.work);
	rc = stage(&r, b, err);
	if (!rc) {
		rc = swap(&r, err);
		if (rc)
			swap_back(&r);
	}
	if (*r.config)
		(void)fs_unlink(r.config, NULL);
	free(r.config_before);
	/* what is left over is removed by the next restore, and is in no backup */
	(void)fs_remove_tree(r.work, NULL);
	return rc;
}
