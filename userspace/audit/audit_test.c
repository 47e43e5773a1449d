// SPDX-License-Identifier: GPL-2.0-or-later
#include "../testing/testing.h"

#include "audit.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "../lib/log.h"
#include "../lib/util.h"
#include "verify.h"

#define FIRST_FILE	"00000000000000000001.log"
#define FILE_MAX	(1u << 20)

static struct vmc_error err;

struct world {
	char *dir;
	struct audit *a;
	uint64_t file_bytes;
	unsigned int anchors;
};

static void on_anchor(const struct audit_chain *c, void *data)
{
	struct world *w = data;

	assert_int_equal(strlen(c->hash), AUDIT_HASH_STR - 1);
	w->anchors++;
}

static void up(struct world *w)
{
	const struct audit_options o = {
		.state_dir = w->dir, .file_bytes = w->file_bytes, .anchor = on_anchor, .data = w,
	};

	assert_ok(audit_open(&w->a, &o, &err), &err);
}

static void down(struct world *w)
{
	audit_close(w->a);
	w->a = NULL;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = test_mkdir();
	up(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	down(w);
	test_rmdir(w->dir);
	free(w);
	return 0;
}

static void note(const char *action, const char *key, int code)
{
	const struct audit_entry e = {
		.action = action, .key = key, .vm = "11111111-2222-4333-8444-555555555555", .volume = "root",
		.code = code, .text = code ? "it was \"refused\"\n" : NULL,
	};

	audit_record(&e);
}

static void note_many(unsigned int n)
{
	char key[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "kms/key-%u", i);
		note("kek-fetch", key, 0);
	}
	assert_ok(audit_flush(&err), &err);
}

static const char *log_path(const struct world *w, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/audit/%s", w->dir, name);
	return path;
}

/* The verdict, which is "" or the first problem. */
static const char *verdict_of(json_t *o)
{
	static char what[1024];
	json_t *problems = json_object_get(o, "problems"), *p = json_array_get(problems, 0);

	assert_non_null(o);
	assert_int_equal(json_is_true(json_object_get(o, "ok")), !json_array_size(problems));
	snprintf(what, sizeof(what), "%s", p ? json_string_value(json_object_get(p, "what")) : "");
	json_decref(o);
	return what;
}

static const char *verdict(void)
{
	return verdict_of(audit_verify(NULL, &err));
}

static uint64_t entries(void)
{
	json_t *o = audit_verify(NULL, &err);
	uint64_t n = (uint64_t)json_integer_value(json_object_get(o, "entries"));

	json_decref(o);
	return n;
}

static char *slurp(const char *path, size_t *len)
{
	char *data = NULL;

	assert_ok(fs_read(path, FILE_MAX, &data, len, &err), &err);
	return data;
}

/* Line @n, from 0, of @data; *@len with its newline. */
static char *line_at(char *data, size_t n, size_t *len)
{
	while (n--)
		data = strchr(data, '\n') + 1;
	*len = (size_t)(strchr(data, '\n') - data) + 1;
	return data;
}

/* ---- what is recorded ------------------------------------------------------ */

static void test_who_did_what(void **state)
{
	const struct audit_actor me = { .uid = 0, .pid = 42, .sender = ":1.7", .cmd = "vmcrypt" };
	const struct audit_filter all = { .limit = 10 }, mine = { .actor = "0", .limit = 10 },
				  one = { .key = "kms/b", .limit = 10 }, some = { .key = "kms/*", .limit = 1 },
				  never = { .since = "2999", .limit = 10 };
	json_t *list, *e;

	(void)state;
	note("kek-create", "kms/a", 0);
	audit_set_actor(&me);
	note("kek-fetch", "kms/b", VMC_EUNREACH);
	audit_set_actor(NULL);
	list = audit_list(&all, &err);
	assert_int_equal(json_array_size(list), 3);	/* log-started before them */
	e = json_array_get(list, 2);
	assert_int_equal(json_integer_value(json_object_get(e, "seq")), 3);
	assert_int_equal(json_integer_value(json_object_get(e, "uid")), 0);
	assert_int_equal(json_integer_value(json_object_get(e, "pid")), 42);
	assert_string_equal(json_string_value(json_object_get(e, "user")), "root");
	assert_string_equal(json_string_value(json_object_get(e, "sender")), ":1.7");
	assert_string_equal(json_string_value(json_object_get(e, "action")), "kek-fetch");
	assert_string_equal(json_string_value(json_object_get(e, "result")), "ProviderUnreachable");
	assert_string_equal(json_string_value(json_object_get(e, "text")), "it was \"refused\"?");
	assert_null(json_object_get(json_array_get(list, 1), "uid"));
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "user")), "vmcryptd");
	json_decref(list);
	list = audit_list(&mine, &err);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	list = audit_list(&one, &err);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	list = audit_list(&some, &err);		/* the newest */
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "key")), "kms/b");
	json_decref(list);
	list = audit_list(&never, &err);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	assert_string_equal(verdict(), "");
}

static void test_goes_on(void **state)
{
	struct world *w = *state;

	note_many(5);
	for (int i = 0; i < 3; i++) {
		down(w);
		up(w);
		note_many(2);
	}
	assert_int_equal(entries(), 12);
	assert_string_equal(verdict(), "");
}

static void *recorder(void *data)
{
	(void)data;
	for (int i = 0; i < 20; i++)
		note_many(50);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, recorder, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	assert_int_equal(entries(), 4001);
	assert_string_equal(verdict(), "");
}

/* A job of thousands of keys, one fsync: told by the head, which is written anew with each. */
static void test_one_write_for_a_job(void **state)
{
	struct world *w = *state;
	struct stat before, after;

	note_many(1);
	assert_int_equal(stat(test_path(w->dir, "audit.head"), &before), 0);
	for (int i = 0; i < 3000; i++)
		note("dek-load", "kms/key-1", 0);
	assert_int_equal(stat(test_path(w->dir, "audit.head"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);	/* not one of them is written yet */
	assert_ok(audit_flush(&err), &err);
	assert_int_equal(entries(), 3002);
}

static void test_files(void **state)
{
	struct world *w = *state;
	const struct audit_filter f = { .limit = 150 };
	json_t *list, *o;
	size_t i, files;

	down(w);
	w->file_bytes = 4096;
	up(w);
	for (i = 0; i < 10; i++)
		note_many(20);
	o = audit_verify(NULL, &err);
	files = json_array_size(json_object_get(o, "files"));
	assert_true(files > 3);
	assert_string_equal(verdict_of(o), "");
	assert_int_equal(entries(), 201);
	list = audit_list(&f, &err);
	assert_int_equal(json_array_size(list), 150);
	for (i = 0; i < 150; i++)
		assert_int_equal(json_integer_value(json_object_get(json_array_get(list, i), "seq")), 52 + i);
	json_decref(list);
	down(w);
	up(w);
	assert_string_equal(verdict(), "");
	assert_int_equal(w->anchors >= 3, 1);
}

/* ---- tampering --------------------------------------------------------------- */

struct forgery {
	const char *name, *verdict;
	/* Change @data, of *@len bytes in a buffer of FILE_MAX. */
	void (*forge)(char *data, size_t *len);
};

static void cut_out(char *data, size_t *len, size_t first, size_t count)
{
	size_t n;
	char *at;

	while (count--) {
		at = line_at(data, first, &n);
		memmove(at, at + n, *len - (size_t)(at - data) - n + 1);
		*len -= n;
	}
}

static void put_in(char *data, size_t *len, size_t before, const char *line, size_t n)
{
	size_t m;
	char *at = line_at(data, before, &m);

	memmove(at + n, at, *len - (size_t)(at - data) + 1);
	memcpy(at, line, n);
	*len += n;
}

static void edit(char *data, size_t *len)
{
	(void)len;
	strstr(data, "key-4")[4] = '9';
}

/* The hash is made to fit: then the next one does not hang on it. */
static void edit_well(char *data, size_t *len)
{
	struct audit_line l;
	char line[AUDIT_LINE_MAX];
	size_t n, m;
	char *at = line_at(data, 4, &n);

	(void)len;
	assert_ok(audit_line_parse(at, n - 1, &l, &err), &err);
	l.key[strlen(l.key) - 1] = '9';
	m = audit_line_format(&l, line);
	assert_int_equal(m, n);
	memcpy(at, line, n);
}

static void cut_one(char *data, size_t *len)
{
	cut_out(data, len, 4, 1);
}

static void cut_three(char *data, size_t *len)
{
	cut_out(data, len, 4, 3);
}

static void cut_first(char *data, size_t *len)
{
	cut_out(data, len, 0, 1);
}

static void cut_last(char *data, size_t *len)
{
	cut_out(data, len, 10, 1);
}

static void cut_within(char *data, size_t *len)
{
	(void)data;
	*len -= 10;
}

static void swap(char *data, size_t *len)
{
	char line[AUDIT_LINE_MAX];
	size_t n;

	memcpy(line, line_at(data, 4, &n), AUDIT_LINE_MAX / 4);
	line_at(data, 4, &n);
	cut_out(data, len, 4, 1);
	put_in(data, len, 5, line, n);
}

static void twice(char *data, size_t *len)
{
	char line[AUDIT_LINE_MAX];
	size_t n;
	char *at = line_at(data, 4, &n);

	memcpy(line, at, n);
	put_in(data, len, 5, line, n);
}

static void garbage(char *data, size_t *len)
{
	put_in(data, len, 5, "hello\n", 6);
}

static void empty_line(char *data, size_t *len)
{
	put_in(data, len, 5, "\n", 1);
}

static void of_another(char *data, size_t *len)
{
	struct audit_line l = { .seq = 6, .action = "kek-create", .result = "ok" };
	char line[AUDIT_LINE_MAX];

	audit_time(l.time);
	memset(l.prev, '7', AUDIT_HASH_STR - 1);
	put_in(data, len, 5, line, audit_line_format(&l, line));
}

static void spaces(char *data, size_t *len)
{
	put_in(data, len, 5, " ", 1);
}

static void nothing_left(char *data, size_t *len)
{
	(void)data;
	*len = 0;
}

static const struct forgery forgeries[] = {
	{ "a word changed", "its hash is not that of its words", edit },
	{ "a word changed, with its hash", "one of them was replaced", edit_well },
	{ "one cut out", "entry 5 is missing", cut_one },
	{ "three cut out", "entries 5 to 7 are missing", cut_three },
	{ "the first cut off", "the file has the name of another", cut_first },
	{ "the last cut off", "the end was cut off", cut_last },
	{ "the last cut in two", "the end was cut off", cut_within },
	{ "two swapped", "entry 5 is missing", swap },
	{ "one there twice", "it was moved, or is here a second time", twice },
	{ "a line of no entry", "it was altered or put in", garbage },
	{ "an empty line", "it was altered or put in", empty_line },
	{ "an entry of another log", "one of them was replaced", of_another },
	{ "a space before a line", "it was altered or put in", spaces },
	{ "nothing left", "the end was cut off", nothing_left },
};

static void test_forgeries(void **state)
{
	struct world *w = *state;
	char *good, *bad = malloc(FILE_MAX);
	size_t len, n;

	note_many(10);
	good = slurp(log_path(w, FIRST_FILE), &len);
	for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
		memcpy(bad, good, len + 1);
		n = len;
		forgeries[i].forge(bad, &n);
		assert_true(n != len || memcmp(bad, good, len));
		test_write(log_path(w, FIRST_FILE), bad, n);
		print_message("%s\n", forgeries[i].name);
		assert_contains(verdict(), forgeries[i].verdict);
		test_write(log_path(w, FIRST_FILE), good, len);
		assert_string_equal(verdict(), "");
	}
	free(good);
	free(bad);
}

/* Every byte of the log: whatever it is changed to, it is found. */
static void test_every_byte(void **state)
{
	struct world *w = *state;
	size_t len, i;
	char *data;

	note_many(4);
	data = slurp(log_path(w, FIRST_FILE), &len);
	for (i = 0; i < len; i++) {
		data[i] ^= 1;
		test_write(log_path(w, FIRST_FILE), data, len);
		assert_string_not_equal(verdict(), "");
		data[i] ^= 1;
	}
	test_write(log_path(w, FIRST_FILE), data, len);
	assert_string_equal(verdict(), "");
	free(data);
}

static void test_head_replaced(void **state)
{
	struct world *w = *state;
	char *old, *log;
	size_t len, n;

	note_many(3);
	old = slurp(test_path(w->dir, "audit.head"), &len);
	log = slurp(log_path(w, FIRST_FILE), &n);
	note_many(3);
	/* both put back: vmcryptd that runs knows better */
	test_write(test_path(w->dir, "audit.head"), old, len);
	test_write(log_path(w, FIRST_FILE), log, n);
	assert_contains(verdict(), "the end was cut off");
	free(old);
	free(log);
}

/* The end cut off while nobody runs, and even its head taken away: the log says so for ever. */
static void test_cut_while_down(void **state)
{
	struct world *w = *state;
	static const bool with_head[] = { true, false };
	size_t len;
	char *data;

	note_many(10);
	for (size_t i = 0; i < ARRAY_SIZE(with_head); i++) {
		char *file;
		json_t *o;

		o = audit_head_json(&err);
		file = strdup(json_string_value(json_object_get(o, "file")));
		json_decref(o);
		note_many(3);
		down(w);
		data = slurp(log_path(w, file), &len);
		cut_out(data, &len, 1, 1);
		test_write(log_path(w, file), data, len);
		if (!with_head[i])
			assert_int_equal(unlink(test_path(w->dir, "audit.head")), 0);
		up(w);
		note_many(1);
		assert_string_not_equal(verdict(), "");
		free(data);
		free(file);
	}
}

static void test_file_gone(void **state)
{
	struct world *w = *state;
	json_t *o;

	down(w);
	w->file_bytes = 4096;
	up(w);
	for (int i = 0; i < 6; i++)
		note_many(20);
	o = audit_verify(NULL, &err);
	assert_int_equal(unlink(log_path(w, json_string_value(json_array_get(json_object_get(o, "files"), 1)))), 0);
	json_decref(o);
	assert_contains(verdict(), "are missing before this one");
}

/* Files that were moved away for good: an anchor tells what they ended with. */
static void test_anchor(void **state)
{
	struct world *w = *state;
	char text[AUDIT_ANCHOR_MAX], *data, *at;
	struct audit_line l;
	size_t len, n;
	json_t *o;

	down(w);
	w->file_bytes = 4096;
	up(w);
	for (int i = 0; i < 6; i++)
		note_many(20);
	o = audit_head_json(&err);
	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(o, "anchor")));
	json_decref(o);
	note_many(3);
	assert_string_equal(verdict_of(audit_verify(text, &err)), "");
	text[strlen(text) - 1] = text[strlen(text) - 1] == '0' ? '1' : '0';
	assert_contains(verdict_of(audit_verify(text, &err)), "the hash of the anchor");
	assert_null(audit_verify("5:abc", &err));
	assert_int_equal(err.code, VMC_EINVAL);

	data = slurp(log_path(w, FIRST_FILE), &len);
	for (at = data; at < data + len; at += n) {
		line_at(at, 0, &n);
		assert_ok(audit_line_parse(at, n - 1, &l, &err), &err);
	}
	free(data);
	assert_int_equal(unlink(log_path(w, FIRST_FILE)), 0);
	assert_contains(verdict(), "are not here");
	snprintf(text, sizeof(text), "%llu:%s", (unsigned long long)l.seq, l.hash);
	assert_string_equal(verdict_of(audit_verify(text, &err)), "");
}

static void test_export(void **state)
{
	struct world *w = *state;
	const char *path = test_path(w->dir, "exported");
	size_t len;
	char *data;
	int fd;

	down(w);
	w->file_bytes = 4096;
	up(w);
	for (int i = 0; i < 4; i++)
		note_many(20);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_ok(audit_export(fd, &err), &err);
	close(fd);
	assert_string_equal(verdict_of(audit_verify_files(path, NULL, NULL, &err)), "");
	data = slurp(path, &len);
	cut_out(data, &len, 30, 1);
	test_write(path, data, len);
	assert_contains(verdict_of(audit_verify_files(path, NULL, NULL, &err)), "entry 31 is missing");
	free(data);
}

/* ---- crashes -------------------------------------------------------------------- */

/* A write cut at every byte, and garbage instead: closed at the next start, and no tampering. */
static void test_torn(void **state)
{
	struct world *w = *state;
	char *head, *data;
	size_t head_len, len, before, i;
	struct stat st;

	note_many(2);
	head = slurp(test_path(w->dir, "audit.head"), &head_len);
	assert_int_equal(stat(log_path(w, FIRST_FILE), &st), 0);
	before = (size_t)st.st_size;
	note_many(2);
	data = slurp(log_path(w, FIRST_FILE), &len);
	for (i = before; i <= len; i++) {
		down(w);
		test_write(test_path(w->dir, "audit.head"), head, head_len);
		test_write(log_path(w, FIRST_FILE), data, i);
		up(w);
		assert_string_equal(verdict(), "");
		note_many(1);
		assert_string_equal(verdict(), "");
	}
	/* blocks that never reached the disk, with whole entries behind them */
	memset(data + before, 0, 100);
	for (i = 0; i < 2; i++) {
		down(w);
		test_write(test_path(w->dir, "audit.head"), head, head_len);
		test_write(log_path(w, FIRST_FILE), data, len);
		up(w);
		note_many(1);
		assert_string_equal(verdict(), "");
		memset(data + before, '\n', 100);
	}
	/* but a closed one that is altered later is */
	down(w);
	data[before] = 'x';
	up(w);
	free(data);
	data = slurp(log_path(w, FIRST_FILE), &len);
	data[before + 1] = 'x';
	test_write(log_path(w, FIRST_FILE), data, len);
	assert_string_not_equal(verdict(), "");
	free(data);
	free(head);
}

/* Cut below what was known to be on disk: that no crash does. */
static void test_cut_below_head(void **state)
{
	struct world *w = *state;
	struct stat st;

	note_many(5);
	down(w);
	assert_int_equal(stat(log_path(w, FIRST_FILE), &st), 0);
	assert_int_equal(truncate(log_path(w, FIRST_FILE), st.st_size - 1), 0);
	up(w);
	note_many(1);
	assert_string_not_equal(verdict(), "");
}

#ifdef VMC_CRASHPOINTS
/* How many crash points this process has passed. */
static int points_passed(const struct world *w)
{
	const char *path = test_path(w->dir, "points");
	size_t len;
	char *data;
	int n;

	setenv("VMCRYPT_CRASH_LOG", path, 1);
	fs_crashpoint("audit_test");
	unsetenv("VMCRYPT_CRASH_LOG");
	data = slurp(path, &len);
	n = atoi(data);
	free(data);
	unlink(path);
	return n;
}

static void crash_at(struct world *w, int n)
{
	char at[16];
	pid_t pid = fork();

	if (!pid) {
		snprintf(at, sizeof(at), "%d", points_passed(w) + n);
		setenv("VMCRYPT_CRASH_AT", at, 1);
		up(w);
		for (int i = 0; i < 3; i++)
			note_many(20);
		_exit(0);
	}
	assert_true(pid > 0);
}

static void test_crash_points(void **state)
{
	struct world *w = *state;
	int n, status;

	down(w);
	w->file_bytes = 4096;
	for (n = 1; n < 200; n++) {
		crash_at(w, n);
		assert_true(wait(&status) > 0);
		up(w);
		assert_string_equal(verdict(), "");
		down(w);
		if (WIFEXITED(status))
			break;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(n > 10);
	up(w);
}
#endif

/* No room: entries wait in memory, and are written when there is some. */
static void test_not_writable(void **state)
{
	struct world *w = *state;
	char aside[PATH_MAX];

	note_many(2);
	down(w);
	up(w);
	snprintf(aside, sizeof(aside), "%s/aside", w->dir);
	/* the head cannot be replaced: its folder's name is in the way */
	assert_int_equal(unlink(test_path(w->dir, "audit.head")), 0);
	assert_int_equal(mkdir(test_path(w->dir, "audit.head"), 0700), 0);
	note("kek-fetch", "kms/waits", 0);
	assert_true(audit_flush(&err) != 0);
	assert_int_equal(rmdir(test_path(w->dir, "audit.head")), 0);
	for (int i = 0; i < 100 && audit_flush(&err); i++)
		usleep(50000);
	assert_ok(audit_flush(&err), &err);
	assert_string_equal(verdict(), "");
	assert_true(entries() >= 4);
}

/* ---- lines ------------------------------------------------------------------------- */

static void test_line(void **state)
{
	struct audit_line l = {
		.seq = 7, .time = "2026-01-31T12:00:00.000Z", .has_uid = true, .uid = 1000, .user = "j\xc3\xb6rg",
		.action = "kek-create", .result = "ok", .text = "a \"b\" \\ \x01\xff\xed\xa0\x80 \xf0\x9f\x94\x92",
	}, again;
	static const char *const bad[] = {
		"", "{}", "[]", "null", "{\"seq\":1}", "{\"seq\":-1,\"time\":\"2026-01-31T12:00:00.000Z\"}",
	};
	char line[AUDIT_LINE_MAX], copy[AUDIT_LINE_MAX];
	size_t n;

	(void)state;
	memset(l.prev, '0', AUDIT_HASH_STR - 1);
	n = audit_line_format(&l, line);
	assert_ok(audit_line_parse(line, n - 1, &again, &err), &err);
	assert_string_equal(again.user, "j\xc3\xb6rg");
	assert_string_equal(again.text, "a \"b\" \\ ????? \xf0\x9f\x94\x92");
	assert_int_equal(again.uid, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_code(audit_line_parse(bad[i], strlen(bad[i]), &again, &err), VMC_EINVAL, &err);
	for (size_t i = 0; i < n - 1; i++) {
		memcpy(copy, line, n);
		copy[i] ^= 2;
		assert_true(audit_line_parse(copy, n - 1, &again, &err) != 0);
	}
	memset(&l, 'x', sizeof(l));	/* as long as it can be */
	l.has_uid = true;
	l.time[AUDIT_TIME_STR - 1] = l.prev[AUDIT_HASH_STR - 1] = l.user[63] = l.sender[31] = l.cmd[31] = '\0';
	memset(l.text, '"', sizeof(l.text));
	l.action[47] = l.vm[36] = l.volume[63] = l.key[255] = l.object[255] = l.result[31] = l.text[511] = '\0';
	assert_true(audit_line_format(&l, line) < AUDIT_LINE_MAX);
}

static void test_head_text(void **state)
{
	struct audit_head h = { .chain = { .seq = 12345678901ull }, .size = 99 }, again;
	char text[AUDIT_HEAD_MAX];
	size_t n;

	(void)state;
	memset(h.chain.hash, 'a', AUDIT_HASH_STR - 1);
	audit_file_name(77, h.file);
	assert_int_equal(audit_file_seq(h.file), 77);
	assert_int_equal(audit_file_seq("77.log"), 0);
	n = audit_head_format(&h, text);
	assert_ok(audit_head_parse(text, n, &again, &err), &err);
	assert_memory_equal(&h, &again, sizeof(h));
	for (size_t i = 0; i < n; i++) {
		text[i] ^= 1;
		assert_code(audit_head_parse(text, n, &again, &err), VMC_EAUTH, &err);
		text[i] ^= 1;
	}
	assert_code(audit_head_parse(text, n - 1, &again, &err), VMC_EAUTH, &err);
	assert_code(audit_head_parse("", 0, &again, &err), VMC_EAUTH, &err);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line), cmocka_unit_test(test_head_text), TEST(test_who_did_what),
		TEST(test_goes_on), TEST(test_threads), TEST(test_one_write_for_a_job), TEST(test_files),
		TEST(test_forgeries), TEST(test_every_byte), TEST(test_head_replaced), TEST(test_cut_while_down),
		TEST(test_file_gone), TEST(test_anchor), TEST(test_export), TEST(test_torn),
		TEST(test_cut_below_head), TEST(test_not_writable),
#ifdef VMC_CRASHPOINTS
		TEST(test_crash_points),
#endif
	};

	log_init("audit_test", LOG_CRIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
