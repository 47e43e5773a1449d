// SPDX-License-Identifier: GPL-2.0-or-later
/* The folder of a migration's sockets: whose it is, and that nobody is led astray in it. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../testing/testing.h"
#include "gate.h"

#define SOON	(vmc_now_ms() + 5000)

static const vmc_uuid id = { .b = { 1, 2, 3 } };

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 0777;
}

static void links_are_not_followed(void **state)
{
	struct vmc_error e = VMC_ERROR_INIT;
	char *dir = test_mkdir();
	int server, fd;

	(void)state;
	server = listen_at(test_path(dir, "real"));
	assert_ok(gate_connect(test_path(dir, "real"), SOON, &fd, &e), &e);
	close(fd);
	assert_int_equal(symlink(test_path(dir, "real"), test_path(dir, "link")), 0);
	assert_code(gate_connect(test_path(dir, "link"), SOON, &fd, &e), VMC_EPERM, &e);
	assert_contains(e.text, "is no socket");
	test_write_text(test_path(dir, "file"), "x");
	assert_code(gate_connect(test_path(dir, "file"), SOON, &fd, &e), VMC_EPERM, &e);
	assert_code(gate_connect(test_path(dir, "nothing"), SOON, &fd, &e), VMC_ENOENT, &e);
	close(server);
	test_rmdir(dir);
}

static void folder_of_another_stays(void **state)
{
	char *run = test_mkdir(), one[HV_SOCKET_PATH_MAX], two[HV_SOCKET_PATH_MAX];
	struct vmc_error e = VMC_ERROR_INIT;

	(void)state;
	assert_ok(gate_dir_make(run, &id, one, sizeof(one), &e), &e);
	assert_int_equal(mode_of(one), 0700);
	assert_int_not_equal(gate_dir_make(run, &id, two, sizeof(two), &e), 0);
	assert_string_equal(two, "");
	assert_int_equal(mode_of(one), 0700);
	gate_dir_remove(one);
	assert_int_not_equal(access(one, F_OK), 0);
	test_rmdir(run);
}

/* Who is given the sockets cannot put others in their place: by the mask, its right is to look. */
static void source_is_to_look_at(void **state)
{
	char *run = test_mkdir(), dir[HV_SOCKET_PATH_MAX], path[HV_SOCKET_PATH_MAX + 32];
	struct gate_setup s = { .dir = dir, .uid = 65534, .host = "127.0.0.1", .port = 1, .migration = id };
	struct vmc_error e = VMC_ERROR_INIT;
	struct gate *g;

	(void)state;
	assert_ok(gate_dir_make(run, &id, dir, sizeof(dir), &e), &e);
	assert_ok(gate_open(&g, &s, &e), &e);
	assert_int_equal(mode_of(dir), 0750);
	snprintf(path, sizeof(path), "%s/" HV_SOCKET_MEMORY, dir);
	assert_int_equal(mode_of(path) & 0077, 0060);
	gate_close(g);
	gate_dir_remove(dir);
	test_rmdir(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_not_followed),
		cmocka_unit_test(folder_of_another_stays),
		cmocka_unit_test(source_is_to_look_at),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
