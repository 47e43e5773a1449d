// SPDX-License-Identifier: GPL-2.0-or-later
#include "../testing/testing.h"

#include "mock_world.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/secmem.h"
#include "boot_id.h"
#include "device.h"

static struct vmc_error err;

static void on_event(const struct vmm_event *e, void *data)
{
	struct world *w = data;
	size_t n = strlen(w->events);

	assert_int_equal(strlen(e->message_id), 32);
	snprintf(w->events + n, sizeof(w->events) - n, "%s ", e->type);
}

/* In place of boot_id.c: the number of the start. */
static unsigned int boots;

int boot_id(char id[VMC_UUID_STR], struct vmc_error *e)
{
	(void)e;
	snprintf(id, VMC_UUID_STR, "00000000-0000-4000-8000-%012u", boots);
	return 0;
}

void world_config(struct world *w, char *dir)
{
	memset(w, 0, sizeof(*w));
	w->dir = dir;
	snprintf(w->cfg.state_dir, sizeof(w->cfg.state_dir), "%s/state", dir);
	snprintf(w->cfg.runtime_dir, sizeof(w->cfg.runtime_dir), "%s/run", dir);
	w->cfg.home_size = platform_is_real() ? 16 * MIB : MIB;	/* an ext4 wants more than a word */
}

void world_up(struct world *w)
{
	assert_ok(vmm_open(&w->m, &w->cfg, platform_kernel(), NULL, on_event, w, &err), &err);
}

void world_down(struct world *w)
{
	vmm_close(w->m);
	w->m = NULL;
}

void world_again(struct world *w)
{
	world_down(w);
	world_up(w);
}

void world_reboot(struct world *w)
{
	world_down(w);
	platform_reboot();
	boots++;
	world_up(w);
}

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_ok(secmem_init(1024 * 1024, &err), &err);
	world_config(w, test_mkdir());
	mock_attach(w->dir);
	world_up(w);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	world_down(w);
	platform_reboot();
	mock_detach();
	test_rmdir(w->dir);
	free(w);
	return 0;
}

void world_vm(struct world *w, const char *name, char id[VMC_UUID_STR])
{
	struct vmm_create c = { .name = name, .dir = w->dir };

	assert_ok(vmm_create(w->m, &c, NULL, id, &err), &err);
}

void world_disk(struct world *w, const char *vm, const char *name, const char *provider)
{
	struct vmm_disk d = { .name = name, .provider = provider, .size = MIB };

	assert_ok(vmm_disk_create(w->m, vm, &d, NULL, &err), &err);
}

void world_text(const char *vm_id, const char *disk, const char *text, off_t at, bool write)
{
	char name[128], path[PATH_MAX], got[64] = "";
	int fd;

	snprintf(name, sizeof(name), "vmcrypt-%s-%s", vm_id, disk);
	device_of_mapping(name, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	if (write) {
		assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
	} else {
		assert_int_equal(pread(fd, got, strlen(text), at), strlen(text));
		assert_string_equal(got, text);
	}
	close(fd);
}

void world_disk_text(struct world *w, const char *vm_id, const char *disk, const char *text, off_t at, bool write)
{
	char *device;

	assert_ok(vmm_disk_open(w->m, vm_id, disk, &device, &err), &err);
	free(device);
	world_text(vm_id, disk, text, at, write);
	assert_ok(vmm_disk_close(w->m, vm_id, disk, &err), &err);
}

void world_assert_state(struct world *w, const char *vm, const char *key, const char *want)
{
	json_t *o = vmm_show(w->m, vm, &err);

	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, key)), want);
	json_decref(o);
}

const char *world_field(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

void world_assert_event(struct world *w, const char *type, const char *want)
{
	json_t *list = vmm_events(w->m, 100, &err), *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (!strcmp(world_field(o, "type"), type)) {
			assert_string_equal(world_field(o, "text"), want);
			json_decref(list);
			return;
		}
	fail_msg("there is no event '%s'", type);
}

void world_assert_result(json_t *out, bool ok)
{
	json_t *o = json_array_get(json_object_get(out, "results"), 0);

	if (json_is_true(json_object_get(o, "ok")) != ok)
		fail_msg("'%s' came out %s: %s", world_field(o, "name"), ok ? "badly" : "well", world_field(o, "error"));
	json_decref(out);
}

void world_flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* Byte @i of an image: no two chunks are alike, some are zero. */
static uint8_t image_byte(uint64_t i)
{
	uint64_t chunk = i / 65536;

	return chunk % 3 == 1 ? 0 : (uint8_t)(i * 31 + chunk * 7 + (i >> 8));
}

void world_image(const char *path, uint64_t size)
{
	uint8_t *buf = malloc(size);
	uint64_t i;

	for (i = 0; i < size; i++)
		buf[i] = image_byte(i);
	test_write(path, buf, size);
	free(buf);
}

int world_check_image(const char *device, uint64_t size)
{
	uint8_t *buf = malloc(size);
	int fd = open(device, O_RDONLY), where = 0;
	uint64_t i;

	if (fd < 0 || pread(fd, buf, size, 0) != (ssize_t)size)
		where = INT_MAX;
	for (i = 0; !where && i < size; i++)
		if (buf[i] != image_byte(i))
			where = (int)i + 1;
	if (fd >= 0)
		close(fd);
	free(buf);
	return where;
}
