// SPDX-License-Identifier: GPL-2.0-or-later
/* Base images, see image.h. How one is matched: image_match.c. */
#include "image.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "event_types.h"

#define IMAGE_PCRS	16u	/* the static ones; the others are the running system's */
#define DIGEST_HEX_MAX	129

static int no_memory(struct vmc_error *err)
{
	return vmc_fail(err, VMC_ENOMEM, "no memory for a base image");
}

/* ---- the id --------------------------------------------------------------------- */

static bool add_line(EVP_MD_CTX *c, const json_t *event)
{
	char line[EVENT_TYPE_MAX + DIGEST_HEX_MAX + 16];
	int n = snprintf(line, sizeof(line), "%u %s %s\n", (unsigned int)json_integer_value(json_object_get(event, "pcr")),
			 json_string_value(json_object_get(event, "type")),
			 json_string_value(json_object_get(event, "digest")));

	return n > 0 && n < (int)sizeof(line) && EVP_DigestUpdate(c, line, (size_t)n) == 1;
}

/* SHA-256 over a line for the bank and one for each event. */
static int make_id(const char *bank, const json_t *events, char id[IMAGE_ID_LEN], struct vmc_error *err)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const json_t *event;
	uint8_t digest[32];
	bool ok;
	size_t i;

	ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(c, bank, strlen(bank)) == 1 &&
	     EVP_DigestUpdate(c, "\n", 1) == 1;
	json_array_foreach(events, i, event)
		ok = ok && add_line(c, event);
	ok = ok && EVP_DigestFinal_ex(c, digest, NULL) == 1;
	EVP_MD_CTX_free(c);
	vmc_hex_encode(digest, sizeof(digest), id);
	return ok ? 0 : vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot name a base image");
}

/* ---- making one -------------------------------------------------------------------- */

static json_t *event_to_json(const struct event *e, TPMI_ALG_HASH bank)
{
	const struct event_digest *d = event_digest(e, bank);
	char hex[DIGEST_HEX_MAX], type[EVENT_TYPE_MAX], text[EVENT_TEXT_MAX];

	vmc_hex_encode(d->value, pcrs_size(bank), hex);
	event_text(e, text);
	return json_pack("{s:i, s:s, s:s, s:s}", "pcr", (int)e->pcr, "type", event_type_name(e->type, type), "digest",
			 hex, "text", text);
}

static int events_to_json(const struct eventlog *log, TPMI_ALG_HASH bank, json_t *list, struct vmc_error *err)
{
	for (size_t i = 0; i < log->n; i++) {
		const struct event *e = &log->events[i];

		if (e->type == EV_NO_ACTION || e->pcr >= IMAGE_PCRS)
			continue;
		if (!event_digest(e, bank))
			return vmc_fail(err, VMC_ENOTSUP, "the event log has no %s digest of event %zu", pcrs_bank_name(bank),
					i + 2);
		if (json_array_append_new(list, event_to_json(e, bank)))
			return no_memory(err);
	}
	return json_array_size(list) ? 0 : vmc_fail(err, VMC_EINVAL, "nothing was measured while this host booted");
}

static const char *secure_boot_word(enum secure_boot s)
{
	static const char *const words[] = { "unknown", "no", "yes" };

	return words[s];
}

static int assemble(const struct eventlog *log, TPMI_ALG_HASH bank, const struct image_meta *m, json_t *events,
		    json_t **image, struct vmc_error *err)
{
	char id[IMAGE_ID_LEN], when[32], name[IMAGE_NAME_MAX];
	int rc;

	rc = make_id(pcrs_bank_name(bank), events, id, err);
	if (rc)
		return rc;
	vmc_time_format(m->exported, when);
	snprintf(name, sizeof(name), "%.*s", m->name ? IMAGE_NAME_MAX : 12, m->name ? m->name : id);
	if (!vmc_name_ok(name, sizeof(name) - 1))
		return vmc_fail(err, VMC_EINVAL, "'%s' is no name for a base image", name);
	*image = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s, s:b, s:O}", "v", 1, "id", id, "name",
			   name, "bank", pcrs_bank_name(bank), "secure_boot",
			   secure_boot_word(eventlog_secure_boot(log, bank)), "kernel", m->kernel, "os", m->os, "module",
			   m->module, "host", m->host, "exported", when, "quick_boot", m->quick_boot, "events", events);
	return *image ? 0 : no_memory(err);
}

int image_from_eventlog(const struct eventlog *log, TPMI_ALG_HASH bank, const struct image_meta *meta, json_t **image,
			struct vmc_error *err)
{
	json_t *events = json_array();
	int rc;

	*image = NULL;
	rc = events ? events_to_json(log, bank, events, err) : no_memory(err);
	if (!rc)
		rc = assemble(log, bank, meta, events, image, err);
	json_decref(events);
	if (!rc)
		rc = image_check(*image, err);
	if (rc) {
		json_decref(*image);
		*image = NULL;
	}
	return rc;
}

/* ---- reading one --------------------------------------------------------------------- */

static int bad(struct vmc_error *err, const char *why)
{
	vmc_fail(err, VMC_EINVAL, "the base image is malformed: %s", message_say(why));
	vmc_hint(err, "export it anew on the host: vmcrypt trust host-image export");
	return VMC_EINVAL;
}

/* It is shown to persons: no control characters. */
static bool words_ok(const json_t *s, size_t max, bool needed)
{
	const char *t = json_string_value(s);

	if (!s)
		return !needed;
	if (!t || json_string_length(s) >= max || strlen(t) != json_string_length(s))
		return false;
	while (*t && (unsigned char)*t >= ' ' && *t != 0x7f)
		t++;
	return !*t;
}

/* As event_type_name() gives them. */
static bool type_ok(const json_t *s)
{
	const char *t = json_string_value(s);
	size_t n = json_string_length(s);

	return t && n && n < EVENT_TYPE_MAX &&
	       strspn(t, "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static bool lower_hex(const json_t *s, size_t n)
{
	const char *t = json_string_value(s);

	return t && json_string_length(s) == n && strspn(t, "0123456789abcdef") == n;
}

static bool event_ok(const json_t *e, size_t digest_hex)
{
	const json_t *pcr = json_object_get(e, "pcr");
	json_int_t n = json_integer_value(pcr);

	return json_is_object(e) && json_object_size(e) == 4 && json_is_integer(pcr) && n >= 0 &&
	       n < (json_int_t)IMAGE_PCRS && type_ok(json_object_get(e, "type")) &&
	       words_ok(json_object_get(e, "text"), EVENT_TEXT_MAX, true) &&
	       lower_hex(json_object_get(e, "digest"), digest_hex);
}

static int check_events(const json_t *events, size_t digest_hex, struct vmc_error *err)
{
	const json_t *e;
	size_t i;

	if (!json_is_array(events) || !json_array_size(events) || json_array_size(events) > EVENTLOG_EVENTS_MAX)
		return bad(err, N_("it has no events, or too many"));
	json_array_foreach(events, i, e)
		if (!event_ok(e, digest_hex))
			return vmc_fail(err, VMC_EINVAL, "the base image is malformed: event %zu is none", i + 1);
	return 0;
}

static bool keys_known(const json_t *image)
{
	static const char *const known[] = { "v", "id", "name", "bank", "secure_boot", "kernel", "os", "module", "host",
					     "exported", "quick_boot", "events", "imported" };
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)image, key, value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && strcmp(known[i], key))
			i++;
		if (i == ARRAY_SIZE(known))
			return false;
	}
	return true;
}

static bool meta_ok(const json_t *image)
{
	static const char *const words[] = { "kernel", "os", "module", "host", "exported", "imported" };
	const char *name = json_string_value(json_object_get(image, "name"));
	const char *boot = json_string_value(json_object_get(image, "secure_boot"));

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!words_ok(json_object_get(image, words[i]), IMAGE_WORDS_MAX, false))
			return false;
	return name && vmc_name_ok(name, IMAGE_NAME_MAX - 1) && json_is_boolean(json_object_get(image, "quick_boot")) &&
	       boot && (!strcmp(boot, "yes") || !strcmp(boot, "no") || !strcmp(boot, "unknown"));
}

int image_check(const json_t *image, struct vmc_error *err)
{
	const json_t *events = json_object_get(image, "events");
	const char *bank = json_string_value(json_object_get(image, "bank"));
	const char *id = json_string_value(json_object_get(image, "id"));
	char now[IMAGE_ID_LEN];
	int rc;

	if (!json_is_object(image) || json_integer_value(json_object_get(image, "v")) != 1)
		return bad(err, N_("it is not one, or of another version"));
	if (!keys_known(image))
		return bad(err, N_("there is something in it that none has"));
	if (!pcrs_size(pcrs_bank(bank)))
		return bad(err, N_("it does not tell its PCR bank"));
	if (!meta_ok(image))
		return bad(err, N_("what it tells about itself is not right"));
	rc = check_events(events, 2 * pcrs_size(pcrs_bank(bank)), err);
	if (!rc)
		rc = make_id(bank, events, now, err);
	if (rc)
		return rc;
	return id && !strcmp(id, now) ? 0 : bad(err, N_("its id is not that of its events"));
}

int image_parse(const char *text, size_t len, json_t **image, struct vmc_error *err)
{
	int rc;

	*image = NULL;
	if (len > IMAGE_JSON_MAX)
		return bad(err, N_("it is too long"));
	*image = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	rc = *image ? image_check(*image, err) : bad(err, N_("it is not JSON"));
	if (rc) {
		json_decref(*image);
		*image = NULL;
	}
	return rc;
}
