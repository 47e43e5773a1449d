/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests: two hosts in one process. Kernel, manager and hypervisor of both are played here; links and data go over
 * loopback for real. What goes wrong here fails the test.
 */
#ifndef VMC_MIGRATE_MOCK_TWO_H
#define VMC_MIGRATE_MOCK_TWO_H

#include "../peer/peer.h"
#include "migrate.h"

enum { HERE, THERE };

struct vmk {
	int host;
	uint32_t last;			/* number of a migration */
	uint32_t gone;			/* the last that was removed */
	unsigned int migrations;	/* that are there */
	uint8_t public_key[VMK_PUBLIC_LEN], peer_key[VMK_PUBLIC_LEN];
	uint8_t binding[PEER_EXPORT_LEN];
	bool agreed;
	unsigned int channels;
};

struct vmm {
	int host;
	char events[1024], texts[4096];	/* types and texts, one after another */
};

/* What the manager of a host was told, and what it is to do. */
struct manager {
	bool has_vm;			/* an encrypted VM */
	const char *key_from;		/* of its disk: "provider", "sealed" */
	int check_fails;		/* code of vmm_come_check() */
	bool leaving, left, kept;	/* vmm_leave_begin(), vmm_leave_end(true), (false) */
	bool coming, running, home, away, came_not;
	unsigned int sealed;		/* keys that came sealed */
};

/* What the hypervisors are to do, and did. */
struct machines {
	bool there;			/* the destination's is */
	int fail_out, fail_in, fail_finish;	/* codes of outgoing(), incoming(), and of finish(true) there */
	unsigned int cut_after;		/* connections: the next is not made, and outgoing() waits to be canceled */
	bool here_runs, there_runs;
	uint64_t sent, received;
	bool link_dies;			/* in finish() there */
	bool not_waiting;		/* the destination's: it is another VM's that runs */
	unsigned int ended_there;	/* finish(false) */
	bool splits;			/* postcopy breaks: it is on both */
};

struct two {
	char *dir[2];
	struct vmc_config cfg[2];
	struct vmc_error no_module;
	struct peers *peers[2];
	struct vmk k[2];
	struct vmm m[2];
	struct migrations *migrations[2];
	struct manager manager[2];
	struct machines machines;
	enum migration_encryption policy;	/* of the VM, when it is not encrypted */
	bool has_module[2];
	unsigned int ended;
};
extern struct two *two;

int two_setup(void **state);
int two_teardown(void **state);
/* With what has_module says now. */
void two_open(void);
void two_close(void);
/* A channel of host @host breaks, for @reason. */
void two_break(int host, uint32_t reason);

#define VM_NAME	"web1"
#define VM_ID	"11111111-1111-4111-8111-111111111111"

#endif
