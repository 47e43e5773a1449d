// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages: what is asked for, in both generations of the protocol, and what is taken for an answer. */
#include <string.h>

#include "../../testing/testing.h"
#include "mock_kmip.h"
#include "tags.h"

static uint8_t in[16384], out[MOCK_MESSAGE_MAX];
static struct kmip_request req;
static struct kmip_reply reply;
static struct vmc_error err;

static const struct kmip_version v14 = { 1, 4 }, v20 = { 2, 0 };
static const struct kmip_new_key vm_key = {
	.name = "vmcrypt-a", .app_namespace = "vmcrypt", .app_data = "here",
	.operation_policy = "shared", .usage = 0x3c,
};

static size_t end(void)
{
	size_t n = 0;

	assert_ok(kmip_req_end(&req, &n, &err), &err);
	return n;
}

static void begin(struct kmip_version v, unsigned int items)
{
	memset(&err, 0, sizeof(err));
	kmip_req_begin(&req, in, sizeof(in), v, items, NULL, 0);
}

/* A Get and its attributes for two keys, one of which is there. */
static size_t ask_two(struct kmip_version v, const char *a, const char *b)
{
	begin(v, 4);
	kmip_req_get_attributes(&req, a);
	kmip_req_get(&req, a);
	kmip_req_get_attributes(&req, b);
	kmip_req_get(&req, b);
	return end();
}

static int answer(struct mock_store *s, const char *script, size_t n)
{
	size_t len = mock_kmip_answer(s, script, in, n, out);

	assert_true(len > 0);
	memset(&err, 0, sizeof(err));
	return kmip_reply_parse(out, len, &req, &reply, &err);
}

static bool has_text(const uint8_t *p, size_t n, const char *s)
{
	return memmem(p, n, s, strlen(s));
}

static bool has_tag(size_t n, uint32_t tag)
{
	uint8_t b[3] = { tag >> 16, tag >> 8, tag };

	return memmem(in, n, b, 3);
}

static void test_header(void **state)
{
	const struct kmip_auth auth = { "joe", "secret" };
	struct ttlv root, head, i;
	int32_t v;
	size_t n;

	(void)state;
	kmip_req_begin(&req, in, sizeof(in), v14, 2, &auth, 4096);
	kmip_req_query(&req);
	kmip_req_discover(&req);
	n = end();
	assert_int_equal(ttlv_parse(in, n, &root, NULL), 0);
	assert_int_equal(root.tag, T_REQUEST_MESSAGE);
	assert_true(ttlv_find(&root, T_REQUEST_HEADER, &head));
	assert_true(ttlv_find(&head, T_BATCH_COUNT, &i) && ttlv_get_int(&i, &v) && v == 2);
	assert_true(ttlv_find(&head, T_MAXIMUM_RESPONSE_SIZE, &i) && ttlv_get_int(&i, &v) && v == 4096);
	assert_true(ttlv_find(&head, T_BATCH_ERROR_CONTINUATION, &i));
	assert_true(ttlv_find(&head, T_AUTHENTICATION, &i));
	assert_true(has_text(in, n, "joe") && has_text(in, n, "secret"));
	/* clocks differ, and servers refuse what they think is from the future */
	assert_false(ttlv_find(&head, T_TIME_STAMP, &i));
}

static void test_attributes_of_both_generations(void **state)
{
	size_t n;

	(void)state;
	begin(v14, 1);
	kmip_req_create(&req, &vm_key);
	n = end();
	assert_true(has_tag(n, T_TEMPLATE_ATTRIBUTE) && has_text(in, n, "Cryptographic Algorithm"));
	assert_true(has_text(in, n, "Operation Policy Name") && has_text(in, n, "vmcrypt-a"));
	assert_false(has_tag(n, T_ATTRIBUTES));
	begin(v20, 1);
	kmip_req_create(&req, &vm_key);
	n = end();
	assert_true(has_tag(n, T_ATTRIBUTES) && has_text(in, n, "vmcrypt-a"));
	assert_false(has_tag(n, T_TEMPLATE_ATTRIBUTE) || has_text(in, n, "Cryptographic Algorithm"));
	assert_false(has_text(in, n, "shared"));
	begin(v14, 1);
	kmip_req_add_attribute(&req, "1", "Vendor", "vmcrypt");
	n = end();
	assert_true(has_text(in, n, "x-Vendor"));
	begin(v20, 1);
	kmip_req_add_attribute(&req, "1", "Vendor", "vmcrypt");
	n = end();
	assert_true(has_tag(n, T_NEW_ATTRIBUTE) && !has_text(in, n, "x-Vendor"));
}

static void test_request_limits(void **state)
{
	uint8_t tiny[64];
	size_t n;

	(void)state;
	begin(v14, 2);
	kmip_req_query(&req);
	assert_int_equal(kmip_req_end(&req, &n, &err), VMC_EINTERNAL);	/* announced two */
	begin(v14, 129);
	for (int i = 0; i < 129; i++)
		kmip_req_query(&req);
	assert_int_equal(kmip_req_end(&req, &n, &err), VMC_EINTERNAL);
	kmip_req_begin(&req, tiny, sizeof(tiny), v14, 1, NULL, 0);
	kmip_req_query(&req);
	assert_int_equal(kmip_req_end(&req, &n, &err), VMC_ENOSPC);
}

static struct mock_store *one_key(enum provider_key_state state, char id[32])
{
	struct mock_store *s = mock_store_new();

	assert_non_null(s);
	mock_store_add(s, state, id);
	return s;
}

static void test_batch(void **state)
{
	uint8_t material[PROVIDER_KEY_LEN];
	struct kmip_attributes a;
	struct mock_store *s;
	struct kmip_key k;
	char id[32];

	(void)state;
	s = one_key(PKS_COMPROMISED, id);
	for (int two = 0; two < 2; two++) {
		size_t n = ask_two(two ? v20 : v14, id, "77");

		assert_ok(answer(s, "max-version=20", n), &err);
		assert_false(reply.refused);
		assert_ok(kmip_item_check(&reply.items[0], KMIP_GET_ATTRIBUTES, "s", id, &err), &err);
		assert_ok(kmip_parse_attributes(&reply.items[0].payload, &a, &err), &err);
		assert_int_equal(a.state, PKS_COMPROMISED);
		assert_ok(kmip_parse_key(&reply.items[1].payload, &k, &err), &err);
		assert_ok(kmip_key_check(&k, &a, id, &err), &err);
		assert_int_equal(mock_store_material(s, id, material), 0);
		assert_memory_equal(k.material, material, PROVIDER_KEY_LEN);
		assert_code(kmip_item_check(&reply.items[3], KMIP_GET, "kms1:5696", "77", &err),
			    VMC_ENOKEY, &err);
		assert_contains(err.text, "kms1:5696");
		assert_contains(err.text, "Get of key '77'");
		assert_contains(err.text, "Item Not Found");
	}
	mock_store_free(s);
}

static void test_replies_that_are_no_answers(void **state)
{
	static const struct {
		const char *script, *why;
	} bad[] = {
		{ "duplicate-item", "twice" },
		{ "wrong-batch-id", "answers none of" },
		{ "no-batch-id", "answers none of" },
		{ "wrong-op", "answers Get Attributes with Query" },
		{ "wrong-version", "KMIP 3.0" },
	};
	struct mock_store *s;
	char id[32];

	(void)state;
	s = one_key(PKS_ACTIVE, id);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = ask_two(v14, id, "77");

		assert_code(answer(s, bad[i].script, n), VMC_EPROTO, &err);
		assert_contains(err.text, bad[i].why);
	}
	/* an item left out is no fault of the others */
	assert_ok(answer(s, "lose-item", ask_two(v14, id, "77")), &err);
	assert_true(reply.items[0].answered && !reply.items[3].answered);
	assert_code(kmip_item_check(&reply.items[3], KMIP_GET, "s", "77", &err), VMC_EPROTO, &err);
	assert_ok(answer(s, "pending", ask_two(v14, id, "77")), &err);
	assert_code(kmip_item_check(&reply.items[0], KMIP_GET, "s", id, &err), VMC_EPROTO, &err);
	mock_store_free(s);
}

static void test_old_refusal(void **state)
{
	struct mock_store *s;
	char id[32];
	size_t n;

	(void)state;
	s = one_key(PKS_ACTIVE, id);
	/* KMIP 1.0, no Operation, no id: of one item, and of the whole batch */
	begin(v14, 1);
	kmip_req_get(&req, id);
	n = end();
	assert_ok(answer(s, "old-error", n), &err);
	assert_true(reply.refused);
	assert_int_equal(reply.version.minor, 0);
	assert_code(kmip_item_check(&reply.items[0], KMIP_GET, "s", id, &err), VMC_EREFUSED, &err);
	assert_contains(err.text, "Invalid Message");
	assert_ok(answer(s, "no-batch", ask_two(v14, id, id)), &err);
	assert_true(reply.refused);
	mock_store_free(s);
}

static void test_single_without_id(void **state)
{
	struct mock_store *s;
	char id[32];
	size_t n;

	(void)state;
	s = one_key(PKS_ACTIVE, id);
	begin(v14, 1);
	kmip_req_get(&req, id);
	n = end();
	assert_ok(answer(s, "no-batch-id", n), &err);
	assert_true(reply.items[0].answered && !reply.refused);
	mock_store_free(s);
}

static void check_key(const char *script, const char *why)
{
	struct mock_store *s;
	struct kmip_key k;
	char id[32];
	size_t n;
	int rc;

	s = one_key(PKS_ACTIVE, id);
	begin(v14, 1);
	kmip_req_get(&req, id);
	n = end();
	assert_ok(answer(s, script, n), &err);
	rc = kmip_parse_key(&reply.items[0].payload, &k, &err);
	if (!rc)
		rc = kmip_key_check(&k, NULL, id, &err);
	assert_code(rc, why ? VMC_EPROTO : 0, &err);
	if (why)
		assert_contains(err.text, why);
	mock_store_free(s);
}

static void test_key_checks(void **state)
{
	(void)state;
	check_key("", NULL);
	check_key("transparent", NULL);
	check_key("object-type=4", "not a Symmetric Key");
	check_key("key-length=16", "not a 256-bit key");
	check_key("key-length=64", "not a 256-bit key");
	check_key("algorithm=2", "not an AES key");
	check_key("format=2", "key format 2");
	check_key("wrapped", "came wrapped");
	check_key("wrong-id", "got key 'another-key'");
}

static void test_wrapped(void **state)
{
	struct mock_store *s;
	struct kmip_key k;
	char id[32];
	size_t n;

	(void)state;
	s = one_key(PKS_ACTIVE, id);
	begin(v14, 1);
	kmip_req_get_wrapped(&req, id, "some-kek");
	n = end();
	assert_ok(answer(s, "wrapped,key-length=40", n), &err);
	assert_ok(kmip_parse_key(&reply.items[0].payload, &k, &err), &err);
	assert_true(k.wrapped && k.wrapping_method == V_WRAP_ENCRYPT &&
		    k.wrapping_mode == V_NIST_KEY_WRAP && k.encoding == V_NO_ENCODING);
	assert_string_equal(k.wrapping_key, "some-kek");
	assert_int_equal(k.material_len, 40);
	mock_store_free(s);
}

/* Every byte changed in turn, and every shorter length: an error or a whole answer, never worse. */
static void test_mutations(void **state)
{
	static uint8_t copy[MOCK_MESSAGE_MAX];
	struct kmip_attributes a;
	struct mock_store *s;
	struct kmip_key k;
	char id[32];
	size_t n, len, good = 0;

	(void)state;
	s = one_key(PKS_ACTIVE, id);
	n = ask_two(v14, id, "77");
	len = mock_kmip_answer(s, "", in, n, copy);
	for (size_t i = 0; i < len * 3; i++) {
		memcpy(out, copy, len);
		out[i / 3] ^= (uint8_t[]){ 0x01, 0x80, 0xff }[i % 3];
		if (kmip_reply_parse(out, len, &req, &reply, &err))
			continue;
		good++;
		for (int j = 0; j < 4; j++) {
			kmip_parse_attributes(&reply.items[j].payload, &a, &err);
			kmip_parse_key(&reply.items[j].payload, &k, &err);
		}
	}
	/* texts, values and key bytes may be anything, but most of a message is structure */
	assert_true(good < len * 3 / 2);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(kmip_reply_parse(copy, i, &req, &reply, &err), VMC_EPROTO);
	mock_store_free(s);
}

static int add_id(const char *id, void *data)
{
	(void)id;
	(*(int *)data)++;
	return 0;
}

static void test_locate_and_versions(void **state)
{
	struct kmip_new_key by = { .app_namespace = "vmcrypt", .app_data = "here" };
	struct mock_store *s = mock_store_new();
	struct kmip_version v[3];
	int found = 0;
	size_t n, count;

	(void)state;
	for (int i = 0; i < 5; i++) {
		begin(i % 2 ? v14 : v20, 1);
		kmip_req_create(&req, &vm_key);
		n = end();
		assert_ok(answer(s, "max-version=20", n), &err);
	}
	begin(v14, 1);
	kmip_req_locate(&req, &by, 0, 0);
	n = end();
	assert_ok(answer(s, "", n), &err);
	assert_ok(kmip_parse_ids(&reply.items[0].payload, 5, add_id, &found, &err), &err);
	assert_int_equal(found, 5);
	assert_code(kmip_parse_ids(&reply.items[0].payload, 4, add_id, &found, &err), VMC_EPROTO, &err);
	begin(v14, 1);
	kmip_req_discover(&req);
	n = end();
	assert_ok(answer(s, "max-version=21", n), &err);
	assert_ok(kmip_parse_versions(&reply.items[0].payload, v, 3, &count, &err), &err);
	assert_int_equal(count, 3);	/* no more than there is room for */
	assert_int_equal(v[0].major * 10 + v[0].minor, 21);
	mock_store_free(s);
}

static void test_version_text(void **state)
{
	struct kmip_version v;

	(void)state;
	assert_int_equal(kmip_version_parse("1.4", &v), 0);
	assert_int_equal(kmip_version_parse("2.1", &v), 0);
	assert_int_equal(kmip_version_parse("1.0", &v), VMC_EINVAL);
	assert_int_equal(kmip_version_parse("3.0", &v), VMC_EINVAL);
	assert_int_equal(kmip_version_parse("1.4x", &v), VMC_EINVAL);
	assert_int_equal(kmip_version_parse("", &v), VMC_EINVAL);
	/* the extremes, which a server may send */
	assert_true(kmip_version_cmp((struct kmip_version){ 1, INT32_MIN }, v14) < 0);
	assert_true(kmip_version_cmp((struct kmip_version){ INT32_MIN, 0 }, v14) < 0);
	assert_true(kmip_version_cmp((struct kmip_version){ INT32_MAX, 0 }, v14) > 0);
	assert_true(kmip_version_cmp(v14, v14) == 0 && kmip_version_cmp(v20, v14) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_attributes_of_both_generations),
		cmocka_unit_test(test_request_limits),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_replies_that_are_no_answers),
		cmocka_unit_test(test_old_refusal),
		cmocka_unit_test(test_single_without_id),
		cmocka_unit_test(test_key_checks),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_locate_and_versions),
		cmocka_unit_test(test_version_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
