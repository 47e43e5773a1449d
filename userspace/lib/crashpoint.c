// SPDX-License-Identifier: GPL-2.0-or-later
/* Points at which a test build can be made to die, see fs.h. */
#include "fs.h"

#ifdef VMC_CRASHPOINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note(const char *file, unsigned long n, const char *where)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	dprintf(fd, "%lu %s\n", n, where);
	close(fd);
}

void fs_crashpoint(const char *where)
{
	static atomic_ulong count;
	const char *at = getenv("VMCRYPT_CRASH_AT"), *file = getenv("VMCRYPT_CRASH_LOG");
	unsigned long n = atomic_fetch_add(&count, 1) + 1;

	if (file)
		note(file, n, where);
	if (at && strtoul(at, NULL, 10) == n)
		kill(getpid(), SIGKILL);
}

#else

void fs_crashpoint(const char *where)
{
	(void)where;
}

#endif
