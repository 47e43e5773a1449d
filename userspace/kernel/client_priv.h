/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the client: requests, their answers, and how a refusal is worded. */
#ifndef VMC_KERNEL_CLIENT_PRIV_H
#define VMC_KERNEL_CLIENT_PRIV_H

#include <linux/vmcrypt.h>
#include <netlink/attr.h>
#include <netlink/netlink.h>
#include <pthread.h>

#include "client.h"

struct vmk {
	pthread_mutex_t lock;		/* one exchange at a time */
	struct nl_sock *sock;
	int family;
	uint32_t seq;			/* of the last request */
	struct nl_sock *events;		/* NULL until vmk_events_open() */
};

/* @h is the whole reply, @tb its attributes. */
typedef int (*vmk_reply_fn)(struct nlmsghdr *h, struct nlattr **tb, void *data,
			    struct vmc_error *err);

/* A request and what became of it. */
struct vmk_req {
	struct nl_msg *msg;
	/* Called for each reply, and each entry of a dump; returns a vmc_code, and fills @err if it fails. */
	vmk_reply_fn reply;
	void *data;
	const struct nla_policy *policy;	/* of the reply */
	int max_attr;
	/* out */
	bool done;
	unsigned int replies;
	bool interrupted;		/* a list changed under the dump: ask again */
	int errnum;			/* what the kernel said, positive, or 0 */
	char why[256];			/* its words (extack), or empty */
	int code;			/* of @reply */
	struct vmc_error err;		/* of @reply */
};

/* The family's number, or a negative vmc_code: VMC_ENOMODULE when the kernel does not know it. */
int vmk_resolve_family(struct vmc_error *err);
/* A connected generic netlink socket whose receives end after some seconds. */
int vmk_socket_new(struct nl_sock **s, struct vmc_error *err);

/* The message of request @r, with room for any of ours; 0 or VMC_ENOMEM. */
int vmk_req_new(struct vmk *k, struct vmk_req *r, uint8_t cmd, bool dump,
		struct vmc_error *err);
void vmk_req_free(struct vmk_req *r);
/* For the end of a request whose attributes did not fit: frees it, VMC_EINTERNAL. */
int vmk_req_no_room(struct vmk_req *r, struct vmc_error *err);

/*
 * Send @n requests in as few system calls as the socket takes, and wait for
 * the answer to each. Returns 0 when each was answered, whatever the answers.
 */
int vmk_exchange(struct vmk *k, struct vmk_req *r, size_t n, struct vmc_error *err);

/* What a request was about, for the words of an error. */
struct vmk_subject {
	const char *doing;		/* "put the KEK into the kernel" */
	const char *kek_id;		/* or NULL */
	const char *new_kek_id;		/* or NULL */
	const vmc_uuid *vm;		/* or NULL */
	const char *volume;		/* or NULL */
	uint32_t migration;		/* or 0 */
};

/* Which VMCRYPT_CMD a request is, while it has its message. */
uint8_t vmk_req_cmd(const struct vmk_req *r);
/* To the audit log, if @cmd does something with a key. @why, of a failure, may be NULL. */
void vmk_audit(uint8_t cmd, const struct vmk_subject *s, int code, const struct vmc_error *why);

/* Turn what the kernel answered into an error that says what to do. Returns the code. */
int vmk_refused(const struct vmk_subject *s, int errnum, const char *why,
		struct vmc_error *err);

/* One request, freed in any case. @subject as in vmk_refused(). */
int vmk_ask(struct vmk *k, struct vmk_req *r, const struct vmk_subject *subject,
	    struct vmc_error *err);

/* What a list is of. */
struct vmk_list {
	uint8_t cmd;
	size_t size;			/* of an entry */
	const struct nla_policy *policy;
	int max_attr;
	int (*parse)(struct nlattr **tb, void *entry, struct vmc_error *err);
	struct vmk_subject subject;
};

/* All entries of a dump, asked for again while the list changes under it; free *@out. */
int vmk_ask_list(struct vmk *k, const struct vmk_list *list, void **out, size_t *n, struct vmc_error *err);

/* A request about a volume, with the KEK if there is one; arguments are checked. */
int vmk_req_dek_new(struct vmk *k, struct vmk_req *r, uint8_t cmd, const vmc_uuid *vm,
		    const char *volume, const char *kek_id, struct vmc_error *err);
/* A request for vmk_exchange() that makes a VM. */
int vmk_req_vm_new(struct vmk *k, struct vmk_req *r, const vmc_uuid *vm,
		   struct vmc_error *err);

/*
 * Key material on its way into the kernel: a "logon" key in the keyring of the
 * calling thread, so that no other thread finds it. The serial is only good in
 * a request that the same thread sends.
 */
int vmk_material_add(const uint8_t *bytes, size_t n, int32_t *serial,
		     struct vmc_error *err);
void vmk_material_drop(int32_t serial);

/* Arguments that the kernel would refuse, refused here with the name of the argument. */
int vmk_check_kek_id(const char *id, struct vmc_error *err);
int vmk_check_volume(const char *volume, struct vmc_error *err);

/* Replies to structures; used by notifications too. */
extern const struct nla_policy vmk_kek_policy[VMCRYPT_A_KEK_MAX + 1];
extern const struct nla_policy vmk_vm_policy[VMCRYPT_A_VM_MAX + 1];
extern const struct nla_policy vmk_dek_policy[VMCRYPT_A_DEK_MAX + 1];
extern const struct nla_policy vmk_info_policy[VMCRYPT_A_INFO_MAX + 1];
extern const struct nla_policy vmk_migration_policy[VMCRYPT_A_MIGRATION_MAX + 1];
extern const struct nla_policy vmk_channel_policy[VMCRYPT_A_CHANNEL_MAX + 1];
int vmk_parse_info(struct nlattr **tb, struct vmk_info *info, struct vmc_error *err);
int vmk_parse_kek(struct nlattr **tb, struct vmk_kek *kek, struct vmc_error *err);
int vmk_parse_vm(struct nlattr **tb, struct vmk_vm *vm, struct vmc_error *err);
int vmk_parse_migration(struct nlattr **tb, struct vmk_migration *m, struct vmc_error *err);
int vmk_parse_channel(struct nlattr **tb, struct vmk_channel *c, struct vmc_error *err);
/* The volumes too, which vmk_parse_vm() leaves out; vmk_vm_clear() frees them. */
int vmk_parse_volumes(struct nlmsghdr *h, struct vmk_vm *vm, struct vmc_error *err);
int vmk_parse_stats(struct nlattr *nest, struct vmk_stats *stats);
/* 0, or VMC_EPROTO when the attribute is missing or has no room. */
int vmk_take_string(const struct nlattr *a, char *out, size_t n, const char *what,
		    struct vmc_error *err);
int vmk_take_bytes(const struct nlattr *a, void *out, size_t n, const char *what,
		   struct vmc_error *err);
/* VMC_ENOENT for a notification that this program does not know. */
int vmk_parse_event(struct nlmsghdr *h, struct vmk_event *e, struct vmc_error *err);

#endif
