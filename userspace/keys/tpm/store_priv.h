/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the store share. */
#ifndef VMC_TPM_STORE_PRIV_H
#define VMC_TPM_STORE_PRIV_H

#include <limits.h>

#include "bucket.h"
#include "store.h"
#include "tpm.h"

#define FILE_KEYS	"keys"
#define FILE_MASTER	"master"
#define FILE_NEW	"master.new"		/* sealed for the next epoch */
#define FILE_SUSPENDED	"master.suspended"
#define FILE_RECOVERY	"master.recovery"
#define FILE_UNFINISHED	"unfinished"		/* while it is made or erased */

struct store {
	const struct vmc_config *cfg;
	char dir[300];
	uint8_t *master;		/* secure heap; NULL: shut */
	struct keyfile f;		/* as in the file, or ahead of it in the middle of a change */
	uint64_t counter;		/* of the TPM; f.generation is this, or one more: put off */
	uint64_t clock, clock_at;	/* TPM clock, and vmc_now_ms() then */
	struct bucket bucket;
};

void store_path(const struct store *s, const char *name, char out[PATH_MAX]);
bool store_has_file(const struct store *s, const char *name);
int store_unlink(const struct store *s, const char *name, struct vmc_error *err);

/* The TPM with its SRK. Close it also when that failed. */
int store_tpm(struct store *s, struct tpm *t, bool pin, struct vmc_error *err);
/* The first of the two counters: as the sealed master key has it, else as the configuration does. */
uint32_t store_nv(const struct store *s);
/* VMC_EREPLAY when s->f is not what the TPM has counted to. */
int store_check_generation(struct store *s, struct tpm *t, struct vmc_error *err);
int store_learn_clock(struct store *s, struct tpm *t, struct vmc_error *err);
/* Read FILE_KEYS into s->f, which is empty. VMC_ENOENT. */
int store_read(struct store *s, struct vmc_error *err);
/* Write s->f under s->master. */
int store_write(struct store *s, struct vmc_error *err);
/* The file is at generation counter + 1: let the counter follow. */
int store_count_up(struct store *s, struct tpm *t, struct vmc_error *err);

/* ---- store_seal.c ---- */

/* Seal s->master, count the epoch, write s->f. Everything sealed before is dead then. */
int store_establish(struct store *s, struct tpm *t, struct vmc_error *err);
/* Fill s->master. */
int store_unseal(struct store *s, struct tpm *t, struct vmc_error *err);
/* At the last start of a suspension: seal to what was booted. */
int store_end_suspension(struct store *s, struct tpm *t, struct vmc_error *err);
int store_new_master(struct store *s, struct vmc_error *err);

#endif
