// SPDX-License-Identifier: GPL-2.0-or-later
/* Two hosts on one: identities, trust both ways, calls, exporter, and what is refused. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/secmem.h"
#include "../lib/util.h"
#include "../testing/testing.h"
#include "message.h"
#include "peer_priv.h"

#define SOON (vmc_now_ms() + 10000)

struct world {
	char *dir[2];
	struct peers *p[2];		/* 0 dials, 1 listens */
	struct peer_server *server;
	struct peer_handler handler;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int closed;
	uint8_t exported[PEER_EXPORT_LEN];
	char who[64];
};

static int on_call(struct peer_link *l, const char *method, const json_t *params, json_t **result, void *data,
		   struct vmc_error *err)
{
	struct world *w = data;
	int *slot = *peer_slot(l);

	if (!slot)
		*peer_slot(l) = slot = calloc(1, sizeof(*slot));
	++*slot;
	if (!strcmp(method, "echo")) {
		*result = json_incref((json_t *)params);
		return 0;
	}
	if (!strcmp(method, "count")) {
		*result = json_integer(*slot);
		return 0;
	}
	if (!strcmp(method, "export")) {
		snprintf(w->who, sizeof(w->who), "%s", peer_name(l));
		return peer_exporter(l, "EXPORTER-test", (const uint8_t *)"ctx", 3, w->exported, err);
	}
	vmc_fail(err, VMC_ENOENT, "no method '%s'", method);
	vmc_hint(err, "ask for another");
	return VMC_ENOENT;
}

static void on_closed(struct peer_link *l, void *data)
{
	struct world *w = data;

	free(*peer_slot(l));
	pthread_mutex_lock(&w->lock);
	w->closed++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void open_peers(struct world *w, int i)
{
	struct vmc_config cfg = { .workers = 1 };
	struct vmc_error e = VMC_ERROR_INIT;

	snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s/etc", w->dir[i]);
	snprintf(cfg.state_dir, sizeof(cfg.state_dir), "%s/var", w->dir[i]);
	assert_ok(fs_mkdirs(cfg.state_dir, 0700, &e), &e);
	assert_ok(peers_open(&w->p[i], &cfg, &e), &e);
}

static void trust(struct world *w, int i, const char *name, uint16_t port, const char *fingerprint)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	assert_ok(peers_add(w->p[i], &(struct peer_add){ .name = name, .address = address, .fingerprint = fingerprint }, &e),
		  &e);
}

static const char *fingerprint_of(struct world *w, int i)
{
	static char fp[2][CERT_FINGERPRINT];

	peers_fingerprint(w->p[i], fp[i]);
	return fp[i];
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct vmc_error e = VMC_ERROR_INIT;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	for (int i = 0; i < 2; i++) {
		w->dir[i] = test_mkdir();
		open_peers(w, i);
	}
	w->handler = (struct peer_handler){ on_call, on_closed, w };
	assert_ok(peer_listen(w->p[1], "127.0.0.1", 0, &w->handler, &w->server, &e), &e);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	peer_server_stop(w->server);
	for (int i = 0; i < 2; i++) {
		peers_close(w->p[i]);
		test_rmdir(w->dir[i]);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return 0;
}

static void both_trust(struct world *w)
{
	trust(w, 0, "b", peer_server_port(w->server), fingerprint_of(w, 1));
	trust(w, 1, "a", PEER_PORT, fingerprint_of(w, 0));
}

static struct peer_link *dial(struct world *w)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;

	assert_ok(peer_dial(w->p[0], "b", SOON, &l, &e), &e);
	return l;
}

static void calls_and_answers(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *params = json_pack("{s:s, s:i}", "text", "\u00e4 \"", "n", 7), *result = NULL, *d;
	uint8_t here[PEER_EXPORT_LEN], other[PEER_EXPORT_LEN];
	struct peer_link *l;

	both_trust(w);
	l = dial(w);
	assert_ok(peer_call(l, "echo", params, &result, SOON, &e), &e);
	assert_true(json_equal(result, params));
	json_decref(result);
	/* the other side's errors come with code, words and hint, and the link lives on */
	assert_code(peer_call(l, "none", NULL, NULL, SOON, &e), VMC_ENOENT, &e);
	assert_string_equal(e.text, "host 'b': no method 'none'");
	assert_string_equal(e.hint, "on 'b': ask for another");
	assert_ok(peer_call(l, "count", NULL, &result, SOON, &e), &e);
	assert_int_equal(json_integer_value(result), 3);
	json_decref(result);
	/* one value at both ends, another for another context */
	assert_ok(peer_call(l, "export", NULL, NULL, SOON, &e), &e);
	assert_string_equal(w->who, "a");
	assert_ok(peer_exporter(l, "EXPORTER-test", (const uint8_t *)"ctx", 3, here, &e), &e);
	assert_ok(peer_exporter(l, "EXPORTER-test", (const uint8_t *)"cty", 3, other, &e), &e);
	assert_memory_equal(here, w->exported, sizeof(here));
	assert_memory_not_equal(here, other, sizeof(here));
	d = peer_describe(l);
	assert_string_equal(json_string_value(json_object_get(d, "tls")), "TLSv1.3");
	assert_string_equal(json_string_value(json_object_get(d, "name")), "b");
	assert_string_not_equal(json_string_value(json_object_get(d, "group")), "unknown");
	json_decref(d);
	peer_close(l);
	json_decref(params);
	/* closed() came, once */
	pthread_mutex_lock(&w->lock);
	while (!w->closed)
		pthread_cond_wait(&w->changed, &w->lock);
	assert_int_equal(w->closed, 1);
	pthread_mutex_unlock(&w->lock);
}

static void two_links_have_two_exporters(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t one[PEER_EXPORT_LEN], two[PEER_EXPORT_LEN];
	struct peer_link *a, *b;

	both_trust(w);
	a = dial(w);
	b = dial(w);
	assert_ok(peer_exporter(a, "EXPORTER-test", NULL, 0, one, &e), &e);
	assert_ok(peer_exporter(b, "EXPORTER-test", NULL, 0, two, &e), &e);
	assert_memory_not_equal(one, two, sizeof(one));
	peer_close(a);
	peer_close(b);
}

static void strangers_are_refused(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;

	assert_code(peer_dial(w->p[0], "b", SOON, &l, &e), VMC_ENOENT, &e);
	assert_contains(e.hint, "vmcrypt peer add b");
	/* we trust them, they do not know us */
	trust(w, 0, "b", peer_server_port(w->server), fingerprint_of(w, 1));
	assert_code(peer_dial(w->p[0], "b", SOON, &l, &e), VMC_ETRUST, &e);
	assert_contains(e.text, "does not trust this host");
	assert_contains(e.hint, fingerprint_of(w, 0));
	/* they know us, but are not who they should be */
	trust(w, 1, "a", PEER_PORT, fingerprint_of(w, 0));
	assert_ok(peers_remove(w->p[0], "b", &e), &e);
	trust(w, 0, "b", peer_server_port(w->server), fingerprint_of(w, 0));
	assert_code(peer_dial(w->p[0], "b", SOON, &l, &e), VMC_ETRUST, &e);
	assert_contains(e.text, fingerprint_of(w, 1));
	assert_null(l);
}

static void oneself_is_no_peer(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;

	trust(w, 1, "me", peer_server_port(w->server), fingerprint_of(w, 1));
	assert_code(peer_dial(w->p[1], "me", SOON, &l, &e), VMC_EINVAL, &e);
	assert_contains(e.text, "this host itself");
}

static void by_a_ca(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;
	json_t *o;
	char *pem;

	/* the simplest CA is the self-signed certificate itself; its name is the host's, not the address */
	for (int i = 0; i < 2; i++) {
		const char *name = i ? peers_host(w->p[0]) : "b";
		char address[32];

		assert_ok(peers_identity(w->p[!i], &o, &e), &e);
		pem = strdup(json_string_value(json_object_get(o, "pem")));
		json_decref(o);
		snprintf(address, sizeof(address), "127.0.0.1:%u", peer_server_port(w->server));
		assert_ok(peers_add(w->p[i], &(struct peer_add){ name, address, NULL, pem }, &e), &e);
		free(pem);
	}
	assert_code(peer_dial(w->p[0], "b", SOON, &l, &e), VMC_ETRUST, &e);
	assert_ok(peers_show(w->p[0], "b", &o, &e), &e);
	assert_string_equal(json_string_value(json_object_get(o, "trust")), "ca");
	pem = strdup(json_string_value(json_object_get(json_array_get(json_object_get(o, "ca"), 0), "pem")));
	json_decref(o);
	/* under the name that is in the certificate */
	if (strcmp(peers_host(w->p[1]), "b")) {
		char address[32];

		snprintf(address, sizeof(address), "127.0.0.1:%u", peer_server_port(w->server));
		assert_ok(peers_add(w->p[0], &(struct peer_add){ peers_host(w->p[1]), address, NULL, pem }, &e), &e);
		assert_ok(peer_dial(w->p[0], peers_host(w->p[1]), SOON, &l, &e), &e);
		peer_close(l);
	}
	free(pem);
}

static void the_store(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_add a = { .name = "b", .address = "[2001:db8::1]:77", .fingerprint = fingerprint_of(w, 1) };
	json_t *o;
	char path[PATH_MAX];

	assert_ok(peers_add(w->p[0], &a, &e), &e);
	assert_code(peers_add(w->p[0], &a, &e), VMC_EEXIST, &e);
	assert_ok(peers_show(w->p[0], "b", &o, &e), &e);
	assert_string_equal(json_string_value(json_object_get(o, "address")), "2001:db8::1");
	assert_int_equal(json_integer_value(json_object_get(o, "port")), 77);
	assert_contains(json_string_value(json_object_get(o, "fingerprint")), fingerprint_of(w, 1));
	json_decref(o);
	a.name = "../b";
	assert_code(peers_add(w->p[0], &a, &e), VMC_EINVAL, &e);
	a = (struct peer_add){ .name = "c", .address = "h" };
	assert_code(peers_add(w->p[0], &a, &e), VMC_EINVAL, &e);
	assert_contains(e.hint, "host identity show");
	a.fingerprint = "zz";
	assert_code(peers_add(w->p[0], &a, &e), VMC_EINVAL, &e);
	a.fingerprint = NULL;
	a.ca_pem = "no pem";
	assert_code(peers_add(w->p[0], &a, &e), VMC_EINVAL, &e);
	/* a broken file is told of, and trusts nobody */
	snprintf(path, sizeof(path), "%s/etc/peers/bad.conf", w->dir[0]);
	test_write_text(path, "[peer]\naddress = x\n");
	assert_ok(peers_list(w->p[0], &o, &e), &e);
	assert_int_equal(json_array_size(o), 2);
	assert_contains(json_string_value(json_object_get(json_array_get(o, 1), "error")), "exactly one");
	json_decref(o);
	assert_ok(peers_remove(w->p[0], "b", &e), &e);
	assert_code(peers_remove(w->p[0], "b", &e), VMC_ENOENT, &e);
}

static void identity_stays(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	char before[CERT_FINGERPRINT], *pem;
	json_t *o;

	snprintf(before, sizeof(before), "%s", fingerprint_of(w, 0));
	peers_close(w->p[0]);
	open_peers(w, 0);
	assert_string_equal(fingerprint_of(w, 0), before);
	assert_ok(peers_csr(w->p[0], &pem, &e), &e);
	assert_contains(pem, "BEGIN CERTIFICATE REQUEST");
	free(pem);
	/* a certificate of another key is refused and changes nothing */
	assert_ok(peers_identity(w->p[1], &o, &e), &e);
	assert_code(peers_upload(w->p[0], json_string_value(json_object_get(o, "pem")), &e), VMC_ETRUST, &e);
	json_decref(o);
	assert_string_equal(fingerprint_of(w, 0), before);
	/* its own once more is fine; a new one takes its place */
	assert_ok(peers_identity(w->p[0], &o, &e), &e);
	assert_ok(peers_upload(w->p[0], json_string_value(json_object_get(o, "pem")), &e), &e);
	json_decref(o);
	assert_ok(cert_self_signed(w->p[0]->key, "new", CERT_PEER, 7, &pem, &e), &e);
	assert_ok(peers_upload(w->p[0], pem, &e), &e);
	free(pem);
	assert_string_not_equal(fingerprint_of(w, 0), before);
	assert_ok(cert_self_signed(w->p[0]->key, "new", CERT_CLIENT, 7, &pem, &e), &e);
	assert_code(peers_upload(w->p[0], pem, &e), VMC_EINVAL, &e);
	assert_contains(e.hint, "serverAuth");
	free(pem);
}

static int plain_client(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void nonsense_ends_a_link(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	static const uint8_t junk[] = { 0xff, 0xff, 0xff, 0xff, '{' }, method[] = { 0, 0, 0, 2, '{', '}' };
	struct peer_link *l;
	uint8_t b;
	int fd;

	both_trust(w);
	/* no TLS at all */
	fd = plain_client(peer_server_port(w->server));
	assert_int_equal(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	while (read(fd, &b, 1) > 0)
		;
	close(fd);
	/* a frame that is too long, and one that is no message */
	l = dial(w);
	assert_ok(link_write(l, junk, sizeof(junk), SOON, &e), &e);
	assert_code(link_read(l, &b, 1, SOON, &e), VMC_EUNREACH, &e);
	peer_close(l);
	l = dial(w);
	assert_ok(link_write(l, method, sizeof(method), SOON, &e), &e);
	assert_code(link_read(l, &b, 1, SOON, &e), VMC_EUNREACH, &e);
	assert_code(peer_call(l, "echo", NULL, NULL, SOON, &e), VMC_EUNREACH, &e);
	peer_close(l);
}

static void a_silent_host_is_not_waited_for(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;
	uint16_t port;
	uint64_t before = vmc_now_ms();
	int fd;

	assert_ok(peer_bind("127.0.0.1", 0, &fd, &port, &e), &e);
	trust(w, 0, "b", port, fingerprint_of(w, 1));
	assert_code(peer_dial(w->p[0], "b", before + 300, &l, &e), VMC_ETIMEDOUT, &e);
	assert_true(vmc_now_ms() - before < 5000);
	close(fd);
	assert_code(peer_dial(w->p[0], "b", SOON, &l, &e), VMC_EUNREACH, &e);
	assert_contains(e.hint, "[migration] listen");
}

static void stopping_cuts_links(void **state)
{
	struct world *w = *state;
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l;

	both_trust(w);
	l = dial(w);
	assert_ok(peer_call(l, "count", NULL, NULL, SOON, &e), &e);
	peer_server_stop(w->server);
	w->server = NULL;
	assert_int_equal(w->closed, 1);
	assert_code(peer_call(l, "count", NULL, NULL, SOON, &e), VMC_EUNREACH, &e);
	peer_close(l);
}

static void messages(void **state)
{
	static const struct { const char *text; int code; } bad[] = {
		{ "[]", VMC_ENOTSUP }, { "{\"v\":2,\"id\":1,\"result\":1}", VMC_ENOTSUP },
		{ "{\"v\":1,\"id\":0,\"result\":1}", VMC_EPROTO }, { "{\"v\":1,\"id\":4294967296,\"result\":1}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1,\"method\":\"A\",\"params\":{}}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1,\"method\":\"a\",\"params\":[]}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1,\"method\":\"a\",\"params\":{},\"x\":1}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1,\"result\":1,\"error\":{}}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1,\"error\":{\"code\":\"Busy\",\"text\":1,\"hint\":\"\"}}", VMC_EPROTO },
		{ "{\"v\":1,\"id\":1}", VMC_EPROTO }, { "{\"v\":1,\"v\":1}", VMC_EPROTO }, { "", VMC_EPROTO },
	};
	struct vmc_error e = VMC_ERROR_INIT, why = { VMC_EBUSY, "in use", "wait" };
	static const uint8_t zero[PEER_HEADER], most[PEER_HEADER] = { 0, 4, 0, 0 }, more[PEER_HEADER] = { 0, 4, 0, 1 };
	struct peer_message m;
	uint8_t *frame;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(peer_message_parse((const uint8_t *)bad[i].text, strlen(bad[i].text), &m, &e), bad[i].code, &e);
	assert_code(peer_frame_length(zero, &n, &e), VMC_EPROTO, &e);
	assert_ok(peer_frame_length(most, &n, &e), &e);
	assert_int_equal(n, PEER_FRAME_MAX);
	assert_code(peer_frame_length(more, &n, &e), VMC_EPROTO, &e);
	assert_ok(peer_error_frame(9, &why, &frame, &n, &e), &e);
	assert_ok(peer_message_parse(frame + PEER_HEADER, n - PEER_HEADER, &m, &e), &e);
	assert_int_equal(m.id, 9);
	assert_code(peer_message_error(&m, "x", &e), VMC_EBUSY, &e);
	assert_string_equal(e.text, "host 'x': in use");
	peer_message_clear(&m);
	free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test_setup_teardown(calls_and_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(two_links_have_two_exporters, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(oneself_is_no_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(by_a_ca, setup, teardown),
		cmocka_unit_test_setup_teardown(the_store, setup, teardown),
		cmocka_unit_test_setup_teardown(identity_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_ends_a_link, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_host_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(stopping_cuts_links, setup, teardown),
	};
	struct vmc_error e = VMC_ERROR_INIT;

	if (secmem_init(1 << 16, &e))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
