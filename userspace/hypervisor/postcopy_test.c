// SPDX-License-Identifier: GPL-2.0-or-later
/* Postcopy that breaks, by a QEMU that is played: a real one is through with it before a wire can be cut. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/util.h"
#include "../testing/testing.h"
#include "hypervisor.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}\n"

/* Answers each command by its name; "quit" with its end. */
struct played {
	char *dir, path[108];
	int listener;
	pthread_t thread;
	const char *status;		/* of the guest */
	const char *const *migration;	/* what query-migrate says, one after another; the last stays */
	char heard[2048];		/* names of commands, one after another */
};

static const char *answer(struct played *p, const char *command, char *buf, size_t n)
{
	const char *migration;

	if (!strcmp(command, "query-status")) {
		snprintf(buf, n, "{\"status\": \"%s\"}", p->status);
	} else if (!strcmp(command, "query-migrate")) {
		migration = *p->migration;
		if (p->migration[1])
			p->migration++;
		snprintf(buf, n, "{\"status\": \"%s\"}", migration);
	} else if (!strcmp(command, "query-memory-size-summary")) {
		snprintf(buf, n, "{\"base-memory\": 4096}");
	} else if (!strcmp(command, "query-block") || !strcmp(command, "query-migrate-capabilities") ||
		   !strcmp(command, "query-yank")) {
		snprintf(buf, n, "[]");
	} else {
		snprintf(buf, n, "{}");
	}
	return buf;
}

static bool serve_one(struct played *p, FILE *f)
{
	char line[4096], buf[128];
	const char *command;
	json_t *o;
	bool go_on;

	if (!fgets(line, sizeof(line), f))
		return false;
	o = json_loads(line, 0, NULL);
	assert_non_null(o);
	command = json_string_value(json_object_get(o, "execute"));
	snprintf(p->heard + strlen(p->heard), sizeof(p->heard) - strlen(p->heard), "%s\n", command);
	go_on = strcmp(command, "quit");
	fprintf(f, "{\"return\": %s, \"id\": %d}\n", answer(p, command, buf, sizeof(buf)),
		(int)json_integer_value(json_object_get(o, "id")));
	fflush(f);
	json_decref(o);
	return go_on;
}

static void *play(void *data)
{
	struct played *p = data;
	FILE *f = fdopen(accept(p->listener, NULL, NULL), "r+");

	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	fputs(GREETING, f);
	while (serve_one(p, f))
		;
	fclose(f);
	return NULL;
}

static struct hypervisor *open_played(struct played *p)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct vmc_error e = VMC_ERROR_INIT;
	struct hypervisor *h;

	p->dir = test_mkdir();
	snprintf(p->path, sizeof(p->path), "%s/qmp", p->dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(p->listener, 1), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
	assert_ok(qemu_open(&h, p->path, &e), &e);
	return h;
}

static void close_played(struct played *p, struct hypervisor *h)
{
	hypervisor_close(h);
	pthread_join(p->thread, NULL);
	close(p->listener);
	test_rmdir(p->dir);
}

static void source_is_not_taken_back(void **state)
{
	static const char *const migration[] = { "active", "postcopy-active", "postcopy-paused", NULL };
	struct played p = { .status = "running", .migration = migration };
	struct hypervisor *h = open_played(&p);
	const struct hv_outgoing out = { .dir = p.dir, .postcopy = true };
	struct vmc_error e = VMC_ERROR_INIT;
	struct hv_result result;

	(void)state;
	assert_code(h->ops->outgoing(h, &out, &result, &e), VMC_EIO, &e);
	assert_contains(e.text, "its memory is on two hosts");
	assert_contains(e.hint, "migrate-recover");
	assert_true(result.split);
	close_played(&p, h);
	assert_null(strstr(p.heard, "migrate_cancel"));
	assert_null(strstr(p.heard, "cont\n"));
}

static void source_that_failed_before_is(void **state)
{
	static const char *const migration[] = { "active", "failed", NULL };
	struct played p = { .status = "running", .migration = migration };
	struct hypervisor *h = open_played(&p);
	const struct hv_outgoing out = { .dir = p.dir, .postcopy = true };
	struct vmc_error e = VMC_ERROR_INIT;
	struct hv_result result;

	(void)state;
	assert_code(h->ops->outgoing(h, &out, &result, &e), VMC_EIO, &e);
	assert_false(result.split);
	close_played(&p, h);
}

/* A destination that is given up with its migration at @migration. */
static void give_up(const char *status, const char *migration, int code, bool quits)
{
	const char *const says[] = { migration, NULL };
	struct played p = { .status = "inmigrate", .migration = says };
	struct hypervisor *h = open_played(&p);
	const struct hv_incoming in = { .dir = p.dir, .postcopy = true };
	struct vmc_error e = VMC_ERROR_INIT;
	struct hv_ready ready;

	assert_ok(h->ops->incoming(h, &in, &ready, &e), &e);
	p.status = status;
	assert_code(h->ops->finish(h, false, &e), code, &e);
	if (code)
		assert_contains(e.text, "with part of its memory on the other");
	close_played(&p, h);
	assert_int_equal(!!strstr(p.heard, "quit\n"), quits);
}

static void destination_that_runs_stays(void **state)
{
	(void)state;
	give_up("running", "postcopy-active", VMC_ESTATE, false);
	give_up("paused", "postcopy-paused", VMC_ESTATE, false);
	give_up("inmigrate", "active", 0, true);
	give_up("inmigrate", "none", 0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_is_not_taken_back),
		cmocka_unit_test(source_that_failed_before_is),
		cmocka_unit_test(destination_that_runs_stays),
	};

	return cmocka_run_group_tests_name("postcopy", tests, NULL, NULL);
}
