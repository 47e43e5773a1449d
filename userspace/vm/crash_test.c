// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each verb is killed (SIGKILL) at each crash point: fsync, rename, unlink,
 * SQLite commit, LUKS header write, mapping, mount, key creation. Then, in a new
 * process, and with or without the host having lost its keys and mappings in
 * between, the state must be the old or the new one: every VM that is there
 * powers on with its data, no file and no key is left that nobody knows of.
 */
#include "../testing/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/secmem.h"
#include "bundle.h"
#include "datastore.h"
#include "device.h"
#include "mock_world.h"
#include "vm_priv.h"

#define IMAGE_SIZE	(MIB + 512)
#define POINTS_MAX	1000

static struct vmc_error err;

/* In a child: say what is wrong and end. */
#define need(cond, ...) do { \
	if (!(cond)) { \
		fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr); \
		_exit(1); \
	} \
} while (0)
#define need_ok(call) need(!(call), "%s (%s)", err.text, err.hint)

struct scenario {
	const char *name;
	void (*prepare)(struct world *w);
	int (*verb)(struct world *w);
	/* The state is the old or the new one; which? */
	bool (*is_new)(struct world *w);
};

enum after { AFTER_KILL, AFTER_REBOOT, AFTER_ABANDON, AFTER_SECOND_KILL, AFTER_COUNT };

/* ---- what must hold whatever happened -------------------------------------------------- */

static json_t *shown(struct world *w)
{
	json_t *list = vmm_list(w->m, &err);

	need(list, "%s", err.text);
	return list;
}

static const char *field(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void finish_jobs(struct world *w, enum after after)
{
	json_t *jobs = vmm_jobs_pending(w->m, &err), *job;
	size_t i;

	need(jobs, "%s", err.text);
	json_array_foreach(jobs, i, job) {
		if (after == AFTER_ABANDON)
			need_ok(vmm_job_abandon(w->m, field(job, "id"), &err));
		else
			need_ok(vmm_job_resume(w->m, field(job, "id"), NULL, &err));
	}
	json_decref(jobs);
	jobs = vmm_jobs_pending(w->m, &err);
	need(!json_array_size(jobs), "a job is still pending");
	json_decref(jobs);
}

/* The words that prepare() wrote at the start of a disk called "words", or an image on "image". */
static void check_disk(const json_t *disk)
{
	const char *name = field(disk, "name"), *device = field(disk, "device");
	char got[6] = "";
	int fd;

	need(device[0], "disk %s is not open", name);
	if (!strcmp(name, "image"))
		need(!world_check_image(device, IMAGE_SIZE), "the data of '%s' differ", name);
	if (strcmp(name, "words"))
		return;
	fd = open(device, O_RDONLY);
	need(fd >= 0 && pread(fd, got, 5, 4096) == 5, "cannot read %s", device);
	close(fd);
	need(!strcmp(got, "words"), "the data of '%s' are lost", name);
}

/* Set by check_vm(): how many were locked by hand. */
static unsigned int locked;

static bool is_locked(const json_t *o)
{
	return !strcmp(field(o, "cause"), "by-hand");
}

/* Locked is locked as a whole: no key of it is on the host. Then let it go on. */
static void check_locked(struct world *w, const json_t *o)
{
	const char *id = field(o, "id");
	json_t *disk, *out = NULL;
	size_t i;

	locked++;
	for (i = 0; !platform_is_real() && i < MOCK_MAPS; i++)
		need(!mock->maps[i].name[0] || mock->maps[i].suspended, "%s goes on", mock->maps[i].name);
	need(json_is_false(json_object_get(json_object_get(o, "home"), "loaded")), "the VM key is there");
	json_array_foreach(json_object_get(o, "disks"), i, disk)
		need(json_is_false(json_object_get(disk, "loaded")), "the key of %s is there", field(disk, "name"));
	need_ok(vmm_unlock(w->m, &id, 1, NULL, &out, &err));
	need(json_is_true(json_object_get(json_array_get(json_object_get(out, "results"), 0), "ok")), "%s",
	     field(json_array_get(json_object_get(out, "results"), 0), "error"));
	json_decref(out);
}

static void check_vm(struct world *w, const char *id)
{
	json_t *o = vmm_show(w->m, id, &err), *disk;
	size_t i;

	need(o, "%s", err.text);
	if (is_locked(o))
		check_locked(w, o);
	if (strcmp(field(o, "power"), "on"))
		need_ok(vmm_power_on(w->m, id, NULL, NULL, &err));
	json_decref(o);
	o = vmm_show(w->m, id, &err);
	json_array_foreach(json_object_get(o, "disks"), i, disk)
		check_disk(disk);
	json_decref(o);
	need_ok(vmm_power_off(w->m, id, &err));
}

static json_t *stores(struct world *w)
{
	json_t *list = vmm_datastore_list(w->m, &err);

	need(list, "%s", err.text);
	return list;
}

/* It opens, with the words that prepare() left in it. One whose file is gone was to be removed: once more ends that. */
static void check_store(struct world *w, const json_t *o)
{
	char path[PATH_MAX], got[6] = "";
	int fd;

	if (access(field(o, "path"), F_OK)) {
		need_ok(vmm_datastore_remove(w->m, field(o, "id"), &err));
		return;
	}
	if (strcmp(field(o, "state"), "open"))
		need_ok(vmm_datastore_open(w->m, field(o, "id"), NULL, &err));
	snprintf(path, sizeof(path), "%s/words", field(o, "mount"));
	fd = open(path, O_RDONLY);
	need(fd < 0 || (pread(fd, got, 5, 0) == 5 && !strcmp(got, "words")), "the data of '%s' are lost", path);
	need(fd >= 0 || strcmp(field(o, "name"), "words"), "'%s' is lost", path);
	if (fd >= 0)
		close(fd);
	need_ok(vmm_datastore_close(w->m, field(o, "id"), &err));
}

static void check_stores(struct world *w)
{
	json_t *list = stores(w), *o;
	size_t i;

	json_array_foreach(list, i, o)
		check_store(w, o);
	json_decref(list);
}

static bool is_of_store(const json_t *list, const char *path)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (!strcmp(field(o, "path"), path))
			return true;
	return false;
}

static bool is_of_vm(const json_t *vm, const char *path)
{
	json_t *disk;
	size_t i;

	if (!strcmp(field(vm, "bundle"), path) || !strcmp(field(json_object_get(vm, "home"), "path"), path))
		return true;
	json_array_foreach(json_object_get(vm, "disks"), i, disk)
		if (!strcmp(field(disk, "path"), path))
			return true;
	return false;
}

static void check_files(struct world *w, const json_t *vms)
{
	json_t *datastores = stores(w);
	DIR *d = opendir(w->dir);
	struct dirent *e;

	while ((e = readdir(d))) {
		bool known = e->d_type == DT_DIR || !strcmp(e->d_name, "mock.host") ||
			     !strcmp(e->d_name, "source.img");
		char path[PATH_MAX];
		json_t *vm;
		size_t i;

		snprintf(path, sizeof(path), "%s/%s", w->dir, e->d_name);
		json_array_foreach(vms, i, vm)
			known |= is_of_vm(vm, path);
		known |= is_of_store(datastores, path);
		/* unregister and detach leave files by design, a rebuilt bundle its old one */
		known |= strstr(e->d_name, ".old") || !strncmp(e->d_name, "stays", 5);
		need(known, "'%s' is nobody's", path);
	}
	closedir(d);
	json_decref(datastores);
}

static bool key_known(const json_t *keys, const struct mock_key *k)
{
	char id[512];
	json_t *o;
	size_t i;

	snprintf(id, sizeof(id), "%s/%s", k->provider, k->id);
	if (!k->label[0])	/* of files that are not registered on purpose */
		return true;
	json_array_foreach(keys, i, o) {
		if (!strcmp(field(o, "id"), id) &&
		    (json_array_size(json_object_get(o, "vms")) || field(o, "note")[0]))
			return true;
		if (!field(o, "id")[0] && !strcmp(field(o, "label"), k->label) &&
		    !strcmp(field(o, "provider"), k->provider))
			return true;
	}
	return false;
}

static void check_keys(struct world *w)
{
	json_t *keys = vmm_key_list(w->m, &err);
	size_t i;

	need(keys, "%s", err.text);
	for (i = 0; i < mock->n_keys; i++)
		need(key_known(keys, &mock->keys[i]), "key %s (%s) is used by none and noted by none",
		     mock->keys[i].id, mock->keys[i].label);
	json_decref(keys);
}

static void check_all(struct world *w)
{
	json_t *vms = shown(w), *vm;
	size_t i;

	json_array_foreach(vms, i, vm)
		check_vm(w, field(vm, "id"));
	check_stores(w);
	need(!platform_mappings(), "%zu mappings are still there", platform_mappings());
	check_files(w, vms);
	check_keys(w);
	json_decref(vms);
}

/* ---- processes --------------------------------------------------------------------------- */

struct step {
	const struct scenario *s;
	char *dir;
	enum after after;
	unsigned int at;
	bool finished;			/* the verb came to its end */
};

static void open_world(struct world *w, const struct step *st)
{
	need_ok(secmem_init(64 * 1024, &err));
	world_config(w, st->dir);
	mock_attach(st->dir);
	need_ok(vmm_open(&w->m, &w->cfg, platform_kernel(), NULL, NULL, NULL, &err));
	w->m->checkpoint_bytes = 256 * 1024;
}

static void prepare(struct step *st)
{
	struct world w;

	open_world(&w, st);
	st->s->prepare(&w);
	world_down(&w);
}

/* Crash points before vmm_open() returned belong to no verb: count from here. */
static void do_verb(struct step *st)
{
	struct world w;
	char at[16];

	open_world(&w, st);
	snprintf(at, sizeof(at), "%lu", mock_crashpoints() + st->at);
	setenv("VMCRYPT_CRASH_AT", at, 1);
	need_ok(st->s->verb(&w));
	world_down(&w);
}

static void recover_and_die(struct step *st)
{
	struct world w;
	char at[16];

	snprintf(at, sizeof(at), "%u", 1 + st->at * 7 % 13);
	setenv("VMCRYPT_CRASH_AT", at, 1);
	open_world(&w, st);
	finish_jobs(&w, AFTER_KILL);
	world_down(&w);
}

static void reboot(struct step *st)
{
	mock_attach(st->dir);
	platform_reboot();
}

static void check(struct step *st)
{
	struct world w;
	bool now;

	open_world(&w, st);
	finish_jobs(&w, st->after);
	check_all(&w);
	now = st->s->is_new(&w);
	need(now || !st->finished, "the verb ended well, but the state is the old one");
	world_down(&w);
	open_world(&w, st);	/* and nothing is found to be done after that */
	check_all(&w);
	world_down(&w);
}

/* Run @fn in a child; its wait status. */
static int in_child(void (*fn)(struct step *st), struct step *st)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		fn(st);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void must_be_ok(int status, const struct step *st, const char *what)
{
	static const char *const after[] = { "kill", "kill and reboot", "kill and abandon", "two kills" };

	if (status)
		fail_msg("%s: crash point %u, %s: %s: status %#x", st->s->name, st->at, after[st->after], what,
			 status);
}

/* @return false when the verb came to its end before the point */
static bool one_point(const struct scenario *s, enum after after, unsigned int at)
{
	struct step st = { .s = s, .after = after, .at = at, .dir = test_mkdir() };
	int status;

	must_be_ok(in_child(prepare, &st), &st, "prepare");
	status = in_child(do_verb, &st);
	st.finished = !status;
	if (!st.finished && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		must_be_ok(status, &st, "verb");
	if (after == AFTER_REBOOT || after == AFTER_ABANDON)
		must_be_ok(in_child(reboot, &st), &st, "reboot");
	if (after == AFTER_SECOND_KILL) {
		status = in_child(recover_and_die, &st);
		if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			must_be_ok(status, &st, "recovery");
	}
	must_be_ok(in_child(check, &st), &st, "check");
	must_be_ok(in_child(reboot, &st), &st, "clean up");
	test_rmdir(st.dir);
	return !st.finished;
}

#define FIRST_POINTS 8	/* which the shortest verb has */

/* VMC_CRASH_EVERY=N: a sample, each Nth point in one variant, for hosts where a round takes long. */
static unsigned int every(void)
{
	const char *text = getenv("VMC_CRASH_EVERY");
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	return n && n < POINTS_MAX ? (unsigned int)n : 1;
}

static void points_of(const struct scenario *s, unsigned int after, unsigned int first)
{
	unsigned int at;

	for (at = first; one_point(s, after, at); at += every())
		assert_true(at < POINTS_MAX);
	/* a verb that was not killed would make this test one that cannot fail */
	assert_true(at > first);
	print_message("# %s: killed at points up to %u, variant %u\n", s->name, at - every(), after);
}

static void all_points(const struct scenario *s)
{
	static unsigned int n;

	if (every() > 1)
		points_of(s, n % AFTER_COUNT, 1 + n % FIRST_POINTS);
	else
		for (unsigned int after = 0; after < AFTER_COUNT; after++)
			points_of(s, after, 1);
	n++;
}

/* ---- scenarios ------------------------------------------------------------------------------ */

static void words(struct world *w, const char *id)
{
	world_disk_text(w, id, "words", "words", 4096, true);
}

static void with_vm(struct world *w)
{
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	world_disk(w, "web", "words", NULL);
	words(w, id);
}

static void with_two(struct world *w)
{
	char id[VMC_UUID_STR];

	with_vm(w);
	world_vm(w, "db", id);
	world_disk(w, "db", "words", "kms2");
	words(w, id);
}

static void nothing(struct world *w)
{
	(void)w;
}

static json_t *vm_named(struct world *w, const char *name)
{
	return vmm_show(w->m, name, NULL);
}

static bool has_disk(struct world *w, const char *vm, const char *disk)
{
	json_t *o = vm_named(w, vm), *d;
	bool has = false;
	size_t i;

	json_array_foreach(json_object_get(o, "disks"), i, d)
		has |= !strcmp(field(d, "name"), disk);
	json_decref(o);
	return has;
}

static int do_create(struct world *w)
{
	struct vmm_create c = { .name = "web", .dir = w->dir };
	char id[VMC_UUID_STR];

	return vmm_create(w->m, &c, NULL, id, &err);
}

static bool is_created(struct world *w)
{
	json_t *o = vm_named(w, "web");

	json_decref(o);
	return o;
}

static int do_disk_create(struct world *w)
{
	struct vmm_disk d = { .name = "more", .provider = "kms2", .size = MIB };

	return vmm_disk_create(w->m, "web", &d, NULL, &err);
}

static bool is_disk_created(struct world *w)
{
	return has_disk(w, "web", "more");
}

static void with_image(struct world *w)
{
	with_vm(w);
	world_image(test_path(w->dir, "source.img"), IMAGE_SIZE);
}

static int do_encrypt(struct world *w)
{
	struct vmm_disk d = { .name = "image", .source = test_path(w->dir, "source.img"), .provider = "kms2" };

	return vmm_disk_encrypt(w->m, "web", &d, NULL, &err);
}

/* The image is there in clear or encrypted, never not at all. */
static bool is_encrypted(struct world *w)
{
	bool has = has_disk(w, "web", "image");
	bool source = !access(test_path(w->dir, "source.img"), F_OK);

	need(has || source, "the image is lost");
	need(!has || !source, "the image is encrypted and was not removed");
	return has;
}

static void with_files(struct world *w)
{
	char id[VMC_UUID_STR];

	world_vm(w, "stays", id);
	world_disk(w, "stays", "words", NULL);
	words(w, id);
	need_ok(vmm_unregister(w->m, id, &err));
	memset(mock->keys[0].label, 0, sizeof(mock->keys[0].label));
}

static int do_register(struct world *w)
{
	char id[VMC_UUID_STR];

	return vmm_register(w->m, test_path(w->dir, "stays.vmcrypt"), false, id, &err);
}

static int do_rebuild(struct world *w)
{
	char id[VMC_UUID_STR];

	return vmm_register(w->m, test_path(w->dir, "stays.home"), true, id, &err);
}

static bool is_registered(struct world *w)
{
	json_t *o = vm_named(w, "stays");
	char id[VMC_UUID_STR];

	if (!o) {	/* the files still make a VM */
		need_ok(vmm_register(w->m, test_path(w->dir, "stays.vmcrypt"), false, id, &err));
		check_vm(w, id);
		return false;
	}
	json_decref(o);
	return true;
}

static int do_shallow(struct world *w)
{
	json_t *out = NULL;
	int r = vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err);

	json_decref(out);
	return r;
}

static bool all_generations(struct world *w, json_int_t least)
{
	json_t *vms = shown(w), *vm, *disk;
	bool all = true;
	size_t i, j;

	json_array_foreach(vms, i, vm) {
		all &= json_integer_value(json_object_get(json_object_get(vm, "home"), "generation")) >= least;
		json_array_foreach(json_object_get(vm, "disks"), j, disk)
			all &= json_integer_value(json_object_get(disk, "generation")) >= least;
	}
	json_decref(vms);
	return all;
}

static bool is_recrypted(struct world *w)
{
	return all_generations(w, 2);
}

static int do_add_provider(struct world *w)
{
	json_t *out = NULL;
	int r = vmm_add_provider(w->m, NULL, 0, "kms2", NULL, &out, &err);

	json_decref(out);
	return r;
}

static bool volume_on(const json_t *v, const char *provider)
{
	static const char *const keys[] = { "key", "second_key" };
	const char *kek;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		kek = json_string_value(json_object_get(v, keys[i]));
		if (kek && wrap_is_on(kek, provider))
			return true;
	}
	return false;
}

/* How many volumes @provider opens. */
static size_t volumes_on(struct world *w, const char *provider, size_t *n)
{
	json_t *vms = shown(w), *vm, *disk;
	size_t i, j, on = 0;

	*n = 0;
	json_array_foreach(vms, i, vm) {
		on += volume_on(json_object_get(vm, "home"), provider);
		*n += 1 + json_array_size(json_object_get(vm, "disks"));
		json_array_foreach(json_object_get(vm, "disks"), j, disk)
			on += volume_on(disk, provider);
	}
	json_decref(vms);
	return on;
}

static bool is_added(struct world *w)
{
	size_t n;

	return volumes_on(w, "kms2", &n) == n;
}

static void with_two_providers(struct world *w)
{
	with_two(w);
	need_ok(do_add_provider(w));
}

static int do_remove_provider(struct world *w)
{
	json_t *out = NULL;
	int r = vmm_remove_provider(w->m, NULL, 0, "kms", NULL, &out, &err);

	json_decref(out);
	return r;
}

static bool is_removed(struct world *w)
{
	size_t n;

	return !volumes_on(w, "kms", &n);
}

static int do_deep(struct world *w)
{
	return vmm_recrypt_deep(w->m, "db", NULL, NULL, &err);
}

static bool is_deep(struct world *w)
{
	json_t *o = vm_named(w, "db");
	bool is = json_integer_value(json_object_get(json_array_get(json_object_get(o, "disks"), 0),
						     "generation")) >= 2;

	json_decref(o);
	return is;
}

static int do_power_cycle(struct world *w)
{
	int r = vmm_power_on(w->m, "web", NULL, NULL, &err);

	return r ? r : vmm_power_off(w->m, "web", &err);
}

static int do_flags(struct world *w)
{
	return vmm_disk_set_flags(w->m, "web", "words", "no_write_workqueue", &err);
}

static void with_running(struct world *w)
{
	with_vm(w);
	need_ok(vmm_power_on(w->m, "web", NULL, NULL, &err));
}

static void with_suspended(struct world *w)
{
	with_running(w);
	need_ok(vmm_lock(w->m, "web", true, NULL, &err));
}

static int do_lock(struct world *w)
{
	return vmm_lock(w->m, "web", false, NULL, &err);
}

static int do_lock_now(struct world *w)
{
	return vmm_lock(w->m, "web", true, NULL, &err);
}

static int do_unlock(struct world *w)
{
	const char *web = "web";

	return vmm_unlock(w->m, &web, 1, NULL, NULL, &err);
}

static bool was_locked(struct world *w)
{
	(void)w;
	return locked == 1;
}

static bool was_unlocked(struct world *w)
{
	(void)w;
	return !locked;
}

static void with_many_files(struct world *w)
{
	char id[VMC_UUID_STR];
	size_t i;

	with_files(w);
	world_vm(w, "stays-too", id);
	world_disk(w, "stays-too", "words", "kms2");
	words(w, id);
	need_ok(vmm_unregister(w->m, id, &err));
	for (i = 0; i < mock->n_keys; i++)
		memset(mock->keys[i].label, 0, sizeof(mock->keys[i].label));
}

static int do_register_many(struct world *w)
{
	return vmm_register_many(w->m, w->dir, false, NULL, NULL, &err);
}

static int do_rebuild_many(struct world *w)
{
	return vmm_register_many(w->m, w->dir, true, NULL, NULL, &err);
}

/* Some, or all; what is there is whole, and once more brings the rest. */
static bool are_registered(struct world *w)
{
	json_t *vms = shown(w);
	bool all = json_array_size(vms) == 2;

	json_decref(vms);
	need_ok(vmm_register_many(w->m, w->dir, false, NULL, NULL, &err));
	vms = shown(w);
	need(json_array_size(vms) == 2, "only %zu VMs are registered by the second run", json_array_size(vms));
	json_decref(vms);
	return all;
}

static int make_store(struct world *w)
{
	struct vmm_datastore d = { .name = "words", .path = test_path(w->dir, "words.img"), .size = 2 * MIB };
	char id[VMC_UUID_STR];

	return vmm_datastore_create(w->m, &d, NULL, id, &err);
}

static int do_store_create(struct world *w)
{
	struct vmm_datastore d = { .name = "empty", .path = test_path(w->dir, "empty.img"), .size = 2 * MIB };
	char id[VMC_UUID_STR];

	return vmm_datastore_create(w->m, &d, NULL, id, &err);
}

static bool has_store(struct world *w)
{
	json_t *list = stores(w);
	bool has = json_array_size(list);

	json_decref(list);
	return has;
}

static bool no_store(struct world *w)
{
	return !has_store(w);
}

static void with_store(struct world *w)
{
	char path[PATH_MAX];
	int fd;

	need_ok(make_store(w));
	need_ok(vmm_datastore_open(w->m, "words", NULL, &err));
	snprintf(path, sizeof(path), "%s/datastores/words/words", w->cfg.runtime_dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	need(fd >= 0 && write(fd, "words", 5) == 5, "cannot write %s", path);
	close(fd);
	need_ok(vmm_datastore_close(w->m, "words", &err));
}

static int do_store_cycle(struct world *w)
{
	int r = vmm_datastore_open(w->m, "words", NULL, &err);

	return r ? r : vmm_datastore_close(w->m, "words", &err);
}

static int do_store_remove(struct world *w)
{
	return vmm_datastore_remove(w->m, "words", &err);
}

static int do_store_recrypt(struct world *w)
{
	return vmm_datastore_recrypt(w->m, NULL, 0, &(struct vmm_datastore_recrypt){ .provider = "kms2" }, NULL, NULL,
				     &err);
}

static bool is_store_recrypted(struct world *w)
{
	json_t *o = vmm_datastore_show(w->m, "words", &err);
	bool is = !strcmp(field(o, "provider"), "kms2");

	json_decref(o);
	return is;
}

static bool always(struct world *w)
{
	(void)w;
	return true;
}

#define scenario(name, prepare, verb, is_new) \
	static void test_##name(void **state) \
	{ \
		static const struct scenario s = { #name, prepare, verb, is_new }; \
		(void)state; \
		all_points(&s); \
	}

scenario(create, nothing, do_create, is_created)
scenario(disk_create, with_vm, do_disk_create, is_disk_created)
scenario(encrypt, with_image, do_encrypt, is_encrypted)
scenario(register, with_files, do_register, is_registered)
scenario(rebuild, with_files, do_rebuild, is_registered)
scenario(shallow, with_two, do_shallow, is_recrypted)
scenario(add_provider, with_two, do_add_provider, is_added)
scenario(remove_provider, with_two_providers, do_remove_provider, is_removed)
scenario(deep, with_two, do_deep, is_deep)
scenario(power, with_vm, do_power_cycle, always)
scenario(flags, with_vm, do_flags, always)
scenario(lock, with_running, do_lock, was_locked)
scenario(lock_now, with_running, do_lock_now, was_locked)
scenario(unlock, with_suspended, do_unlock, was_unlocked)
scenario(register_many, with_many_files, do_register_many, are_registered)
scenario(rebuild_many, with_many_files, do_rebuild_many, are_registered)
scenario(store_create, nothing, do_store_create, has_store)
scenario(store_cycle, with_store, do_store_cycle, always)
scenario(store_remove, with_store, do_store_remove, no_store)
scenario(store_recrypt, with_store, do_store_recrypt, is_store_recrypted)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create), cmocka_unit_test(test_disk_create),
		cmocka_unit_test(test_encrypt), cmocka_unit_test(test_register),
		cmocka_unit_test(test_rebuild), cmocka_unit_test(test_shallow),
		cmocka_unit_test(test_add_provider), cmocka_unit_test(test_remove_provider),
		cmocka_unit_test(test_deep), cmocka_unit_test(test_power), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_lock), cmocka_unit_test(test_lock_now), cmocka_unit_test(test_unlock),
		cmocka_unit_test(test_register_many), cmocka_unit_test(test_rebuild_many),
		cmocka_unit_test(test_store_create), cmocka_unit_test(test_store_cycle),
		cmocka_unit_test(test_store_remove), cmocka_unit_test(test_store_recrypt),
	};

	/* Thousands of syncs: not on a disk, where there is memory for it. */
	if (!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 0);
	log_init("crash_test", LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
