/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel module's client: generic netlink family "vmcrypt" by libnl.
 * Contract: Documentation/netlink/specs/vmcrypt.yaml. Key material enters the
 * kernel only by add_key(2) as a "logon" key in the thread keyring, whose
 * serial goes over netlink, and which is revoked right after.
 * A struct vmk may be used from several threads; calls are serialised.
 */
#ifndef VMC_KERNEL_CLIENT_H
#define VMC_KERNEL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"
#include "../lib/util.h"

#define VMK_KEK_LEN	32
#define VMK_DEK_LEN	64
#define VMK_WRAPPED_LEN	96
#define VMK_KCV_LEN	8
#define VMK_MAC_LEN	32
#define VMK_KEK_ID_MAX	255
#define VMK_VOLUME_MAX	63
#define VMK_DESC_MAX	128

struct vmk;

/* VMC_ENOMODULE with the hint "modprobe vmcrypt" when the family is not there. So does each request on a NULL @k. */
int vmk_open(struct vmk **k, struct vmc_error *err);
void vmk_close(struct vmk *k);

struct vmk_stats { uint64_t wraps, loads, rewraps, macs, auth_failures, lease_ends; };

struct vmk_info {
	char module_version[64], wrap_cipher[128];
	uint32_t protocol_version, max_keks, max_vms, max_volumes, keks, vms, deks;
	struct vmk_stats stats;
};
int vmk_info(struct vmk *k, struct vmk_info *info, struct vmc_error *err);

/* What the requests of the calling thread have taken since it started, to tell where time goes. */
struct vmk_times {
	uint64_t requests;
	uint64_t total_ns;		/* from having the messages to having the answers */
	uint64_t kernel_ns;		/* of it within send(2), which returns when the kernel has handled them */
};
void vmk_times(struct vmk_times *t);

struct vmk_kek {
	char id[VMK_KEK_ID_MAX + 1];
	uint8_t kcv[VMK_KCV_LEN];
	uint32_t users;
	bool has_lease;
	uint32_t lease_left;		/* seconds */
};
/* @kek: VMK_KEK_LEN bytes in the secure heap. @lease seconds, 0 none. @kcv may be NULL. */
int vmk_kek_new(struct vmk *k, const char *id, const uint8_t *kek, uint32_t lease,
		uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);
int vmk_kek_get(struct vmk *k, const char *id, struct vmk_kek *out, struct vmc_error *err); /* VMC_ENOKEY */
int vmk_kek_list(struct vmk *k, struct vmk_kek **out, size_t *n, struct vmc_error *err);
int vmk_kek_del(struct vmk *k, const char *id, bool force, struct vmc_error *err);

struct vmk_volume {
	char name[VMK_VOLUME_MAX + 1], kek_id[VMK_KEK_ID_MAX + 1], key_desc[VMK_DESC_MAX];
	int32_t key_serial;
};
struct vmk_vm {
	vmc_uuid id;
	int32_t keyring;
	bool locked;
	uint32_t n_volumes;
	struct vmk_volume *volumes;	/* NULL in lists */
	struct vmk_stats stats;
};
int vmk_vm_new(struct vmk *k, const vmc_uuid *vm, struct vmc_error *err);	/* there already: fine */
int vmk_vm_get(struct vmk *k, const vmc_uuid *vm, struct vmk_vm *out, struct vmc_error *err);
void vmk_vm_clear(struct vmk_vm *vm);
int vmk_vm_list(struct vmk *k, struct vmk_vm **out, size_t *n, struct vmc_error *err);
int vmk_vm_lock(struct vmk *k, const vmc_uuid *vm, struct vmc_error *err);
int vmk_vm_del(struct vmk *k, const vmc_uuid *vm, bool force, struct vmc_error *err);

/* @dek: VMK_DEK_LEN bytes in the secure heap, only while a volume is being formatted. */
int vmk_dek_wrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		 const uint8_t *dek, uint8_t wrapped[VMK_WRAPPED_LEN],
		 uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);

struct vmk_load {
	/* in */
	vmc_uuid vm;
	const char *volume, *kek_id;
	const uint8_t *wrapped;
	/* out */
	int code;			/* enum vmc_code: VMC_ENOKEY, VMC_EAUTH, VMC_EEXIST ... */
	struct vmc_error err;
	int32_t key_serial, keyring;
	char key_desc[VMK_DESC_MAX];
	uint8_t kcv[VMK_KCV_LEN];
};
/* Load many DEKs, several hundred to a send(2). Makes missing VMs. Returns 0 when each was tried; see each code. */
int vmk_dek_load_many(struct vmk *k, struct vmk_load *l, size_t n, struct vmc_error *err);
int vmk_dek_load(struct vmk *k, struct vmk_load *l, struct vmc_error *err);	/* one; VMC_EEXIST is success here */
int vmk_dek_rewrap(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const char *new_kek_id, const uint8_t wrapped[VMK_WRAPPED_LEN],
		   uint8_t out[VMK_WRAPPED_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);
int vmk_dek_mac(struct vmk *k, const vmc_uuid *vm, const char *volume, const char *kek_id,
		const uint8_t wrapped[VMK_WRAPPED_LEN], const uint8_t *digest, size_t n,
		uint8_t mac[VMK_MAC_LEN], struct vmc_error *err);
int vmk_dek_get(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmk_volume *out,
		int32_t *keyring, struct vmc_error *err);
int vmk_dek_del(struct vmk *k, const vmc_uuid *vm, const char *volume, struct vmc_error *err);

/* Notifications: a second socket; poll vmk_events_fd(), then vmk_events_read() calls @fn for each. */
enum vmk_event_type { VMK_EV_KEK_DEL, VMK_EV_DEK_DEL, VMK_EV_VM_LOCK };
struct vmk_event {
	enum vmk_event_type type;
	uint32_t reason;		/* enum vmcrypt_reason */
	char kek_id[VMK_KEK_ID_MAX + 1];
	vmc_uuid vm;
	char volume[VMK_VOLUME_MAX + 1];
};
/* vmk_events_read(): VMC_EIO when the kernel had to drop some; look at the lists anew then, and go on. One reader. */
int vmk_events_open(struct vmk *k, struct vmc_error *err);
int vmk_events_fd(struct vmk *k);
int vmk_events_read(struct vmk *k, void (*fn)(const struct vmk_event *e, void *data), void *data,
		    struct vmc_error *err);

#endif
