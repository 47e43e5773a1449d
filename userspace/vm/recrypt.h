/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMC_VM_RECRYPT_H
#define VMC_VM_RECRYPT_H

#define RECRYPT_SUFFIX	".vmcrypt-new"	/* the container that a deep recrypt fills */

#endif
