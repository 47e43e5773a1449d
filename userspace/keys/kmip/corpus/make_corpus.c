// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Seeds for the fuzzers: requests as they are sent, and what servers say to
 * them, good and bad. Run by "make kmip-corpus"; the seeds are kept in the
 * tree so that a run of the fuzzers needs nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../mock_kmip.h"

static const struct kmip_new_key key = {
	.name = "vmcrypt-vm-1", .app_namespace = "vmcrypt", .app_data = "installation",
	.usage = KMIP_USE_ENCRYPT | KMIP_USE_DECRYPT,
};

static void begin(struct kmip_request *r, uint8_t *buf, struct kmip_version v, unsigned int n)
{
	kmip_req_begin(r, buf, 8192, v, n, NULL, 0);
}

/* As reply_fuzz.c numbers them. */
static void ask(struct kmip_request *r, uint8_t *buf, struct kmip_version v, int shape)
{
	begin(r, buf, v, shape == 7 ? 4 : 1);
	switch (shape) {
	case 0:
		kmip_req_discover(r);
		break;
	case 1:
		kmip_req_query(r);
		break;
	case 2:
		kmip_req_create(r, &key);
		break;
	case 3:
		kmip_req_locate(r, &key, 0, 0);
		break;
	case 4:
		kmip_req_get(r, "1");
		break;
	case 5:
		kmip_req_get_attributes(r, "1");
		break;
	case 6:
		kmip_req_activate(r, "1");
		break;
	case 7:
		for (int i = 0; i < 2; i++) {
			kmip_req_get_attributes(r, i ? "9" : "1");
			kmip_req_get(r, i ? "9" : "1");
		}
		break;
	}
}

static void save(const char *dir, const char *kind, const char *name, int first,
		 const uint8_t *data, size_t n)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, kind, name);
	f = fopen(path, "w");
	if (!f || (first >= 0 && fputc(first, f) == EOF) || fwrite(data, 1, n, f) != n || fclose(f)) {
		perror(path);
		exit(1);
	}
}

/* A key that is the same in every run. */
static struct mock_store *store_with_key(void)
{
	struct mock_store *s = mock_store_new();
	static uint8_t in[8192], out[MOCK_MESSAGE_MAX];
	uint8_t material[PROVIDER_KEY_LEN];
	struct kmip_request r;
	size_t n;

	if (!s)
		exit(1);
	memset(material, 0xa5, sizeof(material));
	begin(&r, in, (struct kmip_version){ 1, 4 }, 1);
	kmip_req_register(&r, &key, material);
	if (kmip_req_end(&r, &n, NULL) || !mock_kmip_answer(s, "pre-active", in, n, out))
		exit(1);
	return s;
}

int main(int argc, char **argv)
{
	static const char *const scripts[] = {
		"", "old-error", "no-batch", "transparent", "wrapped", "wrong-id", "duplicate-item",
		"lose-item", "no-batch-id", "wrong-version", "pending", "fail-op=10,fail-reason=12",
		"key-length=16", "object-type=4",
	};
	static uint8_t in[8192], out[MOCK_MESSAGE_MAX], plain[MOCK_MESSAGE_MAX];
	char name[64], script[128];
	struct kmip_request r;
	size_t n, len, plain_len = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 1;
	}
	for (int shape = 0; shape < 8; shape++) {
		for (int two = 0; two < 2; two++) {
			struct kmip_version v = { two ? 2 : 1, two ? 0 : 4 };

			ask(&r, in, v, shape);
			if (kmip_req_end(&r, &n, NULL))
				return 1;
			snprintf(name, sizeof(name), "request-%d-%d.0", shape, v.major);
			save(argv[1], "ttlv", name, -1, in, n);
			for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
				struct mock_store *s = store_with_key();

				snprintf(script, sizeof(script), "max-version=20%s%s", *scripts[i] ? "," : "",
					 scripts[i]);
				len = mock_kmip_answer(s, script, in, n, out);
				mock_store_free(s);
				/* a fault that this request does not meet */
				if (i && len == plain_len && !memcmp(out, plain, len))
					continue;
				snprintf(name, sizeof(name), "reply-%d-%d.0-%zu", shape, v.major, i);
				save(argv[1], "reply", name, shape | (two ? 0x80 : 0), out, len);
				if (i)
					continue;
				save(argv[1], "ttlv", name, -1, out, len);
				memcpy(plain, out, len);
				plain_len = len;
			}
		}
	}
	return 0;
}
