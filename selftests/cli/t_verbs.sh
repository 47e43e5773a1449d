# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Every verb: what it prints in both forms, and what it sends.

id=11111111-1111-4111-8111-111111111111
cat > cert.pem <<'PEM'
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
PEM
cat > key.pem <<'PEM'
-----BEGIN PRIVATE KEY-----
c2VjcmV0
-----END PRIVATE KEY-----
PEM
start_mock

both "provider add kmip" "provider 'kms1' added with 2 servers*Next: vmcrypt provider trust kms1 csr*" \
	provider add kmip kms1 --server a --server b:5697 --username u --tls-min 1.3 --operation-policy p
called "provider add kmip sends" 'org.vmcrypt1.Manager.AddProvider sss kmip kms1 {"servers":["a","b:5697"],"username":"u","tls_min":"1.3","operation_policy":"p"}'
run provider add kmip kms1 --server a --ca cert.pem --default
expect "provider add kmip --ca --default" 0 "provider 'kms1' added with 1 server*" ''
called "it becomes the default last" 'org.vmcrypt1.Manager.SetDefaultProvider s kms1'
if grep -q '^org.vmcrypt1.Provider.Trust ss pin {"ca_pem":"-----BEGIN CERTIFICATE' calls; then
	ok "the CA is pinned"
else
	not_ok "the CA is pinned" "$(cat calls)"
fi
run provider add kmip other --server a --default
expect "an add that cannot be completed is taken back" 4 '' "*provider 'other' is there but not complete*"
called "taken back" 'org.vmcrypt1.Manager.RemoveProvider s other'
run provider add kmip kms1 --server a --ca key.pem
expect "a CA file that is no certificate" 1 '' "*holds a PRIVATE KEY, not a CERTIFICATE*"
both "provider list" 'NAME  KIND  DEFAULT  STATE    SERVERS*kms1  kmip  yes      healthy  a.example:5696, b.example:5697' provider list
both "provider show" 'Name:*Kind:*Servers:*a.example*Client certificate:*' provider show kms1
both "provider test" '*a.example  5696  yes*connection [?]?31mrefused*Warning: *' provider test kms1
both "provider default" "provider 'kms1' is the default now" provider default kms1
both "provider remove" "provider 'kms1' removed*" provider remove kms1
called "provider remove sends" 'org.vmcrypt1.Manager.RemoveProvider s kms1'
run provider remove foo
expect "remove what is not there" 4 '' "vmcrypt: there is no provider 'foo'*Hint: there are: kms1"
run provider show foo
expect "show what is not there" 4 '' "vmcrypt: there is no provider 'foo'*Hint: 'vmcrypt provider list'*"
run provider trust kms1 csr
expect "trust csr: PEM alone" 0 '-----BEGIN CERTIFICATE REQUEST-----*-----END-----' 'Next: *upload FILE'
run provider trust kms1 csr --json
is_json "trust csr, --json"
run provider trust kms1 self-signed
expect "trust self-signed" 0 '-----BEGIN CERTIFICATE-----*' 'Next: *provider test kms1'
both "trust upload" '*installed*Next: vmcrypt provider test kms1' provider trust kms1 upload cert.pem
called "trust upload sends" 'org.vmcrypt1.Provider.Trust ss upload {"pem":"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}'
both "trust import" '*installed*shred -u key.pem*' provider trust kms1 import cert.pem key.pem
called "trust import sends" 'org.vmcrypt1.Provider.Import sh -----BEGIN CERTIFICATE-----~MIIB~-----END CERTIFICATE-----~ -----BEGIN PRIVATE KEY-----~c2VjcmV0~-----END PRIVATE KEY-----~'
both "trust show" 'a.example:5696  not trusted*SHA-256    AA:BB*b.example:5697  connection refused*Hint: start it*pin --fingerprint*' provider trust kms1 show
both "trust pin" '*by the fingerprint*' provider trust kms1 pin --fingerprint AA:BB
called "trust pin sends" 'org.vmcrypt1.Provider.Trust ss pin {"fingerprint":"AA:BB"}'

both "provider add native" "native key provider 'kms1' added*Next: vmcrypt provider export kms1 --out kms1.p12*" \
	provider add native kms1
called "provider add native sends" 'org.vmcrypt1.Manager.AddProvider sss native kms1 {}'
run provider add native kms1 --insecure-no-tpm
expect "provider add native --insecure-no-tpm" 0 "*Warning: its KDK is not sealed*" ''
called "it says so to the daemon" 'org.vmcrypt1.Manager.AddProvider sss native kms1 {"insecure_no_tpm":true}'
printf 'correct horse\nsecond line\n' > pass
run provider export kms1 --out kms1.p12 --password-file pass
expect "provider export" 0 "key provider 'kms1' is backed up in '$work/kms1.p12'*" ''
called "its first line is the password, and travels as a file" 'org.vmcrypt1.Provider.Export hh correct horse  '
if [ "$(stat -c %a kms1.p12)" = 600 ]; then ok "the backup is for its owner"; else not_ok "the backup is for its owner"; fi
run provider export kms1 --out kms1.p12 --password-file pass
expect "a backup is not overwritten" 5 '' "*cannot make '$work/kms1.p12'*never overwritten*"
run provider export foo --out foo.p12 --password-file pass
expect "export of what is not there" 4 '' "vmcrypt: there is no provider 'foo'*"
if [ -e foo.p12 ]; then not_ok "no file is left behind"; else ok "no file is left behind"; fi
setsid "$cli" provider export kms1 --out tty.p12 > out 2> err < /dev/null
rc=$? out=$(cat out) err=$(cat err)
expect "without a terminal it must be given" 1 '' "*no terminal*Hint: *--password-file FILE*"
run provider export kms1 --out no.p12 --password-file pass --password-fd 0
expect "one way to give a password" 1 '' "*either --password-file or --password-fd*"
: > empty
run provider export kms1 --out no.p12 --password-file empty
expect "an empty password" 1 '' "*empty: the password is empty"
run provider export kms1 --out no.p12 --password-fd 77
expect "a descriptor that is not open" 1 '' "*'77' is no open file descriptor*"
printf 'backup' > in.p12
both "provider import" "key provider 'nkp' (key id $id) is on this host now*" \
	provider import in.p12 --password-file pass --key-id "$id" --insecure-no-tpm
called "provider import sends" "org.vmcrypt1.Manager.ImportProvider hha{sv} backup correct horse {insecure_no_tpm true  key_id $id  } "
exec 8< pass
run provider import in.p12 --password-fd 8
exec 8<&-
expect "a password from a descriptor" 0 '*on this host now*' ''
run provider import missing.p12 --password-file pass
expect "no such backup" 4 '' "*cannot open 'missing.p12'*"

both "host persistence status" 'Key persistence: on, but the stored keys do not open*Stored keys: 12*Sealed to: PCR 7 (sha256)*next 2 starts*Problem: PCR 7 changed*What to do: vmcrypt host persistence reseal*TPM: IBM at device:/dev/tpmrm0, in lockout*kms1*kmip*yes*' host persistence status
both "host persistence enable" 'key persistence is on*3 keys were fetched*kms1/43*gone*' host persistence enable --provider kms1
called "host persistence enable sends" 'org.vmcrypt1.Host.PersistenceEnable a{sv} {provider kms1  }'
both "host persistence disable" 'key persistence is off, and nothing is left*' host persistence disable --remove-all-stored-keys
called "host persistence disable sends" 'org.vmcrypt1.Host.PersistenceDisable a{sv} {remove_all true  }'
run host persistence disable --provider kms1
expect "disable for one provider" 0 "the keys of provider 'kms1' are not kept any more" ''
both "host persistence reseal" 'the stored keys are sealed*' host persistence reseal --new-tpm
called "host persistence reseal sends" 'org.vmcrypt1.Host.PersistenceReseal a{sv} {new_tpm true  }'
printf '000011-000022\n' > recovery
run host persistence reseal --recovery-key recovery
expect "reseal by the recovery key" 0 'the stored keys are sealed*' ''
if grep -q '^org.vmcrypt1.Host.PersistenceRecover ha{sv}' calls; then
	ok "it goes by a file of its own"
else
	not_ok "it goes by a file of its own" "$(grep Persist calls)"
fi
run host persistence reseal --recovery-key missing
expect "no such recovery key" 4 '' "*cannot read the recovery key from*missing*"
both "host persistence suspend" 'the next 2 starts*' host persistence suspend --reboots 2
called "host persistence suspend sends" 'org.vmcrypt1.Host.PersistenceSuspend u 2'
run host persistence suspend
expect "suspend for how long" 1 '' "*--reboots*"
both "host persistence recovery-key" '000011-000022' host persistence recovery-key
run host persistence recovery-key --force
expect "another recovery key" 0 '000011-000022' ''

both "datastore create" "datastore 'fast' created, id $id*Next: vmcrypt datastore open fast*" \
	datastore create fast vdb --fs xfs --mount mnt --size 10G --provider kms1 --autoopen no --force
called "datastore create sends" "org.vmcrypt1.Datastores.CreateDatastore ssa{sv} fast $work/vdb {mount $work/mnt  autoopen no  provider kms1  fs xfs  size 10737418240  force true  }"
run datastore create other /dev/vdb
expect "its refusal is told" 4 '' "*there is no datastore 'other'*"
both "datastore register" "datastore 'fast' registered, id $id*" datastore register fast /dev/vdb
called "datastore register sends" 'org.vmcrypt1.Datastores.RegisterDatastore ssa{sv} fast /dev/vdb {}'
both "datastore open" '/srv/fast' datastore open fast
both "datastore close" "datastore 'fast' is closed" datastore close fast
both "datastore set" "*'fast' is mounted at '/srv/fast', and opened when this host starts" datastore set fast --autoopen yes
called "datastore set sends" 'org.vmcrypt1.Datastores.SetDatastore sa{sv} fast {autoopen yes  }'
run datastore set fast
expect "set what" 1 '' "*set what?*--autoopen yes|no*"
both "datastore unlock" '1 datastore unlocked' datastore unlock fast
run datastore unlock
expect "unlock which" 1 '' "*which datastores?*--all*"
both "datastore recrypt" '1 datastore under a new key encryption key' datastore recrypt --shallow --all --provider kms1
called "datastore recrypt sends" 'org.vmcrypt1.Datastores.RecryptDatastores asa{sv} {} {provider kms1  }'
both "datastore show" '*State:*open*Autoopen:*yes*web1*on*' datastore show fast
both "datastore list" 'NAME  OPEN  STATE  CAUSE  PROVIDER  DEVICE        MOUNT         FREE  VMS*fast  open  ok*kms1*/dev/vg/fast  /srv/fast  1*web1*' datastore list
both "datastore unregister" "datastore 'fast' unregistered*" datastore unregister fast
both "datastore remove" "datastore 'fast' removed with all its data" datastore remove fast --force
called "datastore remove sends" 'org.vmcrypt1.Datastores.RemoveDatastore s fast'

both "vm create" "VM 'web1' created, id $id*Next: vmcrypt disk create web1*" vm create web1 --dir vm --home-size 128M --uuid "$id" --provider kms1
run vm create web1 --dir vm --home-size 128M --uuid "$id" --provider kms1
if grep -q "^org.vmcrypt1.Manager.CreateVM ssa{sv} web1 $work/vm {uuid $id  provider kms1  home_size 134217728  }" calls; then
	ok "vm create sends an absolute folder and its options"
else
	not_ok "vm create sends an absolute folder and its options" "$(grep Create calls)"
fi
run vm create taken --dir vm
expect "vm create, name taken" 5 '' "vmcrypt: there is a VM 'taken' already"
both "vm register" "VM 'web1' registered*" vm register vm/web1.vmcrypt
run vm register vm/disk.img --from-headers
if grep -q "RegisterVM sa{sv} $work/vm/disk.img {from_headers true  }" calls; then
	ok "vm register --from-headers sends"
else
	not_ok "vm register --from-headers sends" "$(grep Register calls)"
fi
both "vm unregister" "VM 'web1' unregistered*" vm unregister web1
called "vm unregister sends" 'org.vmcrypt1.VM.Unregister -'
both "vm reload" "VM 'web1' reloaded" vm reload web1
called "vm reload sends" 'org.vmcrypt1.VM.Reload -'
both "vm power-on" "VM 'web1' is on*home  /run/vmcrypt/home/$id*disk  /dev/mapper/vmcrypt-$id-root  root*" vm power-on web1
both "vm power-off" "VM 'web1' is off" vm power-off web1
both "vm show" "ID: *Key state: ok*VOLUME  PATH *home *root*" vm show web1
both "vm list" 'NAME   ID *POWER  STATE    CAUSE      PROVIDER  DISKS*clash*invalid  kms-error*' vm list
run vm unlock --all
expect "vm unlock: status and reason of the first failure" 6 '1 of 2 VMs unlocked, 1 not*Timing:*KMS:*12 ms*' "VM 'clash': key kms1/44 is not on the servers*Hint: restore it there"
called "vm unlock --all sends" 'org.vmcrypt1.Manager.UnlockVMs as {}'
run vm unlock web1 clash --json
expect "vm unlock, --json" 6 '{*"results"*}' ''
is_json "vm unlock, one JSON value"
called "vm unlock sends" 'org.vmcrypt1.Manager.UnlockVMs as {web1 clash }'
run vm recrypt --shallow web1 clash --provider kms1
expect "vm recrypt --shallow" 6 '1 of 2 VMs under a new key encryption key*' '*'
called "vm recrypt --shallow sends" 'org.vmcrypt1.Manager.RecryptShallow asa{sv} {web1 clash } {provider kms1  }'
run vm recrypt --shallow --all --add-provider nkp
expect "vm recrypt --add-provider" 6 '1 of 2 VMs opened by the provider, too*' '*'
called "vm recrypt --add-provider sends" 'org.vmcrypt1.Manager.RecryptShallow asa{sv} {} {add_provider nkp  }'
run vm recrypt --shallow --all --remove-provider nkp
called "vm recrypt --remove-provider sends" 'org.vmcrypt1.Manager.RecryptShallow asa{sv} {} {remove_provider nkp  }'
run vm recrypt --shallow --all --remove-provider nkp --provider kms1
expect "one of them" 1 '' '*one of them*'
run vm recrypt --deep web1 --add-provider nkp
expect "a second key is for --shallow" 1 '' '*go with --shallow*'
both "vm recrypt --deep" "VM 'web1': home volume and all disks written anew*" vm recrypt --deep web1
run vm recrypt --deep web1 --disk root
expect "vm recrypt --deep --disk" 0 "VM 'web1': disk 'root' written anew*" ''
called "vm recrypt --deep sends" 'org.vmcrypt1.VM.RecryptDeep s root'

both "disk create" "disk 'd' of VM 'web1' created" disk create web1 d --size 1G --dm-flags no_read_workqueue
called "disk create sends" 'org.vmcrypt1.VM.CreateDisk sa{sv} d {size 1073741824  dm_flags no_read_workqueue  }'
both "disk attach" "'$work/vm/d.img' attached*" disk attach web1 vm/d.img
called "disk attach sends" "org.vmcrypt1.VM.AttachDisk s $work/vm/d.img"
both "disk detach" "disk 'd' of VM 'web1' detached*" disk detach web1 d
called "disk detach sends" 'org.vmcrypt1.VM.DetachDisk s d'
both "disk encrypt" "disk 'd' of VM 'web1' encrypted and checked*removed" disk encrypt web1 d --source vm/plain.img --rate 10M --format raw
called "disk encrypt sends" "org.vmcrypt1.VM.EncryptDisk ssa{sv} d $work/vm/plain.img {format raw  rate 10485760  }"
run disk encrypt web1 d --source vm/plain.img --keep-source
expect "disk encrypt --keep-source" 0 '*source is still there' ''
both "disk open" "/dev/mapper/vmcrypt-$id-root*" disk open web1 root
both "disk close" "disk 'root' of VM 'web1' closed" disk close web1 root
both "disk set" "disk 'root' of VM 'web1' has new*" disk set web1 root --dm-flags ''
called "disk set sends" 'org.vmcrypt1.VM.SetDiskFlags ss root '
both "disk list" 'NAME    PATH *OPEN  DEVICE *root *no *' disk list web1

both "key list" 'ID       CACHED  VOLUMES  VMS*kms1/42  yes*' key list
both "key status" '3 keys known, 2 cached, 2 in use by VMs*web1  data-1  kms1/43  no' key status
both "key show" 'ID: *State: *Active' key show kms1/42
both "key remove" "key 'kms1/9' removed from this host's cache*" key remove kms1/9
run key remove kms1/9 --destroy --force
expect "key remove --destroy" 0 "key 'kms1/9' destroyed*" ''
called "key remove sends" 'org.vmcrypt1.Manager.RemoveKey sa{sv} kms1/9 {destroy true  force true  }'
run key remove kms1/42
expect "key remove, in use" 5 '' "*in use by VM 'web1'*Hint: add --force"
both "job list" 'no job runs, and none was left half done' job list
both "job abandon" "job 'j1' rolled back" job abandon j1
both "event list" 'TIME *provider-added*vm-changed*' event list --limit 2
called "event list sends" 'org.vmcrypt1.Manager.ListEvents ua{sv} 2 {}'
both "event list, chosen" 'TIME *' event list --vm web1 --type vm-changed --since 2026-01-31
called "event list sends what was chosen" 'org.vmcrypt1.Manager.ListEvents ua{sv} 50 {since 1769817600  vm web1  type vm-changed  }'
run event list --since yesterday
expect "a time that is none" 1 '' "*'yesterday' is no point in time*Hint: for instance 2h*"
both "alarm list" 'ID  SEVERITY  TYPE *ABOUT*critical  vm-locked  clash *' alarm list
called "alarm list sends" 'org.vmcrypt1.Manager.ListAlarms b false'
both "alarm list --history" 'ID *CLEARED*' alarm list --history
called "alarm list --history sends" 'org.vmcrypt1.Manager.ListAlarms b true'
both "alarm show" '*Cause: *kms-error*Remedy:*vmcrypt vm unlock clash*' alarm show 3
run alarm show 9
expect "alarm show, none such" 4 '' "*no alarm '9'*Hint: *--history*"
both "alarm acknowledge" 'acknowledged;*vmcrypt status*' alarm acknowledge 3
called "alarm acknowledge sends" 'org.vmcrypt1.Manager.AcknowledgeAlarm s 3'
run alarm acknowledge --all
called "alarm acknowledge --all sends" 'org.vmcrypt1.Manager.AcknowledgeAlarm s '
run alarm acknowledge
expect "acknowledge nothing" 1 '' '*which alarms[?]*--all*'
run alarm acknowledge 9
expect "acknowledge what is not raised" 4 '' "*no alarm '9'*"
both "vm lock" "VM 'web1' is locked*vmcrypt vm unlock web1" vm lock web1 --now
called "vm lock --now sends" 'org.vmcrypt1.VM.Lock b true'
both "vm set --autostart" "VM 'web1' is powered on when the host starts" vm set web1 --autostart yes
called "vm set --autostart sends" 'org.vmcrypt1.VM.SetAutostart bs true  '
both "vm set --unit" "*then unit 'qemu@web1.service' is started" vm set web1 --autostart yes --unit qemu@web1.service
called "vm set --unit sends" 'org.vmcrypt1.VM.SetAutostart bs true qemu@web1.service'
both "vm set --autostart no" "VM 'web1' does not start with the host" vm set web1 --autostart no
run vm set web1
expect "vm set wants something to set" 1 '' "*nothing to set*Hint: *help vm set*"
run vm set web1 'db-*' --migration-encryption required --live
expect "vm set --migration-encryption" 6 '1 of 2 VMs set, 1 not*' "VM 'clash': *"
called "vm set --migration-encryption sends" 'org.vmcrypt1.Manager.SetMigrationEncryption assa{sv} {web1 db-* } required {live true  }'
run vm set --all --migration-encryption disabled
called "vm set --all sends" 'org.vmcrypt1.Manager.SetMigrationEncryption assa{sv} {} disabled {}'
run vm set --migration-encryption disabled
expect "vm set: all VMs are never meant by saying nothing" 1 '' "*which VMs?*"
run vm set web1 --migration-encryption sometimes
expect "vm set: no such policy" 1 '' "*sometimes*"
run vm set web1 --live --autostart no
expect "vm set: --live is for the policy" 1 '' "*--live goes with --migration-encryption"
run vm set web1 clash --autostart no
expect "vm set: autostart of one VM at a time" 1 '' "*exactly one VM*"
both "vm policies" "NAME *MIGRATION *ENCRYPTED*plain *disabled *no*" vm policies
run vm set web1 --autostart no --unit x.service
expect "vm set: a unit is for autostart" 1 '' "*--unit goes with --autostart yes"
run vm register --all vm
expect "vm register --all" 0 '1 VM registered*' ''
called "vm register --all sends" "org.vmcrypt1.Manager.RegisterMany sa{sv} $work/vm {}"
both "metrics" '[#] HELP vmcrypt_module_loaded*' metrics
both "status" "2 things need attention*1. VM 'clash' (critical, alarm 3)*Why: *KMS cluster error. no server of key provider 'kms1' answers*Do:  vmcrypt provider test kms1*        vmcrypt vm unlock clash*2. *vmcryptd 0.1.0, kernel module 0.1.0*KEY PROVIDER*kms1*clash  off    invalid*" status
both "version" 'vmcrypt  *vmcryptd *module   *' version
run doctor
expect "doctor" '[01]*' "*ok    daemon: vmcryptd is running*warn  provider kms1: the certificate of server a.example expires in 20 days*warn  VMs: clash: Virtual machine is locked*-> vmcrypt provider test kms1; vmcrypt vm unlock clash*warn  reboot: VM 'web1' would be locked if this host rebooted now: keys are missing on KMS cluster*-> ask for kms1/43*" ''
stop_mock

start_mock empty
for v in "provider list" "vm list" "key list" "event list" "job list"; do
	# shellcheck disable=SC2086
	run $v
	expect "$v, nothing there" 0 '[nt]*' ''
done
run vm unlock --all
expect "vm unlock, all well" 0 '2 VMs unlocked*' ''
run provider test kms1
expect "provider test, none reachable" 8 'SERVER*' ''
both "status, all well" 'All well: 0 VMs, 1 key providers*no VM is registered' status
run doctor
expect "doctor, no provider" '[01]*' '*warn  providers: there is no key provider yet*-> vmcrypt provider add kmip*' ''
stop_mock
