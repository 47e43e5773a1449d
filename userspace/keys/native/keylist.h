/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys that a native provider gave out on this host, and those that were
 * destroyed, which stay refused although they could be derived again: keys.json.
 */
#ifndef VMC_NATIVE_KEYLIST_H
#define VMC_NATIVE_KEYLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "kdk.h"

#define KEYLIST_FILE		"keys.json"
#define KEYLIST_KEYS_MAX	100000
#define KEYLIST_SIZE_MAX	(32u << 20)
#define KEYLIST_LABEL_MAX	80

struct native_key {
	char id[NATIVE_ID_LEN + 1];
	char label[KEYLIST_LABEL_MAX + 1];	/* printable ASCII */
	char created[32], destroyed[32];	/* RFC 3339; destroyed: "" while it is active */
};

struct keylist {
	struct native_key *k;		/* sorted by id */
	size_t n, room;
};

/* Bytes to struct: pure, strict, whole or not at all. */
int keylist_parse(const char *data, size_t len, struct keylist *l, struct vmc_error *err);
char *keylist_format(const struct keylist *l);	/* free(3) it; NULL: no memory */
void keylist_clear(struct keylist *l);

struct native_key *keylist_find(const struct keylist *l, const char *id);
/* VMC_EEXIST, VMC_ENOSPC when it is full. */
int keylist_add(struct keylist *l, const char *id, const char *label, struct vmc_error *err);

/* From and to DIR/keys.json. */
int keylist_read(const char *dir, struct keylist *l, struct vmc_error *err);
int keylist_write(const char *dir, const struct keylist *l, struct vmc_error *err);

#endif
