/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random requests: the kernel must survive all, and be as before afterwards. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>

#include "nlt.h"

unsigned long fuzz(const struct nlt *nl, unsigned long count, uint64_t seed);

#endif /* FUZZ_H */
