// SPDX-License-Identifier: GPL-2.0-or-later
/* org.vmcrypt1.Host: how this host keeps keys over reboots, and who it is to other hosts. */
#include "host_api.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../keys/tpm/recovery.h"
#include "../lib/events.h"
#include "../lib/i18n.h"
#include "../lib/message.h"
#include "../lib/secmem.h"
#include "attest_api.h"
#include "call.h"
#include "event_api.h"
#include "fd_read.h"
#include "peer_api.h"

#define RECOVERY_FILE_MAX	1024

static void tell(struct call *c, const char *what)
{
	json_t *d = json_pack("{s:s}", "verb", what);

	event_tell(c->api, "persistence-changed", VMC_MSG_PERSISTENCE, NULL, d, "key persistence: %s", message_say(what));
	json_decref(d);
}

static int run_status(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = persist_status(b->persist, &o, err);

	return rc ? rc : call_answer_json(c, o, err);
}

static int answer_fetched(struct call *c, int rc, json_t *o, const char *what, struct vmc_error *err)
{
	if (rc) {
		json_decref(o);
		return rc;
	}
	tell(c, what);
	return call_answer_json(c, o, err);
}

static int run_enable(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = 0;

	if (c->o.provider)
		rc = persist_set_provider(b->persist, c->o.provider, true, err);
	if (!rc)
		rc = persist_enable(b->persist, b->k, &o, err);
	return answer_fetched(c, rc, o, "enabled", err);
}

static int run_disable(struct call *c, struct backend *b, struct vmc_error *err)
{
	int rc;

	if (c->o.provider && c->o.remove_all) {
		vmc_fail(err, VMC_EINVAL, "provider and remove_all are not for one call");
		vmc_hint(err, "without remove_all the stored keys of that provider are removed, too");
		return VMC_EINVAL;
	}
	rc = c->o.provider ? persist_set_provider(b->persist, c->o.provider, false, err) :
			     persist_disable(b->persist, c->o.remove_all, err);
	if (!rc)
		tell(c, c->o.provider ? N_("a provider's keys are not kept any more") : N_("disabled"));
	return rc;
}

static int run_reseal(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	int rc = persist_reseal(b->persist, b->k, NULL, c->o.new_tpm, &o, err);

	return answer_fetched(c, rc, o, N_("sealed anew"), err);
}

static int run_recover(struct call *c, struct backend *b, struct vmc_error *err)
{
	json_t *o = NULL;
	char *text = NULL;
	size_t len = 0;
	int rc = fd_read_secret(c->fd, "the recovery key", RECOVERY_FILE_MAX, &text, &len, err);

	if (rc)
		return rc;
	rc = persist_reseal(b->persist, b->k, text, c->o.new_tpm, &o, err);
	secmem_free(text, len + 1);
	return answer_fetched(c, rc, o, N_("opened by the recovery key and sealed anew"), err);
}

static int run_suspend(struct call *c, struct backend *b, struct vmc_error *err)
{
	int rc = persist_suspend(b->persist, c->u, err);

	if (!rc)
		tell(c, "suspended");
	return rc;
}

/* Not a pipe, which could keep a worker waiting. */
static int check_out(int fd, struct vmc_error *err)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size)
		return vmc_fail(err, VMC_EINVAL, "the recovery key must go to an empty regular file");
	return 0;
}

static int run_export(struct call *c, struct backend *b, struct vmc_error *err)
{
	char *text;
	int rc = check_out(c->fd, err);

	if (rc)
		return rc;
	text = secmem_alloc(RECOVERY_TEXT);
	if (!text)
		return vmc_fail(err, VMC_ENOMEM, "the secure heap is full");
	rc = persist_export_recovery(b->persist, c->o.force, text, err);
	if (!rc && write(c->fd, text, RECOVERY_TEXT - 1) != RECOVERY_TEXT - 1) {
		rc = vmc_fail_errno(err, errno, "the recovery key cannot be handed out");
		vmc_hint(err, "vmcrypt host persistence recovery-key --force makes another one");
	}
	secmem_free(text, RECOVERY_TEXT);
	if (!rc)
		tell(c, N_("the recovery key was exported"));
	return rc;
}

/* ---- tables ----------------------------------------------------------- */

static const struct option_spec enable_options[] = { OPTION(provider, 's'), OPTIONS_END };
static const struct option_spec disable_options[] = {
	OPTION(remove_all, 'b'), OPTION(provider, 's'), OPTIONS_END
};

static const struct option_spec reseal_options[] = { OPTION(new_tpm, 'b'), OPTIONS_END };
static const struct option_spec export_options[] = { OPTION(force, 'b'), OPTIONS_END };

static const struct method host_methods[] = {
	METHOD("PersistenceStatus", "read", POOL_ACT, NULL, NULL, LOOK_NOT, run_status, 's'),
	METHOD("PersistenceEnable", "register-host", POOL_ACT, NULL, enable_options, LOOK_NOT, run_enable, 's'),
	METHOD("PersistenceDisable", "register-host", POOL_ACT, NULL, disable_options, LOOK_NOT, run_disable, 0),
	METHOD("PersistenceReseal", "register-host", POOL_ACT, NULL, reseal_options, LOOK_NOT, run_reseal, 's'),
	METHOD("PersistenceRecover", "register-host", POOL_ACT, NULL, reseal_options, LOOK_NOT, run_recover, 's'),
	METHOD("PersistenceSuspend", "register-host", POOL_ACT, NULL, NULL, LOOK_NOT, run_suspend, 0),
	METHOD("PersistenceExportRecoveryKey", "register-host", POOL_ACT, NULL, export_options, LOOK_NOT,
	       run_export, 0),
	METHOD("ExportImage", "read", POOL_ACT, NULL, NULL, LOOK_NOT, host_run_export_image, 's'),
	METHOD("IdentityShow", "read", POOL_READ, NULL, NULL, LOOK_NOT, run_identity_show, 's'),
	METHOD("IdentityRequest", "register-host", POOL_ACT, NULL, NULL, LOOK_NOT, run_identity_csr, 's'),
	METHOD("IdentityUpload", "register-host", POOL_ACT, NULL, NULL, LOOK_NOT, run_identity_upload, 0),
	{ 0 }
};

const struct interface host_interface = { "org.vmcrypt1.Host", host_methods };

#define OPEN SD_BUS_VTABLE_UNPRIVILEGED		/* auth.c decides, not a capability */
#define JSON SD_BUS_RESULT("s", json)

static const sd_bus_vtable host_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("PersistenceStatus", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceEnable", SD_BUS_ARGS("a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceDisable", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceReseal", SD_BUS_ARGS("a{sv}", options), JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceRecover", SD_BUS_ARGS("h", key, "a{sv}", options), JSON,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceSuspend", SD_BUS_ARGS("u", reboots), SD_BUS_NO_RESULT,
				call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("PersistenceExportRecoveryKey", SD_BUS_ARGS("h", key, "a{sv}", options),
				SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("ExportImage", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("IdentityShow", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("IdentityRequest", SD_BUS_NO_ARGS, JSON, call_dispatch, OPEN),
	SD_BUS_METHOD_WITH_ARGS("IdentityUpload", SD_BUS_ARGS("s", pem), SD_BUS_NO_RESULT, call_dispatch, OPEN),
	SD_BUS_VTABLE_END
};

int host_api_add(struct api *a, struct vmc_error *err)
{
	int r = sd_bus_add_object_vtable(a->bus, NULL, API_PATH, host_interface.name, host_vtable, &a->self);

	return r < 0 ? vmc_fail_errno(err, -r, "cannot add the host object") : 0;
}
