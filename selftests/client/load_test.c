// SPDX-License-Identifier: GPL-2.0-or-later
/* Thousands of DEKs at once, and the notifications when they go. */
#include "fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMS		1000
#define VOLUMES		3
#define LOADS		(VMS * VOLUMES)

static const char *const names[VOLUMES] = { "home", "root", "data" };
static uint8_t wrapped[LOADS][VMK_WRAPPED_LEN];
static vmc_uuid ids[VMS];
static char kek[VMK_KEK_ID_MAX + 1];

static int make_all(void **state)
{
	int rc = fx_setup(state);

	if (rc)
		return rc;
	snprintf(kek, sizeof(kek), "%s", fx_kek());
	for (size_t i = 0; i < LOADS; i++) {
		if (i % VOLUMES == 0)
			fx_uuid(&ids[i / VOLUMES]);
		fx_wrap(&ids[i / VOLUMES], names[i % VOLUMES], kek, wrapped[i]);
	}
	return 0;
}

static struct vmk_load *new_loads(void)
{
	struct vmk_load *l = calloc(LOADS, sizeof(*l));

	assert_non_null(l);
	for (size_t i = 0; i < LOADS; i++) {
		l[i].vm = ids[i / VOLUMES];
		l[i].volume = names[i % VOLUMES];
		l[i].kek_id = kek;
		l[i].wrapped = wrapped[i];
	}
	return l;
}

static void thousands_in_one_go(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_load *l = new_loads();
	struct vmk_kek got;
	struct vmk_vm *vms;
	uint64_t start;
	size_t n;

	(void)state;
	start = vmc_now_ms();
	assert_ok(vmk_dek_load_many(fx_k, l, LOADS, &e), &e);
	print_message("# %d DEKs of %d VMs in %llu ms\n", LOADS, VMS,
		      (unsigned long long)(vmc_now_ms() - start));
	for (size_t i = 0; i < LOADS; i++) {
		assert_int_equal(l[i].code, 0);
		assert_true(l[i].key_serial > 0);
	}
	assert_ok(vmk_kek_get(fx_k, kek, &got, &e), &e);
	assert_int_equal(got.users, LOADS);
	assert_ok(vmk_vm_list(fx_k, &vms, &n, &e), &e);
	assert_int_equal(n, VMS);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(vms[i].n_volumes, VOLUMES);
	free(vms);
	free(l);
}

static void each_has_its_own_answer(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_load *l = new_loads();
	uint8_t altered[VMK_WRAPPED_LEN];

	(void)state;
	fx_clear_module();
	/* every tenth KEK unknown, every hundredth altered, one with a bad name, one twice */
	memcpy(altered, wrapped[LOADS - 1], sizeof(altered));
	altered[VMK_WRAPPED_LEN - 1] ^= 0x80;
	l[7].volume = "";
	snprintf(kek, sizeof(kek), "%s", fx_kek());
	for (size_t i = 0; i < LOADS; i++)
		fx_wrap(&ids[i / VOLUMES], names[i % VOLUMES], kek, wrapped[i]);
	for (size_t i = 0; i < LOADS; i += 10)
		l[i].kek_id = "test/unknown";
	for (size_t i = 5; i < LOADS; i += 100)
		l[i].wrapped = altered;
	l[LOADS - 1] = l[LOADS - 2];
	assert_ok(vmk_dek_load_many(fx_k, l, LOADS, &e), &e);
	for (size_t i = 0; i < LOADS; i++) {
		int want = i == 7 ? VMC_EINVAL : i == LOADS - 1 ? VMC_EEXIST :
			   i % 10 == 0 ? VMC_ENOKEY : i % 100 == 5 ? VMC_EAUTH : 0;

		assert_code(l[i].code, want, &l[i].err);
	}
	assert_contains(l[10].err.text, "test/unknown");
	assert_contains(l[LOADS - 1].err.text, names[(LOADS - 2) % VOLUMES]);
	free(l);
}

static void nothing_to_load(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_ok(vmk_dek_load_many(fx_k, NULL, 0, &e), &e);
}

/* ---- notifications ---- */

struct seen {
	size_t deks, locks, keks;
	struct vmk_event last_dek, last_lock, last_kek;
};

static void on_event(const struct vmk_event *ev, void *data)
{
	struct seen *s = data;

	switch (ev->type) {
	case VMK_EV_DEK_DEL:
		s->deks++;
		s->last_dek = *ev;
		break;
	case VMK_EV_VM_LOCK:
		s->locks++;
		s->last_lock = *ev;
		break;
	case VMK_EV_KEK_DEL:
		s->keks++;
		s->last_kek = *ev;
		break;
	case VMK_EV_MIGRATION_END:
	case VMK_EV_CHANNEL_CLOSE:
		fail_msg("there was no migration");
	}
}

static void read_events(struct seen *s, size_t deks, size_t locks, size_t keks)
{
	struct pollfd p = { .fd = vmk_events_fd(fx_k), .events = POLLIN };
	struct vmc_error e = VMC_ERROR_INIT;

	while (s->deks < deks || s->locks < locks || s->keks < keks) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_ok(vmk_events_read(fx_k, on_event, s, &e), &e);
	}
}

static void events_tell_what_went(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	struct vmk_load *l = new_loads();
	struct seen s = { 0 };

	(void)state;
	fx_clear_module();
	assert_int_equal(vmk_events_fd(fx_k), -1);
	snprintf(kek, sizeof(kek), "%s", fx_kek());
	for (size_t i = 0; i < LOADS; i++)
		fx_wrap(&ids[i / VOLUMES], names[i % VOLUMES], kek, wrapped[i]);
	assert_ok(vmk_dek_load_many(fx_k, l, LOADS, &e), &e);
	assert_ok(vmk_events_open(fx_k, &e), &e);
	assert_true(vmk_events_fd(fx_k) >= 0);
	assert_ok(vmk_events_read(fx_k, on_event, &s, &e), &e);	/* nothing yet, no wait */
	assert_int_equal(s.deks + s.locks + s.keks, 0);

	assert_ok(vmk_vm_lock(fx_k, &ids[0], &e), &e);
	read_events(&s, VOLUMES, 1, 0);
	assert_true(vmc_uuid_equal(&s.last_lock.vm, &ids[0]));
	assert_true(vmc_uuid_equal(&s.last_dek.vm, &ids[0]));
	assert_string_equal(s.last_dek.kek_id, kek);

	assert_ok(vmk_dek_del(fx_k, &ids[1], "root", &e), &e);
	read_events(&s, VOLUMES + 1, 1, 0);
	assert_string_equal(s.last_dek.volume, "root");
	assert_true(vmc_uuid_equal(&s.last_dek.vm, &ids[1]));

	assert_ok(vmk_kek_del(fx_k, kek, true, &e), &e);
	read_events(&s, VOLUMES + 1, 1, 1);
	assert_string_equal(s.last_kek.kek_id, kek);

	/* all the rest, without reading in between: the buffer holds them */
	for (size_t i = 1; i < VMS; i++)
		assert_ok(vmk_vm_lock(fx_k, &ids[i], &e), &e);
	read_events(&s, LOADS, VMS, 1);
	assert_int_equal(s.deks, LOADS);
	assert_int_equal(s.locks, VMS);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousands_in_one_go),
		cmocka_unit_test(each_has_its_own_answer),
		cmocka_unit_test(nothing_to_load),
		cmocka_unit_test(events_tell_what_went),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("client/load", tests, make_all, fx_teardown);
}
