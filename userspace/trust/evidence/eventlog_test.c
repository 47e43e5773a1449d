// SPDX-License-Identifier: GPL-2.0-or-later
/* The logs of real firmware, and such as no firmware should write. */
#include "eventlog.h"

#include <stdlib.h>
#include <string.h>

#include "../../testing/testing.h"
#include "mock_logs.h"

#define FIRMWARE_PCRS	0xffu

static struct vmc_error err;

static void real_logs_lead_to_the_pcrs_of_their_start(void **state)
{
	(void)state;
	for (int i = 0; i < LOGS; i++) {
		struct eventlog *log = mock_log((enum mock_log)i);
		struct pcrs p;

		mock_log_pcrs((enum mock_log)i, FIRMWARE_PCRS, &p);
		assert_ok(eventlog_check(log, &p, &err), &err);
		eventlog_free(log);
	}
}

static void the_kernel_s_own_events_are_replayed_too(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF);
	struct pcrs p;

	(void)state;
	mock_log_pcrs(LOG_OVMF, 1u << 8 | 1u << 9, &p);
	assert_ok(eventlog_check(log, &p, &err), &err);
	eventlog_free(log);
}

static void a_log_of_another_start_is_refused_by_pcr(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF);
	struct pcrs p;

	(void)state;
	mock_log_pcrs(LOG_OVMF_SECURE_BOOT, FIRMWARE_PCRS, &p);
	assert_code(eventlog_check(log, &p, &err), VMC_EAUTH, &err);
	assert_string_equal(err.text, "the event log does not lead to the quoted values of PCR 0, 4, 7");
	assert_contains(err.hint, "the log was altered");
	eventlog_free(log);
}

static void an_altered_digest_is_found(void **state)
{
	const uint8_t *bytes;
	struct eventlog *log;
	uint8_t *copy;
	struct pcrs p;
	size_t len;

	(void)state;
	bytes = mock_log_bytes(LOG_SEABIOS, &len);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	assert_ok(eventlog_parse(bytes, len, &log, &err), &err);
	copy[event_digest(&log->events[3], TPM2_ALG_SHA256)->value - log->bytes] ^= 1;
	eventlog_free(log);
	assert_ok(eventlog_parse(copy, len, &log, &err), &err);
	mock_log_pcrs(LOG_SEABIOS, FIRMWARE_PCRS, &p);
	assert_code(eventlog_check(log, &p, &err), VMC_EAUTH, &err);
	eventlog_free(log);
	free(copy);
}

static void secure_boot_is_what_was_measured(void **state)
{
	static const enum secure_boot want[LOGS] = {
		[LOG_OVMF] = SECURE_BOOT_NO,
		[LOG_OVMF_SECURE_BOOT] = SECURE_BOOT_YES,
		[LOG_SEABIOS] = SECURE_BOOT_UNKNOWN,
	};

	(void)state;
	for (int i = 0; i < LOGS; i++) {
		struct eventlog *log = mock_log((enum mock_log)i);

		assert_int_equal(eventlog_secure_boot(log, TPM2_ALG_SHA256), want[i]);
		assert_int_equal(eventlog_secure_boot(log, TPM2_ALG_SM3_256), SECURE_BOOT_UNKNOWN);
		eventlog_free(log);
	}
}

/* The first event of PCR 7. */
static struct event *first_of_7(struct eventlog *log)
{
	size_t i = 0;

	while (i < log->n && log->events[i].pcr != 7)
		i++;
	assert_true(i < log->n);
	return &log->events[i];
}

static void secure_boot_is_not_believed_without_its_digest(void **state)
{
	struct eventlog *log = mock_log(LOG_OVMF);
	struct event *e = first_of_7(log);
	uint8_t *value = log->bytes + (e->data - log->bytes) + e->n_data - 1;

	(void)state;
	assert_int_equal(*value, 0);
	*value = 1;
	assert_int_equal(eventlog_secure_boot(log, TPM2_ALG_SHA256), SECURE_BOOT_UNKNOWN);
	eventlog_free(log);
}

static void a_secure_boot_that_is_measured_later_does_not_count(void **state)
{
	struct eventlog *off = mock_log(LOG_OVMF), *on = mock_log(LOG_OVMF_SECURE_BOOT);
	struct event *first = first_of_7(off);

	(void)state;
	first->type = 5;	/* a type is not covered by a digest */
	first[1] = *first_of_7(on);
	assert_int_equal(eventlog_secure_boot(off, TPM2_ALG_SHA256), SECURE_BOOT_UNKNOWN);
	eventlog_free(off);
	eventlog_free(on);
}

/* ---- words ---------------------------------------------------------------------------- */

static int has_text(const struct eventlog *log, const char *want)
{
	char text[EVENT_TEXT_MAX];

	for (size_t i = 0; i < log->n; i++) {
		event_text(&log->events[i], text);
		if (!strcmp(text, want))
			return 1;
	}
	return 0;
}

static void events_are_told_in_words(void **state)
{
	static const struct {
		enum mock_log log;
		const char *text;
	} want[] = {
		{ LOG_OVMF, "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 0" },
		{ LOG_OVMF_SECURE_BOOT, "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 1" },
		{ LOG_OVMF, "EV_EFI_BOOT_SERVICES_APPLICATION kernel" },
		{ LOG_OVMF, "EV_EVENT_TAG 0x8f3b22ec \"Linux initrd\"" },
		{ LOG_OVMF, "EV_EFI_ACTION \"Exit Boot Services Invocation\"" },
		{ LOG_SEABIOS, "EV_ACTION \"Start Option ROM Scan\"" },
		{ LOG_SEABIOS, "EV_ACTION \"Calling INT 19h\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct eventlog *log = mock_log(want[i].log);

		if (!has_text(log, want[i].text))
			fail_msg("no event reads '%s'", want[i].text);
		eventlog_free(log);
	}
}

static void a_text_is_printable_whatever_the_data(void **state)
{
	static const uint8_t nasty[] = "\x1b[2Jowned\n";
	struct event e = { .pcr = 4, .type = 0x0d, .data = nasty, .n_data = sizeof(nasty) - 1 };
	char text[EVENT_TEXT_MAX];

	(void)state;
	event_text(&e, text);
	assert_string_equal(text, "EV_IPL 1b5b324a6f776e65640a (10 bytes)");
	e = (struct event){ .type = 0x0d, .data = (const uint8_t *)"two\nlines", .n_data = 9 };
	event_text(&e, text);
	assert_string_equal(text, "EV_IPL \"two?lines\"");
	e = (struct event){ .type = 0x80001234 };
	event_text(&e, text);
	assert_string_equal(text, "0x80001234");
}

/* ---- what is refused --------------------------------------------------------------------- */

static void refuse(const uint8_t *bytes, size_t len, int code, const char *part)
{
	struct eventlog *log;

	assert_code(eventlog_parse(bytes, len, &log, &err), code, &err);
	assert_null(log);
	assert_contains(err.text, part);
}

static void every_cut_is_refused(void **state)
{
	const uint8_t *bytes;
	struct eventlog *log;
	size_t len, taken = 0;

	(void)state;
	bytes = mock_log_bytes(LOG_SEABIOS, &len);
	for (size_t n = 1; n < len; n++) {
		if (eventlog_parse(bytes, n, &log, &err))
			continue;
		taken++;	/* cut between two events */
		eventlog_free(log);
	}
	log = mock_log(LOG_SEABIOS);
	assert_int_equal(taken, log->n);
	eventlog_free(log);
}

static void the_legacy_form_is_refused_with_the_reason(void **state)
{
	static const uint8_t old[32 + 8] = { [4] = 8, [28] = 8 };

	(void)state;
	refuse(old, sizeof(old), VMC_ENOTSUP, "SHA-1");
	assert_contains(err.hint, "SHA-256 bank");
	refuse(NULL, 0, VMC_ENOTSUP, "no event log");
}

static void a_log_is_bounded(void **state)
{
	uint8_t *big = calloc(1, EVENTLOG_MAX + 1);
	const uint8_t *bytes;
	size_t len, head, at;

	(void)state;
	assert_non_null(big);
	refuse(big, EVENTLOG_MAX + 1, VMC_EINVAL, "1048576 are the most");
	bytes = mock_log_bytes(LOG_SEABIOS, &len);
	head = 32 + (bytes[28] | (size_t)bytes[29] << 8);
	memcpy(big, bytes, head);
	for (at = head; at + 16 <= EVENTLOG_MAX; at += 16)
		big[at + 4] = 4;	/* separators with no digest and no data */
	refuse(big, at, VMC_EINVAL, "more than 4096 events");
	free(big);
}

static void an_event_that_makes_no_sense_is_refused(void **state)
{
	const uint8_t *bytes;
	size_t len, head;
	uint8_t *copy;

	(void)state;
	bytes = mock_log_bytes(LOG_SEABIOS, &len);
	head = 32 + (bytes[28] | (size_t)bytes[29] << 8);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	copy[head] = 24;
	refuse(copy, len, VMC_EINVAL, "at event 1: it is of no PCR");
	copy[head] = 0;
	copy[head + 8] = 200;
	refuse(copy, len, VMC_EINVAL, "more digests than there are banks");
	copy[head + 8] = bytes[head + 8];
	copy[head + 12] ^= 0x40;
	refuse(copy, len, VMC_EINVAL, "that the log does not announce");
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_logs_lead_to_the_pcrs_of_their_start),
		cmocka_unit_test(the_kernel_s_own_events_are_replayed_too),
		cmocka_unit_test(a_log_of_another_start_is_refused_by_pcr),
		cmocka_unit_test(an_altered_digest_is_found),
		cmocka_unit_test(secure_boot_is_what_was_measured),
		cmocka_unit_test(secure_boot_is_not_believed_without_its_digest),
		cmocka_unit_test(a_secure_boot_that_is_measured_later_does_not_count),
		cmocka_unit_test(events_are_told_in_words),
		cmocka_unit_test(a_text_is_printable_whatever_the_data),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(the_legacy_form_is_refused_with_the_reason),
		cmocka_unit_test(a_log_is_bounded),
		cmocka_unit_test(an_event_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests_name("eventlog", tests, NULL, NULL);
}
