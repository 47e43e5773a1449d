// SPDX-License-Identifier: GPL-2.0-or-later
/* The figures, and whether Prometheus would take them: a strict reader of its text format 0.0.4. */
#include "metrics.h"

#include "../testing/testing.h"

#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"

/* ---- the reader ------------------------------------------------------- */

#define NAMES_MAX 64

struct reader {
	char family[128];		/* that the last HELP began */
	bool typed, counter;
	char seen[NAMES_MAX][128];
	size_t n_seen;
	const char *samples[512];	/* where each begins, for series that come twice */
	size_t lens[512], n_samples;
};

static size_t name_len(const char *s, bool label)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || (!label && s[n] == ':'))
		n++;
	return isdigit((unsigned char)s[0]) ? 0 : n;
}

/* "# HELP name text": begins a family, which comes once. */
static void read_help(struct reader *r, const char *s)
{
	size_t n = name_len(s, false);

	assert_in_range(n, 1, sizeof(r->family) - 1);
	assert_int_equal(s[n], ' ');
	assert_int_not_equal(s[n + 1], '\n');
	snprintf(r->family, sizeof(r->family), "%.*s", (int)n, s);
	for (size_t i = 0; i < r->n_seen; i++)
		assert_string_not_equal(r->seen[i], r->family);
	assert_in_range(r->n_seen, 0, NAMES_MAX - 1);
	memcpy(r->seen[r->n_seen++], r->family, sizeof(r->family));
	r->typed = false;
}

static void read_type(struct reader *r, const char *s)
{
	size_t n = name_len(s, false);

	assert_int_equal(strlen(r->family), n);
	assert_memory_equal(s, r->family, n);
	assert_false(r->typed);
	r->typed = true;
	r->counter = !strncmp(s + n, " counter\n", 9);
	assert_true(r->counter || !strncmp(s + n, " gauge\n", 7));
	/* by convention */
	assert_int_equal(r->counter, n > 6 && !strncmp(s + n - 6, "_total", 6));
}

/* {name="value",...}: returns what follows. */
static const char *read_labels(const char *s)
{
	size_t n;

	do {
		s++;
		n = name_len(s, true);
		assert_true(n > 0);
		s += n;
		assert_int_equal(*s++, '=');
		assert_int_equal(*s++, '"');
		while (*s != '"') {
			assert_true(*s && *s != '\n');
			if (*s++ == '\\') {
				assert_true(*s == '\\' || *s == '"' || *s == 'n');
				s++;
			}
		}
		s++;
	} while (*s == ',');
	assert_int_equal(*s, '}');
	return s + 1;
}

static void read_sample(struct reader *r, const char *s)
{
	const char *start = s;
	size_t n = name_len(s, false), len;
	char *end;

	assert_true(r->typed);
	assert_int_equal(strlen(r->family), n);
	assert_memory_equal(s, r->family, n);
	s += n;
	if (*s == '{')
		s = read_labels(s);
	len = (size_t)(s - start);
	for (size_t i = 0; i < r->n_samples; i++)
		assert_false(r->lens[i] == len && !memcmp(r->samples[i], start, len));
	assert_in_range(r->n_samples, 0, ARRAY_SIZE(r->samples) - 1);
	r->samples[r->n_samples] = start;
	r->lens[r->n_samples++] = len;
	assert_int_equal(*s++, ' ');
	assert_true(isdigit((unsigned char)*s) || *s == '-');
	strtod(s, &end);
	assert_int_equal(*end, '\n');
	assert_false(r->counter && *s == '-');
}

static size_t read_text(const char *text)
{
	struct reader *r = calloc(1, sizeof(*r));
	size_t n;

	assert_non_null(r);
	while (*text) {
		assert_non_null(strchr(text, '\n'));
		if (!strncmp(text, "# HELP ", 7))
			read_help(r, text + 7);
		else if (!strncmp(text, "# TYPE ", 7))
			read_type(r, text + 7);
		else
			read_sample(r, text);
		text = strchr(text, '\n') + 1;
	}
	n = r->n_samples;
	free(r);
	return n;
}

/* ---- what is said ----------------------------------------------------- */

static char *format(struct metrics *m)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *text;

	m->version = "1.2";
	assert_ok(metrics_format(m, &text, &err), &err);
	return text;
}

static json_t *load(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	assert_non_null(o);
	return o;
}

static void test_nothing_is_known(void **state)
{
	struct metrics m = { .version = NULL };
	char *text = format(&m);

	(void)state;
	assert_int_equal(read_text(text), 3);
	assert_contains(text, "vmcrypt_build_info{version=\"1.2\"} 1\n");
	assert_contains(text, "vmcrypt_module_loaded 0\n");
	assert_contains(text, "vmcrypt_health_last_check_timestamp_seconds 0\n");
	free(text);
}

static void test_all_is_known(void **state)
{
	json_t *module = load("{\"loaded\":true,\"keks\":7,\"max_keks\":4096,\"deks\":9,\"stats\":{\"wraps\":1,"
			      "\"auth_failures\":2}}");
	json_t *vms = load("[{\"shows_as\":\"ok\",\"power\":\"on\",\"cause\":null},"
			   "{\"shows_as\":\"invalid\",\"power\":\"off\",\"cause\":\"kms-error\"},"
			   "{\"shows_as\":\"invalid\",\"power\":\"on\",\"cause\":\"kms-error\"}]");
	json_t *alarms = load("[{\"type\":\"vm-locked\",\"acknowledged\":null},{\"type\":\"vm-locked\","
			      "\"acknowledged\":\"2026-01-01T00:00:00Z\"},{\"type\":\"provider-down\"}]");
	json_t *health = load("{\"providers\":[{\"name\":\"a\\\"b\\\\c\\nd\",\"kind\":\"kmip\",\"ok\":true,"
			      "\"latency_ms\":1042,\"cert_days_left\":-3},{\"name\":\"down\",\"kind\":\"kmip\","
			      "\"ok\":false,\"error\":\"x\"}],\"keys\":[{\"state\":\"Active\"},"
			      "{\"state\":\"Deactivated\"}],\"would_lock\":[{}]}");
	struct metrics m = {
		.module = module, .vms = vms, .alarms = alarms, .health = health, .health_time = 1700000000,
		.health_ms = 42,
	};
	char *text;

	(void)state;
	/* where the decimal point is a comma; it may not be installed, then this changes nothing */
	setlocale(LC_ALL, "de_DE.UTF-8");
	text = format(&m);
	setlocale(LC_ALL, "C");
	assert_in_range(read_text(text), 40, 60);
	assert_contains(text, "vmcrypt_vms{state=\"invalid\"} 2\n");
	assert_contains(text, "vmcrypt_vms{state=\"suspended\"} 0\n");
	assert_contains(text, "vmcrypt_vms_powered_on 2\n");
	assert_contains(text, "vmcrypt_vm_locked{cause=\"kms-error\"} 2\n");
	assert_contains(text, "vmcrypt_vm_locked{cause=\"by-hand\"} 0\n");
	assert_contains(text, "vmcrypt_alarms{type=\"vm-locked\"} 2\n");
	assert_contains(text, "vmcrypt_alarms_unacknowledged 2\n");
	assert_contains(text, "vmcrypt_kek_cache_keys 7\n");
	assert_contains(text, "vmcrypt_kernel_auth_failures_total 2\n");
	assert_contains(text, "vmcrypt_provider_up{provider=\"a\\\"b\\\\c\\nd\"} 1\n");
	assert_contains(text, "vmcrypt_provider_up{provider=\"down\"} 0\n");
	assert_contains(text, "vmcrypt_provider_latency_seconds{provider=\"a\\\"b\\\\c\\nd\"} 1.042\n");
	assert_contains(text, "vmcrypt_provider_certificate_days_left{provider=\"a\\\"b\\\\c\\nd\"} -3\n");
	assert_contains(text, "vmcrypt_keys{state=\"Deactivated\"} 1\n");
	assert_contains(text, "vmcrypt_health_check_duration_seconds 0.042\n");
	assert_contains(text, "vmcrypt_vms_would_lock 1\n");
	/* a provider that does not answer has no latency */
	assert_null(strstr(text, "latency_seconds{provider=\"down\""));
	free(text);
	json_decref(module);
	json_decref(vms);
	json_decref(alarms);
	json_decref(health);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known),
		cmocka_unit_test(test_all_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
