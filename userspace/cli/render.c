// SPDX-License-Identifier: GPL-2.0-or-later
#include "render.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "../lib/error.h"
#include "../lib/i18n.h"
#include "../lib/util.h"
#include "out.h"
#include "table.h"
#include "words.h"

#define COLUMNS_MAX	24
/* Deeper than anything the daemon has. */
#define DEPTH_MAX	8

const json_t *json_pick(const json_t *object, const char *key)
{
	const json_t *v;
	char name[64];
	size_t len;

	do {
		len = strcspn(key, "|");
		snprintf(name, sizeof(name), "%.*s", (int)len, key);
		v = json_object_get(object, name);
		key += len;
	} while (!v && *key++);
	return v;
}

static bool ends_with(const char *s, const char *end)
{
	size_t ls = strlen(s), le = strlen(end);

	return ls >= le && !strcmp(s + ls - le, end);
}

static bool is_bytes(const char *key)
{
	return !strcmp(key, "size") || !strcmp(key, "free") || ends_with(key, "_size") || ends_with(key, "_bytes");
}

static bool is_time(const char *key)
{
	return !strcmp(key, "time") || ends_with(key, "_time") || !strcmp(key, "not_after") ||
	       ends_with(key, "_not_after") || !strcmp(key, "started") || !strcmp(key, "created");
}

static char *integer_text(const char *key, json_int_t n)
{
	char buf[48];

	if (is_bytes(key) && n >= 0) {
		vmc_size_format(n, buf);
		i18n_decimal(buf);
	}
	else if (is_time(key) && n > 0)
		vmc_time_format(n, buf);
	else if (ends_with(key, "_ms"))
		snprintf(buf, sizeof(buf), "%lld ms", (long long)n);
	else if (ends_with(key, "days_left"))
		snprintf(buf, sizeof(buf), P_("%lld day", "%lld days", n < 0 ? -n : n), (long long)n);
	else if (!strcmp(key, "lease_left"))
		snprintf(buf, sizeof(buf), "%lld s", (long long)n);
	else
		snprintf(buf, sizeof(buf), "%lld", (long long)n);
	return strdup(buf);
}

static char *value_text(const char *key, const json_t *v, int depth);

/* "a, b", or "name=a id=b" of nested ones. */
static char *joined_text(const json_t *v, int depth)
{
	const char *name;
	char *text = NULL, *part;
	size_t len, i, n = 0;
	const json_t *member;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	json_array_foreach(v, i, member) {
		/* of an object, its name says enough */
		const json_t *short_form = json_pick(member, "name|id|host");

		part = value_text("", short_form ? short_form : member, depth + 1);
		fprintf(f, "%s%s", n++ ? ", " : "", part ? part : "?");
		free(part);
	}
	if (json_is_object(v)) {
		json_object_foreach((json_t *)v, name, member) {
			part = value_text(name, member, depth + 1);
			fprintf(f, "%s%s=%s", n++ ? " " : "", name, part ? part : "?");
			free(part);
		}
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static char *value_text(const char *key, const json_t *v, int depth)
{
	char buf[48];

	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		return strdup(*json_string_value(v) ? json_string_value(v) : "-");
	case JSON_INTEGER:
		return integer_text(key, json_integer_value(v));
	case JSON_REAL:
		snprintf(buf, sizeof(buf), "%.1f%s", json_real_value(v),
			 ends_with(key, "_ms") ? " ms" : "");
		i18n_decimal(buf);
		return strdup(buf);
	case JSON_TRUE:
		return strdup(_("yes"));
	case JSON_FALSE:
		return strdup(_("no"));
	case JSON_ARRAY:
	case JSON_OBJECT:
		return depth < DEPTH_MAX ? joined_text(v, depth) : strdup("...");
	default:
		return strdup("-");
	}
}

char *render_value(const char *key, const json_t *value)
{
	return value_text(key, value, 0);
}

/* Words that are good or bad news wherever they stand. */
static enum style style_of(const char *key, const char *text)
{
	static const char *const good[] = { "ok", "on", "Active", "healthy" };
	static const char *const bad[] = {
		"locked", "fail", "invalid", "missing", "unreachable", "Compromised", "Destroyed",
		"disk-key-missing",
	};
	static const char *const warn[] = { "warn", "pending", "degraded", "Pre-Active", "Deactivated" };
	size_t i;

	if ((!strcmp(key, "ok") || !strcmp(key, "reachable")) && !strcmp(text, "no"))
		return STYLE_BAD;
	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (!strcmp(text, good[i]))
			return STYLE_GOOD;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!strcmp(text, bad[i]))
			return STYLE_BAD;
	for (i = 0; i < ARRAY_SIZE(warn); i++)
		if (!strcmp(text, warn[i]))
			return STYLE_WARN;
	return STYLE_PLAIN;
}

static bool is_amount(const json_t *v)
{
	return json_is_integer(v) || json_is_real(v);
}

static void add_row(struct table *t, const char *name, const json_t *row,
		    const struct column *cols, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const json_t *v = json_pick(row, cols[i].key);
		char *text;

		if (!v && name && !strcmp(cols[i].key, "name"))
			text = strdup(name);
		else
			text = render_value(cols[i].key, v);
		table_cell(t, text ? words_value(cols[i].key, text) : NULL,
			   style_of(cols[i].key, text ? text : ""), is_amount(v) && !is_time(cols[i].key));
		free(text);
	}
}

static bool all_amounts(const json_t *list, const char *key)
{
	const json_t *row, *v;
	const char *name;
	size_t i;
	bool any = false;

	json_array_foreach(list, i, row) {
		v = json_pick(row, key);
		if (v && (!is_amount(v) || is_time(key)))
			return false;
		any |= v != NULL;
	}
	if (json_is_object(list)) {
		json_object_foreach((json_t *)list, name, row) {
			v = json_pick(row, key);
			if (v && (!is_amount(v) || is_time(key)))
				return false;
			any |= v != NULL;
		}
	}
	return any;
}

static int print_table(FILE *f, const json_t *list, const struct column *cols, size_t n,
		       int indent)
{
	struct table *t = table_new(n);
	const json_t *row;
	const char *name;
	size_t i;
	int r;

	for (i = 0; i < n; i++)
		table_cell(t, *cols[i].header ? _(cols[i].header) : "", STYLE_BOLD, all_amounts(list, cols[i].key));
	json_array_foreach(list, i, row)
		add_row(t, NULL, row, cols, n);
	if (json_is_object(list))
		json_object_foreach((json_t *)list, name, row)
			add_row(t, name, row, cols, n);
	r = table_print(t, f, indent, out_colour(f));
	table_free(t);
	return r;
}

int render_list(FILE *f, const json_t *list, const struct column *cols, size_t n_cols,
		const char *empty)
{
	size_t n = json_is_array(list) ? json_array_size(list) : json_object_size(list);

	if (!n) {
		fprintf(f, "%s\n", empty ? _(empty) : "");
		return 0;
	}
	return print_table(f, list, cols, n_cols, 0);
}

/* Short words that are written otherwise. */
static const char *spelled(const char *word, size_t len)
{
	static const char *const words[][2] = {
		{ "id", "ID" }, { "vm", "VM" }, { "vms", "VMs" }, { "kek", "KEK" }, { "dek", "DEK" },
		{ "uuid", "UUID" }, { "ca", "CA" }, { "tls", "TLS" }, { "kcv", "KCV" },
		{ "dm", "dm-crypt" }, { "cert", "certificate" }, { "kms", "KMS" },
		{ "fs", "file system" }, { "keks", "KEKs" }, { "deks", "DEKs" }, { "luks", "LUKS" },
		{ "ek", "EK" }, { "os", "OS" }, { "pcr", "PCR" }, { "pcrs", "PCRs" },
		{ "attest", "attestation" }, { "kmx", "key provider" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i][0]) == len && !memcmp(words[i][0], word, len))
			return words[i][1];
	return NULL;
}

/* "key_state" -> "Key state"; units at the end are in the value already. */
static void english_label(const char *key, char *out, size_t n)
{
	size_t used = 0, len;
	bool first = true;

	*out = '\0';
	while (*key && used < n) {
		const char *word;

		len = strcspn(key, "_");
		word = spelled(key, len);
		if (!first && !key[len] && len == 2 && !memcmp(key, "ms", 2))
			break;
		used += snprintf(out + used, n - used, "%s%.*s", first ? "" : " ",
				 word ? (int)strlen(word) : (int)len, word ? word : key);
		first = false;
		key += len + (key[len] == '_');
	}
	if (islower((unsigned char)out[0]) && strncmp(out, "dm-crypt", 8) != 0)
		out[0] = (char)toupper((unsigned char)out[0]);
}

static void label(const char *key, char *out, size_t n)
{
	char english[80];

	english_label(key, english, sizeof(english));
	snprintf(out, n, "%s", words_label(english));
}

/* In capitals; what does not fit, or is no character, is left out. */
static void header(const char *key, char *out, size_t n)
{
	mbstate_t from = { 0 }, to = { 0 };
	char text[80], c[MB_LEN_MAX];
	const char *s = text;
	size_t len, used = 0;
	wchar_t wc;

	label(key, text, sizeof(text));
	while (*s && (len = mbrtowc(&wc, s, strlen(s), &from)) <= strlen(s)) {
		s += len;
		len = wcrtomb(c, (wchar_t)towupper((wint_t)wc), &to);
		if (len == (size_t)-1 || used + len >= n)
			break;
		memcpy(out + used, c, len);
		used += len;
	}
	out[used] = '\0';
}

/* All rows' keys as columns, in the order in which they come. */
static size_t union_columns(const json_t *list, struct column cols[COLUMNS_MAX],
			    char headers[COLUMNS_MAX][80])
{
	const json_t *row;
	const char *key, *row_name;
	json_t *v, *rows = json_array();
	size_t n = 0, i, j;

	if (json_is_object(list)) {
		cols[n++] = (struct column){ N_("NAME"), "name" };
		json_object_foreach((json_t *)list, row_name, row)
			json_array_append(rows, (json_t *)row);
	} else {
		json_array_extend(rows, (json_t *)list);
	}
	json_array_foreach(rows, i, row) {
		json_object_foreach((json_t *)row, key, v) {
			for (j = 0; j < n && strcmp(cols[j].key, key) != 0; j++)
				;
			if (j < n || n == COLUMNS_MAX)
				continue;
			header(key, headers[n], sizeof(headers[n]));
			cols[n] = (struct column){ headers[n], key };
			n++;
		}
	}
	json_decref(rows);
	return n;
}

static bool holds_objects(const json_t *v)
{
	const json_t *first = json_array_get(v, 0);
	const char *name;
	json_t *member;

	if (json_is_array(v))
		return json_is_object(first);
	json_object_foreach((json_t *)v, name, member)
		if (!json_is_object(member))
			return false;
	return json_is_object(v) && json_object_size(v);
}

static bool is_block(const json_t *v)
{
	return holds_objects(v) || (json_is_object(v) && json_object_size(v)) ||
	       (json_is_string(v) && strchr(json_string_value(v), '\n'));
}

static int render_block(FILE *f, const json_t *v, int indent)
{
	char headers[COLUMNS_MAX][80];
	struct column cols[COLUMNS_MAX];

	if (json_is_string(v)) {
		text_print(f, json_string_value(v), true);
		return 0;
	}
	if (holds_objects(v))
		return print_table(f, v, cols, union_columns(v, cols, headers), indent);
	return render_object(f, v, indent);
}

/* The lines with one value each, aligned. */
static size_t label_width(const json_t *object)
{
	char text[80] = "";
	const char *key;
	size_t width = 0;
	json_t *v;

	json_object_foreach((json_t *)object, key, v) {
		label(key, text, sizeof(text));
		if (!is_block(v) && text_width(text) > width)
			width = text_width(text);
	}
	return width;
}

int render_object(FILE *f, const json_t *object, int indent)
{
	size_t width = label_width(object);
	char text[80] = "", *value;
	const char *key;
	json_t *v;
	int r = 0;

	if (indent > 2 * DEPTH_MAX)
		return 0;
	json_object_foreach((json_t *)object, key, v) {
		enum style s;
		bool colour = out_colour(f);

		if (is_block(v))
			continue;
		value = render_value(key, v);
		if (!value)
			return VMC_ENOMEM;
		label(key, text, sizeof(text));
		fprintf(f, "%*s", indent, "");
		text_print(f, text, false);
		s = style_of(key, value);
		fprintf(f, ":%*s%s", (int)(width - text_width(text)) + 1, "", style_on(s, colour));
		text_print(f, *value ? words_value(key, value) : _("none"), false);
		fprintf(f, "%s\n", style_off(s, colour));
		free(value);
	}
	json_object_foreach((json_t *)object, key, v) {
		if (!is_block(v) || r)
			continue;
		label(key, text, sizeof(text));
		fprintf(f, "%*s", indent, "");
		text_print(f, text, false);
		fputs(":\n", f);
		r = render_block(f, v, indent + 2);
	}
	return r;
}
