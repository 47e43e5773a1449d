// SPDX-License-Identifier: GPL-2.0-or-later
/* Which base image a host booted, and what differs when it is none; see image.h. */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/i18n.h"
#include "../../lib/message.h"
#include "../../lib/util.h"
#include "event_types.h"

#define IMAGE_PCRS	16u
#define HEX_MAX		129

/* An event of the image and one of the log, of which one may be missing. */
struct pair {
	const json_t *expected;
	const struct event *found;
};

static int no_memory(struct vmc_error *err)
{
	return vmc_fail(err, VMC_ENOMEM, "no memory to match a base image");
}

static bool counts(const struct event *e, uint32_t mask)
{
	return e->type != EV_NO_ACTION && e->pcr < IMAGE_PCRS && mask & 1u << e->pcr;
}

static unsigned int pcr_of(const json_t *e)
{
	return (unsigned int)json_integer_value(json_object_get(e, "pcr")) % IMAGE_PCRS;
}

static bool same(const json_t *expected, const struct event *e, TPMI_ALG_HASH bank)
{
	const struct event_digest *d = event_digest(e, bank);
	char hex[HEX_MAX], type[EVENT_TYPE_MAX];

	if (!d)
		return false;
	vmc_hex_encode(d->value, pcrs_size(bank), hex);
	return !strcmp(json_string_value(json_object_get(expected, "digest")), hex) &&
	       !strcmp(json_string_value(json_object_get(expected, "type")), event_type_name(e->type, type));
}

static TPMI_ALG_HASH bank_of(const json_t *image)
{
	return pcrs_bank(json_string_value(json_object_get(image, "bank")));
}

/* The next event of @pcr at *@at or behind it; *@at is then behind that. */
static const struct event *next_of(const struct eventlog *log, unsigned int pcr, size_t *at)
{
	while (*at < log->n) {
		const struct event *e = &log->events[(*at)++];

		if (e->pcr == pcr && counts(e, 1u << pcr))
			return e;
	}
	return NULL;
}

static bool fits(const json_t *image, const struct eventlog *log, uint32_t mask)
{
	TPMI_ALG_HASH bank = bank_of(image);
	size_t at[IMAGE_PCRS] = { 0 }, i;
	const json_t *expected;

	json_array_foreach(json_object_get(image, "events"), i, expected) {
		unsigned int pcr = pcr_of(expected);
		const struct event *e;

		if (!(mask & 1u << pcr))
			continue;
		e = next_of(log, pcr, &at[pcr]);
		if (!e || !same(expected, e, bank))
			return false;
	}
	for (unsigned int pcr = 0; pcr < IMAGE_PCRS; pcr++)
		if (mask & 1u << pcr && next_of(log, pcr, &at[pcr]))
			return false;
	return true;
}

/* ---- what differs ------------------------------------------------------------------ */

/* Both sides of one PCR. Returns how many pairs. */
static size_t pair_up(const json_t *image, const struct eventlog *log, unsigned int pcr, struct pair *pairs, size_t *n_expected,
		      size_t *n_found)
{
	const json_t *expected;
	const struct event *e;
	size_t i, at = 0;

	*n_expected = *n_found = 0;
	memset(pairs, 0, EVENTLOG_EVENTS_MAX * sizeof(*pairs));
	json_array_foreach(json_object_get(image, "events"), i, expected)
		if (pcr_of(expected) == pcr && *n_expected < EVENTLOG_EVENTS_MAX)
			pairs[(*n_expected)++].expected = expected;
	while (*n_found < EVENTLOG_EVENTS_MAX && (e = next_of(log, pcr, &at)))
		pairs[(*n_found)++].found = e;
	return *n_expected > *n_found ? *n_expected : *n_found;
}

struct span {
	size_t first, n;	/* pairs that differ; behind them both sides are the same again */
};

/* What is the same at the beginning and at the end is left out, so that one event too many does not spoil the rest. */
static struct span differing(struct pair *pairs, size_t n_expected, size_t n_found, TPMI_ALG_HASH bank)
{
	size_t least = n_expected < n_found ? n_expected : n_found, first = 0, last = 0;

	while (first < least && same(pairs[first].expected, pairs[first].found, bank))
		first++;
	while (last < least - first &&
	       same(pairs[n_expected - 1 - last].expected, pairs[n_found - 1 - last].found, bank))
		last++;
	for (size_t i = n_expected - last; i < n_expected; i++)
		pairs[i].expected = NULL;
	for (size_t i = n_found - last; i < n_found; i++)
		pairs[i].found = NULL;
	return (struct span){ first, (n_expected > n_found ? n_expected : n_found) - last - first };
}

static struct span differences(const json_t *image, const struct eventlog *log, unsigned int pcr, struct pair *pairs)
{
	size_t n_expected, n_found;

	pair_up(image, log, pcr, pairs, &n_expected, &n_found);
	return differing(pairs, n_expected, n_found, bank_of(image));
}

static size_t distance(const json_t *image, const struct eventlog *log, uint32_t mask, struct pair *pairs)
{
	size_t n = 0;

	for (unsigned int pcr = 0; pcr < IMAGE_PCRS; pcr++)
		if (mask & 1u << pcr)
			n += differences(image, log, pcr, pairs).n;
	return n;
}

/* ---- telling ------------------------------------------------------------------------ */

static json_t *found_to_json(const struct event *e, TPMI_ALG_HASH bank)
{
	const struct event_digest *d = e ? event_digest(e, bank) : NULL;
	char hex[HEX_MAX] = "", type[EVENT_TYPE_MAX], text[EVENT_TEXT_MAX];

	if (!e)
		return json_null();
	if (d)
		vmc_hex_encode(d->value, pcrs_size(bank), hex);
	event_text(e, text);
	return json_pack("{s:s, s:s, s:s}", "type", event_type_name(e->type, type), "digest", hex, "text", text);
}

static json_t *expected_to_json(const json_t *e)
{
	return e ? json_pack("{s:O, s:O, s:O}", "type", json_object_get(e, "type"), "digest", json_object_get(e, "digest"),
			     "text", json_object_get(e, "text")) :
		   json_null();
}

static json_t *id_and_name(const json_t *image)
{
	return json_pack("{s:O, s:O}", "id", json_object_get(image, "id"), "name", json_object_get(image, "name"));
}

struct story {
	json_t *events;
	uint32_t pcrs;
	size_t more;
	bool failed;
};

static void tell(struct story *s, const json_t *image, unsigned int pcr, const struct pair *p, size_t index)
{
	json_t *o;

	s->pcrs |= 1u << pcr;
	if (json_array_size(s->events) >= IMAGE_DIFFERENCES_MAX) {
		s->more++;
		return;
	}
	o = json_pack("{s:i, s:I, s:o, s:o}", "pcr", (int)pcr, "index", (json_int_t)index, "expected",
		      expected_to_json(p->expected), "found", found_to_json(p->found, bank_of(image)));
	if (json_array_append_new(s->events, o))
		s->failed = true;
}

static const char *event_name(const json_t *o, const char *side)
{
	const char *text = json_string_value(json_object_get(json_object_get(o, side), "text"));

	return text ? text : message_say(N_("none"));
}

static int mismatch(const json_t *image, const struct story *s, struct vmc_error *err)
{
	const json_t *first = json_array_get(s->events, 0);
	char list[64];

	pcrs_mask_text(s->pcrs, list);
	vmc_fail(err, VMC_ETPMPOLICY, "what the host booted is no known base image: from '%s', the nearest, PCR %s differ; the first is event %u of PCR %u: expected %s, found %s",
		 json_string_value(json_object_get(image, "name")), list,
		 (unsigned int)json_integer_value(json_object_get(first, "index")), pcr_of(first),
		 event_name(first, "expected"), event_name(first, "found"));
	vmc_hint(err, "if the host was changed on purpose: vmcrypt trust host-image export there, vmcrypt trust base-image import at the authority");
	return VMC_ETPMPOLICY;
}

static int explain(const json_t *image, const struct eventlog *log, uint32_t mask, struct pair *pairs, json_t **which,
		   struct vmc_error *err)
{
	struct story s = { .events = json_array() };

	for (unsigned int pcr = 0; s.events && pcr < IMAGE_PCRS; pcr++) {
		struct span d = { 0, 0 };

		if (mask & 1u << pcr)
			d = differences(image, log, pcr, pairs);
		for (size_t i = d.first; i < d.first + d.n; i++)
			tell(&s, image, pcr, &pairs[i], i);
	}
	if (s.events && !s.failed)
		*which = json_pack("{s:o, s:o, s:O, s:I}", "nearest", id_and_name(image), "pcrs", pcrs_mask_to_json(s.pcrs),
				   "events", s.events, "more", (json_int_t)s.more);
	if (*which)
		mismatch(image, &s, err);
	json_decref(s.events);
	return *which ? VMC_ETPMPOLICY : no_memory(err);
}

static int none_fits(const json_t *images, const struct eventlog *log, uint32_t mask, json_t **which, struct vmc_error *err)
{
	struct pair *pairs = calloc(EVENTLOG_EVENTS_MAX, sizeof(*pairs));
	const json_t *image, *nearest = NULL;
	size_t i, least = SIZE_MAX;
	int rc;

	if (!pairs)
		return no_memory(err);
	json_array_foreach(images, i, image) {
		size_t n = distance(image, log, mask, pairs);

		if (n < least) {
			least = n;
			nearest = image;
		}
	}
	rc = explain(nearest, log, mask, pairs, which, err);
	free(pairs);
	return rc;
}

static int match(const json_t *images, const struct eventlog *log, uint32_t mask, json_t **which, struct vmc_error *err)
{
	const json_t *image;
	size_t i;

	json_array_foreach(images, i, image)
		if (fits(image, log, mask)) {
			*which = id_and_name(image);
			return *which ? 0 : no_memory(err);
		}
	return none_fits(images, log, mask, which, err);
}

/* Of the banks that were not quoted a log says what it likes: an image of one of them is not matched. */
static json_t *of_bank(const json_t *images, TPMI_ALG_HASH bank)
{
	json_t *list = json_array(), *image;
	size_t i;

	json_array_foreach(images, i, image)
		if (bank_of(image) == bank && json_array_append(list, image)) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static int no_images(bool others, TPMI_ALG_HASH bank, struct vmc_error *err)
{
	if (others)
		vmc_fail(err, VMC_ENOENT, "there are no base images of PCR bank %s", pcrs_bank_name(bank));
	else
		vmc_fail(err, VMC_ENOENT, "there are no base images");
	vmc_hint(err, "vmcrypt trust host-image export on a host that is as it should be, vmcrypt trust base-image import at the authority");
	return VMC_ENOENT;
}

int image_match(const json_t *images, const struct eventlog *log, TPMI_ALG_HASH bank, uint32_t mask, json_t **which,
		struct vmc_error *err)
{
	json_t *list;
	int rc;

	*which = NULL;
	if (!mask || mask >> IMAGE_PCRS)
		return vmc_fail(err, VMC_EINVAL, "base images are matched by PCRs 0 to %u", IMAGE_PCRS - 1);
	list = of_bank(images, bank);
	if (!list)
		return no_memory(err);
	if (json_array_size(list))
		rc = match(list, log, mask, which, err);
	else
		rc = no_images(json_array_size(images), bank, err);
	json_decref(list);
	return rc;
}
