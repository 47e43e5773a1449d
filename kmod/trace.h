/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of every key event: names and numbers, never material. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vmcrypt

#if !defined(_VMCRYPT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VMCRYPT_TRACE_H

#include <linux/tracepoint.h>
#include <uapi/linux/vmcrypt.h>

#include "compat.h"

TRACE_DEFINE_ENUM(VMCRYPT_REASON_REMOVED);
TRACE_DEFINE_ENUM(VMCRYPT_REASON_FORCED);
TRACE_DEFINE_ENUM(VMCRYPT_REASON_LEASE);
TRACE_DEFINE_ENUM(VMCRYPT_REASON_LOCKED);

#define vmcrypt_show_reason(reason)					\
	__print_symbolic(reason,					\
			 { VMCRYPT_REASON_REMOVED, "removed" },		\
			 { VMCRYPT_REASON_FORCED, "forced" },		\
			 { VMCRYPT_REASON_LEASE, "lease" },		\
			 { VMCRYPT_REASON_LOCKED, "locked" })

TRACE_EVENT(vmcrypt_kek_add,
	    TP_PROTO(const char *id, u32 users, bool again),
	    TP_ARGS(id, users, again),
	    TP_STRUCT__entry(__string(id, id)
			     __field(u32, users)
			     __field(bool, again)),
	    TP_fast_assign(vmcrypt_assign_str(id, id);
			   __entry->users = users;
			   __entry->again = again;),
	    TP_printk("kek=%s users=%u again=%d", __get_str(id),
		      __entry->users, __entry->again)
);

TRACE_EVENT(vmcrypt_kek_del,
	    TP_PROTO(const char *id, u32 users, u32 reason),
	    TP_ARGS(id, users, reason),
	    TP_STRUCT__entry(__string(id, id)
			     __field(u32, users)
			     __field(u32, reason)),
	    TP_fast_assign(vmcrypt_assign_str(id, id);
			   __entry->users = users;
			   __entry->reason = reason;),
	    TP_printk("kek=%s users=%u reason=%s", __get_str(id),
		      __entry->users, vmcrypt_show_reason(__entry->reason))
);

DECLARE_EVENT_CLASS(vmcrypt_vm,
		    TP_PROTO(const u8 *id, u32 deks),
		    TP_ARGS(id, deks),
		    TP_STRUCT__entry(__array(u8, id, VMCRYPT_VM_ID_LEN)
				     __field(u32, deks)),
		    TP_fast_assign(memcpy(__entry->id, id,
					  VMCRYPT_VM_ID_LEN);
				   __entry->deks = deks;),
		    TP_printk("vm=%pUb deks=%u", __entry->id, __entry->deks)
);

DEFINE_EVENT(vmcrypt_vm, vmcrypt_vm_add,
	     TP_PROTO(const u8 *id, u32 deks), TP_ARGS(id, deks));
DEFINE_EVENT(vmcrypt_vm, vmcrypt_vm_lock,
	     TP_PROTO(const u8 *id, u32 deks), TP_ARGS(id, deks));
DEFINE_EVENT(vmcrypt_vm, vmcrypt_vm_del,
	     TP_PROTO(const u8 *id, u32 deks), TP_ARGS(id, deks));

DECLARE_EVENT_CLASS(vmcrypt_dek,
		    TP_PROTO(const u8 *vm, const char *volume,
			     const char *kek),
		    TP_ARGS(vm, volume, kek),
		    TP_STRUCT__entry(__array(u8, vm, VMCRYPT_VM_ID_LEN)
				     __string(volume, volume)
				     __string(kek, kek)),
		    TP_fast_assign(memcpy(__entry->vm, vm,
					  VMCRYPT_VM_ID_LEN);
				   vmcrypt_assign_str(volume, volume);
				   vmcrypt_assign_str(kek, kek);),
		    TP_printk("vm=%pUb volume=%s kek=%s", __entry->vm,
			      __get_str(volume), __get_str(kek))
);

#define VMCRYPT_DEK_EVENT(name)						\
	DEFINE_EVENT(vmcrypt_dek, name,					\
		     TP_PROTO(const u8 *vm, const char *volume,		\
			      const char *kek),				\
		     TP_ARGS(vm, volume, kek))

VMCRYPT_DEK_EVENT(vmcrypt_dek_wrap);
VMCRYPT_DEK_EVENT(vmcrypt_dek_load);
VMCRYPT_DEK_EVENT(vmcrypt_dek_rewrap);
VMCRYPT_DEK_EVENT(vmcrypt_dek_mac);
VMCRYPT_DEK_EVENT(vmcrypt_dek_export);
VMCRYPT_DEK_EVENT(vmcrypt_dek_import);
VMCRYPT_DEK_EVENT(vmcrypt_dek_refused);

TRACE_EVENT(vmcrypt_dek_del,
	    TP_PROTO(const u8 *vm, const char *volume, const char *kek,
		     u32 reason),
	    TP_ARGS(vm, volume, kek, reason),
	    TP_STRUCT__entry(__array(u8, vm, VMCRYPT_VM_ID_LEN)
			     __string(volume, volume)
			     __string(kek, kek)
			     __field(u32, reason)),
	    TP_fast_assign(memcpy(__entry->vm, vm, VMCRYPT_VM_ID_LEN);
			   vmcrypt_assign_str(volume, volume);
			   vmcrypt_assign_str(kek, kek);
			   __entry->reason = reason;),
	    TP_printk("vm=%pUb volume=%s kek=%s reason=%s", __entry->vm,
		      __get_str(volume), __get_str(kek),
		      vmcrypt_show_reason(__entry->reason))
);

TRACE_DEFINE_ENUM(VMCRYPT_ROLE_SOURCE);
TRACE_DEFINE_ENUM(VMCRYPT_ROLE_DESTINATION);
TRACE_DEFINE_ENUM(VMCRYPT_END_REMOVED);
TRACE_DEFINE_ENUM(VMCRYPT_END_OWNER_DIED);
TRACE_DEFINE_ENUM(VMCRYPT_END_COMPLETED);
TRACE_DEFINE_ENUM(VMCRYPT_END_PEER_CLOSED);
TRACE_DEFINE_ENUM(VMCRYPT_END_PLAIN_CLOSED);
TRACE_DEFINE_ENUM(VMCRYPT_END_TRUNCATED);
TRACE_DEFINE_ENUM(VMCRYPT_END_AUTH_FAILED);
TRACE_DEFINE_ENUM(VMCRYPT_END_MALFORMED);
TRACE_DEFINE_ENUM(VMCRYPT_END_POLICY);
TRACE_DEFINE_ENUM(VMCRYPT_END_FREEZE);
TRACE_DEFINE_ENUM(VMCRYPT_END_ERROR);

#define vmcrypt_show_role(role)						\
	__print_symbolic(role,						\
			 { VMCRYPT_ROLE_SOURCE, "source" },		\
			 { VMCRYPT_ROLE_DESTINATION, "destination" })

#define vmcrypt_show_end(end)						\
	__print_symbolic(end,						\
			 { VMCRYPT_END_REMOVED, "removed" },		\
			 { VMCRYPT_END_OWNER_DIED, "owner-died" },	\
			 { VMCRYPT_END_COMPLETED, "completed" },	\
			 { VMCRYPT_END_PEER_CLOSED, "peer-closed" },	\
			 { VMCRYPT_END_PLAIN_CLOSED, "plain-closed" },	\
			 { VMCRYPT_END_TRUNCATED, "truncated" },	\
			 { VMCRYPT_END_AUTH_FAILED, "auth-failed" },	\
			 { VMCRYPT_END_MALFORMED, "malformed" },	\
			 { VMCRYPT_END_POLICY, "policy" },		\
			 { VMCRYPT_END_FREEZE, "freeze" },		\
			 { VMCRYPT_END_ERROR, "error" })

DECLARE_EVENT_CLASS(vmcrypt_migration,
		    TP_PROTO(u32 id, const u8 *vm, u32 role),
		    TP_ARGS(id, vm, role),
		    TP_STRUCT__entry(__field(u32, id)
				     __array(u8, vm, VMCRYPT_VM_ID_LEN)
				     __field(u32, role)),
		    TP_fast_assign(__entry->id = id;
				   memcpy(__entry->vm, vm, VMCRYPT_VM_ID_LEN);
				   __entry->role = role;),
		    TP_printk("migration=%u vm=%pUb role=%s", __entry->id,
			      __entry->vm, vmcrypt_show_role(__entry->role))
);

DEFINE_EVENT(vmcrypt_migration, vmcrypt_migration_new,
	     TP_PROTO(u32 id, const u8 *vm, u32 role), TP_ARGS(id, vm, role));
DEFINE_EVENT(vmcrypt_migration, vmcrypt_migration_agree,
	     TP_PROTO(u32 id, const u8 *vm, u32 role), TP_ARGS(id, vm, role));

TRACE_EVENT(vmcrypt_migration_end,
	    TP_PROTO(u32 id, const u8 *vm, u32 reason),
	    TP_ARGS(id, vm, reason),
	    TP_STRUCT__entry(__field(u32, id)
			     __array(u8, vm, VMCRYPT_VM_ID_LEN)
			     __field(u32, reason)),
	    TP_fast_assign(__entry->id = id;
			   memcpy(__entry->vm, vm, VMCRYPT_VM_ID_LEN);
			   __entry->reason = reason;),
	    TP_printk("migration=%u vm=%pUb reason=%s", __entry->id,
		      __entry->vm, vmcrypt_show_end(__entry->reason))
);

TRACE_EVENT(vmcrypt_channel_new,
	    TP_PROTO(u32 migration, u32 number, bool direct),
	    TP_ARGS(migration, number, direct),
	    TP_STRUCT__entry(__field(u32, migration)
			     __field(u32, number)
			     __field(bool, direct)),
	    TP_fast_assign(__entry->migration = migration;
			   __entry->number = number;
			   __entry->direct = direct;),
	    TP_printk("migration=%u channel=%u direct=%d",
		      __entry->migration, __entry->number, __entry->direct)
);

TRACE_EVENT(vmcrypt_channel_close,
	    TP_PROTO(u32 migration, u32 number, u32 reason, int error),
	    TP_ARGS(migration, number, reason, error),
	    TP_STRUCT__entry(__field(u32, migration)
			     __field(u32, number)
			     __field(u32, reason)
			     __field(int, error)),
	    TP_fast_assign(__entry->migration = migration;
			   __entry->number = number;
			   __entry->reason = reason;
			   __entry->error = error;),
	    TP_printk("migration=%u channel=%u reason=%s error=%d",
		      __entry->migration, __entry->number,
		      vmcrypt_show_end(__entry->reason), __entry->error)
);

#endif /* _VMCRYPT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
