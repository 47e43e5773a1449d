/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family. */
#ifndef _VMCRYPT_NETLINK_H
#define _VMCRYPT_NETLINK_H

#include <net/genetlink.h>

extern struct genl_family vmcrypt_family;

int vmcrypt_netlink_init(void);
void vmcrypt_netlink_exit(void);

#endif /* _VMCRYPT_NETLINK_H */
