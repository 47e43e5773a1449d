// SPDX-License-Identifier: GPL-2.0-or-later
/* Base images of real logs: made, checked, matched; and what differs when none fits. */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "../../testing/testing.h"
#include "event_types.h"
#include "mock_logs.h"

#define MASK	0xffu

static struct vmc_error err;

static const struct image_meta meta = {
	.name = "debian-12.1", .kernel = "6.12.117+deb12-amd64", .os = "Debian GNU/Linux 12 (bookworm)",
	.host = "host-a", .exported = 1700000000,
};

static json_t *image_of(enum mock_log which, const char *name)
{
	struct eventlog *log = mock_log(which);
	struct image_meta m = meta;
	json_t *image;

	m.name = name;
	assert_ok(image_from_eventlog(log, TPM2_ALG_SHA256, &m, &image, &err), &err);
	eventlog_free(log);
	return image;
}

static const char *word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	assert_non_null(s);
	return s;
}

static void an_image_tells_what_it_is(void **state)
{
	json_t *image = image_of(LOG_OVMF_SECURE_BOOT, "secure");

	(void)state;
	assert_string_equal(word(image, "name"), "secure");
	assert_string_equal(word(image, "secure_boot"), "yes");
	assert_string_equal(word(image, "exported"), "2023-11-14T22:13:20Z");
	assert_null(json_object_get(image, "module"));
	assert_int_equal(strlen(word(image, "id")), IMAGE_ID_LEN - 1);
	json_decref(image);
	image = image_of(LOG_SEABIOS, NULL);
	assert_memory_equal(word(image, "name"), word(image, "id"), 12);
	json_decref(image);
}

static void an_image_survives_a_file(void **state)
{
	json_t *image = image_of(LOG_OVMF, "one"), *again;
	char *text = json_dumps(image, JSON_INDENT(2));

	(void)state;
	assert_ok(image_parse(text, strlen(text), &again, &err), &err);
	assert_true(json_equal(image, again));
	free(text);
	json_decref(again);
	json_decref(image);
}

static void an_image_matches_its_start(void **state)
{
	json_t *images = json_array(), *which;

	(void)state;
	json_array_append_new(images, image_of(LOG_SEABIOS, "bios"));
	json_array_append_new(images, image_of(LOG_OVMF, "efi"));
	for (int i = 0; i < 2; i++) {
		struct eventlog *log = mock_log(i ? LOG_OVMF : LOG_SEABIOS);

		assert_ok(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), &err);
		assert_string_equal(word(which, "name"), i ? "efi" : "bios");
		json_decref(which);
		eventlog_free(log);
	}
	json_decref(images);
}

static void what_differs_from_the_nearest_is_told(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF_SECURE_BOOT);
	json_t *images = json_array(), *which, *first;

	(void)state;
	json_array_append_new(images, image_of(LOG_SEABIOS, "bios"));
	json_array_append_new(images, image_of(LOG_OVMF, "efi"));
	assert_code(image_match(images, log, TPM2_ALG_SHA256, 1u << 7, &which, &err), VMC_ETPMPOLICY, &err);
	assert_string_equal(word(json_object_get(which, "nearest"), "name"), "efi");
	assert_int_equal(json_integer_value(json_array_get(json_object_get(which, "pcrs"), 0)), 7);
	first = json_array_get(json_object_get(which, "events"), 0);
	assert_string_equal(word(json_object_get(first, "expected"), "text"), "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 0");
	assert_string_equal(word(json_object_get(first, "found"), "text"), "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 1");
	assert_contains(err.text, "from 'efi', the nearest, PCR 7 differ; the first is event 0 of PCR 7: expected "
				  "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 0, found EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 1");
	assert_contains(err.hint, "host-image export");
	json_decref(which);
	json_decref(images);
	eventlog_free(log);
}

static void only_the_policy_s_pcrs_must_fit(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF_SECURE_BOOT);
	json_t *images = json_array(), *which;

	(void)state;
	json_array_append_new(images, image_of(LOG_OVMF, "efi"));
	assert_ok(image_match(images, log, TPM2_ALG_SHA256, 1u << 2 | 1u << 3 | 1u << 5, &which, &err), &err);
	json_decref(which);
	assert_code(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), VMC_ETPMPOLICY, &err);
	json_decref(which);
	assert_code(image_match(images, log, TPM2_ALG_SHA256, 1u << 16, &which, &err), VMC_EINVAL, &err);
	json_decref(images);
	eventlog_free(log);
}

static void one_event_too_many_is_one_difference(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF);
	json_t *images = json_array(), *which, *events;

	(void)state;
	json_array_append_new(images, image_of(LOG_OVMF, "efi"));
	log->events[log->n] = log->events[log->n - 1];	/* there is room: it grows by doubling */
	log->events[log->n++].pcr = 4;
	assert_code(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), VMC_ETPMPOLICY, &err);
	events = json_object_get(which, "events");
	assert_int_equal(json_array_size(events), 1);
	assert_true(json_is_null(json_object_get(json_array_get(events, 0), "expected")));
	assert_contains(err.text, "expected none, found EV_");
	json_decref(which);
	log->n = 3;
	assert_code(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), VMC_ETPMPOLICY, &err);
	assert_int_equal(json_array_size(json_object_get(which, "events")), IMAGE_DIFFERENCES_MAX);
	assert_true(json_integer_value(json_object_get(which, "more")) > 0);
	json_decref(which);
	json_decref(images);
	eventlog_free(log);
}

/* A log that was checked by SHA-256 says of SHA-384 what its host would have it say. */
static void a_bank_that_was_not_quoted_proves_nothing(void **state)
{
	static const uint8_t forged[48] = { 1 };
	struct eventlog *log = mock_log(LOG_OVMF);
	json_t *images = json_array(), *image, *which;

	(void)state;
	for (size_t i = 0; i < log->n; i++) {
		const struct event_digest *proven = event_digest(&log->events[i], TPM2_ALG_SHA256);

		if (log->events[i].type == EV_NO_ACTION)
			continue;
		log->events[i].digests[0] = *proven;
		log->events[i].digests[1] = (struct event_digest){ TPM2_ALG_SHA384, forged };
		log->events[i].n_digests = 2;
	}
	assert_ok(image_from_eventlog(log, TPM2_ALG_SHA384, &meta, &image, &err), &err);
	json_array_append_new(images, image);
	assert_code(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), VMC_ENOENT, &err);
	assert_contains(err.text, "of PCR bank sha256");
	assert_null(which);
	assert_ok(image_match(images, log, TPM2_ALG_SHA384, MASK, &which, &err), &err);
	json_decref(which);
	json_decref(images);
	eventlog_free(log);
}

static void no_images_is_its_own_error(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF);
	json_t *images = json_array(), *which;

	(void)state;
	assert_code(image_match(images, log, TPM2_ALG_SHA256, MASK, &which, &err), VMC_ENOENT, &err);
	assert_null(which);
	json_decref(images);
	eventlog_free(log);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void refuse(json_t *image, const char *part)
{
	assert_code(image_check(image, &err), VMC_EINVAL, &err);
	assert_contains(err.text, part);
	json_decref(image);
}

static void an_altered_image_is_refused(void **state)
{
	json_t *image = image_of(LOG_OVMF, "efi"), *event;

	(void)state;
	event = json_array_get(json_object_get(image, "events"), 2);
	json_object_set_new(event, "pcr", json_integer(6));
	refuse(image, "its id is not that of its events");

	image = image_of(LOG_OVMF, "efi");
	json_object_set_new(image, "more", json_true());
	refuse(image, "something in it that none has");

	image = image_of(LOG_OVMF, "efi");
	json_object_set_new(image, "os", json_string("\033[2J"));
	refuse(image, "what it tells about itself");

	image = image_of(LOG_OVMF, "efi");
	event = json_array_get(json_object_get(image, "events"), 0);
	json_object_set_new(event, "type", json_string("EV_ACTION ff\n1 EV_ACTION"));
	refuse(image, "event 1 is none");

	image = image_of(LOG_OVMF, "efi");
	json_object_set_new(image, "events", json_array());
	refuse(image, "no events");
}

static void what_is_no_image_is_refused(void **state)
{
	json_t *image;

	(void)state;
	assert_code(image_parse("{", 1, &image, &err), VMC_EINVAL, &err);
	assert_contains(err.text, "not JSON");
	assert_code(image_parse("[]", 2, &image, &err), VMC_EINVAL, &err);
	assert_null(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_tells_what_it_is),
		cmocka_unit_test(an_image_survives_a_file),
		cmocka_unit_test(an_image_matches_its_start),
		cmocka_unit_test(what_differs_from_the_nearest_is_told),
		cmocka_unit_test(only_the_policy_s_pcrs_must_fit),
		cmocka_unit_test(one_event_too_many_is_one_difference),
		cmocka_unit_test(a_bank_that_was_not_quoted_proves_nothing),
		cmocka_unit_test(no_images_is_its_own_error),
		cmocka_unit_test(an_altered_image_is_refused),
		cmocka_unit_test(what_is_no_image_is_refused),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
