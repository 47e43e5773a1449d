// SPDX-License-Identifier: GPL-2.0-or-later
/* What ties the keys of two kernels to the link over which they were agreed, and to what was agreed. */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "migrate_priv.h"

int binding_make(struct peer_link *link, const struct binding *b, uint8_t out[PEER_EXPORT_LEN], struct vmc_error *err)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s, s], s:i}", "source", b->source, "destination", b->destination,
			      "id", b->id, "vm", b->vm, "policy", b->policy, "versions", b->versions[0], b->versions[1],
			      "protocol", MIGRATION_PROTOCOL);
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;

	json_decref(o);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a migration");
	SHA256((const uint8_t *)text, strlen(text), digest);
	free(text);
	return peer_exporter(link, MIGRATE_EXPORTER, digest, sizeof(digest), out, err);
}
