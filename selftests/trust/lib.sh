# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - two authorities, a key server and trusted hosts on one segment.
#
#	HOSTS=(ta1 ta2 host1)
#	machines_up
#	cluster_made		# of ta1 and ta2, whose key server is on ta2
#	host_known host1	# its TPM and its image
#	host_joined host1	# it has the provider "ta"
#
# Each of them is many tests. $lab_of/NAME/lab is what a host sees as /lab: files go from one to another there.

# shellcheck source=../lib.sh
. "$LAB_TREE/selftests/lib.sh"
# shellcheck source=../hosts.sh
. "$LAB_TREE/selftests/hosts.sh"

declare -A ADDRESS=([ta1]=192.0.2.1 [ta2]=192.0.2.2 [ta3]=192.0.2.3 [host1]=192.0.2.11 [host2]=192.0.2.12)
names="${ADDRESS[ta2]} kms"
for name in "${!ADDRESS[@]}"; do
	names+=",${ADDRESS[$name]} $name"
done

member()
{
	on "$1" "$here/member.sh" "${@:2}"
}

# file_of NAME FILE: the file that host NAME has as /lab/FILE
file_of()
{
	printf '%s\n' "$VMCRYPT_LAB/$1/lab/$2"
}

# bring FILE FROM TO: what was /lab/FILE on the one is there on the other
bring()
{
	cp "$(file_of "$2" "$1")" "$(file_of "$3" "$1")"
}

# tpm_made NAME: a TPM for a host that has not been started yet, with the certificate that its maker gives it.
# $VMCRYPT_LAB/maker.pem: the maker's CA.
tpm_made()
{
	local conf=$VMCRYPT_LAB/maker tpm=$VMCRYPT_LAB/$1/tpm

	mkdir -p "$conf" "$tpm"
	printf 'create_certs_tool=swtpm_localca\ncreate_certs_tool_config=%s\ncreate_certs_tool_options=%s\nactive_pcr_banks = sha256\n' \
		"$conf/ca.conf" "$conf/ca.options" >"$conf/setup.conf"
	printf 'statedir = %s\nsigningkey = %s/signkey.pem\nissuercert = %s/issuercert.pem\ncertserial = %s/certserial\n' \
		"$conf" "$conf" "$conf" "$conf" >"$conf/ca.conf"
	printf -- '--platform-manufacturer test\n--platform-version 2.1\n--platform-model qemu\n' >"$conf/ca.options"
	swtpm_setup --tpm2 --tpmstate "$tpm" --config "$conf/setup.conf" --create-ek-cert --ecc --overwrite >"$conf/log" 2>&1 ||
		bail "no TPM for $1: $(tail -n 5 "$conf/log")"
	cp "$conf/issuercert.pem" "$VMCRYPT_LAB/maker.pem"
}

# machine_up NAME OPTION...: boots it, and starts what runs on it
machine_up()
{
	local name=$1 what=trusted
	local options=(--kernel "$LAB_KERNEL_SERIES" --dbus --timeout 900 --net wire --addr "${ADDRESS[$1]}/24" --hosts "$names")

	case $name in
	ta*)
		what=authority
		options+=(--no-module --mem 768 --cpus 1)
		;;
	*)
		options+=(--tpm --mem 1024 --cpus 1)
		[ -e "$VMCRYPT_LAB/$name/tpm/tpm2-00.permall" ] || tpm_made "$name"
		;;
	esac
	"$lab" up "$name" "${options[@]}" "${@:2}" && member "$name" "$what"
}

# machines_up: all of HOSTS, at once
machines_up()
{
	local host pids=() i down=

	for host in "${HOSTS[@]}"; do
		case $host in
		ta*) ;;
		*) tpm_made "$host" ;;
		esac
		machine_up "$host" >"$VMCRYPT_LAB/$host.log" 2>&1 &
		pids+=($!)
	done
	for i in "${!HOSTS[@]}"; do
		wait "${pids[i]}" || down+=" ${HOSTS[i]}"
	done
	for host in $down; do
		diag "$(tail -n 10 "$VMCRYPT_LAB/$host.log")"
	done
	[ -z "$down" ] || bail "these do not come up:$down"
	ok "these are up: ${HOSTS[*]}"
}

# authority_joined NAME: another authority comes into the cluster of ta1
authority_joined()
{
	check "the services info is written" 'dc1' 0 on ta1 sh -c 'rm -f /lab/dc1.json; exec vmcrypt trust services-info --out /lab/dc1.json'
	check "it comes to $1" '' 0 bring dc1.json ta1 "$1"
	check "$1 joins" "takes the desired state of cluster 'dc1'" 0 on "$1" vmcrypt trust join /lab/dc1.json
	authority_added "$1"
}

# authority_added NAME: by what it shows of itself
authority_added()
{
	check "$1 shows who it is" 'authority add' 0 \
		on "$1" sh -c "rm -f /lab/$1.json; exec vmcrypt trust authority show --public-address $1 --out /lab/$1.json"
	check "which comes to ta1" '' 0 bring "$1.json" "$1" ta1
	check "ta1 takes it in" "in the cluster" 0 on ta1 vmcrypt trust authority add "/lab/$1.json"
	becomes "ta1 brings it the state" '' 0 on ta1 vmcrypt trust remediate
	becomes "they are in step" "$1 .*in step" 0 on ta1 vmcrypt trust authority list
}

# key_server_known NAME [CLIENT]: the key server makes a certificate for authority NAME. Its keys belong to the name in
# it, so that all authorities have the same, unless CLIENT is another.
key_server_known()
{
	local file who=${2-dc1}

	check "the key server makes a certificate for $1" '' 0 member ta2 client "$who"
	for file in "$who.pem" "$who.key"; do
		[ "$1" = ta2 ] || cp "$(file_of ta2 "$file")" "$(file_of "$1" "$file")"
	done
	check "$1 takes it" 'installed' 0 \
		on "$1" vmcrypt trust key-provider trust kms import "/lab/$who.pem" "/lab/$who.key"
}

# cluster_made: ta1 and ta2, and the key server on ta2
cluster_made()
{
	check "a cluster is made" "'dc1' made" 0 on ta1 vmcrypt trust init dc1 --public-address ta1
	authority_joined ta2
	member ta2 kms >"$out" 2>&1 || bail "no key server: $(tail -n 5 "$out")"
	ok "a key server starts"
	check "its CA is known to ta1" '' 0 bring kms-ca.pem ta2 ta1
	check "it becomes a key provider" "'kms' added" 0 \
		on ta1 vmcrypt trust key-provider add kmip kms --server kms --default
	check "trusted by its CA" '' 0 on ta1 vmcrypt trust key-provider trust kms pin --ca /lab/kms-ca.pem
	becomes "on ta2, too" '' 0 on ta1 vmcrypt trust remediate
	key_server_known ta1
	key_server_known ta2
}

# no_secure_boot: SeaBIOS has none
no_secure_boot()
{
	check "the policy asks for no Secure Boot" '' 0 on ta1 vmcrypt trust policy set --secure-boot no
}

# image_exported HOST FILE
image_exported()
{
	check "$1 exports its base image" 'events' 0 on "$1" vmcrypt trust host-image export --out "/lab/$2"
	check "which comes to ta1" '' 0 bring "$2" "$1" ta1
}

# maker_known: ta1 believes the maker of the TPMs
maker_known()
{
	cp "$VMCRYPT_LAB/maker.pem" "$(file_of ta1 maker.pem)"
	check "the maker of the TPMs is believed" 'are believed' 0 on ta1 vmcrypt trust ca add maker /lab/maker.pem
}

# host_known HOST: by the maker of its TPM, and what it booted
host_known()
{
	maker_known
	no_secure_boot
	image_exported "$1" "$1.image"
	check "ta1 imports it" "$1" 0 on ta1 vmcrypt trust base-image import "/lab/$1.image" --name "$1"
	becomes "both know it" '' 0 on ta1 vmcrypt trust remediate
}

# provider_added HOST: the trusted key provider "ta"
provider_added()
{
	check "the services info is written" 'dc1' 0 \
		on ta1 sh -c 'rm -f /lab/services.json; exec vmcrypt trust services-info --out /lab/services.json'
	check "it comes to $1" '' 0 bring services.json ta1 "$1"
	check "$1 has the provider" 'knows the services' 0 \
		on "$1" vmcrypt provider add trusted ta --services-info /lab/services.json --default
}

# host_joined HOST: it is attested
host_joined()
{
	provider_added "$1"
	check "$1 is attested" "attested by 'ta[12]' until" 0 on "$1" vmcrypt trust host attest ta
}

# vm_made HOST VM: under the host's default provider
vm_made()
{
	# shellcheck disable=SC2016 # it is the host that is asked
	on "$1" sh -c 'mkdir -p "$1/$2" && exec vmcrypt vm create "$2" --dir "$1/$2"' - /srv/vms/guests "$2"
}
