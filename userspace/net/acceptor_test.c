// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections that come in: each is served, more than may be are refused, and stop cuts all but those that were let go. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/util.h"
#include "../testing/testing.h"
#include "acceptor.h"
#include "tcp.h"

#define MOST	3
#define SOON	(vmc_now_ms() + 10000)

static struct {
	struct acceptor *a;
	uint16_t port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int began, ended;
	int kept;			/* what a serve() has let go */
} world = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void count(unsigned int *what)
{
	pthread_mutex_lock(&world.lock);
	++*what;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.lock);
}

static void await(const unsigned int *what, unsigned int n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&world.lock);
	while (*what < n)
		assert_int_equal(pthread_cond_timedwait(&world.changed, &world.lock, &until), 0);
	pthread_mutex_unlock(&world.lock);
}

/* Sends back what comes; 'k': keeps the socket beyond its own end; 'v': knows who it is. */
static void echo(struct accepted *a, int fd, void *data)
{
	char c = 0;

	assert_ptr_equal(data, &world);
	count(&world.began);
	while (!net_wait(fd, POLLIN, SOON) && recv(fd, &c, 1, 0) == 1 && c != 'k') {
		if (c == 'v')
			accepted_vouch(a);
		send(fd, &c, 1, MSG_NOSIGNAL);
	}
	if (c == 'k') {
		accepted_release(a);
		world.kept = fd;
		send(fd, &c, 1, MSG_NOSIGNAL);
	} else {
		close(fd);
	}
	count(&world.ended);
}

static int setup_with(unsigned int most, unsigned int source, unsigned int fresh)
{
	const struct acceptor_setup s = { .what = "a connection", .max = most, .max_source = source, .max_new = fresh,
					  .serve = echo, .data = &world };
	struct vmc_error e = VMC_ERROR_INIT;
	int fd;

	world.began = world.ended = 0;
	world.kept = -1;
	assert_ok(net_listen("127.0.0.1", 0, &fd, &world.port, &e), &e);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_ok(acceptor_start(fd, &s, &world.a, &e), &e);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(MOST, 0, 0);
}

static int setup_bounded(void **state)
{
	(void)state;
	return setup_with(MOST, 2, 1);
}

static int teardown(void **state)
{
	(void)state;
	acceptor_stop(world.a);
	world.a = NULL;
	return 0;
}

static int dial(void)
{
	struct vmc_error e = VMC_ERROR_INIT;
	int fd;

	assert_ok(net_connect("127.0.0.1", world.port, SOON, &fd, &e), &e);
	return fd;
}

static void say(int fd, char c)
{
	char back = 0;

	assert_int_equal(send(fd, &c, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(net_wait(fd, POLLIN, SOON), 0);
	assert_int_equal(recv(fd, &back, 1, 0), 1);
	assert_int_equal(back, c);
}

static bool ended(int fd)
{
	char c;

	if (net_wait(fd, POLLIN, SOON))
		return false;
	return recv(fd, &c, 1, 0) <= 0;
}

static void each_is_served(void **state)
{
	int fd[MOST];

	(void)state;
	for (int i = 0; i < MOST; i++)
		fd[i] = dial();
	for (int i = 0; i < MOST; i++)
		say(fd[i], 'a' + (char)i);
	for (int i = 0; i < MOST; i++)
		close(fd[i]);
	await(&world.ended, MOST);
}

static void no_more_than_may_be(void **state)
{
	int fd[MOST], more;

	(void)state;
	for (int i = 0; i < MOST; i++)
		say(fd[i] = dial(), 'x');
	more = dial();
	assert_true(ended(more));
	close(more);
	for (int i = 0; i < MOST; i++)
		say(fd[i], 'y');
	assert_int_equal(world.began, MOST);
	close(fd[0]);
	/* there is room again once the thread is done, which is a little after it says so */
	for (bool served = false; !served;) {
		char c = 'z';

		more = dial();
		send(more, &c, 1, MSG_NOSIGNAL);
		assert_int_equal(net_wait(more, POLLIN, SOON), 0);
		served = recv(more, &c, 1, 0) == 1;
		close(more);
	}
	for (int i = 1; i < MOST; i++)
		close(fd[i]);
}

/* From 127.0.0.@last. */
static int dial_from(uint8_t last)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	from.sin_addr.s_addr = htonl(0x7f000000u + last);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(world.port);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* One address has two, and one of them without having said who it is; others have room. */
static void nobody_takes_it_all(void **state)
{
	int first, second, other, more;

	(void)state;
	say(first = dial_from(2), 'x');
	more = dial_from(2);
	assert_true(ended(more));
	close(more);
	say(first, 'v');
	say(second = dial_from(2), 'v');
	more = dial_from(2);
	assert_true(ended(more));
	close(more);
	say(other = dial_from(3), 'x');
	assert_int_equal(world.began, 3);
	/* it is full, and cuts nobody that is known or has just come; after a while it cuts who says nothing of itself */
	for (bool served = false; !served;) {
		char c = 'z';

		more = dial_from(4);
		send(more, &c, 1, MSG_NOSIGNAL);
		assert_int_equal(net_wait(more, POLLIN, SOON), 0);
		served = recv(more, &c, 1, 0) == 1;
		close(more);
	}
	assert_true(ended(other));
	say(first, 'y');
	say(second, 'y');
	close(first);
	close(second);
	close(other);
}

static void stop_cuts_and_waits(void **state)
{
	int fd[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		say(fd[i] = dial(), 'x');
	acceptor_stop(world.a);
	world.a = NULL;
	assert_int_equal(world.ended, 2);
	for (int i = 0; i < 2; i++) {
		assert_true(ended(fd[i]));
		close(fd[i]);
	}
}

static void what_was_let_go_is_not_cut(void **state)
{
	char c = '!';
	int fd = dial();

	(void)state;
	say(fd, 'k');
	acceptor_stop(world.a);
	world.a = NULL;
	assert_int_equal(send(world.kept, &c, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(net_wait(fd, POLLIN, SOON), 0);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	close(world.kept);
	assert_true(ended(fd));		/* nobody else holds it */
	close(fd);
}

static void bad_addresses(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	uint16_t port;
	int fd;

	(void)state;
	assert_code(net_listen("127.0.0.1", world.port, &fd, &port, &e), VMC_EIO, &e);
	assert_contains(e.text, "cannot listen at 127.0.0.1");
	assert_code(net_listen("no such address", 0, &fd, &port, &e), VMC_EINVAL, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_is_served, setup, teardown),
		cmocka_unit_test_setup_teardown(no_more_than_may_be, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_takes_it_all, setup_bounded, teardown),
		cmocka_unit_test_setup_teardown(stop_cuts_and_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_let_go_is_not_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_addresses, setup, teardown),
	};

	return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}
