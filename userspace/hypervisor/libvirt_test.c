// SPDX-License-Identifier: GPL-2.0-or-later
/* The driver with a virsh that is a shell script: what it is told, and what comes of its answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/child.h"
#include "../lib/util.h"
#include "../testing/testing.h"
#include "hypervisor.h"
#include "virsh.h"

#define ID "7d4fa2b0-3b5d-4e0e-9a52-0f3a5b6f9a01"

struct world {
	char *dir, *path;
	struct hypervisor *h;
	struct vmc_error err;
};

/* $5 is virsh's command; "migrate" does what the test wants. */
static const char script[] =
	"#!/bin/sh\n"
	"dir=${0%%/*}\n"
	"echo \"$*\" >> $dir/asked\n"
	"case $4 in\n"
	"dominfo) [ -e $dir/gone ] && { echo \"error: failed to get domain '$6'\" >&2; exit 1; }\n"
	"  printf 'Name:  web\\nUUID:  " ID "\\nState: %%s\\nPersistent: yes\\nMax memory: 2048 KiB\\n' \"$(cat $dir/state)\";;\n"
	"domblklist) printf ' file disk vda /srv/web 1.img\\n file cdrom sda -\\n block disk vdb -\\n';;\n"
	"version) printf 'Running hypervisor: QEMU 7.2.22\\n';;\n"
	"domjobinfo) printf 'Data processed: 1.500 KiB\\nData remaining: 1 KiB\\nData total: 4 KiB\\n"
	"File processed: 1 KiB\\nFile remaining: 0\\n"
	"Memory bandwidth: 2 KiB/s\\nExpected downtime: 300 ms\\n';;\n"
	"domjobabort) echo > $dir/abort;;\n"
	"migrate) %s;;\n"
	"esac\n";

static void set_virsh(struct world *w, const char *migrate)
{
	const char *path = test_path(w->dir, "virsh");
	char text[4096];

	snprintf(text, sizeof(text), script, migrate);
	test_write_text(path, text);
	assert_int_equal(chmod(path, 0755), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[4096];

	if (!w)
		return -1;
	w->dir = test_mkdir();
	w->path = strdup(getenv("PATH") ?: "/usr/bin:/bin");
	assert_non_null(w->path);
	snprintf(path, sizeof(path), "%s:%s", w->dir, w->path);
	setenv("PATH", path, 1);
	test_write_text(test_path(w->dir, "state"), "running");
	set_virsh(w, "exit 0");
	assert_ok(libvirt_open(&w->h, "web", NULL, &w->err), &w->err);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hypervisor_close(w->h);
	setenv("PATH", w->path, 1);
	free(w->path);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

static void probes(void **state)
{
	struct world *w = *state;
	struct hv_info info;

	assert_ok(w->h->ops->probe(w->h, &info, &w->err), &w->err);
	assert_string_equal(info.name, "web");
	assert_string_equal(info.id, ID);
	assert_string_equal(info.version, "7.2.22");
	assert_true(info.running && info.active);
	assert_false(info.parallel_postcopy);
	assert_int_equal(info.memory, 2048 * 1024);
	assert_int_equal(info.n, 2);
	assert_string_equal(info.disks[0].name, "vda");
	assert_string_equal(info.disks[0].path, "/srv/web 1.img");
	assert_string_equal(info.disks[1].path, "");
	hv_info_clear(&info);
	test_write_text(test_path(w->dir, "gone"), "");
	assert_code(w->h->ops->probe(w->h, &info, &w->err), VMC_ENOENT, &w->err);
	assert_contains(w->err.text, "no domain 'web'");
}

static void assert_asked(struct world *w, const char *want)
{
	char text[8192] = "";
	FILE *f = fopen(test_path(w->dir, "asked"), "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_contains(text, want);
}

static void note(const struct hv_progress *p, void *data)
{
	*(struct hv_progress *)data = *p;
}

static void migrates(void **state)
{
	struct hv_progress p = { 0 };
	struct hv_outgoing out = {
		.dir = "/run/x", .parallel = 4, .copy_storage = true, .report = note, .data = &p, .bandwidth = 5 << 20,
	};
	struct world *w = *state;
	struct hv_result result;

	/* until it was looked at */
	set_virsh(w, "until grep -q domjobinfo $dir/asked; do sleep 0.02; done; exit 0");
	assert_ok(w->h->ops->outgoing(w->h, &out, &result, &w->err), &w->err);
	assert_asked(w, "-q -c qemu:///system migrate --live --abort-on-error --domain web "
		     "--desturi qemu+unix:///system?socket=/run/x/libvirt.sock --migrateuri unix:///run/x/memory.sock "
		     "--persistent --undefinesource --parallel --parallel-connections 4 "
		     "--copy-storage-all --disks-uri unix:///run/x/disks.sock --bandwidth 6\n");
	assert_string_equal(p.phase, "memory");
	assert_int_equal(p.done, 3072);
	assert_int_equal(p.total, 4096);
	assert_int_equal(p.rate, 2048);
	assert_int_equal(p.downtime_ms, 300);
	assert_int_equal(result.bytes, 512);
	assert_int_equal(result.disk_bytes, 1024);
	assert_ok(w->h->ops->finish(w->h, true, &w->err), &w->err);
}

static void fails(void **state)
{
	struct hv_outgoing out = { .dir = "/run/x" };
	struct world *w = *state;
	struct hv_result result;

	set_virsh(w, "echo 'error: Unsafe migration: no' >&2; exit 1");
	assert_code(w->h->ops->outgoing(w->h, &out, &result, &w->err), VMC_EIO, &w->err);
	assert_string_equal(w->err.text, "VM 'web' was not migrated: virsh: error: Unsafe migration: no");
	set_virsh(w, "kill -9 $$");
	assert_code(w->h->ops->outgoing(w->h, &out, &result, &w->err), VMC_EIO, &w->err);
	assert_contains(w->err.text, "signal 9");
}

static void canceled(void **state)
{
	atomic_bool cancel = true;
	struct hv_outgoing out = { .dir = "/run/x", .cancel = &cancel };
	struct world *w = *state;
	struct hv_result result;

	set_virsh(w, "until [ -e $dir/abort ]; do sleep 0.02; done; exit 1");
	assert_code(w->h->ops->outgoing(w->h, &out, &result, &w->err), VMC_ECANCELED, &w->err);
	assert_asked(w, "domjobabort --domain web\n");
	/* it was through before that was heard */
	unlink(test_path(w->dir, "abort"));
	set_virsh(w, "until [ -e $dir/abort ]; do sleep 0.02; done; exit 0");
	assert_ok(w->h->ops->outgoing(w->h, &out, &result, &w->err), &w->err);
	out.cancel = NULL;
	out.deadline_ms = 1;
	unlink(test_path(w->dir, "abort"));
	set_virsh(w, "until [ -e $dir/abort ]; do sleep 0.02; done; exit 1");
	assert_code(w->h->ops->outgoing(w->h, &out, &result, &w->err), VMC_ETIMEDOUT, &w->err);
}

/* libvirt's own stand-in for a hypervisor, which needs no daemon. */
static void with_the_real_virsh(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct hypervisor *h;
	struct hv_info info;

	(void)state;
	if (system("virsh -q -c test:///default version > /dev/null 2>&1"))
		skip();
	assert_ok(libvirt_open(&h, "test", "test:///default", &err), &err);
	assert_ok(h->ops->probe(h, &info, &err), &err);
	assert_string_equal(info.name, "test");
	assert_int_equal(strlen(info.id), VMC_UUID_STR - 1);
	assert_true(info.running && info.active);
	assert_true(info.memory > 0 && info.version[0]);
	hv_info_clear(&info);
	hypervisor_close(h);
	assert_ok(libvirt_open(&h, "no such domain", "test:///default", &err), &err);
	assert_code(h->ops->probe(h, &info, &err), VMC_ENOENT, &err);
	hypervisor_close(h);
}

static void children(void **state)
{
	static const char *const none[] = { "no-such-program", NULL }, *const slow[] = { "sleep", "100", NULL };
	static const char *const much[] = { "head", "-c", "200000", "/dev/zero", NULL };
	static struct child c;
	struct vmc_error err = VMC_ERROR_INIT;

	(void)state;
	assert_code(child_run(&c, none, 1000, &err), VMC_ENOENT, &err);
	assert_code(child_run(&c, slow, 20, &err), VMC_ETIMEDOUT, &err);
	assert_ok(child_run(&c, much, 20000, &err), &err);
	assert_int_equal(c.n, CHILD_OUT_MAX - 1);
}

static void parsers(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	struct virsh_domain d;
	char version[32];

	(void)state;
	assert_code(virsh_parse_domain("Name: x\nUUID: y\nState: running\n", &d, &err), VMC_EPROTO, &err);
	assert_code(virsh_parse_domain("", &d, &err), VMC_EPROTO, &err);
	assert_ok(virsh_parse_domain("Name: x\nUUID: " ID "\nState:  shut off\n", &d, &err), &err);
	assert_false(d.active || d.running || d.persistent);
	assert_ok(virsh_parse_domain("Name: x\nUUID: " ID "\nState: paused\n", &d, &err), &err);
	assert_true(d.active && !d.running);
	virsh_parse_version("Running hypervisor: \n", version);
	assert_string_equal(version, "");
}

#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(probes), t(migrates), t(fails), t(canceled), cmocka_unit_test(with_the_real_virsh),
		cmocka_unit_test(children), cmocka_unit_test(parsers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
