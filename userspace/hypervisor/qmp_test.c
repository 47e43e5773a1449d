// SPDX-License-Identifier: GPL-2.0-or-later
/* The client against a monitor that says what a test wants, right or wrong. */
#include "qmp.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/util.h"
#include "../testing/testing.h"
#include "qmp_message.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}\r\n"
#define WELCOME GREETING, "{\"return\": {}, \"id\": 0}\r\n"

/* Says a line at once, and one more for each line it hears; NULL closes. */
struct monitor {
	char *dir;
	char path[108];
	int listener;
	pthread_t thread;
	const char *const *lines;
	char heard[4096];
};

static bool hear(struct monitor *m, int fd)
{
	size_t len = strlen(m->heard);
	ssize_t n;

	do {
		n = read(fd, m->heard + len, sizeof(m->heard) - len - 1);
		if (n <= 0)
			return false;
		len += (size_t)n;
		m->heard[len] = '\0';
	} while (m->heard[len - 1] != '\n');
	return true;
}

static void *monitor_run(void *data)
{
	struct monitor *m = data;
	int fd = accept(m->listener, NULL, NULL);

	for (const char *const *l = m->lines; *l; l++) {
		if (l != m->lines && !hear(m, fd))
			break;
		if (send(fd, *l, strlen(*l), MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	return NULL;
}

static void monitor_start(struct monitor *m, const char *const *lines)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	memset(m, 0, sizeof(*m));
	m->dir = test_mkdir();
	m->lines = lines;
	snprintf(m->path, sizeof(m->path), "%s/qmp", m->dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", m->path);
	m->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(m->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(m->listener, 1), 0);
	assert_int_equal(pthread_create(&m->thread, NULL, monitor_run, m), 0);
}

static void monitor_end(struct monitor *m)
{
	pthread_join(m->thread, NULL);
	close(m->listener);
	test_rmdir(m->dir);
}

struct seen {
	unsigned int n;
	char last[64];
	json_int_t value;
};

static void on_event(const char *event, const json_t *data, void *user)
{
	struct seen *s = user;

	s->n++;
	snprintf(s->last, sizeof(s->last), "%s", event);
	s->value = json_integer_value(json_object_get(data, "x"));
}

static void calls_and_events(void **state)
{
	static const char *const lines[] = {
		WELCOME,
		"{\"event\": \"STOP\"}\r\n{\"return\": {\"a\": 1}, \"id\": 1}\r\n",
		"{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\\nsuch disk\"}}\n",
		"{\"id\": 3, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"x\"}}\n{\"event\": \"RESUME\", \"data\": {\"x\": 5}}\n",
		NULL,
	};
	struct vmc_error err = VMC_ERROR_INIT;
	struct seen seen = { 0 };
	struct monitor m;
	struct qmp *q;
	json_t *ret;
	bool came;

	(void)state;
	monitor_start(&m, lines);
	assert_ok(qmp_connect(&q, m.path, 5000, &err), &err);
	assert_string_equal(qmp_version(q), "7.2.22");
	assert_int_equal(qmp_major(q), 7);
	qmp_on_event(q, on_event, &seen);
	assert_ok(qmp_call(q, "one", json_pack("{s:i}", "k", 5), &ret, &err), &err);
	assert_int_equal(json_integer_value(json_object_get(ret, "a")), 1);
	json_decref(ret);
	assert_string_equal(seen.last, "STOP");
	assert_contains(m.heard, "{\"execute\":\"one\",\"id\":1,\"arguments\":{\"k\":5}}\n");
	assert_code(qmp_call(q, "two", NULL, &ret, &err), VMC_EREFUSED, &err);
	assert_string_equal(err.text, "QEMU refuses two: no such disk");
	assert_null(ret);
	assert_code(qmp_call(q, "three", NULL, NULL, &err), VMC_ENOTSUP, &err);
	assert_contains(err.text, "version 7.2.22, has no three");
	assert_ok(qmp_wait(q, 5000, &came, &err), &err);
	assert_true(came);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.value, 5);
	qmp_close(q);
	monitor_end(&m);
}

/* What it says after the welcome, and what comes of a call then. */
static void one_answer(const char *answer, int code, const char *text)
{
	const char *const lines[] = { WELCOME, answer, NULL };
	struct vmc_error err = VMC_ERROR_INIT;
	struct monitor m;
	struct qmp *q;

	monitor_start(&m, lines);
	assert_ok(qmp_connect(&q, m.path, 5000, &err), &err);
	assert_code(qmp_call(q, "x", NULL, NULL, &err), code, &err);
	assert_contains(err.text, text);
	assert_contains(err.text, m.path);
	/* It is not to be trusted any more. */
	assert_code(qmp_call(q, "x", NULL, NULL, &err), VMC_EIO, &err);
	qmp_close(q);
	monitor_end(&m);
}

static void bad_answers(void **state)
{
	(void)state;
	one_answer("{\"return\": {}, \"id\": 9}\r\n", VMC_EPROTO, "what was not asked");
	one_answer("{\"return\": {}}\r\n", VMC_EPROTO, "what was not asked");
	one_answer(GREETING, VMC_EPROTO, "what was not asked");
	one_answer("HTTP/1.1 400 Bad Request\r\n", VMC_EPROTO, "no message of QMP");
	one_answer("[]\r\n", VMC_EPROTO, "no object");
	one_answer("", VMC_EIO, "went away");
}

static void silence(void **state)
{
	static const char *const lines[] = { WELCOME, "", "", NULL };
	struct vmc_error err = VMC_ERROR_INIT;
	struct monitor m;
	struct qmp *q;
	bool came;

	(void)state;
	monitor_start(&m, lines);
	assert_ok(qmp_connect(&q, m.path, 5000, &err), &err);
	assert_ok(qmp_wait(q, 10, &came, &err), &err);
	assert_false(came);
	assert_code(qmp_call_within(q, "x", NULL, NULL, 50, &err), VMC_ETIMEDOUT, &err);
	assert_contains(err.hint, "one client at a time");
	qmp_close(q);
	monitor_end(&m);
}

static void an_endless_line(void **state)
{
	char *line = malloc(QMP_MESSAGE_MAX + 65536);
	const char *const lines[] = { WELCOME, line, NULL };
	struct vmc_error err = VMC_ERROR_INIT;
	struct monitor m;
	struct qmp *q;

	(void)state;
	assert_non_null(line);
	memset(line, ' ', QMP_MESSAGE_MAX + 65535);
	line[QMP_MESSAGE_MAX + 65535] = '\0';
	monitor_start(&m, lines);
	assert_ok(qmp_connect(&q, m.path, 5000, &err), &err);
	assert_code(qmp_call(q, "x", NULL, NULL, &err), VMC_EPROTO, &err);
	assert_contains(err.text, "without an end");
	qmp_close(q);
	monitor_end(&m);
	free(line);
}

static void *flood(void *data)
{
	static const char event[] = "{\"event\": \"STOP\"}\n";
	static const char *const welcome[] = { WELCOME };
	const struct monitor *m = data;
	int fd = accept(m->listener, NULL, NULL);
	ssize_t n = 1;

	for (size_t i = 0; i < ARRAY_SIZE(welcome) && n > 0; i++)
		n = send(fd, welcome[i], strlen(welcome[i]), MSG_NOSIGNAL);
	while (n > 0)
		n = send(fd, event, strlen(event), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

/* A deadline is one, whatever comes. */
static void events_without_end(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct vmc_error err = VMC_ERROR_INIT;
	struct monitor m = { .dir = test_mkdir() };
	uint64_t start;
	struct qmp *q;

	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/qmp", m.dir);
	m.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(m.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(m.listener, 1), 0);
	assert_int_equal(pthread_create(&m.thread, NULL, flood, &m), 0);
	assert_ok(qmp_connect(&q, sa.sun_path, 5000, &err), &err);
	start = vmc_now_ms();
	assert_code(qmp_call_within(q, "x", NULL, NULL, 50, &err), VMC_ETIMEDOUT, &err);
	assert_in_range(vmc_now_ms() - start, 50, 10000);
	qmp_close(q);
	monitor_end(&m);
}

static void nobody_there(void **state)
{
	struct vmc_error err = VMC_ERROR_INIT;
	char *dir = test_mkdir(), path[300];
	struct qmp *q;

	(void)state;
	assert_code(qmp_connect(&q, test_path(dir, "none"), 100, &err), VMC_ENOENT, &err);
	assert_contains(err.hint, "-qmp unix:");
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_code(qmp_connect(&q, path, 100, &err), VMC_EINVAL, &err);
	assert_null(q);
	test_rmdir(dir);
}

static void messages(void **state)
{
	static const char *const bad[] = {
		"", "5", "{}", "{\"return\": 1, \"id\": \"x\"}", "{\"return\": 1, \"id\": -1}", "{\"event\": \"\"}",
		"{\"event\": \"lower\"}", "{\"event\": \"A\", \"data\": 5}", "{\"error\": {\"class\": \"x\"}}",
		"{\"error\": {\"class\": 1, \"desc\": \"x\"}}", "{\"QMP\": 1}", "{\"return\": 1, \"return\": 2}",
		"{\"return\": {}} x",
	};
	struct vmc_error err = VMC_ERROR_INIT;
	struct qmp_message m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_code(qmp_message_parse(bad[i], strlen(bad[i]), &m, &err), VMC_EPROTO, &err);
		assert_null(m.o);
	}
	assert_ok(qmp_message_parse("{\"return\": []}", 14, &m, &err), &err);
	assert_int_equal(m.id, -1);
	assert_true(json_is_array(m.data));
	qmp_message_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(calls_and_events),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(silence),
		cmocka_unit_test(an_endless_line),
		cmocka_unit_test(events_without_end),
		cmocka_unit_test(nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
