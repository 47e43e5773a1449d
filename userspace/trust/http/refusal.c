// SPDX-License-Identifier: GPL-2.0-or-later
/* Refusals, and how they travel. */
#include "refusal.h"

#include <stdio.h>
#include <string.h>

#include "../../lib/message.h"
#include "advice.h"

int refuse(struct refusal *r, const char *reason)
{
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	return r->err.code;
}

void refusal_clear(struct refusal *r)
{
	json_decref(r->details);
	memset(r, 0, sizeof(*r));
}

int refusal_status(const struct refusal *r)
{
	switch (r->err.code) {
	case VMC_EINVAL:
	case VMC_EPROTO:
	case VMC_ENOTSUP:
		return 400;
	case VMC_EAUTH:
	case VMC_ETIMEDOUT:
		return 401;
	case VMC_EPERM:
	case VMC_ETRUST:
	case VMC_ETPMPOLICY:
	case VMC_EREPLAY:
		return 403;
	case VMC_ENOENT:
	case VMC_ENOKEY:
		return 404;
	case VMC_EEXIST:
	case VMC_EBUSY:
	case VMC_ESTATE:
	case VMC_EKEYSTATE:
		return 409;
	case VMC_EREFUSED:
		return 502;
	case VMC_EUNREACH:
		return 503;
	default:
		return 500;
	}
}

json_t *refusal_json(const struct refusal *r, const char *correlation)
{
	char text[sizeof(r->err.text)], hint[sizeof(r->err.hint)];

	message_english(r->err.text, text, sizeof(text));
	message_english(r->err.hint, hint, sizeof(hint));
	advice_fit(text, sizeof(text));
	advice_fit(hint, sizeof(hint));
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:O*}, s:s}", "error", "code", vmc_code_name(r->err.code), "reason",
			 r->reason, "text", text, "hint", hint, "details", r->details, "correlation", correlation);
}

static const char *member(const json_t *e, const char *name)
{
	const char *s = json_string_value(json_object_get(e, name));

	return s ? s : "";
}

int refusal_from_json(const json_t *body, int status, const char *who, const char *correlation, struct refusal *r)
{
	const json_t *e = json_object_get(body, "error");
	int code = vmc_code_from_name(member(e, "code"));

	if (!*member(e, "text") || code >= 0) {
		vmc_fail(&r->err, VMC_EPROTO, "%s: the answer makes no sense (status %d) (correlation %s)", who, status,
			 correlation);
		return refuse(r, REASON_UNAVAILABLE);
	}
	vmc_fail(&r->err, code, "%s: %s (correlation %s)", who, member(e, "text"), correlation);
	if (*member(e, "hint"))
		vmc_hint(&r->err, "%s", member(e, "hint"));
	r->details = json_incref(json_object_get(e, "details"));
	return refuse(r, member(e, "reason"));
}
