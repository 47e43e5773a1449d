/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager over a mock host in a folder of its own, and what its tests do again and again. */
#ifndef VMC_VM_MOCK_WORLD_H
#define VMC_VM_MOCK_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "manager.h"
#include "mock_host.h"
#include "mock_platform.h"

#define MIB (1024ull * 1024)

struct world {
	char *dir;
	struct vmc_config cfg;
	struct vmm *m;
	char events[4096];		/* types, one after another */
};

void world_config(struct world *w, char *dir);
void world_up(struct world *w);
void world_down(struct world *w);
void world_again(struct world *w);
void world_reboot(struct world *w);	/* the host, and the manager with it */
/* cmocka fixtures; *state is a struct world */
int world_setup(void **state);
int world_teardown(void **state);

void world_vm(struct world *w, const char *name, char id[VMC_UUID_STR]);
void world_disk(struct world *w, const char *vm, const char *name, const char *provider);
/* @text at byte @at of the open disk: write, or compare. */
void world_text(const char *vm_id, const char *disk, const char *text, off_t at, bool write);
/* Open by hand, write or compare, close. */
void world_disk_text(struct world *w, const char *vm_id, const char *disk, const char *text, off_t at, bool write);
/* A text field of vmm_show(). */
void world_assert_state(struct world *w, const char *vm, const char *key, const char *want);
const char *world_field(const json_t *o, const char *key);	/* "" when there is none */
/* The newest event of @type says @want. */
void world_assert_event(struct world *w, const char *type, const char *want);
/* The first of {results: [...]} is well, or not; takes @out over. */
void world_assert_result(json_t *out, bool ok);
void world_flip(const char *path, off_t at);
/* A raw image of @size bytes that world_check_image() knows again on a device. */
void world_image(const char *path, uint64_t size);
int world_check_image(const char *device, uint64_t size);	/* 0, or where it differs + 1 */

#endif
