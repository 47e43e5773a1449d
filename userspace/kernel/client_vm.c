// SPDX-License-Identifier: GPL-2.0-or-later
/* VMs in the module: keyrings of loaded DEKs. */
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "client_priv.h"

_Static_assert(sizeof(vmc_uuid) == VMCRYPT_VM_ID_LEN, "util.h and the uapi header differ");

static int new_request(struct vmk *k, struct vmk_req *r, uint8_t cmd, const vmc_uuid *vm,
		       struct vmc_error *err)
{
	int rc = vmk_req_new(k, r, cmd, false, err);

	if (rc)
		return rc;
	r->policy = vmk_vm_policy;
	r->max_attr = VMCRYPT_A_VM_MAX;
	NLA_PUT(r->msg, VMCRYPT_A_VM_ID, sizeof(vm->b), vm->b);
	return 0;

nla_put_failure:
	return vmk_req_no_room(r, err);
}

int vmk_req_vm_new(struct vmk *k, struct vmk_req *r, const vmc_uuid *vm,
		   struct vmc_error *err)
{
	return new_request(k, r, VMCRYPT_CMD_VM_NEW, vm, err);
}

int vmk_vm_new(struct vmk *k, const vmc_uuid *vm, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = "make a keyring", .vm = vm };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_VM_NEW, vm, err);

	if (rc)
		return rc;
	rc = vmk_ask(k, &r, &subject, err);
	return rc == VMC_EEXIST ? 0 : rc;
}

static int on_vm(struct nlmsghdr *h, struct nlattr **tb, void *data,
		 struct vmc_error *err)
{
	struct vmk_vm *vm = data;
	int rc;

	vmk_vm_clear(vm);
	rc = vmk_parse_vm(tb, vm, err);
	return rc ? rc : vmk_parse_volumes(h, vm, err);
}

int vmk_vm_get(struct vmk *k, const vmc_uuid *vm, struct vmk_vm *out, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("find in the kernel the keyring"), .vm = vm };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_VM_GET, vm, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	r.reply = on_vm;
	r.data = out;
	rc = vmk_ask(k, &r, &subject, err);
	if (rc)
		vmk_vm_clear(out);
	return rc;
}

void vmk_vm_clear(struct vmk_vm *vm)
{
	free(vm->volumes);
	memset(vm, 0, sizeof(*vm));
}

/* ---- all of them ---- */

static int parse(struct nlattr **tb, void *entry, struct vmc_error *err)
{
	return vmk_parse_vm(tb, entry, err);
}

int vmk_vm_list(struct vmk *k, struct vmk_vm **out, size_t *n, struct vmc_error *err)
{
	static const struct vmk_list list = {
		.cmd = VMCRYPT_CMD_VM_GET, .size = sizeof(**out), .parse = parse,
		.policy = vmk_vm_policy, .max_attr = VMCRYPT_A_VM_MAX,
		.subject = { .doing = N_("list the VMs in the kernel") },
	};
	void *items = NULL;
	int rc = vmk_ask_list(k, &list, &items, n, err);

	if (!rc)
		*out = items;
	return rc;
}

int vmk_vm_lock(struct vmk *k, const vmc_uuid *vm, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("revoke the keys"), .vm = vm };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_VM_LOCK, vm, err);

	return rc ? rc : vmk_ask(k, &r, &subject, err);
}

int vmk_vm_del(struct vmk *k, const vmc_uuid *vm, bool force, struct vmc_error *err)
{
	const struct vmk_subject subject = { .doing = N_("remove the keyring"), .vm = vm };
	struct vmk_req r;
	int rc = new_request(k, &r, VMCRYPT_CMD_VM_DEL, vm, err);

	if (rc)
		return rc;
	if (force)
		NLA_PUT_FLAG(r.msg, VMCRYPT_A_VM_FORCE);
	return vmk_ask(k, &r, &subject, err);

nla_put_failure:
	return vmk_req_no_room(&r, err);
}
