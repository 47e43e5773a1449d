/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors that name the thing, the reason and what to do next. */
#ifndef VMC_LIB_ERROR_H
#define VMC_LIB_ERROR_H

/*
 * Every function that can fail returns 0 or one of these, and fills in the
 * struct vmc_error it was given (which may be NULL). The name of a code is
 * also the last part of its D-Bus error name, org.vmcrypt1.Error.NAME.
 */
enum vmc_code {
	VMC_OK			= 0,
	VMC_EINVAL		= -1,	/* InvalidArgument: bad input, refused whole */
	VMC_ENOENT		= -2,	/* NotFound: no such VM, disk, key, provider, file */
	VMC_EEXIST		= -3,	/* Exists */
	VMC_EBUSY		= -4,	/* Busy: in use, or another job has it */
	VMC_EPERM		= -5,	/* NotAuthorized */
	VMC_ENOKEY		= -6,	/* KeyMissing: the provider does not have the key */
	VMC_EKEYSTATE		= -7,	/* KeyNotActive: the provider has it in another state */
	VMC_EAUTH		= -8,	/* NotAuthentic: altered, or made with another key */
	VMC_EUNREACH		= -9,	/* ProviderUnreachable */
	VMC_EREFUSED		= -10,	/* ProviderRefused: it answered, and said no */
	VMC_ETRUST		= -11,	/* NotTrusted: certificate or pin did not match */
	VMC_EPROTO		= -12,	/* ProtocolError: an answer that makes no sense */
	VMC_ETIMEDOUT		= -13,	/* TimedOut */
	VMC_ENOSPC		= -14,	/* NoSpace */
	VMC_EIO			= -15,	/* InputOutput */
	VMC_ENOMEM		= -16,	/* NoMemory */
	VMC_ESTATE		= -17,	/* WrongState: not while the VM is as it is */
	VMC_ECANCELED		= -18,	/* Canceled */
	VMC_ENOMODULE		= -19,	/* NoModule: vmcrypt.ko is not loaded */
	VMC_ENOTSUP		= -20,	/* NotSupported */
	VMC_EINTERNAL		= -21,	/* Internal: a fault of ours */
	VMC_ENOTPM		= -22,	/* TpmAbsent: there is none, or it does not answer */
	VMC_ETPMOFF		= -23,	/* TpmDisabled: it is there and turned off */
	VMC_ETPMLOCKOUT		= -24,	/* TpmLockout: it guards itself against guessing */
	VMC_ETPMCLEARED		= -25,	/* TpmCleared: the same TPM, emptied since */
	VMC_ETPMROOT		= -26,	/* TpmRootChanged: another TPM, or something between it and us */
	VMC_ETPMPOLICY		= -27,	/* TpmPolicy: this host booted something else than what was sealed to */
	VMC_EREPLAY		= -28,	/* StateReplayed: older than what the TPM remembers */
	VMC_ENOTATTESTED	= -29,	/* NotAttested: the Trust Authority does not trust this host */
};

/*
 * The texts are in the language of the calling thread: formats are looked up in
 * the catalog here, and given as literals so that the catalog has them. What is
 * to be kept or logged is made English again by message_english().
 */
struct vmc_error {
	int	code;		/* enum vmc_code */
	char	text[768];	/* what is wrong, naming the thing; no closing full stop */
	char	hint[768];	/* what to do next; may be empty */
};

#define VMC_ERROR_INIT { 0, "", "" }

/* Fill in @err (if not NULL) and return @code, so that "return vmc_fail(...)" reads well. */
int vmc_fail(struct vmc_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Say what to do next; replaces an earlier hint. */
void vmc_hint(struct vmc_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Put words in front of the text: "cannot open disk 'root': " + text. Returns err->code. */
int vmc_prefix(struct vmc_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* From errno: picks the code (ENOENT -> VMC_ENOENT, ENOSPC -> VMC_ENOSPC ...), appends strerror. */
int vmc_fail_errno(struct vmc_error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int vmc_code_from_errno(int errnum);	/* VMC_EIO when no other fits */

const char *vmc_code_name(int code);	/* "KeyMissing" */
int vmc_code_from_name(const char *name);	/* VMC_EINTERNAL when unknown */

/* Exit status of the CLI: 0, 1 arguments, 2 permission, 3 memory, 4 not found or device,
 * 5 exists or busy, 6 key missing or not active, 7 not authentic or not trusted,
 * 8 provider unreachable or timed out, 9 wrong state, 10 anything else. */
int vmc_code_exit(int code);

#endif
