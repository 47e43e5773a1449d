// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcrypt-kmxd: the Key Provider Service of a Trust Authority. */
#include "routes.h"

int main(int argc, char **argv)
{
	return unit_main(argc, argv, &kmx_unit);
}
