// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors that name the thing, the reason and what to do next. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "i18n.h"
#include "message.h"
#include "util.h"

static const struct {
	int code;
	const char *name;
	int exit_status;
} codes[] = {
	{ VMC_OK,		"Ok",			0 },
	{ VMC_EINVAL,		"InvalidArgument",	1 },
	{ VMC_ENOENT,		"NotFound",		4 },
	{ VMC_EEXIST,		"Exists",		5 },
	{ VMC_EBUSY,		"Busy",			5 },
	{ VMC_EPERM,		"NotAuthorized",	2 },
	{ VMC_ENOKEY,		"KeyMissing",		6 },
	{ VMC_EKEYSTATE,	"KeyNotActive",		6 },
	{ VMC_EAUTH,		"NotAuthentic",		7 },
	{ VMC_EUNREACH,		"ProviderUnreachable",	8 },
	{ VMC_EREFUSED,		"ProviderRefused",	10 },
	{ VMC_ETRUST,		"NotTrusted",		7 },
	{ VMC_EPROTO,		"ProtocolError",	10 },
	{ VMC_ETIMEDOUT,	"TimedOut",		8 },
	{ VMC_ENOSPC,		"NoSpace",		10 },
	{ VMC_EIO,		"InputOutput",		10 },
	{ VMC_ENOMEM,		"NoMemory",		3 },
	{ VMC_ESTATE,		"WrongState",		9 },
	{ VMC_ECANCELED,	"Canceled",		10 },
	{ VMC_ENOMODULE,	"NoModule",		4 },
	{ VMC_ENOTSUP,		"NotSupported",		10 },
	{ VMC_EINTERNAL,	"Internal",		10 },
	{ VMC_ENOTPM,		"TpmAbsent",		4 },
	{ VMC_ETPMOFF,		"TpmDisabled",		4 },
	{ VMC_ETPMLOCKOUT,	"TpmLockout",		5 },
	{ VMC_ETPMCLEARED,	"TpmCleared",		7 },
	{ VMC_ETPMROOT,		"TpmRootChanged",	7 },
	{ VMC_ETPMPOLICY,	"TpmPolicy",		7 },
	{ VMC_EREPLAY,		"StateReplayed",	7 },
	{ VMC_ENOTATTESTED,	"NotAttested",		10 },
};

/* Arguments may point into @err: format first, copy then. */
static void set_text(struct vmc_error *err, int code, const char *text)
{
	err->code = code;
	snprintf(err->text, sizeof(err->text), "%s", text);
	err->hint[0] = '\0';
}

/* In the language of the calling thread; *@m is what it was made of, for message_remember(). */
static void __attribute__((format(printf, 4, 0)))
tell(char *text, size_t size, json_t **m, const char *fmt, va_list ap)
{
	int error = errno;
	va_list again;

	va_copy(again, ap);
	vsnprintf(text, size, *fmt ? _(fmt) : fmt, ap);
	errno = error;
	*m = message_format(fmt, again);
	va_end(again);
	errno = error;
}

int vmc_fail(struct vmc_error *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;
	json_t *m;

	if (!err)
		return code;
	va_start(ap, fmt);
	tell(text, sizeof(text), &m, fmt, ap);
	va_end(ap);
	set_text(err, code, text);
	message_remember(err->text, m);
	return code;
}

void vmc_hint(struct vmc_error *err, const char *fmt, ...)
{
	char hint[sizeof(err->hint)];
	va_list ap;
	json_t *m;

	if (!err)
		return;
	va_start(ap, fmt);
	tell(hint, sizeof(hint), &m, fmt, ap);
	va_end(ap);
	memcpy(err->hint, hint, sizeof(hint));
	message_remember(err->hint, m);
}

int vmc_prefix(struct vmc_error *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	json_t *m, *rest;
	size_t len;
	va_list ap;

	if (!err)
		return VMC_EINTERNAL;
	va_start(ap, fmt);
	tell(text, sizeof(text), &m, fmt, ap);
	va_end(ap);
	rest = message_recall(err->text);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%s", err->text);
	memcpy(err->text, text, sizeof(text));
	message_remember(err->text, m && rest ? json_pack("[O, O]", m, rest) : NULL);
	json_decref(m);
	json_decref(rest);
	return err->code;
}

int vmc_code_from_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return VMC_ENOENT;
	case EEXIST:
		return VMC_EEXIST;
	case EBUSY:
	case ETXTBSY:
		return VMC_EBUSY;
	case EPERM:
	case EACCES:
		return VMC_EPERM;
	case ENOKEY:
	case EKEYEXPIRED:
	case EKEYREVOKED:
		return VMC_ENOKEY;
	case EKEYREJECTED:
	case EBADMSG:
		return VMC_EAUTH;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return VMC_EUNREACH;
	case ETIMEDOUT:
		return VMC_ETIMEDOUT;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return VMC_ENOSPC;
	case ENOMEM:
		return VMC_ENOMEM;
	case EINVAL:
	case ENAMETOOLONG:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ERANGE:
	case E2BIG:
		return VMC_EINVAL;
	case EOPNOTSUPP:
	case ENOSYS:
	case ENOTTY:
		return VMC_ENOTSUP;
	case ECANCELED:
		return VMC_ECANCELED;
	default:
		return VMC_EIO;
	}
}

int vmc_fail_errno(struct vmc_error *err, int errnum, const char *fmt, ...)
{
	int code = vmc_code_from_errno(errnum);
	char text[sizeof(err->text)], why[128];
	va_list ap;
	size_t len;
	json_t *m;

	if (!err)
		return code;
	va_start(ap, fmt);
	tell(text, sizeof(text), &m, fmt, ap);
	va_end(ap);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, ": %s",
		 strerror_r(errnum, why, sizeof(why)));
	set_text(err, code, text);
	message_remember(err->text, m ? json_pack("[O, s, {s:i}]", m, ": ", "errno", errnum) : NULL);
	json_decref(m);
	return code;
}

const char *vmc_code_name(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].name;
	return "Internal";
}

int vmc_code_from_name(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].name, name))
			return codes[i].code;
	return VMC_EINTERNAL;
}

int vmc_code_exit(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].exit_status;
	return 10;
}
