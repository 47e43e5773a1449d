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
#define VMK_PUBLIC_LEN	64
#define VMK_SEALED_LEN	128
#define VMK_BINDING_MIN	32
#define VMK_BINDING_MAX	1024
#define VMK_CHANNEL_MAX	1023	/* greatest number of a channel */

struct vmk;

/* VMC_ENOMODULE with the hint "modprobe vmcrypt" when the family is not there. So does each request on a NULL @k. */
int vmk_open(struct vmk **k, struct vmc_error *err);
void vmk_close(struct vmk *k);

struct vmk_stats { uint64_t wraps, loads, rewraps, macs, auth_failures, lease_ends, exports, imports; };

struct vmk_info {
	char module_version[64], wrap_cipher[128];
	uint32_t protocol_version, max_keks, max_vms, max_volumes, keks, vms, deks;
	uint32_t max_migrations, migrations, max_channels, channels;
	uint32_t record_max;		/* bytes; 0: a module that knows no channels */
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

/* ---- migrations: client_migration.c, client_channel.c ---- */

enum vmk_role { VMK_SOURCE, VMK_DESTINATION };
enum vmk_policy { VMK_MIGRATION_DISABLED, VMK_MIGRATION_OPPORTUNISTIC, VMK_MIGRATION_REQUIRED };

struct vmk_migration {
	uint32_t id;			/* of this host; never used twice */
	vmc_uuid vm;
	enum vmk_role role;
	enum vmk_policy policy;
	bool agreed;
	uint32_t channels;		/* that are open */
};

/*
 * A key pair for one migration, made in the kernel. Until it is agreed it goes away with @k. VMC_EPERM for a VM with
 * keys loaded, unless @policy is "required"; VMC_EINVAL for "disabled".
 */
int vmk_migration_new(struct vmk *k, const vmc_uuid *vm, enum vmk_role role, enum vmk_policy policy, uint32_t *id,
		      uint8_t public_key[VMK_PUBLIC_LEN], struct vmc_error *err);
/* With the other kernel's public key, and VMK_BINDING_MIN to _MAX bytes that are the same at both ends. On the same @k. */
int vmk_migration_agree(struct vmk *k, uint32_t id, const uint8_t peer_public_key[VMK_PUBLIC_LEN],
			const uint8_t *binding, size_t n, struct vmc_error *err);
int vmk_migration_get(struct vmk *k, uint32_t id, struct vmk_migration *out, struct vmc_error *err); /* VMC_ENOENT */
int vmk_migration_list(struct vmk *k, struct vmk_migration **out, size_t *n, struct vmc_error *err);
/* VMC_EBUSY while it has open channels, unless @force. */
int vmk_migration_del(struct vmk *k, uint32_t id, bool force, struct vmc_error *err);

enum vmk_carrier { VMK_PUMP, VMK_DIRECT };

struct vmk_channel {
	uint32_t migration, number;
	enum vmk_carrier carrier;
	uint64_t sent, received;		/* bytes of the plain side */
	uint64_t sent_records, received_records;
	uint32_t sent_epoch, received_epoch;
};

/*
 * Encrypt what goes over the connection @wire. The kernel keeps the sockets; the caller closes its own descriptors, on
 * failure too. @plain: a connected stream socket; -1: the kernel makes a stream, whose descriptor goes to @stream.
 * @stream may be NULL with a @plain.
 */
int vmk_channel_new(struct vmk *k, uint32_t migration, uint32_t number, int wire, int plain, int *stream,
		    struct vmc_error *err);
int vmk_channel_get(struct vmk *k, uint32_t migration, uint32_t number, struct vmk_channel *out,
		    struct vmc_error *err);
int vmk_channel_list(struct vmk *k, struct vmk_channel **out, size_t *n, struct vmc_error *err);
/* The other end is told; VMK_EV_CHANNEL_CLOSE comes when all is wiped. */
int vmk_channel_del(struct vmk *k, uint32_t migration, uint32_t number, struct vmc_error *err);

/* Why a migration or a channel ended (enum vmcrypt_end): for programs "auth-failed", for persons, for message_say(). */
const char *vmk_end_name(uint32_t reason);
const char *vmk_end_text(uint32_t reason);
bool vmk_end_good(uint32_t reason);		/* all was passed on, and both sides said so */

/*
 * A loaded DEK, sealed for the kernel at the other end: at the source of an agreed migration of @vm whose policy is
 * "required". @kek_id: of the KEK that it is wrapped by.
 */
int vmk_dek_export(struct vmk *k, uint32_t migration, const vmc_uuid *vm, const char *volume,
		   char kek_id[VMK_KEK_ID_MAX + 1], uint8_t sealed[VMK_SEALED_LEN], struct vmc_error *err);
/* Into the keyring of @vm at the destination, which is made if need be. VMC_EAUTH: not sealed for this migration, KEK, VM and volume. VMC_EEXIST: loaded already. */
int vmk_dek_import(struct vmk *k, uint32_t migration, const vmc_uuid *vm, const char *volume, const char *kek_id,
		   const uint8_t sealed[VMK_SEALED_LEN], uint8_t kcv[VMK_KCV_LEN], struct vmc_error *err);

/* Notifications: a second socket; poll vmk_events_fd(), then vmk_events_read() calls @fn for each. */
enum vmk_event_type { VMK_EV_KEK_DEL, VMK_EV_DEK_DEL, VMK_EV_VM_LOCK, VMK_EV_MIGRATION_END, VMK_EV_CHANNEL_CLOSE };
struct vmk_event {
	enum vmk_event_type type;
	uint32_t reason;		/* enum vmcrypt_reason; of migrations and channels enum vmcrypt_end */
	uint32_t migration;		/* of migrations and channels */
	int error;			/* of a channel: the errno that belongs to the reason, or 0 */
	struct vmk_channel channel;	/* of a channel: what it did */
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
