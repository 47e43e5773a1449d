/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MESSAGE_IDs of the journal entries that vmcrypt makes, one for each thing
 * that may happen. packaging/journal/vmcrypt.catalog explains every one; a test
 * holds the two together. An id, once released, keeps its meaning for ever.
 */
#ifndef VMC_LIB_EVENTS_H
#define VMC_LIB_EVENTS_H

/* What the manager of VMs tells (struct vmm_event). */
#define VMC_MSG_VM_CREATED		"da355008951340a88bf499b4cf43a837"
#define VMC_MSG_VM_REGISTERED		"d10299c785be4a71ba15451f91da0fb6"
#define VMC_MSG_VM_UNREGISTERED		"f4e35a67248c44569f6608f864be23a8"
#define VMC_MSG_VM_CHANGED		"3ef412cfcadd48218d66e5f69385f58b"
#define VMC_MSG_VM_POWERED_ON		"03bb32f5f6a74645b8fde358edebe22d"
#define VMC_MSG_VM_POWERED_OFF		"31b3cbef75084f12a70c6c4ea0b155e8"
#define VMC_MSG_VM_LOCKED		"c456c90a4fa244e58e9a8e1d64ea05c5"
#define VMC_MSG_VM_UNLOCKED		"c89d32037d474dbdb39664e13e8b191e"
#define VMC_MSG_BUNDLE_ALTERED		"e29c710dfe1a4175b5a7b3d989fd520a"
#define VMC_MSG_DISK_ADDED		"387cbbce707642c0aadaaee70bae6a84"
#define VMC_MSG_DISK_REMOVED		"21b79e07d9ed4e849c702e2890a13d7f"
#define VMC_MSG_DISK_OPENED		"f43dda52f2694fdbae00a661940281e3"
#define VMC_MSG_DISK_CLOSED		"f67a5d9f92224220b8e3bf7350bab7ba"
#define VMC_MSG_VM_RECRYPTED		"2e53ef21574145bd9e81ead54582edf4"
#define VMC_MSG_POLICY_CHANGED		"dbff735c829647459f089c0bf1eb03b0"
#define VMC_MSG_KEY_CREATED		"8f8b3125fd644881a9b8f2e569134019"
#define VMC_MSG_KEY_REMOVED		"1792bae14cbf4fd8a8cc9b94a0407b67"
#define VMC_MSG_KEY_ORPHANED		"953d80e2a2184396b4a47de5e93973d3"
#define VMC_MSG_VM_NOT_STARTED		"5f3d32ba83dc4a25958c6cfb70eecc4c"
#define VMC_MSG_JOB_PENDING		"e3c99f9f585a4770805a85b510f87e50"
#define VMC_MSG_JOB_FAILED		"2d7a546697dc4d9499cdb363d6b4013b"

/* The causes of a lock, each its own; VM_LOCKED above is the one whose cause is not known. */
#define VMC_MSG_VM_LOCKED_KMS_ERROR	"aece469313b0403b85dae4f56ca3424c"
#define VMC_MSG_VM_LOCKED_KEYS_KMS	"192ea938cbb94436bc1a6d4dc14e16d6"
#define VMC_MSG_VM_LOCKED_KEYS_HOST	"d8e57328db2b460fa80bc1df62c31c5c"
#define VMC_MSG_VM_LOCKED_PROVIDER	"f3c9d2bc8bce421d84e73e93177ce653"
#define VMC_MSG_VM_LOCKED_TRUSTED	"ad34d3fa790048f09dcc066d315cbba4"
#define VMC_MSG_VM_LOCKED_ATTESTATION	"cbc408ffef814264bea7a17d70f13174"
#define VMC_MSG_VM_LOCKED_BY_HAND	"6784c5c0dd504cf68decca0310d82461"
#define VMC_MSG_VM_LOCKED_HOST_TPM	"d2c1fd3810cb48728f6f0caa5c016dbe"
#define VMC_MSG_DISK_KEY_MISSING	"bee8134d02194d98a109162789122287"

/* Datastores. The cause of a lock is in the event. */
#define VMC_MSG_DATASTORE_CREATED	"b4d40dd9c1d344c3b0b3c71d4e0a9625"
#define VMC_MSG_DATASTORE_REGISTERED	"46cfe0261bcf47048ca0c1a629ff67ad"
#define VMC_MSG_DATASTORE_UNREGISTERED	"166c77d9926b4ad9a7ca09cf6f73539b"
#define VMC_MSG_DATASTORE_REMOVED	"a8c43ede3ada4f9c9109b38d37b0717b"
#define VMC_MSG_DATASTORE_CHANGED	"cfc5a84a964c4d9bbd14b2909d569a0a"
#define VMC_MSG_DATASTORE_OPENED	"b2bc6e9b28054024b8d7d6c23e83379b"
#define VMC_MSG_DATASTORE_CLOSED	"6c86b6ded67644cf8ce1c582207c0fab"
#define VMC_MSG_DATASTORE_LOCKED	"2e4ff9eeb3ed4cc09e8c0e5d463336e4"
#define VMC_MSG_DATASTORE_UNLOCKED	"caaf8aac99bd4cdca4251cf5ebb03cbf"

/* Alarms. What is wrong is in the event or alarm that they are about. */
#define VMC_MSG_ALARM_RAISED		"7cb098ed07074e6587e4de01b4bfb8f4"
#define VMC_MSG_ALARM_CLEARED		"4c449d02c75e475eaaec6def3d9a0d62"
#define VMC_MSG_ALARM_ACKNOWLEDGED	"6a21912d074e4423bcb36c8bee94cb51"

/* The kernel module, as vmcryptd hears it. */
#define VMC_MSG_KERNEL_KEK_GONE		"13f89361231f4d2a80f391a8f735db9c"
#define VMC_MSG_KERNEL_DEK_GONE		"aaba41603b324cceafa3740901226a51"
#define VMC_MSG_KERNEL_VM_LOCKED	"31be46f74d874275b1e43a60de9d4d06"
#define VMC_MSG_CHANNEL_BROKEN		"b8a17b6d4a2f4f7f9d0c5a63a1e3c2d7"
#define VMC_MSG_MODULE_LOADED		"3d02b3933ca8498f9bb08e878a197fb0"
#define VMC_MSG_MODULE_GONE		"13cdc6b93bcb4d8895dce5e0da03cd49"

/* Jobs, as vmcryptd runs them; JOB_PENDING and JOB_FAILED above are the manager's. */
#define VMC_MSG_JOB_DONE		"a7421dcf54fa4f6c83bf883890402c1d"
#define VMC_MSG_JOB_CANCELED		"efe4661f05d0446e9aca5120c6983202"

/* Key providers. */
#define VMC_MSG_PROVIDER_ADDED		"3455b51209ce48ecbe107711e565eeb2"
#define VMC_MSG_PROVIDER_REMOVED	"6d9c729e9a6049ebbadbaa35b839b6aa"
#define VMC_MSG_PROVIDER_DEFAULT	"8d8bf29eb545426d893d51bb98bea267"
#define VMC_MSG_PROVIDER_BACKUP		"ae4a0b8368f541dcad1defb18d6609d4"
#define VMC_MSG_PROVIDER_TRUST		"e13d929e06cb450984509d92adc467cc"

/* Attestation of this host, by the authority of a trusted provider. */
#define VMC_MSG_ATTESTATION_PASSED	"1bc959cb6c9948fda354abe75846828e"
#define VMC_MSG_ATTESTATION_FAILED	"ee8c1ab5cba143d6b2f8c84ae3bfd010"
#define VMC_MSG_ATTESTATION_UNSET	"c5a524f8f3484390a90a1c5d69f00e89"

/* Migrations. */
#define VMC_MSG_VM_MIGRATED		"0c6f9d2e41b84a7f8e53d7a90b1c6e24"
#define VMC_MSG_VM_MIGRATED_CLEAR	"7be8053d9c1f4e62b4a7160dd82f3c95"
#define VMC_MSG_VM_ARRIVED		"a4d1c85f02e7496bb3986f5ad01e7c38"
#define VMC_MSG_MIGRATION_REFUSED	"f60b7a2d8e394c15a9c2d43b7f18e056"
#define VMC_MSG_MIGRATION_FAILED	"19e3d7b4c5a8420f96e1b02f6d7c84a3"

/* Other hosts, and this one to them. */
#define VMC_MSG_PEER_ADDED		"5d0e3c0f5b7d4f0c8a6f1d2b9e4c7a31"
#define VMC_MSG_PEER_REMOVED		"c2f4a7e19b6d4c53a0d81e7f35b2964c"
#define VMC_MSG_HOST_IDENTITY		"e91b6f3a2c8d4750b4a3f6d7c05e1829"

/* What this host keeps. */
#define VMC_MSG_PERSISTENCE		"6ee04b7fcb974c23883e07b9320014dc"

/* The services of a Trust Authority. */
#define VMC_MSG_TA_HOST_ENROLLED	"3a35b13a89124c8c9c3646a22e2f27a4"
#define VMC_MSG_TA_HOST_ATTESTED	"d1fb3829e60140538b4e8db76e849e84"
#define VMC_MSG_TA_HOST_REFUSED		"4b8998aec6374117a359fab86bfa423c"
#define VMC_MSG_TA_KEYS_RELEASED	"dafe4e5f8dbc47b6a645762db2bac5c9"
#define VMC_MSG_TA_KEYS_REFUSED		"b4cf1c14c8674b2397ab0e879558d8ec"
#define VMC_MSG_TA_KEY_ORPHAN		"0c4c7a5e6d3f4f0fb1c2a86de0b8f9a7"

/* vmcryptd itself. */
#define VMC_MSG_DAEMON_READY		"b55bf2e464264bb68da6d37b4a1dbdfa"
#define VMC_MSG_DAEMON_BOOT		"e7e7820b217e41268357c2f6fa410b0f"
#define VMC_MSG_DAEMON_RELOADED		"d18917ee14374e7b9fd3c44734bead39"
#define VMC_MSG_DAEMON_RELOAD_FAILED	"ce53f0839a9147848e3fcad6389eaccd"
#define VMC_MSG_DAEMON_STOPPED		"fdfdf874835d462c84f03ac0b5aba6f8"
#define VMC_MSG_HOOK_FAILED		"96058ca1b744495481e6432a2561c1eb"
#define VMC_MSG_METRICS_FAILED		"9eb5d5dd82c64d25833b7b52558b1dad"
#define VMC_MSG_HEALTH_FAILED		"8c1cb2ba0894460a8b0d00da593801f5"
#define VMC_MSG_ACCESS_DENIED		"160c466a2ff64ce48153b9a8328e875a"
#define VMC_MSG_AUDIT_HEAD		"a3a2014cd2aeee19318033c632c62299"

#endif
