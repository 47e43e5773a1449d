// SPDX-License-Identifier: GPL-2.0-or-later
/* The first byte says what was asked; the rest is the reply. Every parser then sees every payload. */
#include <stdlib.h>
#include <string.h>

#include "msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kmip_new_key one = { .name = "a", .app_namespace = "n", .app_data = "d" };

static void ask(struct kmip_request *r, uint8_t shape)
{
	static uint8_t out[8192];
	struct kmip_version v = { shape & 0x80 ? 2 : 1, shape & 0x80 ? 0 : 4 };
	size_t len;

	shape &= 7;
	kmip_req_begin(r, out, sizeof(out), v, shape == 7 ? 4 : 1, NULL, 0);
	switch (shape) {
	case 0:
		kmip_req_discover(r);
		break;
	case 1:
		kmip_req_query(r);
		break;
	case 2:
		kmip_req_create(r, &one);
		break;
	case 3:
		kmip_req_locate(r, &one, 0, 0);
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
			kmip_req_get_attributes(r, "1");
			kmip_req_get(r, "1");
		}
		break;
	}
	if (kmip_req_end(r, &len, NULL))
		abort();
}

static int on_id(const char *id, void *data)
{
	size_t n = strlen(id);

	if (!n || n > PROVIDER_KEY_ID_MAX)
		abort();
	*(size_t *)data += n;
	return 0;
}

static void read_item(const struct kmip_item *i, uint32_t op)
{
	struct kmip_version v[4];
	struct kmip_query_info q;
	struct kmip_attributes a;
	char id[PROVIDER_KEY_ID_MAX + 1];
	struct kmip_key k;
	struct vmc_error err;
	size_t n = 0;
	int rc = kmip_item_check(i, op, "server", "1", &err);

	if (rc > 0 || (rc == 0) != (i->answered && i->status == 0))
		abort();
	kmip_parse_versions(&i->payload, v, 4, &n, &err);
	kmip_parse_query(&i->payload, &q, &err);
	kmip_parse_id(&i->payload, id, &err);
	kmip_parse_ids(&i->payload, 100, on_id, &n, &err);
	rc = kmip_parse_attributes(&i->payload, &a, &err);
	if (kmip_parse_key(&i->payload, &k, &err))
		return;
	if (!kmip_key_check(&k, rc ? NULL : &a, k.id, &err)) {
		/* what is handed on is whole, and inside the payload */
		if (k.material_len != PROVIDER_KEY_LEN || k.material < i->payload.value ||
		    k.material + k.material_len > i->payload.value + i->payload.len)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kmip_reply reply;
	struct kmip_request r;
	struct vmc_error err;
	uint8_t *in;

	if (!size)
		return 0;
	ask(&r, data[0]);
	in = malloc(size);
	memcpy(in, data + 1, size - 1);
	if (!kmip_reply_parse(in, size - 1, &r, &reply, &err))
		for (unsigned int i = 0; i < r.n; i++)
			read_item(&reply.items[i], r.ops[i]);
	free(in);
	return 0;
}
