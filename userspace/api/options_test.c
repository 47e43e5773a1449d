// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of method calls: what is not exactly as the table says is refused by name. */
#include "../testing/testing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"

static const struct option_spec spec[] = {
	OPTION(path, 's'), OPTION(size, 't'), OPTION(keep_source, 'b'), OPTIONS_END
};

static const struct option_spec none[] = { OPTIONS_END };

static int setup(void **state)
{
	int fds[2];
	sd_bus *bus;

	/* A bus nobody is at the other end of: messages are made and read, not sent. */
	assert_false(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	close(fds[1]);
	*state = bus;
	return 0;
}

static int teardown(void **state)
{
	sd_bus_close_unref(*state);
	return 0;
}

static sd_bus_message *message(sd_bus *bus)
{
	sd_bus_message *m;

	assert_true(sd_bus_message_new_method_call(bus, &m, NULL, "/a", "a.b", "C") >= 0);
	return m;
}

/* Seals @m, parses it, and keeps it for the strings that point into it. */
static int parse(sd_bus_message *m, const struct option_spec *s, struct call_options *o, struct vmc_error *err)
{
	*err = (struct vmc_error)VMC_ERROR_INIT;
	assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
	assert_true(sd_bus_message_rewind(m, 1) >= 0);
	return options_parse(m, s, o, err);
}

static void test_all_given(void **state)
{
	sd_bus_message *m = message(*state);
	struct call_options o;
	struct vmc_error err;

	assert_true(sd_bus_message_append(m, "a{sv}", 3, "size", "t", UINT64_C(1) << 40, "path", "s", "/x",
					  "keep_source", "b", 1) >= 0);
	assert_ok(parse(m, spec, &o, &err), &err);
	assert_string_equal(o.path, "/x");
	assert_true(o.size == UINT64_C(1) << 40);
	assert_true(o.keep_source);
	assert_null(o.provider);
	sd_bus_message_unref(m);
}

static void test_none_given(void **state)
{
	sd_bus_message *m = message(*state);
	struct call_options o;
	struct vmc_error err;

	memset(&o, 0xff, sizeof(o));
	assert_true(sd_bus_message_append(m, "a{sv}", 0) >= 0);
	assert_ok(parse(m, none, &o, &err), &err);
	assert_null(o.path);
	assert_false(o.force);
	sd_bus_message_unref(m);
}

static void refused(sd_bus_message *m, const struct option_spec *s, const char *text, const char *hint)
{
	struct call_options o;
	struct vmc_error err;

	assert_code(parse(m, s, &o, &err), VMC_EINVAL, &err);
	assert_contains(err.text, text);
	assert_contains(err.hint, hint);
	sd_bus_message_unref(m);
}

static void test_unknown(void **state)
{
	sd_bus_message *m = message(*state);

	assert_true(sd_bus_message_append(m, "a{sv}", 2, "path", "s", "/x", "pth", "s", "/x") >= 0);
	refused(m, spec, "unknown option 'pth'", "path, size, keep_source");
}

static void test_unknown_where_there_are_none(void **state)
{
	sd_bus_message *m = message(*state);

	assert_true(sd_bus_message_append(m, "a{sv}", 1, "path", "s", "/x") >= 0);
	refused(m, none, "unknown option 'path'", "no options");
}

static void test_twice(void **state)
{
	sd_bus_message *m = message(*state);

	assert_true(sd_bus_message_append(m, "a{sv}", 2, "size", "t", UINT64_C(1), "size", "t", UINT64_C(2)) >= 0);
	refused(m, spec, "option 'size' is given twice", "");
}

static void test_wrong_types(void **state)
{
	sd_bus_message *m = message(*state);

	assert_true(sd_bus_message_append(m, "a{sv}", 1, "size", "u", 5) >= 0);
	refused(m, spec, "option 'size' has the type 'u'", "");
	m = message(*state);
	assert_true(sd_bus_message_append(m, "a{sv}", 1, "keep_source", "s", "yes") >= 0);
	refused(m, spec, "option 'keep_source' has the type 's'", "");
	m = message(*state);
	assert_true(sd_bus_message_append(m, "a{sv}", 1, "path", "as", 1, "/x") >= 0);
	refused(m, spec, "option 'path' has the type 'as'", "");
	m = message(*state);
	assert_true(sd_bus_message_append(m, "a{sv}", 1, "path", "v", "s", "/x") >= 0);
	refused(m, spec, "option 'path' has the type 'v'", "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_where_there_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_types, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
