/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of what the firmware measured: TCG PC Client Platform Firmware Profile,
 * the crypto-agile form, which begins with a Spec ID event. Pure. Nothing in a log
 * is to be believed before eventlog_check() has held it against quoted PCRs; and
 * then only what the digests cover, see struct event.
 */
#ifndef VMC_EVIDENCE_EVENTLOG_H
#define VMC_EVIDENCE_EVENTLOG_H

#include <stdbool.h>

#include "pcrs.h"

#define EVENTLOG_MAX		(1u << 20)	/* bytes */
#define EVENTLOG_EVENTS_MAX	4096u
#define EVENTLOG_BANKS_MAX	8u
#define EVENT_TEXT_MAX		192		/* with the closing NUL */
#define EVENT_TYPE_MAX		40

struct event_digest {
	TPMI_ALG_HASH bank;
	const uint8_t *value;		/* pcrs_size(bank) bytes */
};

struct event {
	uint32_t pcr, type;
	struct event_digest digests[EVENTLOG_BANKS_MAX];
	size_t n_digests;		/* a bank that is not known is left out */
	const uint8_t *data;		/* hearsay, unless event_data_measured() */
	size_t n_data;
};

struct eventlog {
	uint8_t *bytes;			/* a copy, that the events point into */
	struct event *events;		/* without the Spec ID event */
	size_t n;
	uint8_t locality;		/* of the firmware's TPM2_Startup: 0 or 3; with 4 (H-CRTM) the log says so, too */
};

/* VMC_EINVAL: malformed, or too much; VMC_ENOTSUP: the legacy SHA-1 form, or none. Caller frees by eventlog_free(). */
int eventlog_parse(const uint8_t *bytes, size_t len, struct eventlog **log, struct vmc_error *err);
void eventlog_free(struct eventlog *log);

/* What the PCRs 0 to 23 are after it all; mask: those that an event extended. VMC_ENOTSUP: no digests of @bank. */
int eventlog_replay(const struct eventlog *log, TPMI_ALG_HASH bank, struct pcrs *out, struct vmc_error *err);
/* Is it the log of these PCRs? VMC_EAUTH names those that it does not lead to. */
int eventlog_check(const struct eventlog *log, const struct pcrs *quoted, struct vmc_error *err);

const struct event_digest *event_digest(const struct event *e, TPMI_ALG_HASH bank);	/* NULL: none */
/* Is the digest of @bank that of the event's data, so that a log that checks vouches for the data, too? */
bool event_data_measured(const struct event *e, TPMI_ALG_HASH bank);

enum secure_boot { SECURE_BOOT_UNKNOWN, SECURE_BOOT_NO, SECURE_BOOT_YES };
/*
 * What the firmware measured of the variable SecureBoot, by digests of @bank: it must
 * be the first event of PCR 7. Holds when eventlog_check() did with PCR 7 quoted.
 */
enum secure_boot eventlog_secure_boot(const struct eventlog *log, TPMI_ALG_HASH bank);

/* ---- in words (event_text.c) ---- */

/* "EV_SEPARATOR"; "0x80000123" when it is another. */
const char *event_type_name(uint32_t type, char buf[EVENT_TYPE_MAX]);
/* What it was, in printable ASCII: "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot". Data is quoted as the log has it. */
void event_text(const struct event *e, char out[EVENT_TEXT_MAX]);

#endif
