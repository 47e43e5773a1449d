// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver with two real QEMUs, joined by a relay in place of two hosts with channels between them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/util.h"
#include "../testing/testing.h"
#include "hypervisor.h"
#include "mock_relay.h"
#include "qmp.h"

#define QEMU		"qemu-system-x86_64"
#define MEMORY		(32u << 20)
#define LOW_MEMORY	(640u << 10)	/* what is above, up to 1 MiB, is no memory */
#define DISK		(8u << 20)
#define BIOS		65536
#define COUNTER		0x500
#define LONG_MS		120000

extern char **environ;

/* A machine with a guest that counts at COUNTER for ever. */
struct machine {
	char *dir;		/* where its sockets and files are */
	char qmp[108];		/* the driver's */
	struct qmp *q;		/* the test's own */
	pid_t pid;
	struct hypervisor *h;
};

struct pair {
	struct machine a, b;
	struct relay *memory, *disks;
	struct hv_ready ready;
	struct hv_result result;
	struct vmc_error err;
};

static void fill_random(const char *path, size_t size)
{
	char *data = malloc(size);

	assert_non_null(data);
	for (size_t done = 0; done < size;) {
		ssize_t n = getrandom(data + done, size - done, 0);

		assert_true(n > 0);
		done += (size_t)n;
	}
	test_write(path, data, size);
	free(data);
}

/* inc word [COUNTER]; jump to it, at the address where the processor begins. */
static void write_bios(const char *path)
{
	static const unsigned char code[] = { 0xff, 0x06, COUNTER & 0xff, COUNTER >> 8, 0xeb, 0xfa };
	char *bios = calloc(1, BIOS);

	assert_non_null(bios);
	memcpy(bios + BIOS - 16, code, sizeof(code));
	test_write(path, bios, BIOS);
	free(bios);
}

static void spawn(struct machine *m, char *const argv[])
{
	posix_spawn_file_actions_t fa;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, test_path(m->dir, "log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&fa, 1, 2);
	assert_int_equal(posix_spawnp(&m->pid, QEMU, &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
}

/* QEMU makes its sockets before it runs; there is no event for that from outside. */
static void connect_own(struct machine *m, const char *path)
{
	struct vmc_error err = VMC_ERROR_INIT;
	uint64_t until = vmc_now_ms() + LONG_MS;
	int r;

	do {
		r = qmp_connect(&m->q, path, LONG_MS, &err);
		if (r == VMC_ENOENT)
			poll(NULL, 0, 20);
	} while (r == VMC_ENOENT && vmc_now_ms() < until && !waitpid(m->pid, NULL, WNOHANG));
	assert_ok(r, &err);
}

static void machine_start(struct machine *m, bool waits, unsigned int memory)
{
	char own[128], mem[256], drive[256], bios[128], qmp[160], own_arg[160], size[32];
	char *argv[] = {
		QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-name", "moved",
		"-m", size, "-object", mem, "-machine", "pc,memory-backend=m", "-bios", bios, "-drive", drive,
		"-device", "virtio-blk-pci,drive=disk0", "-qmp", qmp, "-qmp", own_arg,
		waits ? "-incoming" : NULL, "defer", "-S", NULL,
	};
	struct vmc_error err = VMC_ERROR_INIT;

	memset(m, 0, sizeof(*m));
	m->dir = test_mkdir();
	snprintf(m->qmp, sizeof(m->qmp), "%s/qmp", m->dir);
	snprintf(own, sizeof(own), "%s/own", m->dir);
	snprintf(bios, sizeof(bios), "%s/bios", m->dir);
	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", m->qmp);
	snprintf(own_arg, sizeof(own_arg), "unix:%s,server=on,wait=off", own);
	snprintf(size, sizeof(size), "%u", memory >> 20);
	snprintf(drive, sizeof(drive), "file=%s/disk,format=raw,if=none,id=disk0", m->dir);
	snprintf(mem, sizeof(mem), "memory-backend-%s,id=m,size=%u%s%s%s", waits ? "ram" : "file", memory,
		 waits ? "" : ",share=on,mem-path=", waits ? "" : m->dir, waits ? "" : "/memory");
	write_bios(bios);
	if (waits) {
		test_write(test_path(m->dir, "disk"), "", 0);
		assert_int_equal(truncate(test_path(m->dir, "disk"), DISK), 0);
	} else {
		fill_random(test_path(m->dir, "memory"), memory);
		fill_random(test_path(m->dir, "disk"), DISK);
	}
	spawn(m, argv);
	connect_own(m, own);
	assert_ok(qemu_open(&m->h, m->qmp, &err), &err);
}

/* What a QEMU said that did not end well, or was not meant to. */
static void show_log(const struct machine *m, int status)
{
	char text[2048];
	int fd = open(test_path(m->dir, "log"), O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text));

	print_message("# the QEMU in %s ended with status %#x: %.*s\n", m->dir, status, n > 0 ? (int)n : 0, text);
	close(fd);
}

/* Waits for a QEMU that was told to end; ends one that was not. */
static void machine_end(struct machine *m)
{
	int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status;

	hypervisor_close(m->h);
	qmp_close(m->q);
	if (poll(&p, 1, 0) == 0) {
		kill(m->pid, SIGTERM);
		if (poll(&p, 1, 10000) == 0)
			kill(m->pid, SIGKILL);
	}
	if (waitpid(m->pid, &status, 0) == m->pid && status)
		show_log(m, status);
	close(fd);
	test_rmdir(m->dir);
}

static void assert_ended(struct machine *m)
{
	int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 10000), 1);
	close(fd);
}

/* QEMU passes through states of a few milliseconds, of which it tells by no event. */
static void assert_status(struct machine *m, const char *want)
{
	struct vmc_error err = VMC_ERROR_INIT;
	uint64_t until = vmc_now_ms() + 10000;
	char got[32];
	json_t *ret;

	do {
		assert_ok(qmp_call(m->q, "query-status", NULL, &ret, &err), &err);
		snprintf(got, sizeof(got), "%s", json_string_value(json_object_get(ret, "status")));
		json_decref(ret);
	} while (strcmp(got, want) && vmc_now_ms() < until && !poll(NULL, 0, 10));
	assert_string_equal(got, want);
}

/* A copy of what the guest has as memory. */
static unsigned char *memory_of(struct machine *m, unsigned int size)
{
	const char *path = test_path(m->dir, "saved");
	struct vmc_error err = VMC_ERROR_INIT;
	unsigned char *data = malloc(size);
	int fd;

	assert_non_null(data);
	assert_ok(qmp_call(m->q, "pmemsave", json_pack("{s:i, s:i, s:s}", "val", 0, "size", (int)size, "filename", path),
			   NULL, &err), &err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, data, size), size);
	close(fd);
	return data;
}

static void assert_memory_equal_of(struct pair *p)
{
	unsigned char *a = memory_of(&p->a, MEMORY), *b = memory_of(&p->b, MEMORY);

	assert_int_equal(memcmp(a, b, LOW_MEMORY), 0);
	assert_int_equal(memcmp(a + (1 << 20), b + (1 << 20), MEMORY - (1 << 20)), 0);
	/* It is what was put there, and not two times nothing. */
	assert_true(a[2 << 20] || a[(2 << 20) + 1] || a[(2 << 20) + 2] || a[(2 << 20) + 3] || a[(2 << 20) + 4]);
	free(a);
	free(b);
}

/* The guest counts on. */
static void assert_lives(struct machine *m)
{
	uint64_t until = vmc_now_ms() + LONG_MS;
	unsigned char *first, *now;
	bool same;

	assert_status(m, "running");
	first = memory_of(m, 4096);
	do {
		now = memory_of(m, 4096);
		same = !memcmp(first + COUNTER, now + COUNTER, 2);
		free(now);
	} while (same && vmc_now_ms() < until);
	free(first);
	assert_false(same);
}

static void assert_disks_equal(struct pair *p)
{
	int a = open(test_path(p->a.dir, "disk"), O_RDONLY | O_CLOEXEC);
	int b = open(test_path(p->b.dir, "disk"), O_RDONLY | O_CLOEXEC);
	char *x = malloc(DISK), *y = malloc(DISK);

	assert_non_null(x);
	assert_non_null(y);
	assert_int_equal(read(a, x, DISK), DISK);
	assert_int_equal(read(b, y, DISK), DISK);
	assert_int_equal(memcmp(x, y, DISK), 0);
	close(a);
	close(b);
	free(x);
	free(y);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	machine_start(&p->a, false, MEMORY);
	machine_start(&p->b, true, MEMORY);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	machine_end(&p->a);
	machine_end(&p->b);
	relay_stop(p->memory);
	relay_stop(p->disks);
	free(p);
	return 0;
}

/* Both sides ready: the destination waits, the relays join them. */
static void get_ready(struct pair *p, unsigned int parallel, bool postcopy, bool disks)
{
	struct hv_incoming in = {
		.dir = p->b.dir, .parallel = parallel, .postcopy = postcopy, .copy_storage = disks,
	};
	struct hv_info info;

	assert_ok(p->a.h->ops->probe(p->a.h, &info, &p->err), &p->err);
	in.definition = info.definition;
	assert_ok(p->b.h->ops->incoming(p->b.h, &in, &p->ready, &p->err), &p->err);
	hv_info_clear(&info);
	p->memory = relay_start(test_path(p->a.dir, HV_SOCKET_MEMORY), p->ready.path[HV_MEMORY]);
	if (disks)
		p->disks = relay_start(test_path(p->a.dir, HV_SOCKET_DISKS), p->ready.path[HV_DISKS]);
}

static void note(const struct hv_progress *g, void *data)
{
	uint64_t *most = data;

	assert_non_null(g->phase);
	if (g->total && g->done > *most)
		*most = g->done;
}

static int move(struct pair *p, struct hv_outgoing *out)
{
	out->dir = p->a.dir;
	out->deadline_ms = LONG_MS;
	return p->a.h->ops->outgoing(p->a.h, out, &p->result, &p->err);
}

static void finish_both(struct pair *p)
{
	assert_ok(p->b.h->ops->finish(p->b.h, true, &p->err), &p->err);
	assert_ok(p->a.h->ops->finish(p->a.h, true, &p->err), &p->err);
	assert_ended(&p->a);
	assert_lives(&p->b);
}

static void probes(void **state)
{
	struct pair *p = *state;
	struct hypervisor *none;
	struct hv_info info;

	assert_ok(p->a.h->ops->probe(p->a.h, &info, &p->err), &p->err);
	assert_string_equal(info.name, "moved");
	assert_true(info.running && info.active);
	assert_false(info.waiting);
	assert_true(info.supports_parallel && info.supports_postcopy);
	assert_int_equal(info.memory, MEMORY);
	assert_int_equal(info.uid, geteuid());
	assert_int_equal(info.n, 1);
	assert_string_equal(info.disks[0].name, "disk0");
	assert_int_equal(info.disks[0].size, DISK);
	assert_false(info.disks[0].read_only);
	hv_info_clear(&info);
	assert_ok(p->b.h->ops->probe(p->b.h, &info, &p->err), &p->err);
	assert_false(info.running);
	assert_true(info.waiting);
	hv_info_clear(&info);
	assert_code(qemu_open(&none, "/nonexistent/qmp", &p->err), VMC_ENOENT, &p->err);
	hypervisor_close(none);
}

static void over_parallel_connections(void **state)
{
	struct hv_outgoing out = { .parallel = 3, .report = note };
	struct pair *p = *state;
	uint64_t most = 0;

	out.data = &most;
	get_ready(p, 3, false, false);
	assert_ok(move(p, &out), &p->err);
	assert_status(&p->a, "postmigrate");
	assert_int_equal(relay_connections(p->memory), 4);
	assert_true(relay_bytes(p->memory) >= MEMORY - (1 << 20));
	assert_true(p->result.bytes >= MEMORY - (1 << 20));
	assert_memory_equal_of(p);
	finish_both(p);
}

static void with_its_disk(void **state)
{
	struct hv_outgoing out = { .copy_storage = true };
	struct pair *p = *state;

	get_ready(p, 0, false, true);
	assert_ok(move(p, &out), &p->err);
	assert_int_equal(p->result.disk_bytes, DISK);
	assert_true(relay_bytes(p->disks) >= DISK);
	assert_memory_equal_of(p);
	finish_both(p);
	assert_disks_equal(p);
}

static void by_postcopy(void **state)
{
	struct hv_outgoing out = { .postcopy = true, .bandwidth = 8 << 20 };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct pair *p = *state;

	if (fd < 0)
		skip();
	close(fd);
	get_ready(p, 0, true, false);
	assert_ok(move(p, &out), &p->err);
	assert_memory_equal_of(p);
	finish_both(p);
}

/* As it was: it runs, and can be migrated again. */
static void assert_stays(struct pair *p, int r, int code, const char *text)
{
	assert_code(r, code, &p->err);
	assert_contains(p->err.text, text);
	assert_contains(p->err.text, "'moved'");
	assert_lives(&p->a);
	assert_ok(p->a.h->ops->finish(p->a.h, false, &p->err), &p->err);
	assert_lives(&p->a);
}

/* A second destination takes what the first could not have. */
static void assert_goes_again(struct pair *p)
{
	struct hv_outgoing out = { 0 };

	machine_end(&p->b);
	relay_stop(p->memory);
	relay_stop(p->disks);
	p->memory = p->disks = NULL;
	unlink(test_path(p->a.dir, HV_SOCKET_MEMORY));
	unlink(test_path(p->a.dir, HV_SOCKET_DISKS));
	machine_start(&p->b, true, MEMORY);
	get_ready(p, 0, false, false);
	assert_ok(move(p, &out), &p->err);
	assert_memory_equal_of(p);
	finish_both(p);
}

static void a_cut_wire(void **state)
{
	struct hv_outgoing out = { .parallel = 2 };
	struct pair *p = *state;

	get_ready(p, 2, false, false);
	relay_cut_after(p->memory, MEMORY / 2);
	assert_stays(p, move(p, &out), VMC_EIO, "failed");
	assert_goes_again(p);
}

static void a_cut_wire_of_a_disk(void **state)
{
	struct hv_outgoing out = { .copy_storage = true };
	struct pair *p = *state;

	get_ready(p, 0, false, true);
	relay_cut_after(p->disks, DISK / 2);
	assert_stays(p, move(p, &out), VMC_EIO, "copying a disk");
	assert_goes_again(p);
}

static void nobody_on_the_other_side(void **state)
{
	struct hv_outgoing out = { 0 };
	struct pair *p = *state;

	p->memory = relay_start(test_path(p->a.dir, HV_SOCKET_MEMORY), test_path(p->b.dir, "none"));
	assert_stays(p, move(p, &out), VMC_EIO, "failed");
}

struct canceler {
	atomic_bool cancel;
	uint64_t after;
};

static void cancel_now(const struct hv_progress *g, void *data)
{
	struct canceler *c = data;

	if (g->done >= c->after)
		atomic_store(&c->cancel, true);
}

static void canceled(void **state)
{
	struct canceler c = { .after = 1 << 20 };
	struct hv_outgoing out = { .report = cancel_now, .data = &c, .cancel = &c.cancel };
	struct pair *p = *state;

	get_ready(p, 0, false, false);
	relay_hold_after(p->memory, 4 << 20);
	assert_stays(p, move(p, &out), VMC_ECANCELED, "was canceled");
	assert_goes_again(p);
}

static void canceled_while_disks_are_copied(void **state)
{
	struct canceler c = { .after = 0 };
	struct hv_outgoing out = { .copy_storage = true, .report = cancel_now, .data = &c, .cancel = &c.cancel };
	struct pair *p = *state;

	get_ready(p, 0, false, true);
	relay_hold_after(p->disks, 1 << 20);
	atomic_store(&c.cancel, true);
	assert_stays(p, move(p, &out), VMC_ECANCELED, "was canceled");
}

static void taken_back_after_all(void **state)
{
	struct hv_outgoing out = { 0 };
	struct pair *p = *state;

	get_ready(p, 0, false, false);
	assert_ok(move(p, &out), &p->err);
	/* The other host says no at last. */
	assert_ok(p->b.h->ops->finish(p->b.h, false, &p->err), &p->err);
	assert_ended(&p->b);
	assert_ok(p->a.h->ops->finish(p->a.h, false, &p->err), &p->err);
	assert_lives(&p->a);
}

static void refusals(void **state)
{
	struct hv_outgoing out = { .parallel = 2, .postcopy = true };
	struct hv_incoming in = { .parallel = HV_PARALLEL_MAX + 1 };
	struct pair *p = *state;
	struct hv_info info;

	in.dir = p->b.dir;
	assert_code(p->b.h->ops->incoming(p->b.h, &in, &p->ready, &p->err), VMC_EINVAL, &p->err);
	in.parallel = 0;
	assert_code(p->a.h->ops->incoming(p->a.h, &in, &p->ready, &p->err), VMC_ESTATE, &p->err);
	assert_contains(p->err.hint, "-incoming defer");
	assert_ok(p->a.h->ops->probe(p->a.h, &info, &p->err), &p->err);
	in.definition = info.definition;
	json_object_set_new(info.definition, "memory", json_integer(2 * (json_int_t)MEMORY));
	assert_code(p->b.h->ops->incoming(p->b.h, &in, &p->ready, &p->err), VMC_EINVAL, &p->err);
	assert_contains(p->err.hint, "-m option");
	json_object_set_new(info.definition, "memory", json_integer(MEMORY));
	json_object_set_new(info.definition, "disks", json_pack("[{s:s, s:i}]", "name", "disk0", "size", 512));
	in.copy_storage = true;
	assert_code(p->b.h->ops->incoming(p->b.h, &in, &p->ready, &p->err), VMC_EINVAL, &p->err);
	assert_contains(p->err.hint, "qemu-img create");
	json_object_set_new(info.definition, "disks", json_pack("[{s:s, s:i}]", "name", "other", "size", 512));
	assert_code(p->b.h->ops->incoming(p->b.h, &in, &p->ready, &p->err), VMC_EINVAL, &p->err);
	hv_info_clear(&info);
	if (!info.parallel_postcopy)
		assert_code(move(p, &out), VMC_ENOTSUP, &p->err);
	assert_code(p->a.h->ops->finish(p->a.h, true, &p->err), VMC_ESTATE, &p->err);
	assert_lives(&p->a);
}

#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(probes),
		t(refusals),
		t(over_parallel_connections),
		t(with_its_disk),
		t(by_postcopy),
		t(a_cut_wire),
		t(a_cut_wire_of_a_disk),
		t(nobody_on_the_other_side),
		t(canceled),
		t(canceled_while_disks_are_copied),
		t(taken_back_after_all),
	};

	if (system("command -v " QEMU " > /dev/null")) {
		puts("1..0 # SKIP there is no " QEMU);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
