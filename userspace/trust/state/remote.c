// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking another authority. See remote.h. */
#include "remote.h"

#include <limits.h>
#include <stdio.h>

#include "../../lib/util.h"
#include "../http/client.h"
#include "admin_priv.h"

int remote_https(void *data, const char *where, const char *cert, const char *path, const json_t *body,
		 json_t **answer, struct vmc_error *err)
{
	const struct http_target target = { .name = where, .where = where, .port = TRUST_ATTEST_PORT, .cert_pem = cert };
	struct http_identity id = { 0 };
	struct refusal r = { .err = VMC_ERROR_INIT };
	struct http_client *c = NULL;
	char dir[PATH_MAX];
	int rc;

	snprintf(dir, sizeof(dir), "%s/" ATTESTD_DIR, (const char *)data);
	rc = http_identity_open(dir, "vmcrypt-attestd", &id, err);
	if (rc)
		return rc;
	rc = http_client_new(&target, &id, &c, err);
	if (!rc) {
		rc = http_client_call(c, path, body, NULL, NULL, vmc_now_ms() + TRUST_REMOTE_MS, answer, &r);
		if (rc && err)
			*err = r.err;
	}
	refusal_clear(&r);
	http_client_free(c);
	http_identity_close(&id);
	return rc;
}
