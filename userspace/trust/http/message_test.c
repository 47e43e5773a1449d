// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests and answers as bytes: what is taken, and what is refused. */
#include <stdlib.h>
#include <string.h>

#include "../../testing/testing.h"
#include "message.h"
#include "refusal.h"

static struct http_request q;

static int parse(const char *head, struct vmc_error *err)
{
	return http_request_parse(head, strlen(head), &q, err);
}

static void takes_post(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_ok(parse("POST /v1/attest/challenge HTTP/1.1\r\nhost: a:5700\r\nCONTENT-LENGTH:  17 \r\n"
			"Authorization: Bearer abc.def-_.0\r\nvmcrypt-correlation: 0123456789abcdef\r\n"
			"X-Other: any thing\r\n\r\n", &e), &e);
	assert_int_equal(q.method, HTTP_POST);
	assert_string_equal(q.path, "/v1/attest/challenge");
	assert_int_equal(q.body, 17);
	assert_string_equal(q.bearer, "abc.def-_.0");
	assert_string_equal(q.correlation, "0123456789abcdef");
	assert_false(q.close);
	assert_ok(parse("GET / HTTP/1.1\r\nHost:\r\nConnection: Close\r\n\r\n", &e), &e);
	assert_int_equal(q.method, HTTP_GET);
	assert_string_equal(q.bearer, "");
	assert_true(q.close);
}

static void refuses(void **state)
{
	static const struct {
		const char *head;
		int code;
		const char *why;
	} bad[] = {
		{ "POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n\r\n", VMC_ENOTSUP, "another version" },
		{ "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", VMC_ENOTSUP, "neither GET nor POST" },
		{ "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", VMC_EPROTO, "path" },
		{ "GET /A HTTP/1.1\r\nHost: a\r\n\r\n", VMC_EPROTO, "path" },
		{ "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", VMC_EPROTO, "path" },
		{ "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n", VMC_ENOTSUP, "another version" },
		{ "GET /a HTTP/1.1\r\n\r\n", VMC_EPROTO, "without a host" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", VMC_EPROTO, "two hosts" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", VMC_EPROTO, "GET with a body" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\n\r\n", VMC_EPROTO, "without a length" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", VMC_EPROTO, "twice" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", VMC_EPROTO, "length" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", VMC_EPROTO, "more than 1048576" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", VMC_EPROTO, "length" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", VMC_ENOTSUP,
		  "Transfer-Encoding" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", VMC_EPROTO, "header" },
		{ "GET /a HTTP/1.1\r\nHost : a\r\n\r\n", VMC_EPROTO, "header" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", VMC_EPROTO, "header" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n", VMC_EPROTO, "bearer" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nVmcrypt-Correlation: 0123456789ABCDEF\r\n\r\n", VMC_EPROTO, "correlation" },
		{ "GET /a HTTP/1.1\r\nHost: a\r\nX", VMC_EPROTO, "no end" },
		{ "GARBAGE\r\n\r\n", VMC_EPROTO, "not HTTP" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmc_error e = VMC_ERROR_INIT;

		assert_code(parse(bad[i].head, &e), bad[i].code, &e);
		assert_contains(e.text, bad[i].why);
	}
	assert_int_equal(http_request_parse("GET /a HTTP/1.1\r\nHost: a\0b\r\n\r\n", 31, &q, NULL), VMC_EPROTO);
}

static void put_end(char *at)
{
	at[0] = at[2] = '\r';
	at[1] = at[3] = '\n';
}

static void bounds_heads(void **state)
{
	static char big[HTTP_HEAD_MAX + 10];
	struct vmc_error e = VMC_ERROR_INIT;
	size_t n = 7;

	(void)state;
	memset(big, 'a', sizeof(big));
	assert_ok(http_head_length(big, HTTP_HEAD_MAX - 1, &n, &e), &e);
	assert_int_equal(n, 0);
	assert_code(http_head_length(big, HTTP_HEAD_MAX, &n, &e), VMC_EPROTO, &e);
	put_end(big + HTTP_HEAD_MAX - 4);
	assert_ok(http_head_length(big, sizeof(big), &n, &e), &e);
	assert_int_equal(n, HTTP_HEAD_MAX);
	memset(big + HTTP_HEAD_MAX - 4, 'a', 4);
	put_end(big + HTTP_HEAD_MAX - 3);
	assert_code(http_head_length(big, sizeof(big), &n, &e), VMC_EPROTO, &e);
}

static void there_and_back(void **state)
{
	struct http_request in = { .method = HTTP_POST, .path = "/v1/x", .correlation = "00000000000000ff", .bearer = "a.b" };
	struct http_response a = { .status = 403, .correlation = "00000000000000ff", .close = true }, b;
	struct vmc_error e = VMC_ERROR_INIT;
	char *out;
	size_t len, n;

	(void)state;
	assert_ok(http_request_format(&in, "h:1", "{}", 2, &out, &len, &e), &e);
	assert_ok(http_head_length(out, len, &n, &e), &e);
	assert_string_equal(out + n, "{}");
	assert_ok(http_request_parse(out, n, &q, &e), &e);
	in.body = 2;
	assert_memory_equal(&in, &q, sizeof(q));
	free(out);
	assert_ok(http_response_format(&a, "{\"a\":1}", 7, &out, &len, &e), &e);
	assert_ok(http_head_length(out, len, &n, &e), &e);
	assert_ok(http_response_parse(out, n, &b, &e), &e);
	assert_int_equal(b.status, 403);
	assert_int_equal(b.body, 7);
	assert_true(b.close);
	assert_string_equal(b.correlation, a.correlation);
	free(out);
	assert_code(http_response_parse("HTTP/1.1 200 OK\r\n\r\n", 19, &b, &e), VMC_EPROTO, &e);
	assert_code(http_response_parse("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", 37, &b, &e), VMC_EPROTO, &e);
}

static void refusals_travel(void **state)
{
	struct refusal r = { .details = json_pack("{s:[i]}", "pcrs", 4) }, back = { .details = NULL };
	json_t *body, *bare = json_object();

	(void)state;
	vmc_fail(&r.err, VMC_ETPMPOLICY, "no image of PCR %d", 4);
	vmc_hint(&r.err, "import it");
	assert_int_equal(refuse(&r, REASON_POLICY_MISMATCH), VMC_ETPMPOLICY);
	assert_int_equal(refusal_status(&r), 403);
	body = refusal_json(&r, "0123456789abcdef");
	assert_int_equal(refusal_from_json(body, 403, "service 'a'", "0123456789abcdef", &back), VMC_ETPMPOLICY);
	assert_string_equal(back.err.text, "service 'a': no image of PCR 4 (correlation 0123456789abcdef)");
	assert_string_equal(back.err.hint, "import it");
	assert_string_equal(back.reason, "policy_mismatch");
	assert_true(json_equal(back.details, r.details));
	refusal_clear(&back);
	assert_int_equal(refusal_from_json(bare, 500, "service 'a'", "0123456789abcdef", &back), VMC_EPROTO);
	assert_contains(back.err.text, "status 500");
	assert_string_equal(back.reason, "unavailable");
	refusal_clear(&back);
	refusal_clear(&r);
	json_decref(body);
	json_decref(bare);
}

static void counts_values(void **state)
{
	static const char quoted[] = "{\"a\\\"[[[\": \"\\\\\", \"b\": [1, {}]}";
	static const char within[] = { '"', '\\', '"' }, over[] = { '"', '\\', '\\', '"', '[' };
	char *many = malloc(2 * HTTP_VALUES_MAX + 4);
	size_t n = 0;

	(void)state;
	assert_true(http_body_light(quoted, strlen(quoted)));
	assert_true(http_body_light("", 0));
	many[n++] = '[';
	for (size_t i = 0; i < HTTP_VALUES_MAX - 2; i++) {
		many[n++] = '1';
		many[n++] = ',';
	}
	assert_true(http_body_light(many, n));
	many[n++] = '[';
	assert_false(http_body_light(many, n));
	/* in a string they are none */
	many[0] = '"';
	assert_true(http_body_light(many, n));
	/* nor is a string over where one of its quotes is told from that */
	memcpy(many, within, sizeof(within));
	assert_true(http_body_light(many, n));
	memcpy(many, over, sizeof(over));
	for (int i = 0; i < 3; i++)
		many[n++] = '[';
	assert_false(http_body_light(many, n));
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_post), cmocka_unit_test(refuses), cmocka_unit_test(bounds_heads),
		cmocka_unit_test(there_and_back), cmocka_unit_test(refusals_travel), cmocka_unit_test(counts_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
