// SPDX-License-Identifier: GPL-2.0-or-later
/* The recovery key, see recovery.h. */
#include "recovery.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/secmem.h"
#include "aead.h"

#define GROUPS	16
#define DIGITS	6
#define CHECK	11u

static const char magic[8] = { 'V', 'M', 'C', 'R', 'E', 'C', 'O', '1' };

void recovery_format(const uint8_t *key, char *text)
{
	for (size_t i = 0; i < GROUPS; i++) {
		unsigned int v = (unsigned int)(key[2 * i] << 8 | key[2 * i + 1]) * CHECK;

		for (size_t d = DIGITS; d-- > 0; v /= 10)
			text[i * (DIGITS + 1) + d] = (char)('0' + v % 10);
		text[i * (DIGITS + 1) + DIGITS] = i + 1 < GROUPS ? '-' : '\0';
	}
}

static const char *skip_space(const char *s)
{
	while (*s == '-' || isspace((unsigned char)*s))
		s++;
	return s;
}

/* The value of six digits, or -1. */
static long group(const char **s)
{
	long v = 0;

	*s = skip_space(*s);
	for (int d = 0; d < DIGITS; d++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v % CHECK || v / CHECK > UINT16_MAX ? -1 : v / CHECK;
}

int recovery_parse(const char *text, uint8_t *key, struct vmc_error *err)
{
	for (size_t i = 0; i < GROUPS; i++) {
		long v = group(&text);

		if (v < 0) {
			vmc_fail(err, VMC_EINVAL, "group %zu of the recovery key is not right", i + 1);
			vmc_hint(err, "it is %d groups of %d digits; compare that group with what was noted", GROUPS, DIGITS);
			secmem_wipe(key, RECOVERY_KEY);
			return VMC_EINVAL;
		}
		key[2 * i] = (uint8_t)(v >> 8);
		key[2 * i + 1] = (uint8_t)v;
	}
	if (!*skip_space(text))
		return 0;
	secmem_wipe(key, RECOVERY_KEY);
	return vmc_fail(err, VMC_EINVAL, "there is more than %d groups of digits in the recovery key", GROUPS);
}

int recovery_wrap(const uint8_t *key, const uint8_t *master, uint8_t file[RECOVERY_FILE], struct vmc_error *err)
{
	memcpy(file, magic, sizeof(magic));
	return aead_seal(key, magic, sizeof(magic), master, AEAD_KEY, file + 8, file + 20, file + 52, err);
}

int recovery_unwrap(const uint8_t *key, const uint8_t *file, size_t len, uint8_t *master, struct vmc_error *err)
{
	int rc;

	if (len != RECOVERY_FILE || memcmp(file, magic, sizeof(magic)))
		return vmc_fail(err, VMC_EINVAL, "the file that the recovery key opens is damaged");
	rc = aead_open(key, magic, sizeof(magic), file + 20, AEAD_KEY, file + 8, file + 52, master, NULL);
	if (!rc)
		return 0;
	vmc_fail(err, VMC_EAUTH, "this is not the recovery key of this host's stored keys");
	vmc_hint(err, "a key that was exported before the last enable or export does not open it any more");
	return VMC_EAUTH;
}
