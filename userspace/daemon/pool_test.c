// SPDX-License-Identifier: GPL-2.0-or-later
/* The worker pool: threads, the bound of its queue, closing. */
#include "../testing/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "pool.h"

#define MANY 500

struct fixture {
	sd_event *event;
	struct mailbox *box;
	struct pool *pool;
	pthread_t loop;
	pthread_mutex_t gate;		/* holds tasks back while the test has it */
	atomic_uint ran;
	unsigned int done, given_back;
	bool wrong_thread;
};

struct task {
	struct pool_task task;
	struct fixture *f;
};

static void run(struct pool_task *t)
{
	struct fixture *f = ((struct task *)t)->f;

	if (pthread_equal(pthread_self(), f->loop))
		f->wrong_thread = true;
	pthread_mutex_lock(&f->gate);
	pthread_mutex_unlock(&f->gate);
	atomic_fetch_add(&f->ran, 1);
}

static void done(struct pool_task *t, bool ran)
{
	struct fixture *f = ((struct task *)t)->f;

	if (!pthread_equal(pthread_self(), f->loop))
		f->wrong_thread = true;
	f->done++;
	f->given_back += !ran;
	free(t);
}

static int submit(struct fixture *f, struct vmc_error *err)
{
	struct task *t = calloc(1, sizeof(*t));
	int rc;

	assert_non_null(t);
	t->task.run = run;
	t->task.done = done;
	t->f = f;
	rc = pool_submit(f->pool, &t->task, err);
	if (rc)
		free(t);
	return rc;
}

static void drain(struct fixture *f)
{
	while (!pool_idle(f->pool))
		assert_true(sd_event_run(f->event, 5000000) > 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = pthread_self();
	pthread_mutex_init(&f->gate, NULL);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_ok(mailbox_new(&f->box, f->event, NULL), NULL);
	assert_ok(pool_new(&f->pool, "test", 3, MANY, f->box, NULL), NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_free(f->pool);
	mailbox_free(f->box);
	sd_event_unref(f->event);
	pthread_mutex_destroy(&f->gate);
	free(f);
	return 0;
}

static void test_all_run_and_end_in_the_loop(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < MANY; i++)
		assert_ok(submit(f, NULL), NULL);
	drain(f);
	assert_int_equal(f->ran, MANY);
	assert_int_equal(f->done, MANY);
	assert_int_equal(f->given_back, 0);
	assert_false(f->wrong_thread);
}

static void test_full_queue_is_busy(void **state)
{
	struct fixture *f = *state;
	struct vmc_error err = VMC_ERROR_INIT;
	unsigned int taken = 0;

	pthread_mutex_lock(&f->gate);
	while (taken < 2 * MANY && !submit(f, &err))
		taken++;
	assert_int_equal(err.code, VMC_EBUSY);
	assert_true(err.hint[0]);
	/* What waits, and at most one for each of the three threads. */
	assert_in_range(taken, MANY, MANY + 3);
	pthread_mutex_unlock(&f->gate);
	drain(f);
	assert_int_equal(f->done, taken);
	assert_ok(submit(f, &err), &err);	/* room again */
	drain(f);
}

static void test_close_gives_back_what_waits(void **state)
{
	struct fixture *f = *state;
	struct vmc_error err = VMC_ERROR_INIT;

	pthread_mutex_lock(&f->gate);
	for (int i = 0; i < 20; i++)
		assert_ok(submit(f, NULL), NULL);
	pool_close(f->pool);
	assert_code(submit(f, &err), VMC_ECANCELED, &err);
	pthread_mutex_unlock(&f->gate);
	drain(f);
	assert_int_equal(f->done, 20);
	assert_int_equal(f->ran + f->given_back, 20);
	assert_in_range(f->given_back, 17, 20);
}

struct letter {
	struct mail mail;
	unsigned int number, *next;
	bool *order;
};

static void deliver(struct mail *m)
{
	struct letter *l = (struct letter *)m;

	*l->order = *l->order && l->number == (*l->next)++;
	free(l);
}

static void test_mail_comes_in_order_even_at_the_end(void **state)
{
	struct fixture *f = *state;
	unsigned int next = 0;
	bool order = true;

	for (unsigned int i = 0; i < MANY; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		assert_non_null(l);
		*l = (struct letter) { { .deliver = deliver }, i, &next, &order };
		mailbox_post(f->box, &l->mail);
		if (i == MANY / 2)
			assert_true(sd_event_run(f->event, 0) > 0);
	}
	pool_free(f->pool);
	f->pool = NULL;
	mailbox_free(f->box);
	f->box = NULL;
	assert_int_equal(next, MANY);
	assert_true(order);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_run_and_end_in_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_queue_is_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_gives_back_what_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mail_comes_in_order_even_at_the_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
