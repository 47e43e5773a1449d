/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whoever this thread works for may, or may not, have keys fetched from
 * providers. While it is forbidden, a key that is not in the kernel is
 * VMC_EPERM for cache_ensure(), and no server is asked. Allowed until said otherwise.
 */
#ifndef VMC_KEYS_FETCH_H
#define VMC_KEYS_FETCH_H

#include <stdbool.h>

void fetch_forbid(bool forbidden);	/* for the calling thread */
bool fetch_is_forbidden(void);

#endif
