// SPDX-License-Identifier: GPL-2.0-or-later
/* Client and server over TLS on this host: who is who, deadlines, bounds, and what is refused. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "../../testing/testing.h"
#include "client.h"
#include "link.h"
#include "server.h"

#define SOON (vmc_now_ms() + 10000)

struct world {
	char *dir;
	struct http_identity server_id, client_id;
	struct http_server *server;
	char where[64], seen[CERT_FINGERPRINT], bearer[64], correlation[HTTP_CORRELATION];
};

static json_t *heap_of_values(void)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < HTTP_VALUES_MAX; i++)
		json_array_append_new(list, json_object());
	return list;
}

static int handle(const struct http_call *c, json_t **result, struct refusal *r, void *data)
{
	struct world *w = data;

	if (!strcmp(c->head->path, "/v1/echo")) {
		snprintf(w->seen, sizeof(w->seen), "%s", c->fingerprint);
		snprintf(w->bearer, sizeof(w->bearer), "%s", c->head->bearer);
		snprintf(w->correlation, sizeof(w->correlation), "%s", c->correlation);
		*result = json_incref((json_t *)c->body);
		return 0;
	}
	if (!strcmp(c->head->path, "/v1/long")) {
		char *text = calloc(1, HTTP_BODY_MAX + 1);

		memset(text, 'x', HTTP_BODY_MAX);
		*result = json_pack("{s:s}", "text", text);
		free(text);
		return 0;
	}
	if (!strcmp(c->head->path, "/v1/many")) {
		*result = json_pack("{s:o}", "list", heap_of_values());
		return 0;
	}
	vmc_fail(&r->err, VMC_ENOENT, "no path '%s'", c->head->path);
	vmc_hint(&r->err, "ask for another");
	return refuse(r, REASON_NOT_FOUND);
}

static void start(struct world *w)
{
	struct vmc_error e = VMC_ERROR_INIT;

	assert_ok(http_server_start("127.0.0.1", 0, &w->server_id, handle, w, &w->server, &e), &e);
	snprintf(w->where, sizeof(w->where), "127.0.0.1:%u", http_server_port(w->server));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct vmc_error e = VMC_ERROR_INIT;

	w->dir = test_mkdir();
	assert_ok(http_identity_open(test_path(w->dir, "server"), "ta1", &w->server_id, &e), &e);
	assert_ok(http_identity_open(test_path(w->dir, "client"), "host1", &w->client_id, &e), &e);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	http_server_stop(w->server);
	http_identity_close(&w->server_id);
	http_identity_close(&w->client_id);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

static struct http_client *client(struct world *w, const char *fingerprint, bool certificate)
{
	const struct http_target t = { .name = "service 'ta1'", .where = w->where, .fingerprint = fingerprint };
	struct vmc_error e = VMC_ERROR_INIT;
	struct http_client *c;

	assert_ok(http_client_new(&t, certificate ? &w->client_id : NULL, &c, &e), &e);
	return c;
}

static void asks_and_is_answered(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, true);
	json_t *body = json_pack("{s:s}", "text", "h\xc3\xa9"), *result;
	struct refusal r;

	for (int i = 0; i < 3; i++) {
		assert_ok(http_client_call(c, "/v1/echo", body, "a.b.c", "00112233445566ff", SOON, &result, &r), &r.err);
		assert_true(json_equal(result, body));
		json_decref(result);
	}
	assert_string_equal(w->seen, w->client_id.fingerprint);
	assert_string_equal(w->bearer, "a.b.c");
	assert_string_equal(w->correlation, "00112233445566ff");
	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	assert_int_equal(json_object_size(result), 0);
	assert_int_equal(strlen(w->correlation), 16);
	json_decref(result);
	json_decref(body);
	http_client_free(c);
}

static void refuses_heaps_of_values(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, false);
	json_t *body = json_pack("{s:o}", "list", heap_of_values()), *result;
	struct refusal r;

	assert_code(http_client_call(c, "/v1/echo", body, NULL, NULL, SOON, &result, &r), VMC_EPROTO, &r.err);
	assert_string_equal(r.reason, REASON_BAD_REQUEST);
	assert_contains(r.err.text, "a request of more than 32768 values");
	json_decref(body);
	/* nor does a service that is not what it was overwhelm its clients */
	assert_code(http_client_call(c, "/v1/many", NULL, NULL, NULL, SOON, &result, &r), VMC_EPROTO, &r.err);
	assert_contains(r.err.text, "an answer of more than 32768 values");
	http_client_free(c);
}

static void says_that_an_answer_is_too_long(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, false);
	json_t *result;
	struct refusal r;

	assert_code(http_client_call(c, "/v1/long", NULL, NULL, NULL, SOON, &result, &r), VMC_ENOSPC, &r.err);
	assert_contains(r.err.text, "would be longer than 1048576 bytes");
	assert_string_not_equal(r.reason, REASON_UNAVAILABLE);
	/* and the connection goes on */
	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	json_decref(result);
	http_client_free(c);
}

static void needs_no_certificate(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, false);
	json_t *result;
	struct refusal r;

	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	assert_string_equal(w->seen, "");
	json_decref(result);
	http_client_free(c);
}

static void brings_refusals(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, true);
	json_t *result = NULL;
	struct refusal r;

	assert_code(http_client_call(c, "/v1/other", NULL, NULL, "00112233445566ff", SOON, &result, &r), VMC_ENOENT, &r.err);
	assert_string_equal(r.err.text, "service 'ta1': no path '/v1/other' (correlation 00112233445566ff)");
	assert_string_equal(r.err.hint, "ask for another");
	assert_string_equal(r.reason, REASON_NOT_FOUND);
	refusal_clear(&r);
	http_client_free(c);
}

static void knows_the_server(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->client_id.fingerprint, true);
	json_t *result = NULL;
	struct refusal r;

	assert_code(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), VMC_ETRUST, &r.err);
	assert_contains(r.err.text, "another certificate");
	assert_contains(r.err.text, w->server_id.fingerprint);
	assert_string_equal(r.reason, REASON_UNAVAILABLE);
	refusal_clear(&r);
	http_client_free(c);
}

static void outlives_a_restart(void **state)
{
	struct world *w = *state;
	struct http_client *c = client(w, w->server_id.fingerprint, true);
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *result = NULL;
	struct refusal r;

	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	json_decref(result);
	http_server_stop(w->server);
	w->server = NULL;
	assert_code(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), VMC_EUNREACH, &r.err);
	assert_contains(r.err.text, "(correlation ");
	assert_true(r.err.hint[0]);
	refusal_clear(&r);
	assert_ok(http_server_start(w->where, 0, &w->server_id, handle, w, &w->server, &e), &e);
	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	json_decref(result);
	http_client_free(c);
}

static void exchanges_its_certificate(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct http_client *c;
	json_t *result = NULL;
	struct refusal r;

	assert_ok(http_server_identity(w->server, &w->client_id, &e), &e);
	c = client(w, w->client_id.fingerprint, true);
	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	json_decref(result);
	http_client_free(c);
}

/* The next identity of a service: nobody shows it before it is followed, and a crash in between costs nothing. */
static void follows_its_next_identity(void **state)
{
	struct http_identity now, next, again;
	struct vmc_error e = VMC_ERROR_INIT;
	char *dir = test_mkdir(), *pem, *other;

	(void)state;
	assert_ok(http_identity_open(dir, "ta1", &now, &e), &e);
	assert_ok(http_identity_next(dir, "ta1", &next, &e), &e);
	assert_string_not_equal(now.fingerprint, next.fingerprint);
	assert_ok(http_identity_next(dir, "ta1", &again, &e), &e);
	assert_string_equal(again.fingerprint, next.fingerprint);
	http_identity_close(&again);
	assert_ok(http_identity_pem(&next, &pem, &e), &e);
	assert_ok(http_identity_pem(&now, &other, &e), &e);
	assert_ok(http_identity_follow(dir, NULL, &e), &e);
	assert_ok(http_identity_follow(dir, other, &e), &e);
	assert_ok(http_identity_open(dir, "ta1", &again, &e), &e);
	assert_string_equal(again.fingerprint, now.fingerprint);
	http_identity_close(&again);
	/* as a crash between its two renames leaves it */
	assert_int_equal(rename(test_path(dir, "next/host.pem"), test_path(dir, "host.pem")), 0);
	assert_code(http_identity_open(dir, "ta1", &again, &e), VMC_ETRUST, &e);
	assert_ok(http_identity_follow(dir, NULL, &e), &e);
	assert_ok(http_identity_open(dir, "ta1", &again, &e), &e);
	assert_string_equal(again.fingerprint, next.fingerprint);
	http_identity_close(&again);
	assert_int_not_equal(access(test_path(dir, "next"), F_OK), 0);
	/* and as a whole */
	http_identity_close(&next);
	free(pem);
	assert_ok(http_identity_next(dir, "ta1", &next, &e), &e);
	assert_ok(http_identity_pem(&next, &pem, &e), &e);
	assert_ok(http_identity_follow(dir, pem, &e), &e);
	assert_ok(http_identity_open(dir, "ta1", &again, &e), &e);
	assert_string_equal(again.fingerprint, next.fingerprint);
	http_identity_close(&again);
	http_identity_close(&next);
	http_identity_close(&now);
	free(pem);
	free(other);
	test_rmdir(dir);
}

/* Two certificates are believed while one takes the place of the other; a third is not. */
static void believes_another(void **state)
{
	struct world *w = *state;
	char where[32];
	struct http_target t = { .name = "service 'ta1'", .where = where, .fingerprint = w->client_id.fingerprint,
				 .also = w->server_id.fingerprint };
	struct vmc_error e = VMC_ERROR_INIT;
	struct http_client *c;
	json_t *result = NULL;
	struct refusal r;

	snprintf(where, sizeof(where), "127.0.0.1:%u", http_server_port(w->server));
	for (int i = 0; i < 2; i++) {
		assert_ok(http_client_new(&t, NULL, &c, &e), &e);
		assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
		json_decref(result);
		http_client_free(c);
		assert_ok(http_server_identity(w->server, &w->client_id, &e), &e);
	}
	t.fingerprint = t.also;
	assert_ok(http_client_new(&t, NULL, &c, &e), &e);
	assert_code(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), VMC_ETRUST, &r.err);
	refusal_clear(&r);
	http_client_free(c);
}

/* Bytes as they are, and all that comes back until the server hangs up. */
static char *raw(struct world *w, const char *bytes, size_t n, uint64_t deadline)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct http_link *l = calloc(1, sizeof(*l));
	char *out = calloc(1, 4096);
	size_t have = 0, got = 1;
	SSL_CTX *ctx;
	int fd;

	assert_ok(http_context(&w->client_id, &ctx, &e), &e);
	assert_ok(net_connect("127.0.0.1", http_server_port(w->server), SOON, &fd, &e), &e);
	assert_ok(http_link_begin(l, fd, ctx, false, NULL, SOON, &e), &e);
	if (n)
		assert_ok(http_link_write(l, bytes, n, SOON, &e), &e);
	while (got && have < 4095 &&
	       !tls_io_read_some(&l->io, out + have, 4095 - have, &got, deadline, "reading", &e))
		have += got;
	http_link_end(l);
	SSL_CTX_free(ctx);
	free(l);
	return out;
}

static void turns_garbage_away(void **state)
{
	static const char *const bad[] = {
		"BREW /pot HTCPCP/1.0\r\n\r\n", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnull",
		"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *answer = raw(*state, bad[i], strlen(bad[i]), SOON);

		assert_contains(answer, "HTTP/1.1 400 Bad Request");
		assert_contains(answer, "\"reason\":\"bad_request\"");
		assert_contains(answer, "Connection: close");
		free(answer);
	}
}

static void answers_one_after_the_other(void **state)
{
	static const char two[] = "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
				  "GET /v1/no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	char *answer = raw(*state, two, sizeof(two) - 1, SOON);

	assert_contains(answer, "{\"a\":1}");
	assert_contains(answer, "HTTP/1.1 404 Not Found");
	free(answer);
}

/* Who says nothing is cut off, and does not keep the others waiting. */
static void waits_for_nobody(void **state)
{
	uint64_t begun = vmc_now_ms();
	char *answer = raw(*state, "POST /v1/echo HTT", 17, begun + 30000);

	assert_string_equal(answer, "");
	assert_true(vmc_now_ms() - begun < 20000);
	free(answer);
}

/* One client that says nothing keeps no others of its address out for long, and those of other addresses not at all. */
static void bounds_a_source(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	uint64_t begun = vmc_now_ms();
	int fd[HTTP_LINKS_NEW + 1];
	struct http_client *c;
	json_t *result = NULL;
	struct refusal r;
	char byte;

	for (int i = 0; i <= HTTP_LINKS_NEW; i++)
		assert_ok(net_connect("127.0.0.1", http_server_port(w->server), SOON, &fd[i], &e), &e);
	assert_int_equal(net_wait(fd[HTTP_LINKS_NEW], POLLIN, SOON), 0);
	assert_true(recv(fd[HTTP_LINKS_NEW], &byte, 1, 0) <= 0);
	for (int i = 0; i < HTTP_LINKS_NEW; i++) {
		assert_int_equal(net_wait(fd[i], POLLIN, begun + 20000), 0);
		assert_int_equal(recv(fd[i], &byte, 1, 0), 0);
	}
	assert_true(vmc_now_ms() - begun < 15000);
	for (int i = 0; i <= HTTP_LINKS_NEW; i++)
		close(fd[i]);
	c = client(w, w->server_id.fingerprint, true);
	assert_ok(http_client_call(c, "/v1/echo", NULL, NULL, NULL, SOON, &result, &r), &r.err);
	json_decref(result);
	http_client_free(c);
}

static void has_a_deadline(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	uint64_t begun = vmc_now_ms();
	json_t *result = NULL;
	struct http_client *c;
	struct refusal r;
	uint16_t port;
	int fd;

	/* the system connects to it, but nobody is there to shake hands with */
	assert_ok(net_listen("127.0.0.1", 0, &fd, &port, &e), &e);
	snprintf(w->where, sizeof(w->where), "127.0.0.1:%u", port);
	c = client(w, w->server_id.fingerprint, true);
	assert_code(http_client_call(c, "/v1/echo", NULL, NULL, NULL, begun + 300, &result, &r), VMC_ETIMEDOUT, &r.err);
	assert_true(vmc_now_ms() - begun < 5000);
	assert_string_equal(r.reason, REASON_UNAVAILABLE);
	refusal_clear(&r);
	http_client_free(c);
	close(fd);
}

static void *many(void *data)
{
	struct world *w = data;
	struct http_client *c = client(w, w->server_id.fingerprint, true);
	struct refusal r;
	long ok = 0;

	for (int i = 0; i < 20; i++) {
		json_t *result = NULL, *body = json_pack("{s:i}", "i", i);

		ok += !http_client_call(c, "/v1/echo", body, NULL, NULL, SOON, &result, &r) && json_equal(body, result);
		refusal_clear(&r);
		json_decref(result);
		json_decref(body);
	}
	http_client_free(c);
	return (void *)ok;
}

static void serves_many(void **state)
{
	pthread_t t[8];
	void *ok;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, many, *state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		pthread_join(t[i], &ok);
		assert_int_equal((long)ok, 20);
	}
}

static void bad_targets(void **state)
{
	struct http_target t = { .name = "service 'x'", .where = "host:99999", .fingerprint = "00" };
	struct vmc_error e = VMC_ERROR_INIT;
	struct http_client *c;

	(void)state;
	assert_code(http_client_new(&t, NULL, &c, &e), VMC_EINVAL, &e);
	t.where = "host:5700";
	assert_code(http_client_new(&t, NULL, &c, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "service 'x'");
	t.cert_pem = "no certificate";
	assert_true(http_client_new(&t, NULL, &c, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(asks_and_is_answered), T(needs_no_certificate), T(brings_refusals), T(knows_the_server),
		T(outlives_a_restart), T(exchanges_its_certificate), T(follows_its_next_identity),
		T(believes_another), T(turns_garbage_away),
		T(answers_one_after_the_other), T(waits_for_nobody), T(bounds_a_source), T(has_a_deadline),
		T(serves_many), T(bad_targets),
		T(refuses_heaps_of_values), T(says_that_an_answer_is_too_long),
	};
	struct vmc_error e = VMC_ERROR_INIT;

	if (secmem_init(1u << 20, &e))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
