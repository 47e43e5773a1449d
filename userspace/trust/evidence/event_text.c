// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events in words, see eventlog.h. What firmware writes into its log is shown as
 * printable ASCII only; names are those of the specification, in no language.
 */
#include "eventlog.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/util.h"
#include "event_types.h"
#include "le.h"

#define WORDS_MAX	96	/* characters of a quoted name */

static const struct {
	uint32_t type;
	const char *name;
} types[] = {
	{ 0x00, "EV_PREBOOT_CERT" },
	{ 0x01, "EV_POST_CODE" },
	{ 0x03, "EV_NO_ACTION" },
	{ 0x04, "EV_SEPARATOR" },
	{ 0x05, "EV_ACTION" },
	{ 0x06, "EV_EVENT_TAG" },
	{ 0x07, "EV_S_CRTM_CONTENTS" },
	{ 0x08, "EV_S_CRTM_VERSION" },
	{ 0x09, "EV_CPU_MICROCODE" },
	{ 0x0a, "EV_PLATFORM_CONFIG_FLAGS" },
	{ 0x0b, "EV_TABLE_OF_DEVICES" },
	{ 0x0c, "EV_COMPACT_HASH" },
	{ 0x0d, "EV_IPL" },
	{ 0x0e, "EV_IPL_PARTITION_DATA" },
	{ 0x0f, "EV_NONHOST_CODE" },
	{ 0x10, "EV_NONHOST_CONFIG" },
	{ 0x11, "EV_NONHOST_INFO" },
	{ 0x12, "EV_OMIT_BOOT_DEVICE_EVENTS" },
	{ 0x13, "EV_POST_CODE2" },
	{ 0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG" },
	{ 0x80000002, "EV_EFI_VARIABLE_BOOT" },
	{ 0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION" },
	{ 0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER" },
	{ 0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER" },
	{ 0x80000006, "EV_EFI_GPT_EVENT" },
	{ 0x80000007, "EV_EFI_ACTION" },
	{ 0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB" },
	{ 0x80000009, "EV_EFI_HANDOFF_TABLES" },
	{ 0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2" },
	{ 0x8000000b, "EV_EFI_HANDOFF_TABLES2" },
	{ 0x8000000c, "EV_EFI_VARIABLE_BOOT2" },
	{ 0x8000000d, "EV_EFI_GPT_EVENT2" },
	{ 0x80000010, "EV_EFI_HCRTM_EVENT" },
	{ 0x800000e0, "EV_EFI_VARIABLE_AUTHORITY" },
	{ 0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB" },
	{ 0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG" },
	{ 0x800000e3, "EV_EFI_SPDM_DEVICE_POLICY" },
	{ 0x800000e4, "EV_EFI_SPDM_DEVICE_AUTHORITY" },
};

const char *event_type_name(uint32_t type, char buf[EVENT_TYPE_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(buf, EVENT_TYPE_MAX, "0x%08x", type);
	return buf;
}

/* ---- putting words together ------------------------------------------------------ */

struct words {
	char *out;
	size_t n;	/* EVENT_TEXT_MAX - 1 at most: what does not fit is left out */
};

static void add(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->out + w->n, EVENT_TEXT_MAX - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n += (size_t)n < EVENT_TEXT_MAX - w->n ? (size_t)n : EVENT_TEXT_MAX - 1 - w->n;
}

static bool printable(unsigned int c)
{
	return c >= ' ' && c < 0x7f;
}

/* @n characters of @width bytes each (ASCII or UTF-16), as far as they are worth showing; '?' for the others. */
static void add_chars(struct words *w, const uint8_t *p, size_t n, size_t width)
{
	for (size_t i = 0; i < n && i < WORDS_MAX; i++) {
		unsigned int c = p[i * width] | (width == 2 ? (unsigned int)p[i * width + 1] << 8 : 0);

		if (!c)
			return;
		add(w, "%c", printable(c) ? (int)c : '?');
	}
	if (n > WORDS_MAX)
		add(w, "...");
}

static bool is_text(const uint8_t *p, size_t n, size_t width)
{
	size_t chars = n / width, i;

	for (i = 0; i < chars; i++) {
		unsigned int c = p[i * width] | (width == 2 ? (unsigned int)p[i * width + 1] << 8 : 0);

		if (!c)
			break;
		if (!printable(c) && c != '\n' && c != '\t')
			return false;
	}
	return i > 0 && n % width == 0 && i + 1 >= chars;	/* one closing NUL is common */
}

/* Data of any kind. */
static void add_data(struct words *w, const uint8_t *p, size_t n)
{
	char hex[2 * 16 + 1];

	if (!n)
		return;
	if (n >= 4 && is_text(p, n, 2) && !is_text(p, n, 1)) {
		add(w, " \"");
		add_chars(w, p, n / 2, 2);
		add(w, "\"");
	} else if (is_text(p, n, 1)) {
		add(w, " \"");
		add_chars(w, p, n, 1);
		add(w, "\"");
	} else {
		vmc_hex_encode(p, n < 16 ? n : 16, hex);
		add(w, " %s%s (%zu bytes)", hex, n > 16 ? "..." : "", n);
	}
}

/* ---- kinds of data ------------------------------------------------------------------- */

/* UEFI_VARIABLE_DATA: its name, and its value when that is short. */
static bool add_variable(struct words *w, const struct event *e)
{
	struct le_in r = { e->data, e->data + e->n_data, false };
	uint64_t n_name, n_value;
	const uint8_t *name, *value;

	le_get(&r, 16);
	n_name = le_uint(&r, 8);
	n_value = le_uint(&r, 8);
	if (r.bad || n_name > le_left(&r) / 2 || n_value > le_left(&r) - 2 * n_name)
		return false;
	name = le_get(&r, (size_t)(2 * n_name));
	value = le_get(&r, (size_t)n_value);
	if (!name || !value)
		return false;
	add(w, " ");
	add_chars(w, name, (size_t)n_name, 2);
	if (n_value == 1)
		add(w, " = %u", value[0]);
	else
		add(w, " (%" PRIu64 " bytes)", n_value);
	return true;
}

static void add_guid(struct words *w, const uint8_t *g)
{
	add(w, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3], g[2], g[1], g[0], g[5],
	    g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

/* The nodes that name something: files, and those of a firmware volume. UEFI 2.10, 10.3. */
static bool add_path(struct words *w, const uint8_t *p, size_t n)
{
	struct le_in r = { p, p + n, false };
	bool named = false;

	while (le_left(&r) >= 4) {
		unsigned int type = (unsigned int)le_uint(&r, 1), sub = (unsigned int)le_uint(&r, 1);
		uint64_t len = le_uint(&r, 2);
		const uint8_t *node = len >= 4 ? le_get(&r, (size_t)len - 4) : NULL;

		if (!node || type == 0x7f)
			break;
		if (type != 4)
			continue;
		if (sub == 4) {
			add(w, named ? "" : " ");
			add_chars(w, node, (len - 4) / 2, 2);
			named = true;
		} else if ((sub == 6 || sub == 7) && len == 20) {
			add(w, sub == 6 ? " file " : " volume ");
			add_guid(w, node);
			named = true;
		}
	}
	return named;
}

/* UEFI_IMAGE_LOAD_EVENT */
static bool add_loaded(struct words *w, const struct event *e)
{
	struct le_in r = { e->data, e->data + e->n_data, false };
	uint64_t len, n_path;
	const uint8_t *path;

	le_get(&r, 8);	/* where it was put, which is nobody's concern */
	len = le_uint(&r, 8);
	le_get(&r, 8);
	n_path = le_uint(&r, 8);
	path = le_get(&r, (size_t)n_path);
	if (!path)
		return false;
	if (!add_path(w, path, (size_t)n_path))
		add(w, " (%" PRIu64 " bytes)", len);
	return true;
}

/* UEFI_PLATFORM_FIRMWARE_BLOB, and its successor with a description in front. */
static bool add_blob(struct words *w, const struct event *e, bool described)
{
	struct le_in r = { e->data, e->data + e->n_data, false };
	uint64_t n = described ? le_uint(&r, 1) : 0, base, len;
	const uint8_t *words = le_get(&r, (size_t)n);

	base = le_uint(&r, 8);
	len = le_uint(&r, 8);
	if (r.bad || !words)
		return false;
	if (n)
		add_data(w, words, (size_t)n);
	add(w, " (%" PRIu64 " bytes at 0x%" PRIx64 ")", len, base);
	return true;
}

/* TCG_PCClientTaggedEvent */
static bool add_tagged(struct words *w, const struct event *e)
{
	struct le_in r = { e->data, e->data + e->n_data, false };
	uint64_t id = le_uint(&r, 4), n = le_uint(&r, 4);
	const uint8_t *data = le_get(&r, (size_t)n);

	if (!data)
		return false;
	add(w, " 0x%" PRIx64, id);
	add_data(w, data, (size_t)n);
	return true;
}

static bool add_known(struct words *w, const struct event *e)
{
	switch (e->type) {
	case EV_EFI_VARIABLE_DRIVER_CONFIG:
	case EV_EFI_VARIABLE_BOOT:
	case EV_EFI_VARIABLE_BOOT2:
	case EV_EFI_VARIABLE_AUTHORITY:
		return add_variable(w, e);
	case EV_EFI_BOOT_SERVICES_APPLICATION:
	case EV_EFI_BOOT_SERVICES_DRIVER:
	case EV_EFI_RUNTIME_SERVICES_DRIVER:
		return add_loaded(w, e);
	case EV_EFI_PLATFORM_FIRMWARE_BLOB:
		return add_blob(w, e, false);
	case EV_EFI_PLATFORM_FIRMWARE_BLOB2:
		return add_blob(w, e, true);
	case EV_EVENT_TAG:
		return add_tagged(w, e);
	default:
		return false;
	}
}

void event_text(const struct event *e, char out[EVENT_TEXT_MAX])
{
	struct words w = { .out = out };
	char buf[EVENT_TYPE_MAX];

	out[0] = '\0';
	add(&w, "%s", event_type_name(e->type, buf));
	if (!add_known(&w, e))
		add_data(&w, e->data, e->n_data);
}
