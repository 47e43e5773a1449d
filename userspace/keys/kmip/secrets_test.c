// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where key bytes are: after a get, in the secure heap and nowhere else in the
 * process; after provider_keys_clear(), nowhere at all. The server runs in a
 * process of its own, since it knows the keys, too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/secmem.h"
#include "../../testing/testing.h"
#include "mock_fixture.h"
#include "mock_pki.h"

#define KEYS	40
#define MASK	0x5a		/* the patterns to look for must not be found themselves */
#define HALF	16		/* half a key is a leak, too */

static char *pki, *dir;
static struct providers *ps;
static struct vmc_config cfg;
static struct vmc_error err;
static pid_t server;
static int server_stdin;

/* ---- the server's process ------------------------------------------------------------- */

static void run_server(int from, int to, const char *script, int tls12)
{
	char cert[512], key[512], ca[512], byte, id[32];
	struct mock_config c = {
		.cert = cert, .key = key, .ca = ca, .store = mock_store_new(), .script = script,
		.tls12_only = tls12,
	};
	struct mock_kmip *m;
	uint16_t port;

	snprintf(cert, sizeof(cert), "%s/server.pem", pki);
	snprintf(key, sizeof(key), "%s/server.key", pki);
	snprintf(ca, sizeof(ca), "%s/ca.pem", pki);
	for (int i = 0; i < KEYS; i++)
		mock_store_add(c.store, PKS_ACTIVE, id);
	m = mock_kmip_start(&c);
	port = m ? mock_kmip_port(m) : 0;
	if (write(to, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	if (read(from, &byte, 1) != 0)	/* until the test is over */
		_exit(1);
	_exit(0);
}

static uint16_t start_server(const char *script, int tls12)
{
	int in[2], out[2];
	uint16_t port = 0;

	assert_int_equal(pipe(in) | pipe(out), 0);
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		close(in[1]);
		close(out[0]);
		run_server(in[0], out[1], script, tls12);
	}
	close(in[0]);
	close(out[1]);
	server_stdin = in[1];
	assert_int_equal(read(out[0], &port, sizeof(port)), sizeof(port));
	close(out[0]);
	assert_true(port != 0);
	return port;
}

static void stop_server(void)
{
	int status;

	close(server_stdin);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_int_equal(status, 0);
}

/* ---- looking for bytes in our own memory -------------------------------------------------- */

static uint8_t window[1 << 16];

struct hunt {
	const uint8_t (*masked)[PROVIDER_KEY_LEN];
	unsigned int n;
	const struct provider_key *held;	/* where they may be; NULL: nowhere */
	unsigned int found, allowed;
};

static bool may_be(const struct hunt *h, unsigned int key, uintptr_t at)
{
	uintptr_t m = h->held ? (uintptr_t)h->held[key].material : 0;

	return m && secmem_is_secure((void *)m) && at >= m && at < m + PROVIDER_KEY_LEN;
}

static bool equal(const uint8_t *p, const uint8_t *masked)
{
	for (int i = 0; i < HALF; i++)
		if ((p[i] ^ MASK) != masked[i])
			return false;
	return true;
}

/* Which two bytes, masked, a half key may begin with. */
static bool begins[1 << 16];

static void index_patterns(const struct hunt *h)
{
	memset(begins, 0, sizeof(begins));
	for (unsigned int k = 0; k < h->n * 2; k++) {
		const uint8_t *want = h->masked[k / 2] + k % 2 * HALF;

		begins[want[0] << 8 | want[1]] = true;
	}
}

static void look(struct hunt *h, const uint8_t *p, size_t n, uintptr_t at)
{
	for (size_t i = 0; i + HALF <= n; i++) {
		if (!begins[(p[i] ^ MASK) << 8 | (p[i + 1] ^ MASK)])
			continue;
		for (unsigned int k = 0; k < h->n * 2; k++) {
			const uint8_t *want = h->masked[k / 2] + k % 2 * HALF;

			if (!equal(p + i, want))
				continue;
			if (may_be(h, k / 2, at + i)) {
				h->allowed++;
			} else {
				h->found++;
				fprintf(stderr, "half %u of key %u at %#lx\n", k % 2, k / 2,
					(unsigned long)(at + i));
			}
		}
	}
}

/* Windows overlap, so that nothing hides on a border, and nothing is found twice. */
static void look_range(struct hunt *h, int mem, uintptr_t from, uintptr_t to)
{
	uintptr_t own = (uintptr_t)window;

	for (uintptr_t at = from; at < to; at += sizeof(window) - (HALF - 1)) {
		size_t want = to - at < sizeof(window) ? to - at : sizeof(window);
		ssize_t n;

		if (at < own + sizeof(window) && at + want > own)
			continue;	/* the window itself */
		n = pread(mem, window, want, (off_t)at);
		if (n > 0)
			look(h, window, n, at);
		memset(window, 0, sizeof(window));
	}
}

/* Only pages that exist, in memory or swapped out: Documentation/admin-guide/mm/pagemap.rst */
static void look_mapping(struct hunt *h, int mem, int pagemap, uintptr_t from, uintptr_t to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = 0, at;
	uint64_t entry;

	for (at = from; at < to; at += page) {
		bool there = pread(pagemap, &entry, sizeof(entry), (off_t)(at / page * 8)) == 8 &&
			     entry >> 62;

		if (there && !start)
			start = at;
		if (!there && start) {
			look_range(h, mem, start, at);
			start = 0;
		}
	}
	if (start)
		look_range(h, mem, start, to);
}

static void hunt(struct hunt *h)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY), pagemap = open("/proc/self/pagemap", O_RDONLY);
	unsigned long from, to;
	char line[1024], *perm;

	assert_non_null(maps);
	assert_true(mem >= 0 && pagemap >= 0);
	index_patterns(h);
	h->found = h->allowed = 0;
	while (fgets(line, sizeof(line), maps)) {
		/* FROM-TO PERMISSIONS ... */
		from = strtoul(line, &perm, 16);
		to = strtoul(perm + 1, &perm, 16);
		if (perm[0] != ' ' || perm[1] != 'r')
			continue;
		/* shadow memory of sanitizers: larger than all that is real */
		if (to - from < 1ul << 30)
			look_mapping(h, mem, pagemap, from, to);
	}
	close(pagemap);
	close(mem);
	fclose(maps);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void copy_file(const char *name)
{
	char data[8192], to[512];
	FILE *in = fopen(test_path(pki, name), "r"), *o;
	size_t n;

	assert_non_null(in);
	n = fread(data, 1, sizeof(data), in);
	fclose(in);
	snprintf(to, sizeof(to), "%s/providers/kms/%s", dir, name);
	o = fopen(to, "w");
	assert_non_null(o);
	assert_int_equal(fchmod(fileno(o), 0600), 0);
	assert_int_equal(fwrite(data, 1, n, o), n);
	assert_int_equal(fclose(o), 0);
}

static struct provider *open_provider(uint16_t port)
{
	json_t *o = json_pack("{s:[o]}", "servers", json_sprintf("127.0.0.1:%d", (int)port));
	struct provider *p = NULL;

	assert_ok(providers_open(&ps, &cfg, &err), &err);
	assert_ok(providers_add_kmip(ps, "kms", o, &err), &err);
	json_decref(o);
	copy_file("client.pem");
	copy_file("client.key");
	copy_file("ca.pem");
	assert_ok(providers_get(ps, "kms", &p, &err), &err);
	return p;
}

static void check(const char *script, int tls12)
{
	static uint8_t masked[KEYS][PROVIDER_KEY_LEN];
	static struct provider_key keys[KEYS];
	struct provider *p = open_provider(start_server(script, tls12));
	struct hunt h = { .masked = masked, .n = KEYS, .held = keys };
	uint8_t *plant;

	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i].id, sizeof(keys[i].id), "%d", i + 1);
	assert_ok(p->ops->get(p, keys, KEYS, &err), &err);
	for (int i = 0; i < KEYS; i++)
		for (int j = 0; j < PROVIDER_KEY_LEN; j++)
			masked[i][j] = keys[i].material[j] ^ MASK;
	hunt(&h);
	assert_int_equal(h.found, 0);
	assert_int_equal(h.allowed, 2 * KEYS);

	/* what is planted is found: the hunt works */
	plant = malloc(PROVIDER_KEY_LEN);
	assert_non_null(plant);
	memcpy(plant, keys[7].material, PROVIDER_KEY_LEN);
	hunt(&h);
	assert_int_equal(h.found, 2);
	secmem_wipe(plant, PROVIDER_KEY_LEN);
	free(plant);

	provider_keys_clear(keys, KEYS);
	h.held = NULL;
	hunt(&h);
	assert_int_equal(h.found, 0);
	provider_put(p);
	assert_ok(providers_remove(ps, "kms", &err), &err);
	providers_close(ps);
	stop_server();
}

static void test_tls13(void **state)
{
	(void)state;
	check("", 0);
}

static void test_tls12(void **state)
{
	(void)state;
	check("", 1);
}

static void test_single(void **state)
{
	(void)state;
	check("no-batch", 0);
}

static void test_bytewise(void **state)
{
	(void)state;
	check("bytewise", 0);
}

/* Keys that are refused leave nothing behind either. */
static void test_refused(void **state)
{
	static uint8_t masked[1][PROVIDER_KEY_LEN];
	struct provider_key k = { .id = "1" };
	struct hunt h = { .masked = masked, .n = 1 };
	struct provider *p = open_provider(start_server("delay=1", 0));

	(void)state;
	assert_ok(p->ops->get(p, &k, 1, &err), &err);
	for (int j = 0; j < PROVIDER_KEY_LEN; j++)
		masked[0][j] = k.material[j] ^ MASK;
	provider_keys_clear(&k, 1);
	k.id[0] = '1';
	/* the reply is whole, but what is in it will not do */
	for (int i = 0; i < 3; i++) {
		struct provider_key both[2] = { { .id = "1" }, { .id = "no-such-key" } };

		assert_code(p->ops->get(p, both, 2, &err), VMC_ENOKEY, &err);
		provider_keys_clear(both, 2);
	}
	hunt(&h);
	assert_int_equal(h.found, 0);
	provider_put(p);
	assert_ok(providers_remove(ps, "kms", &err), &err);
	providers_close(ps);
	stop_server();
}

static int setup(void **state)
{
	(void)state;
	pki = test_mkdir();
	dir = test_mkdir();
	snprintf(cfg.config_dir, sizeof(cfg.config_dir), "%s", dir);
	snprintf(cfg.tls_min, sizeof(cfg.tls_min), "1.2");
	cfg.connect_timeout_ms = 3000;
	cfg.request_timeout_ms = 10000;
	if (mock_pki(pki) || secmem_init(1 << 20, &err))
		return -1;
	/* who may look at a process's memory: an undumpable one may not look at its own unless it is root's */
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int teardown(void **state)
{
	(void)state;
	test_rmdir(pki);
	test_rmdir(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls13),
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_bytewise),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
