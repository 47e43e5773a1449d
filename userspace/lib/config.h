/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /etc/vmcrypt/vmcrypt.conf and conf.d/ *.conf: INI by inih. An unknown key is an error that names file and line. */
#ifndef VMC_LIB_CONFIG_H
#define VMC_LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* How the events of a locked VM are worded. */
enum vmc_wording { VMC_WORDING_CLASSIC, VMC_WORDING_70U2 };

struct vmc_config {
	/* [paths]; each also by environment VMCRYPT_CONFIG_DIR, VMCRYPT_STATE_DIR, VMCRYPT_RUNTIME_DIR */
	char config_dir[256];		/* /etc/vmcrypt */
	char state_dir[256];		/* /var/lib/vmcrypt */
	char runtime_dir[256];		/* /run/vmcrypt */
	/* [daemon] */
	unsigned int workers;		/* threads for jobs, 1..64, default 8 */
	size_t secure_heap;		/* bytes, power of two, default 1 MiB */
	int log_level;			/* syslog level, default 6 (info) */
	/* [kmip] defaults, each may be set per provider */
	unsigned int connect_timeout_ms;	/* default 3000 */
	unsigned int request_timeout_ms;	/* default 10000 */
	char tls_min[8];			/* "1.2" (default) or "1.3" */
	unsigned int cert_warn_days;		/* default 30 */
	/* [audit] */
	bool audit_append_only;			/* chattr +a on the log's files; default no */
	/* [vm] */
	unsigned long long home_size;		/* bytes, default 64 MiB */
	char dm_flags[256];			/* default dm-crypt flags for new disks, comma separated */
	/* [health] */
	unsigned int health_interval;		/* seconds between checks while all is well, 1..86400, default 300 */
	unsigned int health_retry;		/* the first when it is not; doubles up to the interval; default 15 */
	/* [metrics] */
	char metrics_file[256];			/* "" (default): none is written */
	unsigned int metrics_interval;		/* seconds, 1..3600, default 30 */
	/* [hooks] */
	unsigned int hook_timeout;		/* seconds for one program, 1..60, default 10 */
	/* [states] */
	enum vmc_wording wording;		/* "classic" (default) or "7.0u2" */
	/* [migration] */
	char migration_listen[256];	/* "": no (default); ADDRESS[:PORT], where other hosts ask; port 5698 unless given */
	unsigned int migration_data_port;	/* where what they send comes in, 1..65535, default 5699 */
	char migration_address[256];	/* for that; "" (default): the address of listen */
	/* [cache] */
	unsigned int lease;			/* seconds that a fetched key stays, 0 (default): until a reboot */
	/* [tpm] */
	char tpm_tcti[256];		/* as tpm2-tss names it, default device:/dev/tpmrm0 */
	unsigned int tpm_pcrs;		/* bit n: PCR n; default 1 << 7 */
	char tpm_bank[8];		/* "sha1", "sha256" (default), "sha384" or "sha512" */
	char tpm_public_key[256];	/* PEM of who signs PCR policies; empty (default): seal to the PCRs as they are */
	char tpm_signature[256];	/* tpm2-pcr-signature.json; empty (default): where systemd has it */
	unsigned int tpm_nv_index;	/* first of two NV counters, 0x1800000..0x1bffffe, default 0x1b0c2e0 */
};

int config_load(struct vmc_config *c, const char *path /* NULL: default */, struct vmc_error *err);

#endif
