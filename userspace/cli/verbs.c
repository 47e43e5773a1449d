// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "../lib/i18n.h"

#define O(id) OPT_BIT(id)

const struct verb verbs[] = {
	{ "provider add kmip NAME",
	  O(SERVER) | O(CA) | O(USERNAME) | O(TLS_MIN) | O(OPERATION_POLICY) | O(DEFAULT), O(SERVER),
	  N_("add a KMIP key management server, or a cluster of them"),
	  N_("NAME is what the bundles of VMs record: give a cluster the same name on every "
	  "host. All servers of one provider must hold the same keys. Next come the two "
	  "directions of trust: 'provider trust NAME csr' and 'provider trust NAME pin'."),
	  verb_provider_add_kmip },
	{ "provider add native NAME", O(INSECURE_NO_TPM) | O(DEFAULT), 0,
	  N_("add a key provider that needs no server: its keys are derived on this host"),
	  N_("The key that they are derived from is sealed to this host's TPM. It makes no keys "
	  "until 'provider export NAME --out FILE' has made a backup. Other hosts get the same "
	  "provider by 'provider import FILE'."),
	  verb_provider_add_native },
	{ "provider add trusted NAME", O(SERVICES_INFO) | O(DEFAULT), O(SERVICES_INFO),
	  N_("add a key provider that gives keys to hosts whose boot a Trust Authority has attested"),
	  N_("FILE comes from the authority: 'vmcrypt trust services-info --out FILE' there. For a provider that is there "
	  "already, a newer FILE of the same authority tells where its services are now. This host has no "
	  "credential of the key server; it proves with its TPM what it booted."),
	  verb_provider_add_trusted },
	{ "provider export PROVIDER", O(OUT) | O(PASSWORD_FILE) | O(PASSWORD_FD), O(OUT),
	  N_("back a native provider up into a file (PKCS#12) under a password"),
	  N_("Whoever has the file and the password opens every VM of the provider; without them, "
	  "its VMs are lost when this host is."),
	  verb_provider_export },
	{ "provider import FILE", O(PASSWORD_FILE) | O(PASSWORD_FD) | O(INSECURE_NO_TPM) | O(NEW_TPM) |
	  O(KEY_ID), 0,
	  N_("bring a native provider to this host from its backup, or restore it"),
	  N_("Where the provider is already, its key is sealed to the TPM anew, as is needed when the "
	  "TPM or what it is sealed to has changed. A provider of the same name with another key is "
	  "never replaced."),
	  verb_provider_import },
	{ "provider list", 0, 0, N_("list the key providers of this host"), NULL,
	  verb_provider_list },
	{ "provider show PROVIDER", 0, 0, N_("show one provider: servers, certificates, health"),
	  NULL, verb_provider_show },
	{ "provider test PROVIDER", 0, 0, N_("talk to every server of a provider and report"),
	  N_("Exit status 8 when no server can be used."), verb_provider_test },
	{ "provider default PROVIDER", 0, 0, N_("make it the provider of new VMs that name none"),
	  NULL, verb_provider_default },
	{ "provider remove PROVIDER", 0, 0, N_("forget a provider and this host's credentials for it"),
	  N_("The keys stay on the servers; those of a native provider come back only from its backup. VMs under them can be powered on while their keys "
	  "are still cached, that is until the next reboot."), verb_provider_remove },
	{ "provider trust PROVIDER csr", 0, 0,
	  N_("make a private key on this host; print a certificate request for it"),
	  N_("Have the request signed on the key server's side, then 'trust PROVIDER upload FILE'. "
	  "The private key never leaves this host."), verb_trust_csr },
	{ "provider trust PROVIDER self-signed", 0, 0,
	  N_("make a private key on this host; print a self-signed certificate"),
	  N_("For servers that are told to trust one certificate instead of a CA."),
	  verb_trust_self_signed },
	{ "provider trust PROVIDER upload FILE", 0, 0,
	  N_("install the signed certificate (PEM) that came back for the request"), NULL,
	  verb_trust_upload },
	{ "provider trust PROVIDER import CERT KEYFILE", 0, 0,
	  N_("install a certificate and private key (both PEM) made by the key server"),
	  N_("For servers that hand out both. Delete KEYFILE afterwards."), verb_trust_import },
	{ "provider trust PROVIDER show", 0, 0,
	  N_("show the certificates that the servers present, with fingerprints"), NULL,
	  verb_trust_show },
	{ "provider trust PROVIDER pin", O(FINGERPRINT) | O(CA), 0,
	  N_("trust the servers by a fingerprint, or by the CA that signed for them"),
	  N_("Compare the fingerprint of 'provider trust PROVIDER show' with the one that the key "
	  "server's administrator reads to you. Exactly one of --fingerprint and --ca."),
	  verb_trust_pin },

	{ "host persistence status", 0, 0,
	  N_("show whether this host keeps keys over reboots, and whether they open"), NULL,
	  verb_persistence_status },
	{ "host persistence enable", O(PROVIDER), 0,
	  N_("keep the keys that this host uses, sealed to its TPM"),
	  N_("After a reboot they are there before any key server is asked, so that VMs start without one. "
	  "Off by default: whoever takes the whole host has the keys with it. With --provider, the keys "
	  "of that provider are kept, too; a native provider's are not unless it is named."),
	  verb_persistence_enable },
	{ "host persistence disable", O(REMOVE_ALL) | O(PROVIDER), 0,
	  N_("keep keys no more; without --remove-all-stored-keys the stored ones stay, sealed"),
	  N_("With --provider, only the keys of that provider; its stored keys are removed."),
	  verb_persistence_disable },
	{ "host persistence reseal", O(NEW_TPM) | O(RECOVERY_KEY), 0,
	  N_("seal the stored keys to what this host has booted now"),
	  N_("After a change of firmware or Secure Boot. When the old seal does not open, the keys come from "
	  "--recovery-key or else from their providers. Whatever was sealed before never opens again."),
	  verb_persistence_reseal },
	{ "host persistence suspend", O(REBOOTS), O(REBOOTS),
	  N_("before a firmware update: let the next starts open the keys whatever they boot"),
	  N_("The last of them seals to what it booted. 'reseal' ends it before its time."),
	  verb_persistence_suspend },
	{ "host persistence recovery-key", O(FORCE), 0,
	  N_("print the recovery key, once"),
	  N_("It opens the stored keys on this host's disk when the TPM does not. Keep it off this host. With "
	  "--force a new one is made, and the old one is worth nothing."),
	  verb_persistence_recovery_key },

	{ "host identity show", 0, 0, N_("show the certificate by which other hosts know this one"), NULL,
	  verb_identity_show },
	{ "host identity csr", 0, 0, N_("print a certificate request for this host's key"),
	  N_("For a CA of one's own, so that hosts need not know each other's fingerprints; then 'host identity "
	  "upload FILE'. The private key never leaves this host."), verb_identity_csr },
	{ "host identity upload FILE", 0, 0,
	  N_("install the signed certificate (PEM) that came back for the request"),
	  N_("Hosts that know the old one by its fingerprint must be told the new one."), verb_identity_upload },

	{ "peer add NAME", O(ADDRESS) | O(FINGERPRINT) | O(CA), O(ADDRESS),
	  N_("trust another host, to migrate VMs to it and from it"),
	  N_("Exactly one of --fingerprint, which 'host identity show' tells on that host, and --ca. That host "
	  "must be told of this one, too."), verb_peer_add },
	{ "peer list", 0, 0, N_("list the hosts that this one trusts"), NULL, verb_peer_list },
	{ "peer show PEER", 0, 0, N_("show one of them, and by what it is trusted"), NULL, verb_peer_show },
	{ "peer test PEER", 0, 0, N_("talk to it: versions, encryption, clock"),
	  N_("Exit status 8 when it cannot be reached, 7 when one does not trust the other."), verb_peer_test },
	{ "peer remove PEER", 0, 0, N_("trust it no more"), NULL, verb_peer_remove },

	{ "trust init CLUSTER", O(PUBLIC_ADDRESS), 0,
	  N_("make a Trust Authority cluster, of which this machine is the first authority"),
	  N_("The key that signs the cluster's desired state is made here and stays here: changes are made on "
	  "this authority. Back it up: 'trust backup --out FILE'."), verb_trust_init },
	{ "trust join FILE", 0, 0,
	  N_("let this machine take the desired state of a cluster"),
	  N_("FILE is what 'trust services-info --out FILE' wrote there. Then 'trust authority show' here, 'trust "
	  "authority add' and 'trust remediate' there."), verb_trust_join },
	{ "trust status", 0, 0, N_("show this authority and what its desired state has"), NULL, verb_trust_status },
	{ "trust health", 0, 0,
	  N_("walk the elements of the cluster, in order, and name the first that is not healthy"),
	  N_("Exit status 9 when there is one."), verb_trust_health },
	{ "trust remediate", O(FORCE), 0, N_("bring the desired state to every authority that has drifted"),
	  N_("With --force the state of this authority comes after all others, as after a restore."),
	  verb_trust_remediate },
	{ "trust services-info", O(OUT), 0,
	  N_("write what trusted hosts, and authorities that join, must know of the cluster"),
	  N_("Addresses, certificates and the cluster's public key; nothing of it is secret."),
	  verb_trust_services_info },
	{ "trust authority show", O(PUBLIC_ADDRESS) | O(OUT), 0,
	  N_("show who this authority is, for 'trust authority add'"), NULL, verb_trust_authority_show },
	{ "trust authority add FILE", 0, 0,
	  N_("take an authority into the cluster, or take it back"),
	  N_("FILE is what 'trust authority show --out FILE' wrote there. Then 'trust remediate'."),
	  verb_trust_authority_add },
	{ "trust authority list", 0, 0, N_("list the authorities, and which have drifted"), NULL,
	  verb_trust_authority_list },
	{ "trust authority remove AUTHORITY", 0, 0, N_("take an authority out of the cluster"),
	  N_("Before it is reverted to an older version, for instance; hosts must get the new 'trust services-info'."),
	  verb_trust_authority_remove },
	{ "trust ca add NAME FILE", 0, 0, N_("believe the TPMs whose certificates this CA (PEM) signed"), NULL,
	  verb_trust_ca_add },
	{ "trust ca list", 0, 0, N_("list the CAs whose TPMs are believed"), NULL, verb_trust_ca_list },
	{ "trust ca show CA", 0, 0, N_("show one of them"), NULL, verb_trust_ca_show },
	{ "trust ca remove CA", 0, 0, N_("believe it no more"), NULL, verb_trust_ca_remove },
	{ "trust ek add NAME FILE", 0, 0, N_("believe one TPM by its endorsement key (public key, PEM)"),
	  N_("Counts only while the policy requires no EK certificate."), verb_trust_ek_add },
	{ "trust ek list", 0, 0, N_("list the TPMs that are believed one by one"), NULL, verb_trust_ek_list },
	{ "trust ek remove EK", 0, 0, N_("believe it no more"), NULL, verb_trust_ek_remove },
	{ "trust base-image import FILE", O(NAME), 0, N_("let hosts attest that booted what this one had booted"),
	  N_("FILE is what 'trust host-image export' wrote on a host. Import the new image before hosts are upgraded."),
	  verb_trust_image_import },
	{ "trust base-image list", 0, 0, N_("list the base images, and who attested last as which"), NULL,
	  verb_trust_image_list },
	{ "trust base-image show IMAGE", 0, 0, N_("show one of them, with its events"), NULL, verb_trust_image_show },
	{ "trust base-image remove IMAGE", O(FORCE), 0, N_("let no host attest as it any more"),
	  N_("Kept, unless --force is given, while hosts that were upgraded by Quick Boot (kexec) attest as it: until "
	  "they have completed a full reboot."), verb_trust_image_remove },
	{ "trust key-provider add kmip NAME", O(SERVER) | O(USERNAME) | O(TLS_MIN) | O(OPERATION_POLICY) | O(DEFAULT), O(SERVER),
	  N_("add a KMIP key management server to the cluster, or several that hold the same keys"),
	  N_("Only the Key Provider Service has credentials for it, each authority its own: then 'trust key-provider "
	  "trust NAME ...' and 'trust remediate'."), verb_trust_provider_add },
	{ "trust key-provider list", 0, 0, N_("list the key providers of the cluster"), NULL,
	  verb_trust_provider_list },
	{ "trust key-provider show KEY-PROVIDER", 0, 0,
	  N_("show one of them: servers, trust, and the credentials of this authority"), NULL,
	  verb_trust_provider_describe },
	{ "trust key-provider remove KEY-PROVIDER", 0, 0, N_("forget a key provider and the credentials for it"), NULL,
	  verb_trust_provider_remove },
	{ "trust key-provider trust KEY-PROVIDER csr", 0, 0,
	  N_("make a private key on this authority; print a certificate request for it"), NULL,
	  verb_trust_provider_csr },
	{ "trust key-provider trust KEY-PROVIDER self-signed", 0, 0,
	  N_("make a private key on this authority; print a self-signed certificate"), NULL,
	  verb_trust_provider_self_signed },
	{ "trust key-provider trust KEY-PROVIDER upload FILE", 0, 0,
	  N_("install the signed certificate (PEM) that came back for the request"), NULL,
	  verb_trust_provider_upload },
	{ "trust key-provider trust KEY-PROVIDER import CERT KEYFILE", 0, 0,
	  N_("install a certificate and private key (both PEM) made by the key server"),
	  N_("For servers that hand out both. Delete KEYFILE afterwards."), verb_trust_provider_import },
	{ "trust key-provider trust KEY-PROVIDER show", 0, 0,
	  N_("show the certificates that the servers present, with fingerprints"), NULL, verb_trust_provider_show },
	{ "trust key-provider trust KEY-PROVIDER pin", O(FINGERPRINT) | O(CA), 0,
	  N_("trust the servers by a fingerprint, or by the CA that signed for them, on every authority"),
	  N_("Exactly one of --fingerprint and --ca."), verb_trust_provider_pin },
	{ "trust principal add NAME", O(ROLE) | O(CERT) | O(FINGERPRINT), O(ROLE),
	  N_("give who shows a certificate a role at the services"),
	  N_("Exactly one of --cert and --fingerprint."), verb_trust_principal_add },
	{ "trust principal list", 0, 0, N_("list who has which role"), NULL, verb_trust_principal_list },
	{ "trust principal remove PRINCIPAL", 0, 0, N_("take the role away"), NULL, verb_trust_principal_remove },
	{ "trust policy show", 0, 0, N_("show what attestation asks of hosts"), NULL, verb_trust_policy_show },
	{ "trust policy set", O(PCRS) | O(SECURE_BOOT) | O(TOKEN_LIFETIME) | O(LEASE) | O(REQUIRE_EK) |
	  O(HOSTS_DESTROY), 0,
	  N_("change what attestation asks of hosts"), NULL, verb_trust_policy_set },
	{ "trust backup", O(OUT) | O(PASSWORD_FILE) | O(PASSWORD_FD), O(OUT),
	  N_("back all of this authority up into one file under a password"),
	  N_("State, cluster key, identities, token key, credentials of the key servers: whoever has the file and the "
	  "password is this Trust Authority."), verb_trust_backup },
	{ "trust restore FILE", O(PASSWORD_FILE) | O(PASSWORD_FD) | O(FORCE), 0,
	  N_("make this machine the authority that the backup was made of"), NULL, verb_trust_restore },
	{ "trust upgrade-check authority AUTHORITY", O(TO_VERSION) | O(FORCE), 0,
	  N_("may this authority be upgraded now?"), N_("Exit status 9: not now."), verb_trust_upgrade_authority },
	{ "trust upgrade-check hosts", O(TO_VERSION) | O(IMAGE) | O(FORCE), 0,
	  N_("may the trusted hosts be upgraded now?"),
	  N_("First all authorities, then the hosts, gradually, one by one. Exit status 9: not now."),
	  verb_trust_upgrade_hosts },
	{ "trust metrics", 0, 0, N_("print figures of this authority for node_exporter"), NULL, verb_trust_metrics },
	{ "trust service start [SERVICE]", 0, 0,
	  N_("start a service of this authority: attestation or key-provider, both when none is named"),
	  N_("By systemd; it does not change which services start with the machine (systemctl enable)."),
	  verb_trust_service_start },
	{ "trust service stop [SERVICE]", 0, 0, N_("stop it, or both"),
	  N_("Hosts go on with another authority of the cluster, if there is one."), verb_trust_service_stop },
	{ "trust service restart [SERVICE]", 0, 0, N_("restart it, or both, as after a change of their configuration"),
	  NULL, verb_trust_service_restart },
	{ "trust service status [SERVICE]", 0, 0, N_("show whether it runs, or both, and since when"),
	  N_("Exit status 9 when one of them does not run."), verb_trust_service_status },
	{ "trust service rotate-certificate SERVICE STEP", O(FORCE) | O(OUT), 0,
	  N_("give a service another certificate while hosts go on: announce, switch, finish"),
	  N_("Each STEP is followed by 'trust remediate'; before 'switch', wait until all hosts have attested once more. On an "
	  "authority that makes no changes, FILE of --out is for 'trust authority add' on the one that does."),
	  verb_trust_rotate },
	{ "trust host status [PROVIDER...]", 0, 0, N_("show what Trust Authorities say of this host"),
	  N_("Until when it is attested, or why not, and what differs from the base images that they know."),
	  verb_trust_host_status },
	{ "trust host attest PROVIDER", 0, 0, N_("prove to the authority what this host booted, now"),
	  N_("vmcryptd does so by itself before each token ends. Exit status 10 when the authority does not trust "
	  "this host, 8 when none answers."), verb_trust_host_attest },
	{ "trust host enroll PROVIDER", 0, 0, N_("make this host's TPM known to the authority anew, then attest"),
	  N_("vmcryptd does so by itself when it attests first; it is needed by hand after the list of TPMs or their "
	  "makers was changed at the authority."), verb_trust_host_enroll },
	{ "trust host-image export", O(OUT), 0, N_("write down what the firmware of this host measured, as a base image"),
	  N_("For 'vmcrypt trust base-image import' at the authority; on standard output without --out. After Quick Boot "
	  "(kexec) it is what was measured at the last full boot, and a message says so."), verb_host_image_export },

	{ "vm create NAME", O(DIR) | O(PROVIDER) | O(UUID) | O(HOME_SIZE), O(DIR),
	  N_("make an encrypted VM: its key, bundle and home volume"), NULL, verb_vm_create },
	{ "vm register FILE", O(FROM_HEADERS) | O(ALL), 0,
	  N_("make a VM known to this host from its bundle NAME.vmcrypt"),
	  N_("With --from-headers, FILE is one of the VM's volumes and the bundle is made anew from "
	  "the headers of the volumes beside it: for when the bundle is lost. With --all, FILE is a folder: "
	  "every VM below it, and every locked VM of this host anew, as on a rebuilt host."),
	  verb_vm_register },
	{ "vm unregister VM", 0, 0, N_("forget a VM that is off; its files stay"), NULL,
	  verb_vm_unregister },
	{ "vm reload VM", 0, 0, N_("read the bundle again and fetch missing keys"), NULL,
	  verb_vm_reload },
	{ "vm power-on VM", O(EXEC), 0,
	  N_("fetch keys that are missing, open the volumes, mount home"),
	  N_("With --exec, run COMMAND with VMCRYPT_VM, VMCRYPT_HOME and VMCRYPT_DISK_<NAME> in the "
	  "environment and {home} and {disk:NAME} replaced in its arguments, pass signals on to it, "
	  "power the VM off when it ends, and exit with its status."), verb_vm_power_on },
	{ "vm power-off VM", 0, 0, N_("unmount home, close the volumes, drop the keys from dm-crypt"),
	  NULL, verb_vm_power_off },
	{ "vm show VM", 0, 0, N_("show a VM: power, key state, volumes and their keys"), NULL,
	  verb_vm_show },
	{ "vm list", 0, 0, N_("list the registered VMs"), NULL, verb_vm_list },
	{ "vm unlock [VM...]", O(ALL), 0,
	  N_("fetch the keys of VMs in one go, as after a reboot"),
	  N_("Name VMs, or give --all. One that was locked with --now goes on where it stood."),
	  verb_vm_unlock },
	{ "vm lock VM", O(NOW), 0, N_("take the keys of a VM from this host until it is unlocked"),
	  N_("The VM is powered off first, or with --now suspended: its data is safe, and its guest waits. "
	  "Nothing but 'vm unlock' ends that."), verb_vm_lock },
	{ "vm set [VM...]", O(AUTOSTART) | O(UNIT) | O(MIGRATION_ENCRYPTION) | O(LIVE) | O(ALL), 0,
	  N_("change how a VM is treated on this host"),
	  N_("--autostart yes powers it on when the host starts, and with --unit a systemd service is started "
	  "then, which runs the VM on the open volumes. Domains of libvirt keep libvirt's own autostart. "
	  "--migration-encryption takes several VMs, patterns of names, or --all, also VMs that are not encrypted; "
	  "they must be off. An encrypted VM is always 'required'."),
	  verb_vm_set },
	{ "vm policies", 0, 0, N_("show whether migrations of VMs are encrypted"),
	  N_("VMs that are registered, and others for which something was set. All others are 'opportunistic'."),
	  verb_vm_policies },
	{ "vm recrypt [VM...]", O(SHALLOW) | O(DEEP) | O(ALL) | O(PROVIDER) | O(ADD_PROVIDER) |
	  O(REMOVE_PROVIDER) | O(DISK), 0,
	  N_("change keys: --shallow the key encryption key, --deep the data key too"),
	  N_("--shallow takes VMs or --all, and --provider to move them to another one, or --add-provider to "
	  "have two of them, either of which opens the VMs, until --remove-provider. --deep takes "
	  "one VM, which is off, and --disk. Both can be stopped and resume. Copies of old headers "
	  "open with the old key until that is destroyed; only --deep changes what encrypts the data."),
	  verb_vm_recrypt },

	{ "migrate VM",
	  O(TO) | O(PARALLEL) | O(POSTCOPY) | O(COPY_STORAGE) | O(DRY_RUN) | O(QMP) | O(TO_QMP), O(TO),
	  N_("move a VM that is on to another host, encrypted by both kernels"),
	  N_("What could stand in the way is looked at before anything moves. When it fails, the VM runs here as "
	  "before. An encrypted VM is always encrypted on its way; others as their policy says."), verb_migrate },

	{ "disk create VM NAME", O(SIZE) | O(PATH) | O(PROVIDER) | O(DM_FLAGS), 0,
	  N_("make an empty encrypted disk"),
	  N_("--size may be left out for a block device: then all of it is used."), verb_disk_create },
	{ "disk attach VM FILE", 0, 0, N_("add an existing encrypted disk of this VM"), NULL,
	  verb_disk_attach },
	{ "disk detach VM DISK", 0, 0, N_("take a disk out of a VM; its file stays"), NULL,
	  verb_disk_detach },
	{ "disk encrypt VM NAME",
	  O(SOURCE) | O(FORMAT) | O(PATH) | O(PROVIDER) | O(DM_FLAGS) | O(KEEP_SOURCE) | O(RATE),
	  O(SOURCE), N_("make an encrypted disk from an unencrypted image"),
	  N_("The VM must be off. The copy is checked before the source is removed; removal does not "
	  "wipe what the storage below still holds. Stopped work resumes."), verb_disk_encrypt },
	{ "disk open VM DISK", 0, 0, N_("open one disk and print its device"), NULL, verb_disk_open },
	{ "disk close VM DISK", 0, 0, N_("close one disk"), NULL, verb_disk_close },
	{ "disk set VM DISK", O(DM_FLAGS), O(DM_FLAGS), N_("set the dm-crypt flags of a disk"),
	  N_("They count from the next time the disk is opened."), verb_disk_set },
	{ "disk list VM", 0, 0, N_("list the disks of a VM"), NULL, verb_disk_list },

	{ "datastore create NAME DEVICE",
	  O(SIZE) | O(PROVIDER) | O(FS) | O(MOUNT) | O(AUTOOPEN) | O(DM_FLAGS) | O(FORCE), 0,
	  N_("make an encrypted datastore: a block device that holds the images of many VMs"),
	  N_("DEVICE is a disk, a partition, an LVM or Ceph volume, or a file to make, which needs --size. What is "
	  "on the device already is told, and destroyed with --force only."), verb_datastore_create },
	{ "datastore register NAME DEVICE", O(MOUNT) | O(AUTOOPEN) | O(DM_FLAGS), 0,
	  N_("make a datastore known to this host from its header"),
	  N_("One that another host made, or this one before it was set up anew. Its key must be to be had."),
	  verb_datastore_register },
	{ "datastore unregister DATASTORE", 0, 0, N_("forget a datastore that is closed; its data stays"), NULL,
	  verb_datastore_unregister },
	{ "datastore remove DATASTORE", O(FORCE), O(FORCE), N_("destroy a datastore that is closed, with all its data"),
	  N_("Refused while a registered VM lies on it. Its key stays on the provider."), verb_datastore_remove },
	{ "datastore open DATASTORE", 0, 0, N_("fetch its key if it is missing, open and mount it"),
	  N_("Prints where it is mounted. Powering on a VM that lies on it does the same."), verb_datastore_open },
	{ "datastore close DATASTORE", 0, 0, N_("unmount it, and take its key from the kernel"),
	  N_("Refused while a VM that lies on it is on."), verb_datastore_close },
	{ "datastore set DATASTORE", O(AUTOOPEN) | O(MOUNT), 0,
	  N_("tell whether it is opened when this host starts, and where it is mounted"), NULL, verb_datastore_set },
	{ "datastore unlock [DATASTORE...]", O(ALL), 0, N_("fetch the keys of locked datastores in one go"),
	  N_("Name datastores, or give --all. They stay closed, but 'datastore open' needs no key server then."),
	  verb_datastore_unlock },
	{ "datastore recrypt [DATASTORE...]",
	  O(SHALLOW) | O(ALL) | O(PROVIDER) | O(ADD_PROVIDER) | O(REMOVE_PROVIDER), O(SHALLOW),
	  N_("change the key encryption keys of datastores, open or closed"),
	  N_("As 'vm recrypt --shallow'."), verb_datastore_recrypt },
	{ "datastore show DATASTORE", 0, 0, N_("show a datastore: state, key, file system, and who lies on it"), NULL,
	  verb_datastore_show },
	{ "datastore list", 0, 0, N_("list the datastores of this host"), NULL, verb_datastore_list },

	{ "key list", 0, 0, N_("list the keys this host knows and whether they are cached"), NULL,
	  verb_key_list },
	{ "key status", 0, 0, N_("show which volume of which VM is under which key"), NULL,
	  verb_key_status },
	{ "key show KEY", 0, 0, N_("show one key and its state on the provider"), NULL,
	  verb_key_show },
	{ "key remove KEY", O(DESTROY) | O(FORCE), 0, N_("drop a key from this host's cache"),
	  N_("Refused while a VM uses it, unless --force."), verb_key_remove },

	{ "job list", 0, 0, N_("list jobs: those that run, and those that resume when vmcryptd starts"), NULL,
	  verb_job_list },
	{ "job abandon JOB", 0, 0, N_("roll a stopped job back"), NULL, verb_job_abandon },
	{ "alarm list", O(HISTORY), 0, N_("list what is wrong now"),
	  N_("An alarm clears by itself when its cause is gone."), verb_alarm_list },
	{ "alarm show ALARM", 0, 0, N_("show one alarm: cause, keys, and what to do"), NULL, verb_alarm_show },
	{ "alarm acknowledge [ALARM...]", O(ALL), 0, N_("say that somebody looks after it"),
	  N_("It stays raised until its cause is gone, and unlocks nothing. Name alarms, or give --all."),
	  verb_alarm_acknowledge },
	{ "audit list", O(SINCE) | O(VM) | O(KEY) | O(ACTOR) | O(LIMIT), 0,
	  N_("list who did what with which key, newest last"), NULL, verb_audit_list },
	{ "audit verify", O(FILE) | O(ANCHOR), 0, N_("look for entries of the audit log that were altered, cut or moved"),
	  N_("Exit status 7 when something is found."), verb_audit_verify },
	{ "audit head", 0, 0, N_("print the anchor SEQ:HASH of the newest entry, to be kept elsewhere"), NULL,
	  verb_audit_head },
	{ "audit export FILE", 0, 0, N_("write the whole audit log to a new file"), NULL, verb_audit_export },
	{ "event list", O(LIMIT) | O(FOLLOW) | O(SINCE) | O(VM) | O(TYPE), 0, N_("list what happened, newest last"),
	  N_("With --follow and --json, one JSON object a line."), verb_event_list },
	{ "status", 0, 0, N_("tell whether all is well, and if not, what to type"),
	  N_("Then module, key providers and VMs at a glance."), verb_status },
	{ "metrics", 0, 0, N_("print the figures that monitoring reads"),
	  N_("In the text format of Prometheus; [metrics] in vmcrypt.conf has them written to a file."), verb_metrics },
	{ "doctor", 0, 0, N_("check this host; for each finding say what to type"),
	  N_("Exit status 0 when nothing failed, 10 otherwise; warnings do not count."),
	  verb_doctor },
	{ "version", 0, 0, N_("print the versions of client, daemon and module"), NULL,
	  verb_version },
	{ "help [TOPIC...]", 0, 0, N_("explain a verb family or a verb"), NULL, verb_help },
	{ "libvirt-hook DOMAIN OPERATION STAGE EXTRA", VERB_HIDDEN, 0,
	  N_("open and close the volumes of a libvirt domain"),
	  N_("libvirt calls it, with the domain's XML on standard input, by /etc/libvirt/hooks/qemu.d/vmcrypt."),
	  verb_libvirt_hook },
};

const size_t n_verbs = sizeof(verbs) / sizeof(verbs[0]);

size_t pattern_split(const char *p, struct pattern_word w[OPERANDS_MAX])
{
	size_t n = 0;

	while (*p && n < OPERANDS_MAX) {
		struct pattern_word *word = &w[n++];
		size_t len = strcspn(p, " ");
		const char *next = p + len;

		memset(word, 0, sizeof(*word));
		if (*p == '[') {
			word->optional = true;
			p++;
			len -= 2;
		}
		if (len > 3 && !memcmp(p + len - 3, "...", 3)) {
			word->repeated = true;
			len -= 3;
		}
		word->text = p;
		word->len = len;
		word->operand = isupper((unsigned char)*p);
		p = next + strspn(next, " ");
	}
	return n;
}

static bool word_is(const struct pattern_word *w, const char *s)
{
	return strlen(s) == w->len && !memcmp(s, w->text, w->len);
}

bool verb_has_prefix(const struct verb *v, const char *const *words, size_t n)
{
	struct pattern_word w[OPERANDS_MAX];
	size_t n_pat = pattern_split(v->pattern, w), i;

	for (i = 0; i < n; i++) {
		if (i >= n_pat)
			return n_pat && w[n_pat - 1].repeated;
		if (w[i].repeated)
			return true;
		if (!w[i].operand && !word_is(&w[i], words[i]))
			return false;
	}
	return true;
}

/* How many literal words a verb has in common with what was typed. */
static size_t literals_matched(const struct verb *v, const struct args *a)
{
	struct pattern_word w[OPERANDS_MAX];
	size_t n = pattern_split(v->pattern, w), i, matched = 0;

	for (i = 0; i < n && i < a->n_words; i++) {
		if (w[i].operand)
			continue;
		if (!word_is(&w[i], a->words[i]))
			break;
		matched = i + 1;
	}
	return matched;
}

static bool all_literals(const struct verb *v, const struct args *a)
{
	struct pattern_word w[OPERANDS_MAX];
	size_t n = pattern_split(v->pattern, w), i;

	for (i = 0; i < n; i++)
		if (!w[i].operand && (i >= a->n_words || !word_is(&w[i], a->words[i])))
			return false;
	return true;
}

/* Join the first @n typed words. */
static void join_words(const struct args *a, size_t n, char *out, size_t size)
{
	size_t i, used = 0;

	*out = '\0';
	for (i = 0; i < n && used < size; i++)
		used += snprintf(out + used, size - used, "%s%s", i ? " " : "", a->words[i]);
}

/*
 * No verb fits: @good words were right, the next is missing or wrong. Name it,
 * and the nearest literal that could have stood there.
 */
static int no_such_verb(const struct args *a, size_t good, struct vmc_error *err)
{
	char names[64][24], typed[160], said[160];
	const char *list[64], *near;
	size_t i, n = 0;

	for (i = 0; i < n_verbs && n < 64; i++) {
		struct pattern_word w[OPERANDS_MAX];
		size_t n_pat = pattern_split(verbs[i].pattern, w);

		if (n_pat <= good || w[good].operand || !verb_has_prefix(&verbs[i], a->words, good))
			continue;
		/* those of a family stand together */
		if (n && word_is(&w[good], names[n - 1]))
			continue;
		snprintf(names[n], sizeof(names[n]), "%.*s", (int)w[good].len, w[good].text);
		list[n] = names[n];
		n++;
	}
	join_words(a, good, said, sizeof(said));
	if (a->n_words <= good) {
		vmc_fail(err, VMC_EINVAL, "'%s' is not complete", *said ? said : "vmcrypt");
		vmc_hint(err, "'vmcrypt %s%s--help' lists what may follow", said, *said ? " " : "");
		return VMC_EINVAL;
	}
	join_words(a, good + 1, typed, sizeof(typed));
	vmc_fail(err, VMC_EINVAL, "unknown verb '%s'", typed);
	near = nearest_word(a->words[good], list, n);
	if (near)
		vmc_hint(err, "did you mean '%s%s%s'?", said, *said ? " " : "", near);
	else
		vmc_hint(err, "'vmcrypt %s%s--help' lists the verbs there are", said,
			 *said ? " " : "");
	return VMC_EINVAL;
}

/* Collect the operands: those words that stand where the pattern has upper case. */
static int take_operands(struct cli *c, struct vmc_error *err)
{
	struct pattern_word w[OPERANDS_MAX];
	size_t n = pattern_split(c->verb->pattern, w), i;
	bool more = n && w[n - 1].repeated;
	const struct args *a = &c->args;

	for (i = 0; i < n; i++) {
		if (i < a->n_words || w[i].optional)
			continue;
		vmc_fail(err, VMC_EINVAL, "'%s' needs %.*s", c->verb->pattern, (int)w[i].len,
			 w[i].text);
		vmc_hint(err, "usage: vmcrypt %s; 'vmcrypt help' with these words tells more",
			 c->verb->pattern);
		return VMC_EINVAL;
	}
	if (a->n_words > n && !more) {
		vmc_fail(err, VMC_EINVAL, "'%s' is one word too many", a->words[n]);
		vmc_hint(err, "usage: vmcrypt %s", c->verb->pattern);
		return VMC_EINVAL;
	}
	for (i = 0; i < a->n_words; i++) {
		if (i < n && !w[i].operand)
			continue;
		if (!*a->words[i])
			return vmc_fail(err, VMC_EINVAL, "%.*s must not be empty",
					(int)w[i < n ? i : n - 1].len, w[i < n ? i : n - 1].text);
		c->operands[c->n_operands++] = a->words[i];
	}
	return 0;
}

static int check_options(const struct cli *c, struct vmc_error *err)
{
	optset foreign = c->args.given & ~(c->verb->options | OPTS_GLOBAL);
	optset missing = c->verb->required & ~c->args.given;
	int i;

	for (i = 0; i < OPT__N; i++) {
		if (foreign >> i & 1) {
			vmc_fail(err, VMC_EINVAL, "'%s' has no option '--%s'", c->verb->pattern,
				 opt_defs[i].name);
			vmc_hint(err, "add --help to see the options it has");
			return VMC_EINVAL;
		}
		if (missing >> i & 1)
			return vmc_fail(err, VMC_EINVAL, "'%s' needs the option '--%s %s' (%s)",
					c->verb->pattern, opt_defs[i].name, opt_defs[i].metavar,
					opt_defs[i].help);
	}
	if (c->args.command && !args_has(&c->args, OPT_EXEC)) {
		vmc_fail(err, VMC_EINVAL, "words after '--' have no meaning without --exec");
		vmc_hint(err, "vmcrypt vm power-on VM --exec -- COMMAND");
		return VMC_EINVAL;
	}
	return 0;
}

int verb_find(struct cli *c, struct vmc_error *err)
{
	size_t i, m, best = 0;
	int r;

	for (i = 0; i < n_verbs; i++) {
		m = literals_matched(&verbs[i], &c->args);
		if (m > best)
			best = m;
		if (all_literals(&verbs[i], &c->args))
			c->verb = &verbs[i];
	}
	if (!c->verb) {
		/* "provider trust kms1" is right so far: the operand counts as a good word */
		while (best < c->args.n_words) {
			bool operand = false;

			for (i = 0; i < n_verbs && !operand; i++) {
				struct pattern_word w[OPERANDS_MAX];
				size_t n_pat = pattern_split(verbs[i].pattern, w);

				operand = best && n_pat > best && w[best].operand &&
					  verb_has_prefix(&verbs[i], c->args.words, best);
			}
			if (!operand)
				break;
			best++;
		}
		return no_such_verb(&c->args, best, err);
	}
	r = take_operands(c, err);
	return r ? r : check_options(c, err);
}
