/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before each file that clang-tidy looks at, and by nothing else: the
 * analyzer sees one file at a time, so it cannot know that these, which say
 * "return code", never return 0.
 */
#include "lib/error.h"

#define vmc_fail(err, code, ...) ((void)vmc_fail(err, code, __VA_ARGS__), (code))
#define vmc_fail_errno(...) ((void)vmc_fail_errno(__VA_ARGS__), 1)
#define vmc_prefix(...) ((void)vmc_prefix(__VA_ARGS__), 1)
