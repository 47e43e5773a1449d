// SPDX-License-Identifier: GPL-2.0-or-later
/* The desired state in a real etcd, over TLS with certificates on both sides: shared, set back, altered, gone. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../keys/kmip/mock_pki.h"
#include "../../lib/secmem.h"
#include "../../lib/util.h"
#include "../../net/tcp.h"
#include "../../testing/testing.h"
#include "etcd.h"
#include "state.h"
#include "store.h"

static struct vmc_error err;

static struct world {
	char *pki, *data;
	char url[64], ca[256], cert[256], key[256];
	uint16_t port;
	pid_t etcd;
	unsigned int prefixes;		/* one for each test */
} w;

/* ---- etcd ------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, n) && !getsockname(fd, (struct sockaddr *)&a, &n));
	close(fd);
	return ntohs(a.sin_port);
}

static void run_etcd(const char *peer)
{
	char cert[256], key[256], cluster[96];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(cert, sizeof(cert), "%s/etcd.pem", w.pki);
	snprintf(key, sizeof(key), "%s/etcd.key", w.pki);
	snprintf(cluster, sizeof(cluster), "t=%s", peer);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 1);
	dup2(null, 2);
	execlp("etcd", "etcd", "--name", "t", "--data-dir", w.data, "--listen-client-urls", w.url,
	       "--advertise-client-urls", w.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
	       "--initial-cluster", cluster, "--client-cert-auth", "--trusted-ca-file", w.ca, "--cert-file", cert,
	       "--key-file", key, "--unsafe-no-fsync", (char *)NULL);
	_exit(127);
}

static struct trust_store *open_store(const char *endpoints, const char *ca, const char *cert)
{
	char prefix[32];
	const struct store_etcd_options o = { .endpoints = endpoints, .prefix = prefix, .ca = ca, .cert = cert,
					      .key = cert ? w.key : NULL };
	struct trust_store *s;

	snprintf(prefix, sizeof(prefix), "/test/%u", w.prefixes);
	assert_ok(store_etcd_open(&s, &o, &err), &err);
	return s;
}

static struct trust_store *store(void)
{
	return open_store(w.url, w.ca, w.cert);
}

/* It answers when it has elected itself. */
static bool await_etcd(void)
{
	struct trust_store *s = store();
	uint64_t mark, end = vmc_now_ms() + 30000;
	int rc = VMC_EUNREACH;

	while (rc != VMC_ENOENT && vmc_now_ms() < end && !waitpid(w.etcd, NULL, WNOHANG)) {
		rc = s->ops->load(s, NULL, &mark, &err);
		if (rc != VMC_ENOENT)
			poll(NULL, 0, 50);	/* nothing tells when it listens */
	}
	s->ops->close(s);
	return rc == VMC_ENOENT;
}

static void stop_etcd(void)
{
	if (w.etcd <= 0)
		return;
	kill(w.etcd, SIGKILL);
	waitpid(w.etcd, NULL, 0);
	w.etcd = 0;
}

static void start_etcd(void)
{
	char peer[64];

	snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", free_port());
	w.etcd = fork();
	assert_true(w.etcd >= 0);
	if (!w.etcd)
		run_etcd(peer);
}

static int group_setup(void **state)
{
	const struct mock_cert server = { .name = "etcd", .cn = "etcd", .issuer = "ca", .san = "IP:127.0.0.1",
					  .usage = "serverAuth,clientAuth", .from_days = -1, .to_days = 10 };

	(void)state;
	w.pki = test_mkdir();
	w.data = test_mkdir();
	assert_int_equal(mock_pki(w.pki), 0);
	assert_int_equal(mock_pki_make(w.pki, &server), 0);
	snprintf(w.ca, sizeof(w.ca), "%s/ca.pem", w.pki);
	snprintf(w.cert, sizeof(w.cert), "%s/client.pem", w.pki);
	snprintf(w.key, sizeof(w.key), "%s/client.key", w.pki);
	for (int i = 0; i < 5; i++) {	/* another program may have been faster with a port */
		w.port = free_port();
		snprintf(w.url, sizeof(w.url), "https://127.0.0.1:%u", w.port);
		start_etcd();
		if (await_etcd())
			return 0;
		stop_etcd();
	}
	fprintf(stderr, "etcd does not start: %s\n", err.text);
	return -1;
}

static int group_teardown(void **state)
{
	(void)state;
	stop_etcd();
	test_rmdir(w.data);
	test_rmdir(w.pki);
	return 0;
}

/* ---- the store by itself --------------------------------------------------------------- */

static void keeps_a_document(void **state)
{
	struct trust_store *s = store();
	uint64_t mark = 0, mark2 = 0;
	char *text;

	(void)state;
	assert_code(s->ops->load(s, &text, &mark, &err), VMC_ENOENT, &err);
	assert_ok(s->ops->put(s, "one", 0, &err), &err);
	assert_ok(s->ops->load(s, &text, &mark, &err), &err);
	assert_string_equal(text, "one");
	free(text);
	assert_true(mark);
	assert_ok(s->ops->load(s, NULL, &mark2, &err), &err);
	assert_int_equal(mark, mark2);
	/* whoever is late changes nothing; whose answer was lost has changed it */
	assert_code(s->ops->put(s, "two", 0, &err), VMC_EREPLAY, &err);
	assert_code(s->ops->put(s, "two", mark + 1000, &err), VMC_EREPLAY, &err);
	assert_ok(s->ops->put(s, "one", mark + 1000, &err), &err);
	assert_ok(s->ops->put(s, "two", mark, &err), &err);
	assert_ok(s->ops->load(s, &text, &mark2, &err), &err);
	assert_string_equal(text, "two");
	assert_true(mark2 > mark);
	free(text);
	s->ops->close(s);
}

static void takes_a_large_one(void **state)
{
	struct trust_store *s = store();
	size_t n = TRUST_STATE_MAX / 3 * 4;
	char *big = malloc(n + 1), *text;
	uint64_t mark;

	(void)state;
	memset(big, 'x', n);
	big[n] = '\0';
	assert_ok(s->ops->put(s, big, 0, &err), &err);
	assert_ok(s->ops->load(s, &text, &mark, &err), &err);
	assert_string_equal(text, big);
	free(text);
	free(big);
	s->ops->close(s);
}

static void asks_the_next_server(void **state)
{
	char endpoints[160];
	struct trust_store *s;
	uint64_t mark;

	(void)state;
	snprintf(endpoints, sizeof(endpoints), "https://127.0.0.1:1, %s/", w.url);
	s = open_store(endpoints, w.ca, w.cert);
	assert_code(s->ops->load(s, NULL, &mark, &err), VMC_ENOENT, &err);
	s->ops->close(s);
}

static void knows_its_servers(void **state)
{
	char stranger[256];
	struct trust_store *s;
	uint64_t mark;

	(void)state;
	snprintf(stranger, sizeof(stranger), "%s/other-ca.pem", w.pki);
	s = open_store(w.url, stranger, w.cert);
	assert_code(s->ops->load(s, NULL, &mark, &err), VMC_EUNREACH, &err);
	s->ops->close(s);
	/* and they know it */
	s = open_store(w.url, w.ca, NULL);
	assert_int_not_equal(s->ops->load(s, NULL, &mark, &err), VMC_ENOENT);
	s->ops->close(s);
}

static void refuses_bad_endpoints(void **state)
{
	static const char *const bad[] = { "", "etcd:2379", "https://a,", "ftp://a",
		"http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a" };
	struct store_etcd_options o = { .prefix = "/x" };
	struct trust_store *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		o.endpoints = bad[i];
		assert_code(store_etcd_open(&s, &o, &err), VMC_EINVAL, &err);
	}
}

static void reads_answers(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"kvs\":{}}", "{\"kvs\":[{},{}]}", "{\"kvs\":[{\"value\":\"eA==\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"-1\",\"value\":\"eA==\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"1x\",\"value\":\"eA==\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"99999999999999999999\",\"value\":\"eA==\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"1\",\"value\":\"e\"}]}", "{\"kvs\":[{\"mod_revision\":\"1\",\"value\":7}]}",
		"{\"kvs\":[{\"mod_revision\":\"1\",\"value\":\"AAAA\"}]}", "{\"kvs\":[{\"mod_revision\":\"1\",\"value\":\"\"}]}",
	};
	const char *good = "{\"header\":{},\"kvs\":[{\"mod_revision\":\"7\",\"value\":\"YWI=\"}]}";
	uint64_t revision;
	char *value, said[200];
	bool done = false;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(etcd_parse_range(bad[i], strlen(bad[i]), &revision, &value, &err), VMC_EPROTO, &err);
	assert_ok(etcd_parse_range(good, strlen(good), &revision, &value, &err), &err);
	assert_int_equal(revision, 7);
	assert_string_equal(value, "ab");
	free(value);
	assert_code(etcd_parse_txn("{\"succeeded\":true}", 18, &done, &err), VMC_EPROTO, &err);
	assert_ok(etcd_parse_txn("{\"header\":{},\"succeeded\":true}", 30, &done, &err), &err);
	assert_true(done);
	assert_ok(etcd_parse_txn("{\"header\":{}}", 13, &done, &err), &err);
	assert_false(done);
	etcd_parse_error("{\"error\":\"a\\nb\"}", 16, said);
	assert_string_equal(said, "a b");
	etcd_parse_error("<html>", 6, said);
	assert_string_equal(said, "");
}

/* ---- authorities that share ---------------------------------------------------------------- */

struct authority {
	char *dir;
	struct trust_state *s;
	struct trust_store *store;
};

static void up(struct authority *a)
{
	a->dir = test_mkdir();
	a->store = store();
	assert_ok(trust_state_open(&a->s, a->dir, &err), &err);
	trust_state_share(a->s, a->store);
}

static void down(struct authority *a)
{
	trust_state_close(a->s);
	a->store->ops->close(a->store);
	test_rmdir(a->dir);
}

static int set_lease(json_t *state, void *data, struct vmc_error *e)
{
	(void)e;
	return json_object_set_new(json_object_get(state, "policy"), "lease", json_integer(*(int *)data));
}

static int edit(struct authority *a, int lease)
{
	return trust_state_edit(a->s, set_lease, &lease, &err);
}

static bool sync_state(struct authority *a)
{
	bool changed;

	assert_ok(trust_state_sync(a->s, &changed, &err), &err);
	return changed;
}

static long long serial(struct authority *a)
{
	json_t *state = trust_state_json(a->s);
	long long n = json_integer_value(json_object_get(state, "serial"));

	json_decref(state);
	return n;
}

static void two(struct authority *a, struct authority *b)
{
	char *pem;

	up(a);
	up(b);
	assert_ok(trust_state_init(a->s, "blue", &err), &err);
	assert_ok(trust_state_public(a->s, &pem, &err), &err);
	assert_ok(trust_state_join(b->s, pem, &err), &err);
	free(pem);
}

static void put_raw(struct authority *a, const char *text)
{
	uint64_t mark;

	assert_ok(a->store->ops->load(a->store, NULL, &mark, &err), &err);
	assert_ok(a->store->ops->put(a->store, text, mark, &err), &err);
}

static void shares_changes(void **state)
{
	struct authority a, b;

	(void)state;
	two(&a, &b);
	assert_true(sync_state(&b));
	assert_false(sync_state(&b));
	assert_false(sync_state(&a));
	assert_ok(edit(&a, 60), &err);
	assert_true(sync_state(&b));
	assert_int_equal(serial(&b), serial(&a));
	/* on disk, too: it is there without etcd */
	trust_state_close(b.s);
	assert_ok(trust_state_open(&b.s, b.dir, &err), &err);
	assert_int_equal(serial(&b), serial(&a));
	down(&a);
	down(&b);
}

/* Two authorities, of which @a has changed the state; that of before. */
static char *two_and_old(struct authority *a, struct authority *b)
{
	char *old;

	two(a, b);
	assert_ok(trust_state_get(a->s, &old, &err), &err);
	assert_ok(edit(a, 60), &err);
	return old;
}

/* An older state in etcd, though signed, sets nobody back, and does not stay. */
static void is_not_set_back(void **state)
{
	struct authority a, b;
	char *old = two_and_old(&a, &b);

	(void)state;
	assert_true(sync_state(&b));
	put_raw(&a, old);
	assert_false(sync_state(&b));
	assert_int_equal(serial(&b), serial(&a));
	free(old);
	assert_ok(trust_state_get(a.s, &old, &err), &err);
	{
		uint64_t mark;
		char *now;

		assert_ok(a.store->ops->load(a.store, &now, &mark, &err), &err);
		assert_string_equal(now, old);
		free(now);
	}
	free(old);
	down(&a);
	down(&b);
}

static void takes_only_what_is_signed(void **state)
{
	struct authority a, b, c;
	bool changed;
	char *other;

	(void)state;
	w.prefixes++;
	two(&a, &b);
	w.prefixes++;
	up(&c);
	assert_ok(trust_state_init(c.s, "red", &err), &err);
	assert_ok(edit(&c, 60), &err);
	assert_ok(edit(&c, 61), &err);
	assert_ok(trust_state_get(c.s, &other, &err), &err);
	put_raw(&a, other);
	assert_code(trust_state_sync(b.s, &changed, &err), VMC_EAUTH, &err);
	assert_false(changed);
	assert_int_equal(serial(&b), 0);
	/* nothing is written over what nobody here has signed */
	assert_code(edit(&a, 60), VMC_EAUTH, &err);
	assert_contains(err.text, "the shared desired state: ");
	assert_int_equal(serial(&a), 1);
	free(other);
	down(&a);
	down(&b);
	down(&c);
}

/* One that was restored, say, and does not know yet what others have. */
static void does_not_write_over_newer_ones(void **state)
{
	struct authority a, b;
	char *old = two_and_old(&a, &b);

	(void)state;
	assert_ok(edit(&a, 61), &err);
	test_write_text(test_path(a.dir, "state.jws"), old);
	assert_ok(trust_state_reopen(a.s, &err), &err);
	assert_code(edit(&a, 62), VMC_EREPLAY, &err);
	assert_contains(err.text, "has the serial 3 already");
	assert_true(sync_state(&a));
	assert_ok(edit(&a, 62), &err);
	assert_int_equal(serial(&a), 4);
	free(old);
	down(&a);
	down(&b);
}

/* Last: nobody is there. Nothing is changed then, and what there is serves on. */
static void changes_nothing_without_it(void **state)
{
	uint64_t begun;
	struct authority a, b;
	bool changed;

	(void)state;
	two(&a, &b);
	stop_etcd();
	begun = vmc_now_ms();
	assert_code(edit(&a, 60), VMC_EUNREACH, &err);
	assert_contains(err.text, "etcd at https://127.0.0.1");
	assert_int_equal(serial(&a), 1);
	assert_code(trust_state_sync(a.s, &changed, &err), VMC_EUNREACH, &err);
	assert_true(vmc_now_ms() - begun < 2 * STORE_MS + 2000);
	down(&a);
	down(&b);
}

static int setup(void **state)
{
	(void)state;
	w.prefixes++;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup(f, setup)
		T(reads_answers), T(refuses_bad_endpoints), T(keeps_a_document), T(takes_a_large_one), T(asks_the_next_server),
		T(knows_its_servers), T(shares_changes), T(is_not_set_back), T(takes_only_what_is_signed),
		T(does_not_write_over_newer_ones), T(changes_nothing_without_it),
	};

	assert_ok(secmem_init(1 << 20, &err), &err);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
