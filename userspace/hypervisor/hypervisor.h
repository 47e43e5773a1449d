/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What moves the memory of a VM: a hypervisor, unmodified, told to send it to a
 * unix socket on one host and to take it from one on the other. Knows neither
 * keys nor hosts; whoever calls has the sockets joined, here or by channels.
 *
 * One struct hypervisor is one VM on one side of one migration. Its functions
 * block and are called from one thread at a time, in this order:
 *
 *	source:      probe, outgoing, finish
 *	destination: probe, incoming, finish
 *
 * Sockets are called HV_SOCKET_* in the folder given. On the source the caller
 * listens there before outgoing(); the hypervisor connects, to "memory" once
 * and once more for each parallel connection, to "disks" once a disk, to
 * "control" as often as it likes. On the destination the hypervisor listens
 * after incoming(), at the paths in struct hv_ready, and the caller connects
 * once for each connection of the source. Those to "memory" must be made in the
 * order of the source's: QEMU before 8.0 takes the first for the main one. When
 * a connection ends its socket is to be closed, not only shut down: QEMU does
 * not notice while something that it wrote lies there unread.
 */
#ifndef VMC_HYPERVISOR_HYPERVISOR_H
#define VMC_HYPERVISOR_HYPERVISOR_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "../lib/error.h"

#define HV_SOCKET_MEMORY	"memory.sock"
#define HV_SOCKET_DISKS		"disks.sock"
#define HV_SOCKET_CONTROL	"libvirt.sock"
#define HV_SOCKET_PATH_MAX	(sizeof(((struct sockaddr_un *)0)->sun_path))
#define HV_PARALLEL_MAX		64	/* parallel memory connections beside the main one */
#define HV_DISKS_MAX		64

enum hv_socket { HV_MEMORY, HV_DISKS, HV_CONTROL, HV_SOCKETS };

struct hv_disk {
	char name[128];		/* QEMU: the device's id, which both sides must have; libvirt: target, "vda" */
	char path[1024];	/* image or device on this host; "" unknown */
	uint64_t size;		/* bytes that the guest sees; 0 unknown */
	bool read_only;		/* never copied */
};

struct hv_info {
	char name[64];		/* the VM's own name; "" when it has none */
	char id[37];		/* UUID; "" when it has none */
	char version[32];	/* "7.2.22" */
	bool active;		/* there is a process for it */
	bool running;		/* its guest runs */
	bool waiting;		/* waits for a migration to come in */
	bool supports_parallel, supports_postcopy;
	bool parallel_postcopy;	/* both at once */
	uint64_t memory;	/* bytes; 0 unknown */
	uid_t uid;		/* who connects to sockets on the source, and makes them on the destination */
	gid_t gid;
	unsigned int n;
	struct hv_disk disks[HV_DISKS_MAX];
	/*
	 * What the other side's incoming() wants to know, as {"machine", "memory", "disks": [{"name", "size"}]};
	 * an object that only drivers understand. Owned, see hv_info_clear().
	 */
	json_t *definition;
};

struct hv_incoming {
	const char *dir;	/* absolute; where the hypervisor may make its sockets */
	unsigned int parallel;	/* 0..HV_PARALLEL_MAX; 0: one connection for all */
	bool postcopy;
	bool copy_storage;	/* take what is in the disks, too: they are overwritten */
	const json_t *definition;	/* of the source's struct hv_info; NULL: not checked */
};

struct hv_ready {
	char path[HV_SOCKETS][HV_SOCKET_PATH_MAX];	/* where to connect; "" no such connection will come */
};

struct hv_progress {
	const char *phase;	/* "disks", "memory", "postcopy", "switchover" */
	uint64_t done, total;	/* bytes; the total grows when the guest writes */
	uint64_t rate;		/* bytes a second */
	uint64_t downtime_ms;	/* expected so far; what it was in struct hv_result */
};

struct hv_result {
	uint64_t bytes;		/* sent over all connections to "memory" */
	uint64_t disk_bytes;	/* copied of disks */
	uint64_t total_ms, downtime_ms;
	/* An error came when the guest ran there already, with part of its memory still here: end it on neither side. */
	bool split;
};

struct hv_outgoing {
	const char *dir;	/* absolute; the caller listens there */
	unsigned int parallel;	/* as on the other side, as postcopy and copy_storage */
	bool postcopy;
	bool copy_storage;
	uint64_t bandwidth;	/* bytes a second at most; 0: no limit */
	uint64_t downtime_ms;	/* that may be; 0: the hypervisor's default */
	uint64_t deadline_ms;	/* from the start, for all; 0: as long as it goes on (it fails when nothing moves any more) */
	void (*report)(const struct hv_progress *p, void *data);	/* ten times a second at most; may be NULL */
	void *data;
	const atomic_bool *cancel;	/* set by anybody; may be NULL */
};

struct hypervisor;

struct hypervisor_ops {
	const char *name;	/* "qemu", "libvirt" */
	/* What there is. VMC_ENOENT: no such VM. On an error *@info is cleared. */
	int (*probe)(struct hypervisor *h, struct hv_info *info, struct vmc_error *err);
	/*
	 * Destination: be ready to take it; returns when *@ready can be connected to. VMC_ESTATE: it is not waiting for a
	 * migration. VMC_ENOTSUP: it cannot do what is wanted. VMC_EINVAL: it is not what @in->definition says.
	 */
	int (*incoming)(struct hypervisor *h, const struct hv_incoming *in, struct hv_ready *ready,
			struct vmc_error *err);
	/*
	 * Source: move it; blocks until the other side has all of it, or until it failed. On success the guest does not
	 * run here any more. On any error it runs on here as before, unless the text says otherwise (postcopy that broke:
	 * result->split, the guest is paused on both sides and can be recovered). VMC_ECANCELED: the caller wanted so.
	 */
	int (*outgoing)(struct hypervisor *h, const struct hv_outgoing *out, struct hv_result *result,
			struct vmc_error *err);
	/*
	 * The end, on either side, also when nothing began. @ok: the destination lets the guest run (if it ran on the
	 * source), the source forgets its copy. Not @ok: the destination goes away (a plain QEMU ends), the source is as
	 * before and its guest runs if it ran. On the destination @ok waits until all of it has come in, and not @ok is
	 * VMC_ESTATE for a guest that runs there already, by postcopy: it stays, for it is nowhere else.
	 */
	int (*finish)(struct hypervisor *h, bool ok, struct vmc_error *err);
	void (*close)(struct hypervisor *h);	/* without finish(): leaves all as it is */
};

struct hypervisor {
	const struct hypervisor_ops *ops;	/* the rest is the driver's */
};

/*
 * A QEMU by its QMP socket at @qmp, where nobody else may be connected. The destination's QEMU was started with
 * "-incoming defer" and, like any two that migrate, with the same machine, memory and devices as the source.
 * VMC_ENOENT: nothing listens there.
 */
int qemu_open(struct hypervisor **h, const char *qmp, struct vmc_error *err);

/*
 * The domain @domain (name or UUID) of libvirt's @uri (NULL: "qemu:///system"), by virsh(1). On the destination it need
 * not exist: libvirt brings its definition, and probe() may say VMC_ENOENT. Whoever runs QEMU for libvirt must be able
 * to use the folders given; both sides' must have the same path.
 */
int libvirt_open(struct hypervisor **h, const char *domain, const char *uri, struct vmc_error *err);

/* Whom libvirt has QEMU run as, on Debian ("libvirt-qemu") or Fedora ("qemu"); else root. */
void libvirt_user(uid_t *uid, gid_t *gid);

void hypervisor_close(struct hypervisor *h);	/* NULL is fine */

const char *hv_socket_name(enum hv_socket kind);	/* HV_SOCKET_* */
void hv_info_clear(struct hv_info *info);

#endif
