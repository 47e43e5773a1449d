// SPDX-License-Identifier: GPL-2.0-or-later
/* May keys be fetched for the one whom this thread works for? */
#include "fetch.h"

static _Thread_local bool is_forbidden;

void fetch_forbid(bool forbidden)
{
	is_forbidden = forbidden;
}

bool fetch_is_forbidden(void)
{
	return is_forbidden;
}
