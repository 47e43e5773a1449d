// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON of etcd: 64-bit numbers are texts, bytes are base64. */
#include "etcd.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"

/* ---- questions ------------------------------------------------------------------ */

/* Consumes @o. */
static char *text_of(json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

static json_t *base64(const char *s)
{
	size_t n = strlen(s);
	char *out = malloc((n + 2) / 3 * 4 + 1);
	json_t *j = NULL;

	if (out && EVP_EncodeBlock((uint8_t *)out, (const uint8_t *)s, (int)n) >= 0)
		j = json_string(out);
	free(out);
	return j;
}

char *etcd_range_body(const char *key, bool whole)
{
	return text_of(json_pack("{s:o, s:b}", "key", base64(key), "keys_only", !whole));
}

char *etcd_txn_body(const char *key, const char *value, uint64_t revision)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)revision);
	return text_of(json_pack("{s:[{s:o, s:s, s:s, s:s}], s:[{s:{s:o, s:o}}]}", "compare", "key", base64(key), "target",
				 "MOD", "result", "EQUAL", "mod_revision", number, "success", "request_put", "key",
				 base64(key), "value", base64(value)));
}

/* ---- answers -------------------------------------------------------------------- */

static int nonsense(struct vmc_error *err, const char *what)
{
	return vmc_fail(err, VMC_EPROTO, "the answer of etcd makes no sense: %s", message_say(what));
}

static int read_json(const char *text, size_t n, json_t **o, struct vmc_error *err)
{
	*o = n <= ETCD_ANSWER_MAX ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (json_is_object(*o))
		return 0;
	json_decref(*o);
	return nonsense(err, N_("it is no JSON object"));
}

/* A number above 0, as a text or as a number. */
static uint64_t number_of(const json_t *v)
{
	const char *s = json_string_value(v);
	unsigned long long n;
	char *end;

	if (json_is_integer(v))
		return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
	if (!s || *s < '1' || *s > '9')
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	return errno || *end ? 0 : n;
}

/* A text: no NUL in it. NULL: it is none, or no base64. */
static char *decode(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n = s ? json_string_length(v) : 0, pad;
	char *out;
	int len;

	if (!n || n % 4 || n != strlen(s))
		return NULL;
	pad = (s[n - 1] == '=') + (s[n - 2] == '=');
	out = malloc(n / 4 * 3 + 1);
	if (!out)
		return NULL;
	len = EVP_DecodeBlock((uint8_t *)out, (const uint8_t *)s, (int)n);
	if (len >= (int)pad) {
		out[(size_t)len - pad] = '\0';
		if (strlen(out) == (size_t)len - pad && *out)
			return out;
	}
	free(out);
	return NULL;
}

static int read_value(const json_t *kv, uint64_t *revision, char **value, struct vmc_error *err)
{
	const json_t *v = json_object_get(kv, "value");

	*revision = number_of(json_object_get(kv, "mod_revision"));
	if (!*revision)
		return nonsense(err, N_("it has no revision"));
	if (!v)
		return 0;
	*value = decode(v);
	return *value ? 0 : nonsense(err, N_("the value is no text in base64"));
}

int etcd_parse_range(const char *text, size_t n, uint64_t *revision, char **value, struct vmc_error *err)
{
	const json_t *kvs;
	json_t *o;
	int rc = read_json(text, n, &o, err);

	*revision = 0;
	*value = NULL;
	if (rc)
		return rc;
	kvs = json_object_get(o, "kvs");
	if (kvs && (!json_is_array(kvs) || json_array_size(kvs) > 1))
		rc = nonsense(err, N_("it has not one value"));
	else if (json_array_size(kvs))
		rc = read_value(json_array_get(kvs, 0), revision, value, err);
	else if (!json_is_object(json_object_get(o, "header")))
		rc = nonsense(err, N_("it has no header"));
	json_decref(o);
	return rc;
}

int etcd_parse_txn(const char *text, size_t n, bool *succeeded, struct vmc_error *err)
{
	json_t *o;
	int rc = read_json(text, n, &o, err);

	if (rc)
		return rc;
	*succeeded = json_is_true(json_object_get(o, "succeeded"));
	if (!json_is_object(json_object_get(o, "header")))
		rc = nonsense(err, N_("it has no header"));
	json_decref(o);
	return rc;
}

void etcd_parse_error(const char *text, size_t n, char out[200])
{
	json_t *o = n <= ETCD_ANSWER_MAX ? json_loadb(text, n, 0, NULL) : NULL;
	const char *said = json_string_value(json_object_get(o, "error"));

	if (!said)
		said = json_string_value(json_object_get(o, "message"));
	snprintf(out, 200, "%s", said ? said : "");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	json_decref(o);
}
