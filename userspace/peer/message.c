// SPDX-License-Identifier: GPL-2.0-or-later
/* What two vmcryptds say to each other, as bytes. See message.h. */
#include "message.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/i18n.h"
#include "../lib/message.h"

int peer_frame_length(const uint8_t h[PEER_HEADER], size_t *n, struct vmc_error *err)
{
	size_t len = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];

	if (len < 2 || len > PEER_FRAME_MAX)
		return vmc_fail(err, VMC_EPROTO, "a message of %zu bytes, where 2 to %u are allowed", len, PEER_FRAME_MAX);
	*n = len;
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

static bool method_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n && n <= PEER_METHOD_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool error_ok(const json_t *e)
{
	return json_is_object(e) && json_object_size(e) == 3 && json_is_string(json_object_get(e, "code")) &&
	       json_is_string(json_object_get(e, "text")) && json_is_string(json_object_get(e, "hint"));
}

/* NULL, or what is wrong with it. */
static const char *take_body(struct peer_message *m)
{
	json_t *method = json_object_get(m->root, "method"), *result = json_object_get(m->root, "result"),
	       *error = json_object_get(m->root, "error");

	if (method) {
		m->type = PEER_REQUEST;
		m->method = json_string_value(method);
		m->body = json_object_get(m->root, "params");
		if (!method_ok(m->method))
			return N_("its method has no good name");
		if (!json_is_object(m->body))
			return N_("its params are no object");
		return json_object_size(m->root) == 4 ? NULL : N_("it has members that are not known");
	}
	m->type = error ? PEER_ERROR : PEER_RESULT;
	m->body = error ? error : result;
	if (!m->body)
		return N_("it is neither request nor answer");
	if (error && !error_ok(error))
		return N_("its error is none");
	return json_object_size(m->root) == 3 ? NULL : N_("it has members that are not known");
}

static int take(struct peer_message *m, struct vmc_error *err)
{
	const json_t *v = json_object_get(m->root, "v"), *id = json_object_get(m->root, "id");
	const char *wrong;

	if (!json_is_integer(v) || json_integer_value(v) != PEER_VERSION) {
		vmc_fail(err, VMC_ENOTSUP, "a message of a version that is not known here (%lld; this is %d)",
			 (long long)json_integer_value(v), PEER_VERSION);
		vmc_hint(err, "install the same version of vmcrypt on both hosts");
		return VMC_ENOTSUP;
	}
	if (!json_is_integer(id) || json_integer_value(id) < 1 || json_integer_value(id) > UINT32_MAX)
		return vmc_fail(err, VMC_EPROTO, "a message without a number");
	m->id = (uint32_t)json_integer_value(id);
	wrong = take_body(m);
	return wrong ? vmc_fail(err, VMC_EPROTO, "a message that makes no sense: %s", message_say(wrong)) : 0;
}

int peer_message_parse(const uint8_t *bytes, size_t n, struct peer_message *m, struct vmc_error *err)
{
	json_error_t je;
	int rc;

	memset(m, 0, sizeof(*m));
	m->root = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, &je);
	if (!m->root)
		return vmc_fail(err, VMC_EPROTO, "a message that is not JSON: %s at byte %d", je.text, je.position);
	rc = take(m, err);
	if (rc)
		peer_message_clear(m);
	return rc;
}

void peer_message_clear(struct peer_message *m)
{
	json_decref(m->root);
	memset(m, 0, sizeof(*m));
}

int peer_message_error(const struct peer_message *m, const char *host, struct vmc_error *err)
{
	const char *text = json_string_value(json_object_get(m->body, "text")),
		   *hint = json_string_value(json_object_get(m->body, "hint"));
	int code = vmc_code_from_name(json_string_value(json_object_get(m->body, "code")));

	vmc_fail(err, code < 0 ? code : VMC_EPROTO, "host '%s': %s", host, text);
	if (*hint)
		vmc_hint(err, "on '%s': %s", host, hint);
	return code < 0 ? code : VMC_EPROTO;
}

/* ---- writing ----------------------------------------------------------- */

/* @root is consumed. */
static int frame(json_t *root, uint8_t **out, size_t *n, struct vmc_error *err)
{
	size_t len = root ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
	uint8_t *b;

	*out = NULL;
	if (len > PEER_FRAME_MAX) {
		json_decref(root);
		return vmc_fail(err, VMC_EINVAL, "a message of %zu bytes is too long", len);
	}
	b = len ? malloc(PEER_HEADER + len) : NULL;
	if (b) {
		for (int i = 0; i < PEER_HEADER; i++)
			b[i] = (uint8_t)(len >> (24 - 8 * i));
		json_dumpb(root, (char *)b + PEER_HEADER, len, JSON_COMPACT);
	}
	json_decref(root);
	if (!b)
		return vmc_fail(err, VMC_ENOMEM, "no memory for a message");
	*out = b;
	*n = PEER_HEADER + len;
	return 0;
}

int peer_request_frame(uint32_t id, const char *method, const json_t *params, uint8_t **out, size_t *n,
		       struct vmc_error *err)
{
	json_t *p = params ? json_incref((json_t *)params) : json_object();

	return frame(json_pack("{s:i, s:I, s:s, s:o}", "v", PEER_VERSION, "id", (json_int_t)id, "method", method,
			       "params", p), out, n, err);
}

int peer_result_frame(uint32_t id, const json_t *result, uint8_t **out, size_t *n, struct vmc_error *err)
{
	json_t *r = result ? json_incref((json_t *)result) : json_null();

	return frame(json_pack("{s:i, s:I, s:o}", "v", PEER_VERSION, "id", (json_int_t)id, "result", r), out, n, err);
}

int peer_error_frame(uint32_t id, const struct vmc_error *e, uint8_t **out, size_t *n, struct vmc_error *err)
{
	char text[sizeof(e->text)], hint[sizeof(e->hint)];

	message_english(e->text, text, sizeof(text));
	message_english(e->hint, hint, sizeof(hint));
	return frame(json_pack("{s:i, s:I, s:{s:s, s:s, s:s}}", "v", PEER_VERSION, "id", (json_int_t)id, "error",
			       "code", vmc_code_name(e->code), "text", text, "hint", hint), out, n, err);
}
