/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * provider.conf of a trusted provider, and the services-info file of a Trust
 * Authority that it is made from: where its services are, and their
 * certificates, by which alone they are known.
 */
#ifndef VMC_TRUSTED_CONF_H
#define VMC_TRUSTED_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "../cert.h"
#include "../provider.h"

#define TRUSTED_AUTHORITIES_MAX	16
#define TRUSTED_NAME_MAX	63
#define TRUSTED_HOST_MAX	127
#define TRUSTED_INFO_MAX	(1u << 20)	/* bytes of a services-info file */
#define TRUSTED_AUDIENCE	"vmcrypt-kmxd:"	/* and the name of the authority's cluster */
#define TRUSTED_ATTEST_PORT	5700
#define TRUSTED_KMX_PORT	5701

struct trusted_server {
	char host[TRUSTED_HOST_MAX + 1];
	uint16_t port;
	char sha256[CERT_FINGERPRINT];	/* of its certificate, in hex */
	char also[CERT_FINGERPRINT];	/* of one that it may show instead; "": none */
};

struct trusted_authority {
	char name[TRUSTED_NAME_MAX + 1];
	struct trusted_server attest, kmx;
};

struct trusted_conf {
	char cluster[TRUSTED_NAME_MAX + 1];	/* of the authority */
	char key_provider[TRUSTED_NAME_MAX + 1];	/* which of its key providers the keys are of */
	long long serial;			/* of the services-info file */
	unsigned int n;
	struct trusted_authority a[TRUSTED_AUTHORITIES_MAX];
};

int trusted_conf_load(struct trusted_conf *c, const char *path, struct vmc_error *err);
char *trusted_conf_text(const struct trusted_conf *c);	/* free() it; NULL without memory */

/*
 * From the bytes of a services-info file, refused whole when anything is wrong. The authority's key provider called
 * @name is taken, else its default one, else its only one.
 */
int trusted_conf_from_info(struct trusted_conf *c, const char *name, const void *info, size_t len,
			   struct vmc_error *err);

/* "host:port", "[v6]:port" or "host" with @port. */
int trusted_server_parse(const char *s, uint16_t port, struct trusted_server *out, struct vmc_error *err);
void trusted_server_text(const struct trusted_server *s, char out[TRUSTED_HOST_MAX + 16]);

#endif
