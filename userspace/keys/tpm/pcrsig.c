// SPDX-License-Identifier: GPL-2.0-or-later
/* systemd's file of signed PCR policies, see pcrsig.h. */
#include "pcrsig.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"

#define PCRS	24

static bool hex_field(const json_t *o, const char *key, uint8_t out[32])
{
	const char *s = json_string_value(json_object_get(o, key));
	size_t n = 0;

	return s && !vmc_hex_decode(s, out, 32, &n) && n == 32;
}

static bool sig_field(const json_t *o, struct pcrsig *p)
{
	const char *s = json_string_value(json_object_get(o, "sig"));

	return s && !vmc_base64_decode(s, p->sig, sizeof(p->sig), &p->n_sig) && p->n_sig;
}

static bool pcrs_field(const json_t *o, uint32_t *mask)
{
	const json_t *list = json_object_get(o, "pcrs"), *v;
	size_t i;

	*mask = 0;
	json_array_foreach(list, i, v) {
		json_int_t n = json_integer_value(v);

		if (!json_is_integer(v) || n < 0 || n >= PCRS)
			return false;
		*mask |= 1u << n;
	}
	return *mask;
}

static bool entry_parse(const json_t *o, struct pcrsig *p)
{
	return pcrs_field(o, &p->pcrs) && hex_field(o, "pkfp", p->pkfp) && hex_field(o, "pol", p->pol) &&
	       sig_field(o, p);
}

static int parse_bank(const json_t *list, const char *bank, struct pcrsig **out, size_t *n, struct vmc_error *err)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > PCRSIG_MAX)
		return vmc_fail(err, VMC_EINVAL, "signed PCR policies: '%s' must be an array of at most %d", bank,
				PCRSIG_MAX);
	*out = calloc(count ? count : 1, sizeof(**out));
	if (!*out)
		return vmc_fail(err, VMC_ENOMEM, "no memory for signed PCR policies");
	for (*n = 0; *n < count; (*n)++) {
		if (entry_parse(json_array_get(list, *n), &(*out)[*n]))
			continue;
		free(*out);
		*out = NULL;
		return vmc_fail(err, VMC_EINVAL, "signed PCR policies: entry %zu of '%s' lacks one of pcrs, pkfp, pol, sig, or it is not what it must be",
				*n + 1, bank);
	}
	return 0;
}

int pcrsig_parse(const char *text, size_t len, const char *bank, struct pcrsig **out, size_t *n, struct vmc_error *err)
{
	json_error_t je;
	json_t *o, *list;
	int rc = 0;

	*out = NULL;
	*n = 0;
	if (len > PCRSIG_FILE_MAX)
		return vmc_fail(err, VMC_EINVAL, "signed PCR policies: more than %u bytes", PCRSIG_FILE_MAX);
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(o)) {
		json_decref(o);
		return vmc_fail(err, VMC_EINVAL, "signed PCR policies: not a JSON object (line %d)", o ? 1 : je.line);
	}
	list = json_object_get(o, bank);
	if (list)
		rc = parse_bank(list, bank, out, n, err);
	json_decref(o);
	return rc;
}
