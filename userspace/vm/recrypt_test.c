// SPDX-License-Identifier: GPL-2.0-or-later
/* disk encrypt and both recrypts over a mock host. */
#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/luks.h"
#include "../lib/child.h"
#include "../lib/fs.h"
#include "bundle.h"
#include "mock_world.h"
#include "vm_priv.h"

#define IMAGE_SIZE (3 * MIB + 1536)	/* not a whole number of 4 KiB sectors */

static struct vmc_error err;

static void check_disk_is_image(struct world *w, const char *id, const char *disk)
{
	char *device;

	assert_ok(vmm_disk_open(w->m, id, disk, &device, &err), &err);
	assert_int_equal(world_check_image(device, IMAGE_SIZE), 0);
	free(device);
	assert_ok(vmm_disk_close(w->m, id, disk, &err), &err);
}

static size_t count_jobs(struct world *w)
{
	json_t *jobs = vmm_jobs_pending(w->m, &err);
	size_t n = json_array_size(jobs);

	json_decref(jobs);
	return n;
}

/* ---- encrypt -------------------------------------------------------------------- */

static void test_encrypt_raw(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	char id[VMC_UUID_STR], *data;
	size_t len;

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	world_image(d.source, IMAGE_SIZE);
	assert_ok(fs_read(d.source, 64 * MIB, &data, &len, &err), &err);
	assert_ok(vmm_disk_encrypt(w->m, id, &d, NULL, &err), &err);
	assert_int_not_equal(access(d.source, F_OK), 0);
	check_disk_is_image(w, id, "root");
	assert_int_equal(count_jobs(w), 0);
	free(data);
}

/* The image's words are not in the container. */
static void test_encrypt_keep(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root", .keep_source = true };
	char id[VMC_UUID_STR], *data, *image;
	size_t len, n;

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	world_image(d.source, IMAGE_SIZE);
	assert_ok(vmm_disk_encrypt(w->m, id, &d, NULL, &err), &err);
	assert_int_equal(access(d.source, F_OK), 0);
	assert_ok(fs_read(test_path(w->dir, "web-root.img"), 64 * MIB, &data, &len, &err), &err);
	assert_ok(fs_read(test_path(w->dir, "old.img"), 64 * MIB, &image, &n, &err), &err);
	assert_null(memmem(data, len, image + 100, 64));
	free(data);
	free(image);
}

static void run(const char *const *argv)
{
	assert_ok(child_do(argv, 30000, &err), &err);
}

static void test_encrypt_qcow2(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	char id[VMC_UUID_STR], raw[PATH_MAX], qcow2[PATH_MAX], *device;

	world_vm(w, "web", id);
	snprintf(raw, sizeof(raw), "%s/old.img", w->dir);
	snprintf(qcow2, sizeof(qcow2), "%s/old.qcow2", w->dir);
	world_image(raw, 4 * MIB);
	run((const char *[]){ "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2, NULL });
	d.source = qcow2;
	assert_ok(vmm_disk_encrypt(w->m, id, &d, NULL, &err), &err);
	assert_int_not_equal(access(qcow2, F_OK), 0);
	assert_ok(vmm_disk_open(w->m, id, "root", &device, &err), &err);
	assert_int_equal(world_check_image(device, 4 * MIB), 0);
	free(device);
}

static void test_encrypt_refused(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	char id[VMC_UUID_STR], raw[PATH_MAX], qcow2[PATH_MAX];

	world_vm(w, "web", id);
	snprintf(raw, sizeof(raw), "%s/old.img", w->dir);
	snprintf(qcow2, sizeof(qcow2), "%s/old.qcow2", w->dir);
	d.source = raw;
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_ENOENT, &err);
	world_image(raw, IMAGE_SIZE);
	d.source_format = "qcow2";
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	d.source_format = NULL;
	run((const char *[]){ "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, qcow2, NULL });
	d.source = qcow2;
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "backing file");
	run((const char *[]){ "qemu-img", "create", "-q", "-f", "qcow2", qcow2, "1M", NULL });
	run((const char *[]){ "qemu-img", "snapshot", "-c", "s1", qcow2, NULL });
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "snapshots");
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	d.source = raw;
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_ESTATE, &err);
	assert_int_equal(access(raw, F_OK), 0);
	assert_int_not_equal(access(test_path(w->dir, "web-root.img"), F_OK), 0);
}

static void test_encrypt_no_space(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "huge.img");
	test_write_text(d.source, "x");
	assert_int_equal(truncate(d.source, 1LL << 42), 0);
	assert_code(vmm_disk_encrypt(w->m, id, &d, NULL, &err), VMC_ENOSPC, &err);
	assert_contains(err.text, "are missing");
}

static void cancel_at_verify(struct progress *p, const char *phase, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	if (!strcmp(phase, "verify"))
		atomic_store(&p->cancel, true);
}

static void test_encrypt_canceled(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	struct progress p = { .report = cancel_at_verify };
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	world_image(d.source, IMAGE_SIZE);
	assert_code(vmm_disk_encrypt(w->m, id, &d, &p, &err), VMC_ECANCELED, &err);
	assert_int_equal(access(d.source, F_OK), 0);
	assert_int_not_equal(access(test_path(w->dir, "web-root.img"), F_OK), 0);
	assert_int_equal(count_jobs(w), 0);
	assert_ok(vmm_disk_encrypt(w->m, id, &d, NULL, &err), &err);
}

static void stop_at_half(struct progress *p, const char *phase, uint64_t done, uint64_t total)
{
	struct world *w = p->data;

	if (!strcmp(phase, "copy") && done >= total / 2)
		vmm_shutdown(w->m);
}

static void note_first(struct progress *p, const char *phase, uint64_t done, uint64_t total)
{
	uint64_t *first = p->data;

	(void)total;
	if (!strcmp(phase, "copy") && *first == UINT64_MAX)
		*first = done;
}

static void test_encrypt_resumed(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root", .rate = 8 * MIB };	/* so that half-way is heard of */
	struct progress p = { .report = stop_at_half, .data = w }, q = { .report = note_first };
	uint64_t first = UINT64_MAX;
	char id[VMC_UUID_STR], job[VMC_UUID_STR];
	json_t *jobs;

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	world_image(d.source, IMAGE_SIZE);
	assert_code(vmm_disk_encrypt(w->m, id, &d, &p, &err), VMC_ECANCELED, &err);
	world_reboot(w);
	jobs = vmm_jobs_pending(w->m, &err);
	assert_int_equal(json_array_size(jobs), 1);
	assert_true(json_integer_value(json_object_get(json_array_get(jobs, 0), "done")) > 0);
	assert_string_equal(json_string_value(json_object_get(json_array_get(jobs, 0), "name")), "web");
	snprintf(job, sizeof(job), "%s", json_string_value(json_object_get(json_array_get(jobs, 0), "id")));
	json_decref(jobs);
	assert_code(vmm_power_on(w->m, id, NULL, NULL, &err), VMC_EBUSY, &err);
	assert_contains(err.text, "disk-encrypt of 'root'");
	mock->unreachable[0] = true;
	assert_code(vmm_job_resume(w->m, job, NULL, &err), VMC_EUNREACH, &err);
	assert_int_equal(count_jobs(w), 1);	/* a server that is away costs nothing */
	mock->unreachable[0] = false;
	q.data = &first;
	assert_ok(vmm_job_resume(w->m, job, &q, &err), &err);
	assert_true(first > 0 && first < IMAGE_SIZE);
	check_disk_is_image(w, id, "root");
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

/* What was copied before the image was written to is not trusted. */
static void test_encrypt_source_changed(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root" };
	struct progress p = { .report = stop_at_half, .data = w };
	char id[VMC_UUID_STR];
	json_t *jobs;

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	test_write_text(d.source, "other content that must not stay");
	assert_int_equal(truncate(d.source, IMAGE_SIZE), 0);
	assert_code(vmm_disk_encrypt(w->m, id, &d, &p, &err), VMC_ECANCELED, &err);
	world_image(d.source, IMAGE_SIZE);
	world_again(w);
	jobs = vmm_jobs_pending(w->m, &err);
	assert_ok(vmm_job_resume(w->m, json_string_value(json_object_get(json_array_get(jobs, 0), "id")), NULL,
				 &err), &err);
	json_decref(jobs);
	check_disk_is_image(w, id, "root");
}

static void test_encrypt_abandoned(void **state)
{
	struct world *w = *state;
	struct vmm_disk d = { .name = "root", .provider = "kms2" };
	struct progress p = { .report = stop_at_half, .data = w };
	char id[VMC_UUID_STR];
	json_t *jobs;

	world_vm(w, "web", id);
	d.source = test_path(w->dir, "old.img");
	world_image(d.source, IMAGE_SIZE);
	assert_code(vmm_disk_encrypt(w->m, id, &d, &p, &err), VMC_ECANCELED, &err);
	world_again(w);
	assert_code(vmm_key_remove(w->m, "kms2/key-2", true, false, &err), VMC_EBUSY, &err);
	assert_contains(err.text, "unfinished job");
	jobs = vmm_jobs_pending(w->m, &err);
	assert_ok(vmm_job_abandon(w->m, json_string_value(json_object_get(json_array_get(jobs, 0), "id")), &err), &err);
	json_decref(jobs);
	assert_int_equal(access(d.source, F_OK), 0);
	assert_int_not_equal(access(test_path(w->dir, "web-root.img"), F_OK), 0);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_ok(vmm_key_remove(w->m, "kms2/key-2", true, false, &err), &err);
}

/* ---- shallow ----------------------------------------------------------------------- */

static void kek_of(struct world *w, const char *vm, size_t i, char out[256])
{
	struct bundle b;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.vmcrypt", w->dir, vm);
	assert_ok(bundle_read(path, &b, &err), &err);
	snprintf(out, 256, "%s", b.v[i].kek_id);
	bundle_clear(&b);
}

static void test_shallow(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR], b[VMC_UUID_STR], old[256], now[256];
	struct luks_header h;
	json_t *out, *keys;

	world_vm(w, "a", a);
	world_disk(w, "a", "root", NULL);
	world_vm(w, "b", b);
	world_disk(w, "b", "data", "kms2");
	world_disk_text(w, a, "root", "before", 0, true);
	assert_ok(vmm_power_on(w->m, a, NULL, NULL, &err), &err);	/* stays on */
	kek_of(w, "a", 0, old);
	assert_ok(vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err), &err);
	assert_int_equal(json_array_size(json_object_get(out, "results")), 2);
	assert_int_equal(json_array_size(json_object_get(out, "keys")), 3);
	json_decref(out);
	kek_of(w, "a", 0, now);
	assert_string_not_equal(old, now);
	assert_ok(luks_read(test_path(w->dir, "a-root.img"), &h, &err), &err);
	assert_string_equal(h.token.kek_id, now);
	assert_int_equal(h.token.generation, 2);
	kek_of(w, "b", 1, now);
	assert_memory_equal(now, "kms2/", 5);
	world_assert_state(w, a, "power", "on");
	world_reboot(w);
	assert_ok(vmm_power_on(w->m, a, NULL, NULL, &err), &err);
	assert_ok(vmm_power_on(w->m, b, NULL, NULL, &err), &err);
	world_text(a, "root", "before", 0, false);
	keys = vmm_key_show(w->m, old, &err);
	assert_contains(json_string_value(json_object_get(keys, "note")), "replaced by kms/");
	json_decref(keys);
	assert_ok(vmm_key_remove(w->m, old, true, false, &err), &err);
}

static void test_shallow_to_provider(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR], now[256];
	json_t *out;

	world_vm(w, "a", a);
	assert_code(vmm_recrypt_shallow(w->m, NULL, 0, "nowhere", NULL, &out, &err), VMC_ENOENT, &err);
	assert_ok(vmm_recrypt_shallow(w->m, (const char *[]){ "a" }, 1, "kms2", NULL, &out, &err), &err);
	json_decref(out);
	kek_of(w, "a", 0, now);
	assert_memory_equal(now, "kms2/", 5);
	world_assert_state(w, a, "provider", "kms2");
	assert_code(vmm_recrypt_shallow(w->m, (const char *[]){ "z" }, 1, NULL, NULL, &out, &err), VMC_ENOENT, &err);
}

/* One VM that cannot be done does not keep the others. */
static void test_shallow_some_fail(void **state)
{
	struct world *w = *state;
	char a[VMC_UUID_STR], b[VMC_UUID_STR], old[256], now[256];
	json_t *out, *results;

	world_vm(w, "a", a);
	world_vm(w, "b", b);
	kek_of(w, "a", 0, old);
	world_reboot(w);
	mock->keys[0].state = PKS_COMPROMISED;
	assert_ok(vmm_recrypt_shallow(w->m, NULL, 0, NULL, NULL, &out, &err), &err);
	results = json_object_get(out, "results");
	assert_true(json_is_false(json_object_get(json_array_get(results, 0), "ok")));
	assert_contains(json_string_value(json_object_get(json_array_get(results, 0), "error")), "not active");
	assert_true(json_is_true(json_object_get(json_array_get(results, 1), "ok")));
	json_decref(out);
	kek_of(w, "a", 0, now);
	assert_string_equal(old, now);
	assert_int_equal(count_jobs(w), 0);
}

/* ---- deep ----------------------------------------------------------------------------- */

static void test_deep(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], old[256], now[256];
	struct luks_header before, after;

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk(w, "web", "data", "kms2");
	world_disk_text(w, id, "root", "root's words", 8192, true);
	world_disk_text(w, id, "data", "data's words", 0, true);
	kek_of(w, "web", 0, old);
	assert_ok(luks_read(test_path(w->dir, "web-root.img"), &before, &err), &err);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	assert_code(vmm_recrypt_deep(w->m, id, NULL, NULL, &err), VMC_ESTATE, &err);
	assert_ok(vmm_power_off(w->m, id, &err), &err);
	assert_ok(vmm_recrypt_deep(w->m, id, NULL, NULL, &err), &err);
	assert_ok(luks_read(test_path(w->dir, "web-root.img"), &after, &err), &err);
	assert_string_not_equal(before.uuid, after.uuid);
	kek_of(w, "web", 0, now);
	assert_string_not_equal(old, now);
	kek_of(w, "web", 2, now);
	assert_memory_equal(now, "kms2/", 5);
	assert_int_not_equal(access(test_path(w->dir, "web-root.img.vmcrypt-new"), F_OK), 0);
	world_reboot(w);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
	world_text(id, "root", "root's words", 8192, false);
	world_text(id, "data", "data's words", 0, false);
	assert_ok(vmm_key_remove(w->m, old, true, false, &err), &err);
}

static void test_deep_one_disk(void **state)
{
	struct world *w = *state;
	char id[VMC_UUID_STR], home[256], now[256];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	kek_of(w, "web", 0, home);
	assert_code(vmm_recrypt_deep(w->m, id, "nope", NULL, &err), VMC_ENOENT, &err);
	assert_ok(vmm_recrypt_deep(w->m, id, "root", NULL, &err), &err);
	kek_of(w, "web", 0, now);
	assert_string_equal(home, now);
	kek_of(w, "web", 1, now);
	assert_string_not_equal(home, now);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

static void test_deep_canceled(void **state)
{
	struct world *w = *state;
	struct progress p = { .report = cancel_at_verify };
	char id[VMC_UUID_STR];

	world_vm(w, "web", id);
	world_disk(w, "web", "root", NULL);
	world_disk_text(w, id, "root", "words", 0, true);
	assert_code(vmm_recrypt_deep(w->m, id, NULL, &p, &err), VMC_ECANCELED, &err);
	assert_int_equal(count_jobs(w), 0);
	assert_int_not_equal(access(test_path(w->dir, "web.home.vmcrypt-new"), F_OK), 0);
	world_disk_text(w, id, "root", "words", 0, false);
	assert_ok(vmm_power_on(w->m, id, NULL, NULL, &err), &err);
}

#define t(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_encrypt_raw), t(test_encrypt_keep), t(test_encrypt_qcow2), t(test_encrypt_refused),
		t(test_encrypt_no_space), t(test_encrypt_canceled), t(test_encrypt_resumed),
		t(test_encrypt_source_changed), t(test_encrypt_abandoned), t(test_shallow),
		t(test_shallow_to_provider), t(test_shallow_some_fail), t(test_deep), t(test_deep_one_disk),
		t(test_deep_canceled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
