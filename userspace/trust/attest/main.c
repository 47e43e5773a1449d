// SPDX-License-Identifier: GPL-2.0-or-later
/* vmcrypt-attestd: the Attestation Service of a Trust Authority. */
#include "routes.h"

int main(int argc, char **argv)
{
	return unit_main(argc, argv, &attest_unit);
}
