// SPDX-License-Identifier: GPL-2.0-or-later
/* Migrations between two hosts in one process: what is agreed, what moves, and who has the VM when something fails. */
#include <dirent.h>
#include <linux/vmcrypt.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "../lib/secmem.h"
#include "../lib/util.h"
#include "../testing/testing.h"
#include "flow.h"
#include "hello.h"
#include "mock_two.h"
#include "prelude.h"

#define MEMORY (3u << 20)

static int run(unsigned int parallel, bool dry_run, json_t **o, struct vmc_error *e)
{
	const struct migrate_request r = {
		.vm = VM_NAME, .to = "b", .qmp = "/here", .to_qmp = "/there", .parallel = parallel, .dry_run = dry_run,
	};

	*o = NULL;
	return migrate_run(two->migrations[HERE], &r, NULL, o, e);
}

/* The other side ends its part when its link has gone, a moment later. */
static void wait_idle(void)
{
	uint64_t deadline = vmc_now_ms() + 10000;

	while (migrations_busy(two->migrations[THERE])) {
		assert_true(vmc_now_ms() < deadline);
		poll(NULL, 0, 5);
	}
}

static void assert_empty(const char *dir)
{
	DIR *d = opendir(test_path(dir, "r/migrate"));
	struct dirent *f;

	while (d && (f = readdir(d)))
		assert_int_equal(f->d_name[0], '.');
	if (d)
		closedir(d);
}

static void assert_clean(void)
{
	wait_idle();
	two_close();		/* all threads are done then */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(two->k[i].migrations, 0);
		assert_empty(two->dir[i]);
	}
	two_open();
}

static void assert_here(void)
{
	assert_clean();
	assert_true(two->machines.here_runs);
	assert_false(two->machines.there_runs);
	assert_false(two->manager[HERE].left);
	assert_false(two->manager[THERE].running);
}

static void assert_there(void)
{
	assert_clean();
	assert_false(two->machines.here_runs);
	assert_true(two->machines.there_runs);
}

static bool truth(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static void encrypted_over_many_connections(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	assert_ok(run(4, false, &o, &e), &e);
	assert_true(truth(o, "encrypted"));
	assert_null(json_object_get(o, "why"));
	assert_int_equal(json_integer_value(json_object_get(o, "connections")), 5);
	assert_int_equal(json_array_size(json_object_get(o, "warnings")), 0);
	json_decref(o);
	assert_there();
	assert_int_equal(two->machines.received, 5 * MEMORY);
	/* both kernels have each other's key, and the same binding */
	assert_memory_equal(two->k[HERE].peer_key, two->k[THERE].public_key, VMK_PUBLIC_LEN);
	assert_memory_equal(two->k[THERE].peer_key, two->k[HERE].public_key, VMK_PUBLIC_LEN);
	assert_memory_equal(two->k[HERE].binding, two->k[THERE].binding, PEER_EXPORT_LEN);
	assert_int_equal(two->k[HERE].channels, 5);
	assert_string_equal(two->m[HERE].events, VMM_EV_VM_MIGRATED "\n");
	assert_contains(two->m[HERE].texts, "'web1' was migrated to host 'b', encrypted");
	assert_string_equal(two->m[THERE].events, VMM_EV_VM_ARRIVED "\n");
	assert_int_equal(two->ended, 1);
}

static void each_has_its_own_binding(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t first[PEER_EXPORT_LEN];
	json_t *o;

	(void)state;
	assert_ok(run(0, false, &o, &e), &e);
	json_decref(o);
	memcpy(first, two->k[HERE].binding, sizeof(first));
	wait_idle();
	two->machines.here_runs = true;
	assert_ok(run(0, false, &o, &e), &e);
	json_decref(o);
	assert_memory_not_equal(first, two->k[HERE].binding, sizeof(first));
	assert_clean();
}

static unsigned int entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Threads of links that have gone need a moment to do so, too. */
static void assert_no_more(const char *path, unsigned int than)
{
	uint64_t deadline = vmc_now_ms() + 10000;

	while (entries(path) > than) {
		assert_true(vmc_now_ms() < deadline);
		poll(NULL, 0, 5);
	}
}

static void two_hundred_leave_nothing(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	unsigned int files = 0, threads = 0;
	json_t *o;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		assert_ok(run(0, false, &o, &e), &e);
		json_decref(o);
		wait_idle();
		two->machines.here_runs = true;
		two->machines.there_runs = false;
		two->m[HERE].events[0] = two->m[HERE].texts[0] = '\0';
		two->m[THERE].events[0] = two->m[THERE].texts[0] = '\0';
		if (i)
			continue;
		files = entries("/proc/self/fd");
		threads = entries("/proc/self/task");
	}
	assert_no_more("/proc/self/fd", files);
	assert_no_more("/proc/self/task", threads);
	assert_clean();
}

static void encrypted_vm_with_keys(const char *from, unsigned int sealed)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	two->manager[HERE].has_vm = true;
	two->manager[THERE].key_from = from;
	assert_ok(run(1, false, &o, &e), &e);
	assert_true(truth(o, "encrypted"));
	json_decref(o);
	assert_there();
	assert_int_equal(two->manager[THERE].sealed, sealed);
	assert_true(two->manager[HERE].left);
	assert_true(two->manager[THERE].running);
	assert_true(two->manager[THERE].home);
	assert_false(two->manager[THERE].came_not);
}

static void keys_by_the_provider(void **state)
{
	(void)state;
	encrypted_vm_with_keys("provider", 0);
}

static void keys_from_kernel_to_kernel(void **state)
{
	(void)state;
	encrypted_vm_with_keys("sealed", 1);
}

static void dry_run_changes_nothing(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	assert_ok(run(2, true, &o, &e), &e);
	assert_true(truth(o, "dry_run"));
	assert_true(truth(o, "encrypted"));
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 1);
	json_decref(o);
	assert_here();
	assert_true(two->manager[HERE].kept);
	assert_int_equal(two->k[HERE].last, 0);
	assert_false(two->manager[THERE].coming);
	assert_string_equal(two->m[HERE].events, "");
}

static void in_clear_when_one_cannot(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two_close();
	two->has_module[THERE] = false;
	two_open();
	assert_ok(run(2, false, &o, &e), &e);
	assert_false(truth(o, "encrypted"));
	assert_contains(json_string_value(json_object_get(o, "why")), "not loaded");
	json_decref(o);
	assert_there();
	assert_int_equal(two->machines.received, 3 * MEMORY);
	assert_int_equal(two->k[HERE].last, 0);
	assert_string_equal(two->m[HERE].events, VMM_EV_VM_MIGRATED_CLEAR "\n");
	assert_contains(two->m[THERE].texts, "not encrypted");
}

/* All three, with an other host that can and one that cannot. */
static void policies(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->policy = MIGRATION_REQUIRED;
	assert_ok(run(0, false, &o, &e), &e);
	assert_true(truth(o, "encrypted"));
	json_decref(o);
	assert_there();
	two->machines.here_runs = true;
	two->machines.there_runs = false;
	two->policy = MIGRATION_DISABLED;
	assert_ok(run(0, false, &o, &e), &e);
	assert_false(truth(o, "encrypted"));
	json_decref(o);
	assert_there();
	two->machines.here_runs = true;
	two->machines.there_runs = false;
	two_close();
	two->has_module[THERE] = false;
	two_open();
	assert_ok(run(0, true, &o, &e), &e);
	json_decref(o);
	two->policy = MIGRATION_REQUIRED;
	two->machines.sent = 0;
	assert_code(run(0, false, &o, &e), VMC_EREFUSED, &e);
	assert_here();
	assert_int_equal(two->machines.sent, 0);
}

static void encrypted_vm_is_never_sent_in_clear(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two_close();
	two->has_module[THERE] = false;
	two_open();
	two->manager[HERE].has_vm = true;
	assert_code(run(0, false, &o, &e), VMC_EREFUSED, &e);
	assert_here();
	assert_true(two->manager[HERE].kept);
	assert_int_equal(two->machines.sent, 0);
	assert_string_equal(two->m[HERE].events, VMM_EV_MIGRATION_REFUSED "\n");
}

static void preflight_finds_what_is_missing(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->manager[THERE].check_fails = VMC_ENOENT;
	assert_code(run(0, false, &o, &e), VMC_ENOENT, &e);
	assert_string_equal(e.text, "host 'b': disk 'root' of VM 'web1' is not to be had on this host");
	assert_here();
	assert_int_equal(two->k[HERE].last, 0);
	assert_int_equal(two->machines.sent, 0);
	/* its QEMU is not there */
	two->manager[HERE].has_vm = false;
	two->machines.there = false;
	assert_code(run(0, true, &o, &e), VMC_ENOENT, &e);
	assert_contains(e.text, "nothing listens at '/there'");
	assert_here();
}

/* A QEMU that runs is of another VM, whatever a peer says. That of an encrypted VM is first looked at at the start. */
static void one_that_runs_is_left_alone(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->machines.not_waiting = true;
	assert_code(run(0, false, &o, &e), VMC_ESTATE, &e);
	assert_contains(e.text, "does not wait for a migration");
	assert_here();
	assert_true(two->manager[THERE].came_not);
	assert_int_equal(two->machines.ended_there, 0);
}

/* Ended on either side, it would be gone. */
static void postcopy_that_breaks_ends_neither(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->machines.splits = true;
	assert_code(run(0, false, &o, &e), VMC_EIO, &e);
	assert_contains(e.text, "its memory is on two hosts");
	assert_clean();
	assert_false(two->machines.here_runs);
	assert_false(two->manager[HERE].left);
	assert_true(two->manager[HERE].kept);
	assert_true(two->manager[THERE].running);
	assert_true(two->manager[THERE].away);
	assert_false(two->manager[THERE].came_not);
}

static void failures_leave_it_here(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->machines.fail_in = VMC_ESTATE;
	assert_code(run(0, false, &o, &e), VMC_ESTATE, &e);
	assert_here();
	assert_true(two->manager[THERE].came_not);
	two->machines.fail_in = 0;
	two->machines.fail_out = VMC_EIO;
	assert_code(run(0, false, &o, &e), VMC_EIO, &e);
	assert_contains(e.text, "it did not go");
	assert_here();
	two->machines.fail_out = 0;
	/* all of it has come, and the other side says no */
	two->machines.fail_finish = VMC_EIO;
	assert_code(run(1, false, &o, &e), VMC_EIO, &e);
	assert_contains(e.text, "the guest does not start");
	assert_here();
	assert_string_equal(two->m[HERE].events, VMM_EV_MIGRATION_FAILED "\n" VMM_EV_MIGRATION_FAILED "\n"
			    VMM_EV_MIGRATION_FAILED "\n");
	assert_string_equal(two->m[THERE].events, "");
}

struct breaker {
	pthread_t thread;
	uint32_t reason, there;		/* 0: the other end hears of nothing */
};

static void *break_soon(void *data)
{
	const struct breaker *b = data;
	uint64_t deadline = vmc_now_ms() + 10000;

	while (two->k[HERE].channels < 2 && vmc_now_ms() < deadline)
		poll(NULL, 0, 5);
	if (b->there)
		two_break(THERE, b->there);
	two_break(HERE, b->reason);
	return NULL;
}

static void a_wire_that_alters_is_told(void **state)
{
	struct breaker b = { .reason = VMCRYPT_END_AUTH_FAILED };
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->machines.cut_after = 2;
	assert_int_equal(pthread_create(&b.thread, NULL, break_soon, &b), 0);
	assert_code(run(4, false, &o, &e), VMC_EAUTH, &e);
	pthread_join(b.thread, NULL);
	assert_contains(e.text, "not authentic: altered");
	assert_here();
	assert_contains(two->m[HERE].texts, "not authentic");
}

/* The other end finds it, and tells this end's kernel only that it is over. */
static void what_the_other_end_found_is_told(void **state)
{
	struct breaker b = { .reason = VMCRYPT_END_PEER_CLOSED, .there = VMCRYPT_END_AUTH_FAILED };
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	two->manager[HERE].has_vm = true;
	two->machines.cut_after = 2;
	assert_int_equal(pthread_create(&b.thread, NULL, break_soon, &b), 0);
	assert_code(run(4, false, &o, &e), VMC_EIO, &e);
	pthread_join(b.thread, NULL);
	assert_contains(e.text, "host 'b': ");
	assert_contains(e.text, "not authentic: altered");
	assert_here();
	assert_contains(two->m[HERE].texts, "not authentic");
}

static void *cancel_soon(void *data)
{
	uint64_t deadline = vmc_now_ms() + 10000;

	while (two->k[HERE].channels < 1 && vmc_now_ms() < deadline)
		poll(NULL, 0, 5);
	atomic_store(&((struct progress *)data)->cancel, true);
	two_break(HERE, VMCRYPT_END_TRUNCATED);		/* what wakes the hypervisor here */
	return NULL;
}

static void canceled_by_hand(void **state)
{
	const struct migrate_request r = { .vm = VM_NAME, .to = "b", .qmp = "/here", .to_qmp = "/there", .parallel = 2 };
	struct vmc_error e = VMC_ERROR_INIT;
	struct progress p = { 0 };
	pthread_t t;
	json_t *o = NULL;

	(void)state;
	two->machines.cut_after = 1;
	assert_int_equal(pthread_create(&t, NULL, cancel_soon, &p), 0);
	assert_code(migrate_run(two->migrations[HERE], &r, &p, &o, &e), VMC_ECANCELED, &e);
	pthread_join(t, NULL);
	assert_here();
}

static void bad_requests(void **state)
{
	struct migrate_request r = { .vm = VM_NAME, .to = "b", .qmp = "/here" };
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_code(migrate_run(two->migrations[HERE], &r, NULL, NULL, &e), VMC_EINVAL, &e);
	assert_contains(e.hint, "--to-qmp");
	r.to_qmp = "/there";
	r.parallel = HV_PARALLEL_MAX + 1;
	assert_code(migrate_run(two->migrations[HERE], &r, NULL, NULL, &e), VMC_EINVAL, &e);
	r.parallel = 0;
	r.postcopy = true;
	assert_code(migrate_run(two->migrations[HERE], &r, NULL, NULL, &e), VMC_ENOTSUP, &e);
	r.postcopy = false;
	r.to = "c";
	assert_code(migrate_run(two->migrations[HERE], &r, NULL, NULL, &e), VMC_ENOENT, &e);
	assert_here();
}

static int ask(const char *method, const char *params)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct peer_link *l = NULL;
	json_t *p = json_loads(params, 0, NULL);
	int rc;

	assert_non_null(p);
	assert_ok(peer_dial(two->peers[HERE], "b", vmc_now_ms() + 5000, &l, &e), &e);
	rc = peer_call(l, method, p, NULL, vmc_now_ms() + 5000, &e);
	json_decref(p);
	peer_close(l);
	return rc;
}

static void nonsense_of_a_peer_is_refused(void **state)
{
	(void)state;
	assert_int_equal(ask("preflight", "{}"), VMC_EPROTO);
	assert_int_equal(ask("preflight", "{\"vm\":\"" VM_ID "\",\"name\":\"a\",\"parallel\":65}"), VMC_EPROTO);
	assert_int_equal(ask("preflight", "{\"vm\":\"" VM_ID "\",\"name\":\"a\",\"parallel\":0,\"qmp\":\"x\"}"), VMC_EPROTO);
	assert_int_equal(ask("preflight", "{\"vm\":\"" VM_ID "\",\"name\":\"a\",\"parallel\":0,\"what\":{}}"), VMC_EPROTO);
	assert_int_equal(ask("finish", "{}"), VMC_EPROTO);
	assert_int_equal(ask("keys", "{\"sealed\":[]}"), VMC_EPROTO);
	assert_int_equal(ask("prepare", "{\"vm\":\"" VM_ID "\",\"name\":\"a\",\"parallel\":0,\"encrypt\":true}"), VMC_EPROTO);
	assert_int_equal(ask("destroy", "{}"), VMC_EPROTO);
	assert_clean();
}

static void test_of_a_peer(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o = NULL;

	(void)state;
	assert_ok(migrations_test(two->migrations[HERE], "b", &o, &e), &e);
	assert_true(truth(o, "ok"));
	assert_string_equal(json_string_value(json_object_get(o, "module")), "1.0");
	json_decref(o);
	/* this host listens for nobody, and says how it would */
	o = migrations_listening(two->migrations[HERE]);
	assert_true(json_is_null(json_object_get(o, "listen")));
	json_decref(o);
}

static void hellos(void **state)
{
	struct hello a = { .version = "1", .protocol = 1, .module = "1", .module_protocol = 1, .time = 1000 }, b = a, c;
	struct vmc_error e = VMC_ERROR_INIT;
	json_t *o;

	(void)state;
	o = hello_json(&a);
	assert_ok(hello_parse(o, &c, &e), &e);
	assert_int_equal(c.time, 1000);
	json_object_set_new(o, "time", json_string("now"));
	assert_code(hello_parse(o, &c, &e), VMC_EPROTO, &e);
	json_decref(o);
	assert_ok(hello_match(&a, &b, "b", &e), &e);
	b.time += MIGRATION_CLOCK_S + 1;
	assert_code(hello_match(&a, &b, "b", &e), VMC_ESTATE, &e);
	assert_contains(e.text, "301 s apart");
	b = a;
	b.module_protocol = 2;
	assert_code(hello_match(&a, &b, "b", &e), VMC_ENOTSUP, &e);
	b.module[0] = '\0';
	assert_ok(hello_match(&a, &b, "b", &e), &e);
	b.protocol = 2;
	assert_code(hello_match(&a, &b, "b", &e), VMC_ENOTSUP, &e);
}

static void preludes(void **state)
{
	struct prelude p = { HV_DISKS, 1023, { { 1, 2, 3 } } }, q;
	struct vmc_error e = VMC_ERROR_INIT;
	uint8_t b[PRELUDE_LEN];

	(void)state;
	prelude_write(&p, b);
	assert_memory_equal(b, "VMCW\x01\x01\x03\xff\x01\x02\x03", 11);
	assert_ok(prelude_read(b, &q, &e), &e);
	assert_int_equal(q.number, 1023);
	assert_int_equal(q.kind, HV_DISKS);
	b[6] = 4;	/* more than there are */
	assert_code(prelude_read(b, &q, &e), VMC_EPROTO, &e);
	b[6] = 0;
	b[5] = HV_SOCKETS;
	assert_code(prelude_read(b, &q, &e), VMC_EPROTO, &e);
	b[5] = 0;
	b[0] = 'v';
	assert_code(prelude_read(b, &q, &e), VMC_EPROTO, &e);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, two_setup, two_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos),
		cmocka_unit_test(preludes),
		TEST(test_of_a_peer),
		TEST(dry_run_changes_nothing),
		TEST(encrypted_over_many_connections),
		TEST(each_has_its_own_binding),
		TEST(two_hundred_leave_nothing),
		TEST(keys_by_the_provider),
		TEST(keys_from_kernel_to_kernel),
		TEST(in_clear_when_one_cannot),
		TEST(policies),
		TEST(encrypted_vm_is_never_sent_in_clear),
		TEST(preflight_finds_what_is_missing),
		TEST(one_that_runs_is_left_alone),
		TEST(postcopy_that_breaks_ends_neither),
		TEST(failures_leave_it_here),
		TEST(a_wire_that_alters_is_told),
		TEST(what_the_other_end_found_is_told),
		TEST(canceled_by_hand),
		TEST(bad_requests),
		TEST(nonsense_of_a_peer_is_refused),
	};
	struct vmc_error e = VMC_ERROR_INIT;

	if (secmem_init(1 << 16, &e))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
