/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmcrypt-kmxd as HTTPS: paths, roles, what is logged. */
#ifndef VMC_TRUST_KMX_ROUTES_H
#define VMC_TRUST_KMX_ROUTES_H

#include "../service/unit.h"

#define KMX_PORT	5701

extern const struct unit_kind kmx_unit;

#endif
