// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors that name the thing, the reason and what to do next. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "i18n.h"
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
};

/* Arguments may point into @err: format first, copy then. */
static void set_text(struct vmc_error *err, int code, const char *text)
{
	err->code = code;
	snprintf(err->text, sizeof(err->text), "%s", text);
	err->hint[0] = '\0';
}

int vmc_fail(struct vmc_error *err, int code, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), _(fmt), ap);
	va_end(ap);
	set_text(err, code, text);
	return code;
}

void vmc_hint(struct vmc_error *err, const char *fmt, ...)
{
	char hint[sizeof(err->hint)];
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	vsnprintf(hint, sizeof(hint), _(fmt), ap);
	va_end(ap);
	memcpy(err->hint, hint, sizeof(hint));
}

int vmc_prefix(struct vmc_error *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	size_t len;
	va_list ap;

	if (!err)
		return VMC_EINTERNAL;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), _(fmt), ap);
	va_end(ap);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, "%s", err->text);
	memcpy(err->text, text, sizeof(text));
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

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), _(fmt), ap);
	va_end(ap);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, ": %s",
		 strerror_r(errnum, why, sizeof(why)));
	set_text(err, code, text);
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
