// SPDX-License-Identifier: GPL-2.0-or-later
/* Values of PCRs, see pcrs.h. */
#include "pcrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/util.h"

static const struct {
	TPMI_ALG_HASH bank;
	const char *name;
	size_t size;
} banks[] = {
	{ TPM2_ALG_SHA1, "sha1", 20 },
	{ TPM2_ALG_SHA256, "sha256", 32 },
	{ TPM2_ALG_SHA384, "sha384", 48 },
	{ TPM2_ALG_SHA512, "sha512", 64 },
	{ TPM2_ALG_SM3_256, "sm3_256", 32 },
};

TPMI_ALG_HASH pcrs_bank(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(banks); i++)
		if (!strcmp(banks[i].name, name))
			return banks[i].bank;
	return 0;
}

const char *pcrs_bank_name(TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (banks[i].bank == bank)
			return banks[i].name;
	return "?";
}

size_t pcrs_size(TPMI_ALG_HASH bank)
{
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (banks[i].bank == bank)
			return banks[i].size;
	return 0;
}

/* "0" to "23", no other way to write them; -1. */
static int number(const char *key)
{
	char same[12];
	char *end;
	unsigned long n = strtoul(key, &end, 10);

	if (*end || n >= PCRS)
		return -1;
	snprintf(same, sizeof(same), "%lu", n);
	return strcmp(same, key) ? -1 : (int)n;
}

static int put_value(const char *key, const json_t *value, uint32_t mask, struct pcrs *p, struct vmc_error *err)
{
	const char *hex = json_string_value(value);
	size_t n = 0, size = pcrs_size(p->bank);
	int i = number(key);

	if (i < 0)
		return vmc_fail(err, VMC_EINVAL, "the PCR values name '%.16s', which is no PCR", key);
	if (!(mask & 1u << i))
		return vmc_fail(err, VMC_EINVAL, "there is a value of PCR %d, which was not asked for", i);
	if (!hex || vmc_hex_decode(hex, p->value[i], size, &n) || n != size)
		return vmc_fail(err, VMC_EINVAL, "the value of PCR %d is not %zu bytes in hex", i, size);
	p->mask |= 1u << i;
	return 0;
}

int pcrs_from_json(const json_t *o, TPMI_ALG_HASH bank, uint32_t mask, struct pcrs *p, struct vmc_error *err)
{
	const char *key;
	json_t *value;
	char list[64];
	int rc;

	*p = (struct pcrs){ .bank = bank };
	if (!json_is_object(o) || !pcrs_size(bank))
		return vmc_fail(err, VMC_EINVAL, "the PCR values are not an object, or of no known bank");
	json_object_foreach((json_t *)o, key, value) {
		rc = put_value(key, value, mask, p, err);
		if (rc)
			return rc;
	}
	if (p->mask == mask)
		return 0;
	pcrs_mask_text(mask & ~p->mask, list);
	return vmc_fail(err, VMC_EINVAL, "there are no values of PCR %s", list);
}

json_t *pcrs_to_json(const struct pcrs *p)
{
	char key[12], hex[2 * sizeof(p->value[0]) + 1];
	json_t *o = json_object();

	for (unsigned int i = 0; o && i < PCRS; i++) {
		if (!(p->mask & 1u << i))
			continue;
		snprintf(key, sizeof(key), "%u", i);
		vmc_hex_encode(p->value[i], pcrs_size(p->bank), hex);
		if (json_object_set_new(o, key, json_string(hex))) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

int pcrs_mask_from_json(const json_t *a, uint32_t *mask, struct vmc_error *err)
{
	const json_t *value;
	size_t i;

	*mask = 0;
	json_array_foreach(a, i, value) {
		json_int_t n = json_integer_value(value);

		if (!json_is_integer(value) || n < 0 || n >= (json_int_t)PCRS || *mask & 1u << n)
			return vmc_fail(err, VMC_EINVAL, "a list of PCRs has each once, from 0 to %u", PCRS - 1);
		*mask |= 1u << n;
	}
	return *mask ? 0 : vmc_fail(err, VMC_EINVAL, "a list of PCRs names none");
}

json_t *pcrs_mask_to_json(uint32_t mask)
{
	json_t *a = json_array();

	for (unsigned int i = 0; a && i < PCRS; i++)
		if (mask & 1u << i && json_array_append_new(a, json_integer(i))) {
			json_decref(a);
			return NULL;
		}
	return a;
}

void pcrs_mask_text(uint32_t mask, char out[64])
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned int i = 0, last; i < PCRS && n < 64; i = last + 1) {
		last = i;
		if (!(mask & 1u << i))
			continue;
		while (last + 1 < PCRS && mask & 1u << (last + 1))
			last++;
		n += (size_t)snprintf(out + n, 64 - n, last > i + 1 ? "%s%u-%u" : last > i ? "%s%u, %u" : "%s%u",
				      n ? ", " : "", i, last);
	}
}
