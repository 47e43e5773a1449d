// SPDX-License-Identifier: GPL-2.0-or-later
/* The firmware's log, see eventlog.h; TCG PC Client Platform Firmware Profile 1.05, 10.2 and 10.4. */
#include "eventlog.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "event_types.h"
#include "le.h"

#define SHA1_SIZE	20
#define SPEC_ID		"Spec ID Event03"
#define LOCALITY	"StartupLocality"
#define SECURE_BOOT_PCR	7

struct bank_size {
	TPMI_ALG_HASH bank;
	uint16_t size;
};

struct parser {
	struct le_in in;
	struct bank_size banks[EVENTLOG_BANKS_MAX];
	size_t n_banks;
	struct eventlog *log;
	size_t room;
	bool has_locality;
	struct vmc_error *err;
};

static int malformed(struct parser *p, const char *why)
{
	return vmc_fail(p->err, VMC_EINVAL, "the event log is malformed at event %zu: %s", p->log->n + 1, message_say(why));
}

/* ---- the first event ---------------------------------------------------------- */

static int legacy(struct parser *p)
{
	vmc_fail(p->err, VMC_ENOTSUP, "the event log is in the legacy form, with SHA-1 digests only, which no longer prove what was measured");
	vmc_hint(p->err, "the host needs a TPM 2.0 with the SHA-256 bank turned on in its firmware setup, and a firmware that writes the crypto-agile log");
	return VMC_ENOTSUP;
}

static int take_banks(struct parser *p, struct le_in *spec)
{
	uint64_t n = le_uint(spec, 4), vendor;

	if (!n || n > EVENTLOG_BANKS_MAX)
		return malformed(p, N_("its Spec ID event has no digests, or too many"));
	for (p->n_banks = 0; p->n_banks < n; p->n_banks++) {
		struct bank_size *b = &p->banks[p->n_banks];

		b->bank = (TPMI_ALG_HASH)le_uint(spec, 2);
		b->size = (uint16_t)le_uint(spec, 2);
		if (!b->size || b->size > 64 || (pcrs_size(b->bank) && pcrs_size(b->bank) != b->size))
			return malformed(p, N_("a digest of its Spec ID event has another size than it can have"));
		for (size_t i = 0; i < p->n_banks; i++)
			if (p->banks[i].bank == b->bank)
				return malformed(p, N_("its Spec ID event names a bank twice"));
	}
	vendor = le_uint(spec, 1);
	le_get(spec, (size_t)vendor);
	if (spec->bad || le_left(spec))
		return malformed(p, N_("its Spec ID event is cut, or longer than it says"));
	return 0;
}

static int parse_spec_id(struct parser *p)
{
	uint64_t pcr = le_uint(&p->in, 4), type = le_uint(&p->in, 4), size;
	const uint8_t *data;
	struct le_in spec;

	le_get(&p->in, SHA1_SIZE);
	size = le_uint(&p->in, 4);
	data = le_get(&p->in, (size_t)size);
	if (!data)
		return malformed(p, N_("it is cut"));
	if (pcr || type != EV_NO_ACTION || size < sizeof(SPEC_ID) || memcmp(data, SPEC_ID, sizeof(SPEC_ID)))
		return legacy(p);
	spec = (struct le_in){ data + sizeof(SPEC_ID), data + size, false };
	le_get(&spec, 8);	/* class, version, errata, size of a UINTN */
	return take_banks(p, &spec);
}

/* ---- the others ------------------------------------------------------------------ */

static const struct bank_size *find_bank(const struct parser *p, TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < p->n_banks; i++)
		if (p->banks[i].bank == bank)
			return &p->banks[i];
	return NULL;
}

static int parse_digests(struct parser *p, struct event *e)
{
	uint64_t n = le_uint(&p->in, 4);
	uint32_t seen = 0;

	if (p->in.bad || n > p->n_banks)
		return malformed(p, N_("it is cut, or has more digests than there are banks"));
	for (uint64_t i = 0; i < n; i++) {
		const struct bank_size *b = find_bank(p, (TPMI_ALG_HASH)le_uint(&p->in, 2));
		const uint8_t *value = b ? le_get(&p->in, b->size) : NULL;

		if (!value)
			return malformed(p, N_("it is cut, or has a digest that the log does not announce"));
		if (seen & 1u << (b - p->banks))
			return malformed(p, N_("it has two digests of one bank"));
		seen |= 1u << (b - p->banks);
		if (pcrs_size(b->bank))
			e->digests[e->n_digests++] = (struct event_digest){ b->bank, value };
	}
	return 0;
}

static int take_locality(struct parser *p, const struct event *e)
{
	if (e->pcr || e->n_data != sizeof(LOCALITY) + 1 || memcmp(e->data, LOCALITY, sizeof(LOCALITY)))
		return 0;
	p->log->locality = e->data[sizeof(LOCALITY)];
	if (p->has_locality || (p->log->locality != 0 && p->log->locality != 3 && p->log->locality != 4))
		return malformed(p, N_("it tells of a locality twice, or of one that no start is from"));
	p->has_locality = true;
	return 0;
}

static int parse_event(struct parser *p, struct event *e)
{
	int rc;

	*e = (struct event){ .pcr = (uint32_t)le_uint(&p->in, 4), .type = (uint32_t)le_uint(&p->in, 4) };
	rc = parse_digests(p, e);
	if (rc)
		return rc;
	e->n_data = (size_t)le_uint(&p->in, 4);
	e->data = le_get(&p->in, e->n_data);
	if (!e->data)
		return malformed(p, N_("it is cut"));
	if (e->type == EV_NO_ACTION)
		return take_locality(p, e);
	return e->pcr < PCRS ? 0 : malformed(p, N_("it is of no PCR"));
}

static int make_room(struct parser *p)
{
	size_t room = p->room ? 2 * p->room : 64;
	struct event *events;

	if (p->log->n < p->room)
		return 0;
	if (p->log->n >= EVENTLOG_EVENTS_MAX)
		return vmc_fail(p->err, VMC_EINVAL, "the event log has more than %u events", EVENTLOG_EVENTS_MAX);
	events = realloc(p->log->events, room * sizeof(*events));
	if (!events)
		return vmc_fail(p->err, VMC_ENOMEM, "no memory to read an event log");
	p->log->events = events;
	p->room = room;
	return 0;
}

static int parse_all(struct parser *p)
{
	int rc = parse_spec_id(p);

	while (!rc && le_left(&p->in)) {
		rc = make_room(p);
		if (!rc)
			rc = parse_event(p, &p->log->events[p->log->n]);
		if (!rc)
			p->log->n++;
	}
	return rc;
}

int eventlog_parse(const uint8_t *bytes, size_t len, struct eventlog **log, struct vmc_error *err)
{
	struct parser p = { .err = err };
	int rc;

	*log = NULL;
	if (!bytes || !len)
		return vmc_fail(err, VMC_ENOTSUP, "there is no event log: the firmware wrote none");
	if (len > EVENTLOG_MAX)
		return vmc_fail(err, VMC_EINVAL, "the event log is of %zu bytes; %u are the most", len, EVENTLOG_MAX);
	p.log = calloc(1, sizeof(*p.log));
	if (p.log)
		p.log->bytes = malloc(len);
	if (!p.log || !p.log->bytes) {
		eventlog_free(p.log);
		return vmc_fail(err, VMC_ENOMEM, "no memory to read an event log");
	}
	memcpy(p.log->bytes, bytes, len);
	p.in = (struct le_in){ p.log->bytes, p.log->bytes + len, false };
	rc = parse_all(&p);
	if (rc)
		eventlog_free(p.log);
	else
		*log = p.log;
	return rc;
}

void eventlog_free(struct eventlog *log)
{
	if (!log)
		return;
	free(log->events);
	free(log->bytes);
	free(log);
}

/* ---- what it leads to ------------------------------------------------------------ */

static const EVP_MD *md_of(TPMI_ALG_HASH bank)
{
	switch (bank) {
	case TPM2_ALG_SHA1:
		return EVP_sha1();
	case TPM2_ALG_SHA256:
		return EVP_sha256();
	case TPM2_ALG_SHA384:
		return EVP_sha384();
	case TPM2_ALG_SHA512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

const struct event_digest *event_digest(const struct event *e, TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < e->n_digests; i++)
		if (e->digests[i].bank == bank)
			return &e->digests[i];
	return NULL;
}

static int extend(struct pcrs *p, uint32_t pcr, const uint8_t *digest, EVP_MD_CTX *c, const EVP_MD *md)
{
	size_t size = pcrs_size(p->bank);

	p->mask |= 1u << pcr;
	return EVP_DigestInit_ex(c, md, NULL) == 1 && EVP_DigestUpdate(c, p->value[pcr], size) == 1 &&
	       EVP_DigestUpdate(c, digest, size) == 1 && EVP_DigestFinal_ex(c, p->value[pcr], NULL) == 1;
}

static int replay(const struct eventlog *log, const EVP_MD *md, EVP_MD_CTX *c, struct pcrs *out, struct vmc_error *err)
{
	for (size_t i = 0; i < log->n; i++) {
		const struct event *e = &log->events[i];
		const struct event_digest *d = event_digest(e, out->bank);

		if (e->type == EV_NO_ACTION)
			continue;
		if (!d) {
			vmc_fail(err, VMC_ENOTSUP, "the event log has no %s digest of event %zu", pcrs_bank_name(out->bank), i + 2);
			vmc_hint(err, "turn the %s bank of the TPM on in the host's firmware setup", pcrs_bank_name(out->bank));
			return VMC_ENOTSUP;
		}
		if (!extend(out, e->pcr, d->value, c, md))
			return vmc_fail(err, VMC_EINTERNAL, "OpenSSL cannot replay an event log");
	}
	return 0;
}

int eventlog_replay(const struct eventlog *log, TPMI_ALG_HASH bank, struct pcrs *out, struct vmc_error *err)
{
	const EVP_MD *md = md_of(bank);
	EVP_MD_CTX *c;
	int rc;

	*out = (struct pcrs){ .bank = bank };
	if (!md)
		return vmc_fail(err, VMC_ENOTSUP, "an event log cannot be replayed for bank 0x%x", bank);
	for (unsigned int i = 17; i <= 22; i++)	/* those of a dynamic launch, which has not been */
		memset(out->value[i], 0xff, sizeof(out->value[i]));
	out->value[0][pcrs_size(bank) - 1] = log->locality;
	c = EVP_MD_CTX_new();
	rc = c ? replay(log, md, c, out, err) : vmc_fail(err, VMC_ENOMEM, "no memory to replay an event log");
	EVP_MD_CTX_free(c);
	return rc;
}

int eventlog_check(const struct eventlog *log, const struct pcrs *quoted, struct vmc_error *err)
{
	uint32_t differ = 0;
	struct pcrs ours;
	char list[64];
	int rc;

	rc = eventlog_replay(log, quoted->bank, &ours, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < PCRS; i++)
		if (quoted->mask & 1u << i && memcmp(ours.value[i], quoted->value[i], pcrs_size(quoted->bank)))
			differ |= 1u << i;
	if (!differ)
		return 0;
	pcrs_mask_text(differ, list);
	vmc_fail(err, VMC_EAUTH, "the event log does not lead to the quoted values of PCR %s", list);
	vmc_hint(err, "something was measured that the log does not tell of, or the log was altered; a full boot of the host writes it anew");
	return VMC_EAUTH;
}

/* ---- what the log says that the digests cover ----------------------------------------- */

bool event_data_measured(const struct event *e, TPMI_ALG_HASH bank)
{
	const struct event_digest *d = event_digest(e, bank);
	const EVP_MD *md = md_of(bank);
	uint8_t digest[EVP_MAX_MD_SIZE];

	return d && md && e->type != EV_NO_ACTION && EVP_Digest(e->data, e->n_data, digest, NULL, md, NULL) == 1 &&
	       !memcmp(digest, d->value, pcrs_size(bank));
}

/* UEFI_VARIABLE_DATA of EFI_GLOBAL_VARIABLE SecureBoot; its value, or -1. */
static int secure_boot_value(const struct event *e)
{
	static const uint8_t head[] = {
		0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
		10, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0,
		'S', 0, 'e', 0, 'c', 0, 'u', 0, 'r', 0, 'e', 0, 'B', 0, 'o', 0, 'o', 0, 't', 0,
	};

	if (e->n_data != sizeof(head) + 1 || memcmp(e->data, head, sizeof(head)))
		return -1;
	return e->data[sizeof(head)];
}

/*
 * Only what was measured into the PCR before anything else counts: types are not
 * covered by digests, so that a later SecureBoot could be anybody's.
 */
enum secure_boot eventlog_secure_boot(const struct eventlog *log, TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < log->n; i++) {
		const struct event *e = &log->events[i];

		if (e->pcr != SECURE_BOOT_PCR || e->type == EV_NO_ACTION)
			continue;
		if (e->type != EV_EFI_VARIABLE_DRIVER_CONFIG || !event_data_measured(e, bank))
			return SECURE_BOOT_UNKNOWN;
		switch (secure_boot_value(e)) {
		case 0:
			return SECURE_BOOT_NO;
		case 1:
			return SECURE_BOOT_YES;
		default:
			return SECURE_BOOT_UNKNOWN;
		}
	}
	return SECURE_BOOT_UNKNOWN;
}
