// SPDX-License-Identifier: GPL-2.0-or-later
/* Each client is answered in its own language; what is kept and logged is English. */
#include "mock_bus.h"

#include "../testing/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../testing/german.h"

static const char catalog[] =
	TEST_PO("there is no VM '%s'", "es gibt keine VM »%s«")
	TEST_PO("key provider '%s' %s", "Schlüsselanbieter »%s« %s")
	TEST_PO("polkit says no", "polkit sagt nein")
	TEST_PO("%s needs the authorisation %s: %s", "%s braucht die Berechtigung %s: %s")
	TEST_PO("limit %u: it must be from 1 to %u, or 0 for %u", "Grenze %u: möglich ist 1 bis %u, oder 0 für %u");

static int setup(void **state)
{
	host_setup(state);
	host_start(*state);
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;

	assert_int_equal(host_stop(h), 0);
	return host_teardown(state);
}

static void speak(sd_bus *bus, const char *locale)
{
	sd_bus_message_unref(bus_call(bus, NULL, MANAGER, "SetHints", "a{ss}", 2, "locale", locale,
				      "of-a-later-version", "x"));
}

static void refused(sd_bus *bus, const char *text)
{
	bus_call(bus, "NotFound", MANAGER, "GetVM", "s", "nowhere");
	assert_contains(bus_error_text, text);
}

static void test_each_has_its_own(void **state)
{
	struct host *h = *state;
	sd_bus *other = host_connect(h, false);

	refused(h->client, "there is no VM 'nowhere'");
	speak(h->client, TEST_GERMAN);
	refused(h->client, "es gibt keine VM »nowhere«\nHint: ");
	refused(other, "there is no VM 'nowhere'");
	/* found before the call is given to a worker */
	bus_call(h->client, "InvalidArgument", MANAGER, "ListEvents", "ua{sv}", 4000000000u, 0);
	assert_contains(bus_error_text, "möglich ist 1 bis");
	speak(h->client, "xx_XX.UTF-8");
	refused(h->client, "there is no VM 'nowhere'");
	speak(h->client, TEST_GERMAN);
	speak(h->client, "C");
	refused(h->client, "there is no VM 'nowhere'");
	sd_bus_close_unref(other);
}

static void test_a_path_is_no_locale(void **state)
{
	struct host *h = *state;

	speak(h->client, TEST_GERMAN);
	speak(h->client, "../locale/de_DE.UTF-8");
	refused(h->client, "there is no VM 'nowhere'");
}

/* There is room again for others when those who gave hints have left. */
static void test_those_who_left_are_forgotten(void **state)
{
	enum { ROUNDS = 3, AT_ONCE = 100 };
	struct host *h = *state;
	sd_bus *bus[AT_ONCE];

	for (int i = 0; i < ROUNDS; i++) {
		for (int n = 0; n < AT_ONCE; n++) {
			bus[n] = host_connect(h, false);
			speak(bus[n], TEST_GERMAN);
		}
		refused(bus[AT_ONCE - 1], "es gibt keine VM");
		for (int n = 0; n < AT_ONCE; n++)
			sd_bus_close_unref(bus[n]);
	}
}

struct told {
	bool there;
	char text[256], json[1024];
};

static int on_event(sd_bus_message *m, void *data, sd_bus_error *e)
{
	const char *type, *vm, *text, *json;
	struct told *t = data;

	(void)e;
	assert_true(sd_bus_message_read(m, "ssss", &type, &vm, &text, &json) > 0);
	if (strcmp(type, "provider-added"))
		return 0;
	snprintf(t->text, sizeof(t->text), "%s", text);
	snprintf(t->json, sizeof(t->json), "%s", json);
	t->there = true;
	return 0;
}

/* A signal goes to all: in English, and with what a client needs to say it otherwise. */
static void test_signals_are_english(void **state)
{
	struct host *h = *state;
	struct told t = { 0 };

	speak(h->client, TEST_GERMAN);
	assert_true(sd_bus_match_signal(h->client, NULL, "org.vmcrypt1", "/org/vmcrypt1", "org.vmcrypt1.Manager",
					"Event", on_event, &t) >= 0);
	sd_bus_message_unref(bus_call(h->client, NULL, MANAGER, "AddProvider", "sss", "kmip", "kms", "{}"));
	bus_wait(h->client, &t.there, 0);
	assert_string_equal(t.text, "key provider 'kms' was added");
	assert_contains(t.json, "\"message\":{\"format\":\"key provider '%s' %s\"");
	host_log_contains(h, "key provider 'kms' was added");
}

static void test_refusal_by_polkit(void **state)
{
	struct host *h = *state;
	sd_bus *nobody;

	if (geteuid())
		skip();
	polkit_start(h);
	nobody = host_connect(h, true);
	speak(nobody, TEST_GERMAN);	/* takes no authorisation */
	bus_call(nobody, "NotAuthorized", MANAGER, "SetDefaultProvider", "s", "x");
	assert_contains(bus_error_text, "SetDefaultProvider braucht die Berechtigung");
	assert_contains(bus_error_text, "polkit sagt nein");
	host_log_contains(h, "polkit says no");
	sd_bus_close_unref(nobody);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static char *folder;

static int german(void **state)
{
	(void)state;
	folder = test_mkdir();
	test_german(folder, catalog);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	test_rmdir(folder);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_each_has_its_own),
		TEST(test_a_path_is_no_locale),
		TEST(test_those_who_left_are_forgotten),
		TEST(test_signals_are_english),
		TEST(test_refusal_by_polkit),
	};

	return cmocka_run_group_tests(tests, german, remove_folder);
}
