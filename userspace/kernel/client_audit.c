// SPDX-License-Identifier: GPL-2.0-or-later
/* What the module was asked to do with keys goes to the audit log; what only looks does not. */
#include <netlink/genl/genl.h>

#include "../audit/audit.h"
#include "client_priv.h"

static const char *const actions[] = {
	[VMCRYPT_CMD_KEK_NEW] = "kek-cache",
	[VMCRYPT_CMD_KEK_DEL] = "kek-uncache",
	[VMCRYPT_CMD_VM_LOCK] = "vm-keys-revoke",
	[VMCRYPT_CMD_VM_DEL] = "vm-keys-drop",
	[VMCRYPT_CMD_DEK_WRAP] = "dek-wrap",
	[VMCRYPT_CMD_DEK_LOAD] = "dek-load",
	[VMCRYPT_CMD_DEK_REWRAP] = "dek-rewrap",
	[VMCRYPT_CMD_DEK_DEL] = "dek-revoke",
	[VMCRYPT_CMD_DEK_EXPORT] = "dek-export",
	[VMCRYPT_CMD_DEK_IMPORT] = "dek-import",
	[VMCRYPT_CMD_MIGRATION_AGREE] = "migration-agree",
};

uint8_t vmk_req_cmd(const struct vmk_req *r)
{
	const struct genlmsghdr *g = nlmsg_data(nlmsg_hdr(r->msg));

	return g->cmd;
}

void vmk_audit(uint8_t cmd, const struct vmk_subject *s, int code, const struct vmc_error *why)
{
	char vm[VMC_UUID_STR] = "";
	struct audit_entry e = {
		.vm = vm, .volume = s->volume, .key = s->kek_id, .code = code, .text = code && why ? why->text : NULL,
	};

	if (cmd >= ARRAY_SIZE(actions) || !actions[cmd])
		return;
	/* not there is as good as gone */
	if (code == VMC_ENOENT && (cmd == VMCRYPT_CMD_VM_DEL || cmd == VMCRYPT_CMD_DEK_DEL))
		return;
	e.action = actions[cmd];
	if (s->vm)
		vmc_uuid_format(s->vm, vm);
	if (s->new_kek_id)
		e.object = s->new_kek_id;
	audit_record(&e);
}
