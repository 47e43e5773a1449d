/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every option of vmcrypt, once. The parser, the help and the completion all
 * read this table.
 */
#ifndef VMC_CLI_OPTIONS_H
#define VMC_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum opt_type {
	TYPE_FLAG,		/* takes no value */
	TYPE_TEXT,
	TYPE_LIST,		/* text that may be given several times */
	TYPE_CHOICE,		/* one of the words of the metavar, which '|' parts */
	TYPE_SIZE,		/* bytes; 10G, 512M */
	TYPE_COUNT,		/* 1 .. 4294967295 */
	TYPE_PATH,		/* made absolute, for the daemon has another folder */
};

/*
 * X(id, name, type, metavar, help)
 * The metavar also tells the completion what to offer; see complete.c.
 */
#define CLI_OPTIONS(X) \
	X(SERVER, "server", TYPE_LIST, "HOST[:PORT]", \
	  "a KMIP server, port 5696 unless given; repeat it for each server of the cluster") \
	X(CA, "ca", TYPE_PATH, "FILE", \
	  "trust those whose certificate this CA (PEM) signed") \
	X(USERNAME, "username", TYPE_TEXT, "TEXT", \
	  "user name to send to the servers, for those that want one beside the certificate") \
	X(TLS_MIN, "tls-min", TYPE_CHOICE, "1.2|1.3", \
	  "refuse servers that speak only an older TLS (default 1.2)") \
	X(OPERATION_POLICY, "operation-policy", TYPE_TEXT, "NAME", \
	  "what the servers call the rule by which others may use the keys made here (KMIP 1.x)") \
	X(DEFAULT, "default", TYPE_FLAG, "", \
	  "make it the provider of new VMs that name none") \
	X(INSECURE_NO_TPM, "insecure-no-tpm", TYPE_FLAG, "", \
	  "leave the key derivation key unsealed in a file (0600): for hosts without a TPM") \
	X(SERVICES_INFO, "services-info", TYPE_PATH, "FILE", \
	  "where the services of the Trust Authority are, as it exported it") \
	X(OUT, "out", TYPE_PATH, "FILE", "file to make; one that is there is not overwritten") \
	X(PASSWORD_FILE, "password-file", TYPE_PATH, "FILE", \
	  "take the password from the first line of FILE (default: ask at the terminal)") \
	X(PASSWORD_FD, "password-fd", TYPE_TEXT, "N", \
	  "take the password from the first line that comes from file descriptor N") \
	X(KEY_ID, "key-id", TYPE_TEXT, "UUID", \
	  "refuse a backup whose key id is another") \
	X(FINGERPRINT, "fingerprint", TYPE_TEXT, "SHA256", \
	  "trust the certificate, or with spki: in front the public key, of this " \
	  "fingerprint; may be done for each server of a provider") \
	X(DIR, "dir", TYPE_PATH, "DIR", \
	  "existing folder that gets the bundle NAME.vmcrypt and the volumes") \
	X(PROVIDER, "provider", TYPE_TEXT, "PROVIDER", \
	  "key provider to make the keys on (default: the default provider)") \
	X(ADD_PROVIDER, "add-provider", TYPE_TEXT, "PROVIDER", \
	  "let this provider open the VMs beside the one they have") \
	X(REMOVE_PROVIDER, "remove-provider", TYPE_TEXT, "PROVIDER", \
	  "of the two providers that open the VMs, take this one out") \
	X(MIGRATION_ENCRYPTION, "migration-encryption", TYPE_CHOICE, "disabled|opportunistic|required", \
	  "migrate it in clear, encrypted when both hosts can, or encrypted or not at all") \
	X(LIVE, "live", TYPE_FLAG, "", "also if the VM is on: only what makes it stricter") \
	X(AUTOSTART, "autostart", TYPE_CHOICE, "yes|no", \
	  "power it on when the host starts, with no network if its keys are kept, or not") \
	X(UNIT, "unit", TYPE_TEXT, "NAME.service", \
	  "and then start this systemd service, which runs the VM") \
	X(UUID, "uuid", TYPE_TEXT, "UUID", \
	  "id of the VM, for instance libvirt's (default: a new one)") \
	X(HOME_SIZE, "home-size", TYPE_SIZE, "SIZE", \
	  "size of the home volume (default: home_size of vmcrypt.conf, 64M)") \
	X(FROM_HEADERS, "from-headers", TYPE_FLAG, "", \
	  "FILE is a volume, not a bundle: read the VM from the headers of its volumes") \
	X(EXEC, "exec", TYPE_FLAG, "", \
	  "run the command after '--' on the opened volumes; power the VM off when it ends") \
	X(ALL, "all", TYPE_FLAG, "", "all of them, and none by name") \
	X(SHALLOW, "shallow", TYPE_FLAG, "", \
	  "new key encryption key, data untouched; VMs may be on") \
	X(DEEP, "deep", TYPE_FLAG, "", \
	  "new data key, every block is written anew; the VM must be off") \
	X(DISK, "disk", TYPE_TEXT, "DISK", \
	  "only this disk (default: home volume and all disks)") \
	X(SIZE, "size", TYPE_SIZE, "SIZE", "size of the disk as the guest sees it: 512M, 20G") \
	X(PATH, "path", TYPE_PATH, "FILE", \
	  "image file or block device (default: NAME-DISK.img in the VM's folder)") \
	X(DM_FLAGS, "dm-flags", TYPE_TEXT, "FLAGS", \
	  "dm-crypt flags, comma separated: no_read_workqueue, no_write_workqueue, " \
	  "same_cpu_crypt, submit_from_crypt_cpus, allow_discards, high_priority; '' for none") \
	X(SOURCE, "source", TYPE_PATH, "FILE", "the unencrypted image to take the data from") \
	X(FORMAT, "format", TYPE_CHOICE, "raw|qcow2", "format of the source (default: probed)") \
	X(KEEP_SOURCE, "keep-source", TYPE_FLAG, "", \
	  "keep the unencrypted source (default: removed once the copy is checked)") \
	X(RATE, "rate", TYPE_SIZE, "SIZE", "copy at most this many bytes a second") \
	X(FS, "fs", TYPE_CHOICE, "ext4|xfs", "file system to make (default: ext4)") \
	X(MOUNT, "mount", TYPE_PATH, "DIR", \
	  "where the datastore is mounted when it is open (default: /run/vmcrypt/datastores/NAME)") \
	X(AUTOOPEN, "autoopen", TYPE_CHOICE, "yes|no", \
	  "open the datastore when this host starts, before VMs (default: yes)") \
	X(DESTROY, "destroy", TYPE_FLAG, "", \
	  "destroy the key on its provider too; data under it is lost for ever") \
	X(FORCE, "force", TYPE_FLAG, "", "even if VMs use it; even if it was done before; even if data is destroyed") \
	X(REMOVE_ALL, "remove-all-stored-keys", TYPE_FLAG, "", \
	  "leave nothing: not on this host's disk, not in its TPM") \
	X(REBOOTS, "reboots", TYPE_COUNT, "N", "for so many starts of this host") \
	X(NEW_TPM, "new-tpm", TYPE_FLAG, "", \
	  "the TPM was cleared or replaced on purpose: this one is the host's from now on") \
	X(RECOVERY_KEY, "recovery-key", TYPE_PATH, "FILE", \
	  "open the stored keys by the recovery key in FILE, instead of by the TPM") \
	X(LIMIT, "limit", TYPE_COUNT, "N", "at most N events, the newest (default 50)") \
	X(SINCE, "since", TYPE_TEXT, "TIME", \
	  "only what happened since: 2h, 3d, 2026-01-31, 2026-01-31T12:00:00Z") \
	X(VM, "vm", TYPE_TEXT, "VM", "only what is about this VM") \
	X(TYPE, "type", TYPE_TEXT, "TYPE", "only events of this type, for instance vm-locked") \
	X(HISTORY, "history", TYPE_FLAG, "", "also alarms that were cleared, the newest first") \
	X(NOW, "now", TYPE_FLAG, "", \
	  "leave it on: its disks wait, its keys are wiped, and 'vm unlock' lets it go on") \
	X(KEY, "key", TYPE_TEXT, "KEY", "only what is about this key; PROVIDER/* for all of a provider's") \
	X(ACTOR, "actor", TYPE_TEXT, "WHO", "only what this user did: a name, a uid, or a name on the bus") \
	X(ANCHOR, "anchor", TYPE_TEXT, "SEQ:HASH", \
	  "an entry as it was noted elsewhere, which the log must have") \
	X(FILE, "file", TYPE_PATH, "FILE", "an exported log, instead of this host's") \
	X(ADDRESS, "address", TYPE_TEXT, "HOST[:PORT]", \
	  "where the other host's vmcryptd listens; port 5698 unless given") \
	X(TO, "to", TYPE_TEXT, "PEER", "the host to migrate to, as 'peer list' has it") \
	X(PARALLEL, "parallel", TYPE_COUNT, "N", \
	  "move the memory over N connections beside the main one, 64 at most") \
	X(POSTCOPY, "postcopy", TYPE_FLAG, "", \
	  "let the VM go on there before all of its memory has come") \
	X(COPY_STORAGE, "copy-storage", TYPE_FLAG, "", \
	  "copy what is in its disks, too: for hosts that share no storage") \
	X(DRY_RUN, "dry-run", TYPE_FLAG, "", "only tell whether it would work") \
	X(QMP, "qmp", TYPE_PATH, "FILE", "QMP socket of the VM's QEMU on this host, instead of libvirt") \
	X(TO_QMP, "to-qmp", TYPE_PATH, "FILE", \
	  "QMP socket, on the other host, of the QEMU that waits there") \
	X(PUBLIC_ADDRESS, "public-address", TYPE_TEXT, "HOST", \
	  "where hosts and other authorities find this one (default: its host name)") \
	X(ROLE, "role", TYPE_CHOICE, "host|auditor|trust-admin", \
	  "what who shows the certificate may do") \
	X(CERT, "cert", TYPE_PATH, "FILE", "the certificate (PEM)") \
	X(NAME, "name", TYPE_TEXT, "NAME", "call it so, instead of as the file says") \
	X(PCRS, "pcrs", TYPE_TEXT, "N,N...", "PCRs whose events must be those of a base image, 0 to 15") \
	X(SECURE_BOOT, "secure-boot", TYPE_CHOICE, "yes|no", "refuse hosts that did not boot with Secure Boot, or not") \
	X(TOKEN_LIFETIME, "token-lifetime", TYPE_COUNT, "SECONDS", "how long an attestation counts: 300 to 600") \
	X(LEASE, "lease", TYPE_TEXT, "SECONDS", \
	  "hosts drop keys so long after their attestation lapsed, 604800 at most; 0: they keep them until a reboot") \
	X(REQUIRE_EK, "require-ek-certificate", TYPE_CHOICE, "yes|no", \
	  "believe TPMs only by their maker's certificate, or also those of 'ek add'") \
	X(HOSTS_DESTROY, "hosts-destroy-keys", TYPE_CHOICE, "yes|no", \
	  "let attested hosts destroy keys on the key server, or not (default)") \
	X(IMAGE, "image", TYPE_TEXT, "IMAGE", "the base image that the hosts will boot") \
	X(TO_VERSION, "to-version", TYPE_TEXT, "VERSION", "the version that comes (default: that of this program)") \
	X(FOLLOW, "follow", TYPE_FLAG, "", "go on printing events as they come, until Ctrl-C") \
	X(JSON, "json", TYPE_FLAG, "", \
	  "print the result, or the error, as one JSON value on standard output") \
	X(PROGRESS_JSON, "progress-json", TYPE_FLAG, "", \
	  "print progress as JSON lines on standard error") \
	X(HELP, "help", TYPE_FLAG, "", "print help for the verb and stop") \
	X(VERSION, "version", TYPE_FLAG, "", "print the version and stop")

enum opt_id {
#define X(id, name, type, metavar, help) OPT_##id,
	CLI_OPTIONS(X)
#undef X
	OPT__N
};

/* A set of options: there are more than 64 of them. */
typedef unsigned __int128 optset;
#define OPTSET(number)	((optset)1 << (number))
#define OPT_BIT(id)	OPTSET(OPT_##id)
/* Not of an option: among a verb's, see verbs.h. */
#define OPTSET_SPARE	127

_Static_assert(OPT__N < OPTSET_SPARE, "a set has a bit for each option");

/* Options that every verb takes. */
#define OPTS_GLOBAL \
	(OPT_BIT(JSON) | OPT_BIT(PROGRESS_JSON) | OPT_BIT(HELP) | OPT_BIT(VERSION))

struct opt_def {
	const char *name;
	enum opt_type type;
	const char *metavar;
	const char *help;
};

extern const struct opt_def opt_defs[OPT__N];

/* OPT__N when there is none of that name (without the dashes). */
enum opt_id opt_find(const char *name, size_t len);

#endif
