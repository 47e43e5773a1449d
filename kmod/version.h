/* SPDX-License-Identifier: GPL-2.0-only */
/* The version of the module. */
#ifndef _VMCRYPT_VERSION_H
#define _VMCRYPT_VERSION_H

#define VMCRYPT_VERSION	"0.1.0"

#endif /* _VMCRYPT_VERSION_H */
