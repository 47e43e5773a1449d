// SPDX-License-Identifier: GPL-2.0-or-later
/* The tests of this folder have crash points in every build, and count them. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/fs.h"
#include "mock_host.h"

static atomic_ulong count;

unsigned long mock_crashpoints(void)
{
	return atomic_load(&count);
}

void fs_crashpoint(const char *where)
{
	const char *at = getenv("VMCRYPT_CRASH_AT");
	unsigned long n = atomic_fetch_add(&count, 1) + 1;

	(void)where;
	if (at && strtoul(at, NULL, 10) == n)
		kill(getpid(), SIGKILL);
}
