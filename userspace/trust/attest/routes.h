/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmcrypt-attestd as HTTPS: paths, roles, what is logged. */
#ifndef VMC_TRUST_ATTEST_ROUTES_H
#define VMC_TRUST_ATTEST_ROUTES_H

#include "../service/unit.h"

#define ATTEST_PORT	5700

extern const struct unit_kind attest_unit;

#endif
