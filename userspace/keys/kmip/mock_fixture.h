/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A provider and its mock servers, ready to be used by a test. */
#ifndef VMC_KMIP_MOCK_FIXTURE_H
#define VMC_KMIP_MOCK_FIXTURE_H

#include "../provider.h"
#include "mock_kmip.h"

#define FIXTURE_SERVERS 3

struct fixture {
	char *pki, *dir;		/* folders: certificates, CONFIG_DIR */
	struct vmc_config cfg;
	struct providers *ps;
	struct mock_store *store;
	struct mock_kmip *m[FIXTURE_SERVERS];
	uint16_t port[FIXTURE_SERVERS];
};

/* @n servers with one store, and the registry, still empty. Aborts when that cannot be made. */
void fixture_start(struct fixture *f, unsigned int n);
void fixture_stop(struct fixture *f);
/* Another certificate for server @i, and kinds of TLS; the port stays the same. */
void fixture_restart(struct fixture *f, unsigned int i, const struct mock_config *c);
void fixture_kill(struct fixture *f, unsigned int i);

/* The provider "kms" of all servers, with certificates. @options: more members of the options, or NULL. */
void fixture_provider(struct fixture *f, const char *options);
/* Replace a file of provider "kms" by one of the certificates. */
void fixture_file(struct fixture *f, const char *file, const char *from);
struct provider *fixture_get(struct fixture *f);	/* put it back */
const char *fixture_path(const char *dir, const char *name);	/* DIR/NAME, as test_path() */

#endif
