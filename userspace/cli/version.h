/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMC_CLI_VERSION_H
#define VMC_CLI_VERSION_H

#define VMCRYPT_VERSION	"0.1.0"

#endif
