/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the registry and the kinds of provider share; not for those who use providers. */
#ifndef VMC_KEYS_REGISTRY_H
#define VMC_KEYS_REGISTRY_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "provider.h"

#define DEFAULT_FILE	"default"	/* CONFIG_DIR/providers/default */

/* Every kind of provider begins with this; ops->free is called when the last reference goes. */
struct provider_base {
	struct provider p;
	atomic_uint refs;
};

/* What a kind of provider brings along. */
struct provider_kind {
	const char *name;		/* as provider.conf has it */
	/* See registry_lacks(). */
	void (*lacks)(const struct providers *ps, const char *name, char out[256]);
	int (*make)(const char *name, const char *dir, const struct vmc_config *cfg, struct provider_base **p,
		    struct vmc_error *err);
	/* An object for providers_list() with servers, client_cert, state and what else there is to say. */
	json_t *(*describe)(struct providers *ps, const char *name);
	/* It is being removed: what lies elsewhere goes, too. NULL: nothing does. */
	void (*forget)(const struct providers *ps, const char *name);
};

struct providers {
	struct vmc_config cfg;
	char dir[PATH_MAX - 256];	/* CONFIG_DIR/providers */
	pthread_mutex_t lock;		/* the list and what it points to */
	struct provider_entry *list;
	pthread_mutex_t change;		/* one change of the files at a time; taken before @lock */
};

#define PROVIDER_CONF	"provider.conf"
#define CLIENT_KEY	"client.key"
#define CLIENT_CERT	"client.pem"
#define CLIENT_CSR	"client.csr"
#define CA_FILE		"ca.pem"
#define PIN_FILE	"pin"
#define PASSWORD_FILE	"password"

/* DIR/NAME/FILE; VMC_EINVAL for names that are not a provider's. */
int registry_path(const struct providers *ps, const char *name, const char *file, char out[PATH_MAX],
		  struct vmc_error *err);
/* The folder of a provider that exists; VMC_ENOENT names those there are. */
int registry_find(struct providers *ps, const char *name, struct vmc_error *err);

/* The kind that its provider.conf names. VMC_ENOTSUP: one that this vmcrypt does not know. */
int registry_kind(const struct providers *ps, const char *name, const struct provider_kind **kind,
		  struct vmc_error *err);

/*
 * A new provider of these files; it is there whole, or not at all. The first
 * one becomes the default. Under ps->change. VMC_EEXIST.
 */
struct registry_file {
	const char *name;
	const void *data;
	size_t len;
};
int registry_add(struct providers *ps, const char *name, const struct registry_file *files, size_t n,
		 struct vmc_error *err);

/*
 * What a provider still lacks, in words for people, or an empty text when it
 * is complete: its own certificate, or something to trust its servers by.
 */
void registry_lacks(const struct providers *ps, const char *name, char out[256]);

/* After a crash in the middle of an exchange of key and certificate: go on to the end, or back. */
int trust_recover(const struct providers *ps, const char *name, struct vmc_error *err);

#endif
