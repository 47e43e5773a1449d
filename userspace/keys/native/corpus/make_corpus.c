// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Seeds for the fuzzers: a backup, what is inside it, and lists of keys. Run by
 * "make native-corpus"; the seeds are kept in the tree so that a run of the
 * fuzzers needs nothing else.
 */
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../lib/secmem.h"
#include "../backup.h"
#include "../keylist.h"

#define PASSWORD "correct horse"

static const char *folder;

static void seed(const char *name, int first, const void *data, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (!f || (first >= 0 && fputc(first, f) < 0) || fwrite(data, 1, len, f) != len || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static void inside(const uint8_t *der, size_t len)
{
	const uint8_t *at = der;
	PKCS12 *p = d2i_PKCS12(NULL, &at, (long)len);
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(p);
	STACK_OF(PKCS12_SAFEBAG) *bags = PKCS12_unpack_p7encdata(sk_PKCS7_value(safes, 0), PASSWORD, -1);
	uint8_t *out = NULL;
	int n = ASN1_item_i2d((ASN1_VALUE *)bags, &out, ASN1_ITEM_rptr(PKCS12_SAFEBAGS));

	if (n <= 0)
		exit(1);
	seed("backup/bags", 0, out, (size_t)n);
	OPENSSL_free(out);
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	sk_PKCS7_pop_free(safes, PKCS7_free);
	PKCS12_free(p);
}

static void lists(const struct kdk *k)
{
	struct keylist l = { 0 };
	char id[NATIVE_ID_LEN + 1], *text = keylist_format(&l);

	seed("keylist/empty", -1, text, strlen(text));
	free(text);
	for (int i = 0; i < 3; i++)
		if (kdk_new_id(k, id, NULL) || keylist_add(&l, id, i ? "vm-web1-root" : "", NULL))
			exit(1);
	snprintf(l.k[1].destroyed, sizeof(l.k[1].destroyed), "2030-01-02T03:04:05Z");
	text = keylist_format(&l);
	seed("keylist/keys", -1, text, strlen(text));
	seed("keylist/cut", -1, text, strlen(text) / 2);
	free(text);
	keylist_clear(&l);
}

int main(int argc, char **argv)
{
	struct backup b = { .name = "site-a" };
	uint8_t *der;
	size_t len;

	if (argc != 2)
		return 1;
	folder = argv[1];
	if (secmem_init(1 << 16, NULL) || kdk_new(&b.kdk, NULL) ||
	    backup_make(&b, PASSWORD, 2, &der, &len, NULL))
		return 1;
	seed("backup/whole", 1, der, len);
	seed("backup/cut", 1, der, len / 2);
	inside(der, len);
	OPENSSL_free(der);
	lists(&b.kdk);
	backup_clear(&b);
	return 0;
}
