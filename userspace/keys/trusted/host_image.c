// SPDX-License-Identifier: GPL-2.0-or-later
/* The base image of this host. See host_image.h. */
#include "host_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../../lib/fs.h"
#include "../../lib/util.h"
#include "../../trust/evidence/image.h"
#include "../tpm/bootfacts.h"

#define OS_RELEASE_MAX	(16u << 10)

/* PRETTY_NAME of os-release(5), without its quotes; "" when there is none. */
static void os_name(char *out, size_t n)
{
	char *text, *at;
	size_t len;

	out[0] = '\0';
	if (fs_read("/etc/os-release", OS_RELEASE_MAX, &text, &len, NULL))
		return;
	at = strstr(text, "PRETTY_NAME=");
	if (at && (at == text || at[-1] == '\n')) {
		at += strlen("PRETTY_NAME=");
		at += *at == '"';
		at[strcspn(at, "\"\n")] = '\0';
		snprintf(out, n, "%s", at);
	}
	free(text);
}

static int quick_boot(const struct vmc_config *cfg, bool *quick, struct vmc_error *err)
{
	struct tpm_clock clock;
	struct bootfacts f;
	struct tpm t;
	int rc;

	rc = tpm_open(&t, cfg, err);
	if (!rc)
		rc = tpm_clock(&t, &clock, err);
	tpm_close(&t);
	if (!rc)
		rc = bootfacts_read(cfg, &clock, &f, err);
	if (!rc)
		*quick = f.quick_boot;
	return rc;
}

int host_image(const struct vmc_config *cfg, const char *module, json_t **image, struct vmc_error *err)
{
	char os[IMAGE_WORDS_MAX];
	struct image_meta meta = { .os = os, .module = module, .exported = vmc_time() };
	struct eventlog *log = NULL;
	uint8_t *bytes = NULL;
	struct utsname u;
	size_t n;
	int rc;

	*image = NULL;
	os_name(os, sizeof(os));
	if (!uname(&u)) {
		meta.kernel = u.release;
		meta.host = u.nodename;
	}
	rc = quick_boot(cfg, &meta.quick_boot, err);
	if (!rc)
		rc = bootfacts_event_log(&bytes, &n, err);
	if (!rc)
		rc = eventlog_parse(bytes, n, &log, err);
	if (!rc)
		rc = image_from_eventlog(log, TPM2_ALG_SHA256, &meta, image, err);
	eventlog_free(log);
	free(bytes);
	return rc;
}
