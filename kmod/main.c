// SPDX-License-Identifier: GPL-2.0-only
/* Order of coming and going. */

#include <linux/init.h>
#include <linux/module.h>

#include "channel.h"
#include "keyring.h"
#include "migration.h"
#include "netlink.h"
#include "pipeline.h"
#include "version.h"

static int __init vmcrypt_init(void)
{
	int ret;

	ret = vmcrypt_keyring_init();
	if (ret)
		return ret;
	ret = vmcrypt_migration_init();
	if (ret)
		goto err_keyring;
	ret = vmcrypt_pipeline_init();
	if (ret)
		goto err_migration;
	ret = vmcrypt_channel_init();
	if (ret)
		goto err_pipeline;
	ret = vmcrypt_netlink_init();
	if (ret)
		goto err_channel;
	return 0;

err_channel:
	vmcrypt_channel_exit();
err_pipeline:
	vmcrypt_pipeline_exit();
err_migration:
	vmcrypt_migration_exit();
err_keyring:
	vmcrypt_keyring_exit();
	return ret;
}

static void __exit vmcrypt_exit(void)
{
	vmcrypt_netlink_exit();
	vmcrypt_channel_exit();
	vmcrypt_pipeline_exit();
	vmcrypt_migration_exit();
	vmcrypt_keyring_exit();
}

module_init(vmcrypt_init);
module_exit(vmcrypt_exit);

MODULE_DESCRIPTION("Keys and encrypted migration for virtual machines");
MODULE_AUTHOR("The vmcrypt authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(VMCRYPT_VERSION);
/* The crypto API loads what it lacks, but would settle for slow AES. */
MODULE_SOFTDEP("pre: aes aesni_intel gcm hmac sha256 ecdh_generic dm-crypt loop");
