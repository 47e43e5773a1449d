/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a libvirt domain's XML says about encrypted volumes: pure functions of
 * its bytes. Nothing is loaded from elsewhere, and no entity is expanded.
 */
#ifndef VMC_CLI_DOMAIN_XML_H
#define VMC_CLI_DOMAIN_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/error.h"
#include "../lib/util.h"

/* <metadata><vmcrypt:vm xmlns:vmcrypt='urn:org.vmcrypt1:domain' id='UUID'/></metadata> */
#define DOMAIN_NS	"urn:org.vmcrypt1:domain"
#define DOMAIN_XML_MAX	(8u << 20)	/* bytes */
#define DOMAIN_VOLUME_MAX 64		/* a volume's name, with the closing NUL */

/* A volume that the domain names: by its mapping, or, "home", by a path below its mount point too. */
struct domain_volume {
	char vm[VMC_UUID_STR];
	char name[DOMAIN_VOLUME_MAX];
};

struct domain {
	char id[VMC_UUID_STR];
	char *name;
	char meta[VMC_UUID_STR];	/* the VM of the metadata, or "" */
	struct domain_volume *volumes;	/* each once */
	size_t n_volumes;
	char **paths;			/* every absolute path that stands alone in an attribute or element */
	size_t n_paths;
};

/*
 * Take @xml apart; free with domain_clear() either way. VMC_EINVAL: no domain,
 * a document type, or a device /dev/mapper/vmcrypt-... that names no volume.
 * What people write is not looked at: title, description, other metadata.
 */
int domain_parse(const char *xml, size_t len, struct domain *d, struct vmc_error *err);
void domain_clear(struct domain *d);

/*
 * The one VM that the domain names by volumes and metadata; "" when it names
 * none. VMC_EINVAL when these contradict each other.
 */
int domain_vm(const struct domain *d, char vm[VMC_UUID_STR], struct vmc_error *err);

#endif
