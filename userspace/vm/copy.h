/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copy an image onto a device, in order, with checkpoints; then read it back and compare. */
#ifndef VMC_VM_COPY_H
#define VMC_VM_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/progress.h"
#include "source.h"

#define COPY_CHECKPOINT_BYTES	(64ull * 1024 * 1024)
#define COPY_CHECKPOINT_MS	5000

struct copy {
	struct source *from;
	const char *device;		/* to; its end is zeroed up to a sector's end */
	uint64_t done;			/* in: where to go on; out: how far it came */
	uint64_t rate;			/* bytes a second at most, 0 no limit */
	uint64_t checkpoint_bytes;
	struct progress *progress;
	const atomic_bool *stop;	/* the helper is to end: VMC_ECANCELED, after a checkpoint */
	/* All up to c->done is on disk: put that into the journal. */
	int (*checkpoint)(struct copy *c, void *data, struct vmc_error *err);
	void *data;
};

int copy_run(struct copy *c, struct vmc_error *err);
/* VMC_EIO when a byte differs, naming where. */
int copy_verify(struct copy *c, struct vmc_error *err);

#endif
