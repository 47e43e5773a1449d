// SPDX-License-Identifier: GPL-2.0-or-later
#include "mock_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>


struct mock_host *mock;
const char *const mock_providers[MOCK_PROVIDERS] = { "kms", "kms2" };

void mock_attach(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/mock.host", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*mock)))
		abort();
	mock = mmap(NULL, sizeof(*mock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mock == MAP_FAILED)
		abort();
	snprintf(mock->dir, sizeof(mock->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/dm", dir);
	mkdir(path, 0700);
}

void mock_detach(void)
{
	munmap(mock, sizeof(*mock));
	mock = NULL;
}
