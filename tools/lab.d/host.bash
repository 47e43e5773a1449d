# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# host.bash - the life of one lab host.
#
# A host is a folder:
#	disk.img tpm/	what it keeps over a reboot
#	options		how it was started (sourced; see options_save)
#	lab/		its folder, which it sees as /lab
#	  env stage2 agent lib.sh	what it runs
#	  events	what it told us, one line each
#	  jobs/ID/	cmd, out, status of one command
#	  dmesg		its kernel log
#	  dmesg.before	that of the kernels that went by kexec
#	serial.log qemu.log qemu.pid swtpm.pid bell.in
# A running QEMU holds the lock on the folder's file "lock".

# Options of run, shell and up, with their defaults.
options_default()
{
	OPT_KERNEL=6.12 OPT_MEM=2048 OPT_CPUS=2 OPT_DISK=4096 OPT_TIMEOUT=300
	OPT_HOST='' OPT_STATE='' OPT_TPM='' OPT_NET='' OPT_ADDR='' OPT_HOSTS=''
	OPT_UPLINK='' OPT_APPEND='' OPT_QEMU='' OPT_SYSTEMD='' OPT_DBUS=''
	OPT_ALLOW='' OPT_MODPROBE=auto
}

# options_parse ARG...: sets OPT_* and REST.
options_parse()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel | --host | --state | --mem | --cpus | --timeout | \
		--net | --addr | --append | --disk | --qemu | --hosts | \
		--allow)
			[ $# -ge 2 ] || die "$1 wants a value"
			declare -g "OPT_$(tr 'a-z-' 'A-Z_' <<<"${1#--}")=$2"
			shift
			;;
		--tpm)		OPT_TPM=1 ;;
		--uplink)	OPT_UPLINK=1 ;;
		--systemd)	OPT_SYSTEMD=1 ;;
		--dbus)		OPT_DBUS=1 ;;
		--no-module)	OPT_MODPROBE= ;;
		--quiet)	QUIET=1 ;;
		--)
			shift
			break
			;;
		-*) die "unknown option $1 (see: tools/lab help)" ;;
		*) break ;;
		esac
		shift
	done
	REST=("$@")
	is_number "$OPT_MEM" 256 1048576 || die "--mem $OPT_MEM: MiB, from 256"
	is_number "$OPT_CPUS" 1 255 || die "--cpus $OPT_CPUS: 1 to 255"
	is_number "$OPT_TIMEOUT" 1 86400 || die "--timeout $OPT_TIMEOUT: seconds, 1 to 86400"
	is_number "$OPT_DISK" 64 1048576 || die "--disk $OPT_DISK: MiB, from 64"
	[ -z "$OPT_ADDR" ] || [ -n "$OPT_NET" ] || die '--addr wants --net SEGMENT'
	host_name_check "${OPT_HOST:-host}"
	[ -z "$OPT_NET" ] || host_name_check "$OPT_NET"
	# The module of the tree is loaded where there is one.
	[ "$OPT_MODPROBE" != auto ] || OPT_MODPROBE=$([ -e "$TREE/Kbuild" ] && echo vmcrypt)
}

host_name_check()
{
	case $1 in
	*[!a-z0-9-]* | -* | '') die "'$1': lower-case letters, digits and dashes only" ;;
	esac
	[ "${#1}" -le 32 ] || die "'$1': 32 characters at most"
}

options_save()
{
	declare -p OPT_KERNEL OPT_HOST OPT_TPM OPT_MEM OPT_CPUS OPT_TIMEOUT \
		OPT_NET OPT_ADDR OPT_UPLINK OPT_APPEND OPT_SYSTEMD OPT_DBUS \
		OPT_DISK OPT_QEMU OPT_HOSTS OPT_MODPROBE OPT_ALLOW \
		KVER KIMAGE INITRAMFS ACCEL |
		sed 's/^declare --/declare -g/' >"$STATE/options"
}

# host_dir NAME: the folder of a host that "up" made.
host_dir()
{
	host_name_check "$1"
	printf '%s\n' "${VMCRYPT_LAB:-$BUILD/lab}/$1"
}

# Unix socket paths are short: they live in a folder of their own.
socket_dir()
{
	local dir sum
	# Per tree and folder of hosts: others may give the same names and addresses.
	sum=$(printf '%s' "$TREE ${VMCRYPT_LAB-}" | cksum)
	dir=${TMPDIR:-/tmp}
	[ "${#dir}" -lt 40 ] || dir=/tmp
	dir+=/vmcrypt-lab.$(id -u).${sum%% *}
	(umask 077 && mkdir -p "$dir")
	[ -O "$dir" ] || die "$dir belongs to somebody else; set TMPDIR"
	printf '%s\n' "$dir"
}

state_prepare()
{
	local fd

	mkdir -p "$STATE/lab/jobs" "$STATE/tpm" || die "cannot make $STATE"
	STATE=$(cd "$STATE" && pwd -P)
	exec {fd}>>"$STATE/lock"
	flock -n "$fd" || die "a host already runs on $STATE (stop it with: tools/lab down)"
	LOCK_FD=$fd
	if [ ! -e "$STATE/disk.img" ]; then
		truncate -s "${OPT_DISK}M" "$STATE/disk.new"
		mkfs.ext4 -q -F -m 0 -L lab "$STATE/disk.new" >/dev/null ||
			die "cannot make a file system in $STATE"
		mv "$STATE/disk.new" "$STATE/disk.img"
	fi
	rm -rf "$STATE/lab/jobs" "$STATE"/lab/dmesg* "$STATE/lab/kmemleak"
	mkdir -p "$STATE/lab/jobs"
	: >"$STATE/lab/events"
	: >"$STATE/lab/dmesg"
	rm -f "$STATE"/bell.* "$STATE/complaints"
	mkfifo "$STATE/bell.in" "$STATE/bell.out"
}

# Folders under /tmp and /run that the host must see all the same.
kept_dirs()
{
	local dir
	for dir in "$TREE" "$BUILD" "$CACHE" "${MODULE_ROOT:-/}" "$PWD"; do
		case $dir in
		/tmp/*\ * | /run/*\ *) die "$dir: no blanks below /tmp, please" ;;
		/tmp/* | /run/*) printf '%s ' "$dir" ;;
		esac
	done
}

host_env()
{
	local LAB_PATH LAB_NICS=$NICS LAB_TREE=$TREE LAB_BUILD=$BUILD
	local LAB_NAME=$OPT_HOST LAB_ADDR=${OPT_ADDR%/*} LAB_KERNEL=$KVER
	local LAB_KERNEL_IMAGE=$KIMAGE
	local LAB_MODULES=$MODULE_ROOT/lib/modules/$KVER LAB_KEEP
	local LAB_SYSTEMD=$OPT_SYSTEMD LAB_DBUS=$OPT_DBUS LAB_CWD=$PWD
	local LAB_MODPROBE=$OPT_MODPROBE LAB_PROMPT=$PROMPT LAB_ROWS LAB_COLS
	local LAB_TERM=${TERM:-linux} LAB_HOSTS=${OPT_HOSTS//,/$'\n'}

	LAB_PATH=$BUILD/userspace:$BUILD/bin
	LAB_PATH+=:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	LAB_KEEP=$(kept_dirs)
	LAB_ROWS=24 LAB_COLS=80
	[ -z "$PROMPT" ] || read -r LAB_ROWS LAB_COLS < <(stty size)
	# busybox reads this too: plain quotes only
	local name value
	for name in PATH NICS TREE BUILD NAME ADDR KERNEL KERNEL_IMAGE MODULES KEEP SYSTEMD \
		DBUS CWD MODPROBE PROMPT ROWS COLS TERM HOSTS; do
		name=LAB_$name
		value=${!name}
		printf "%s='%s'\n" "$name" "${value//\'/\'\\\'\'}"
	done >"$STATE/lab/env"
	cp "$LAB_D"/guest/{stage2,agent,lib.sh} "$STATE/lab/"
}

# qemu_text TEXT: a value inside a QEMU option.
qemu_text()
{
	printf '%s' "${1//,/,,}"
}

mac_of()
{
	local sum
	sum=$(printf '%s' "$*" | sha256sum)
	printf '52:54:00:%s:%s:%s\n' "${sum:0:2}" "${sum:2:2}" "${sum:4:2}"
}

# Network cards: the segment first, then the way out.  Sets NICS for the host
# and adds to QEMU.
host_network()
{
	local mac dir

	NICS=
	[ -z "${HUB_LOCK-}" ] || exec {HUB_LOCK}>&-
	exec {HUB_LOCK}>/dev/null
	if [ -n "$OPT_NET" ]; then
		dir=$SOCKETS/net-$OPT_NET
		mkdir -p "$dir"
		exec {HUB_LOCK}>&- {HUB_LOCK}>>"$dir/lock"
		flock -w 60 "$HUB_LOCK" || die "the segment $OPT_NET is locked (by: $dir/lock)"
		hub_start "$dir"
		HUB_SEEN=$(wc -l <"$dir/log")
		mac=$(mac_of "$OPT_NET" "$OPT_HOST")
		NICS+="$mac=$OPT_ADDR "
		QEMU+=(-netdev "stream,id=net,server=off,addr.type=unix,addr.path=$(qemu_text "$dir/sock")"
			-device "virtio-net-pci,netdev=net,mac=$mac")
	fi
	if [ -n "$OPT_UPLINK" ]; then
		mac=$(mac_of uplink "$OPT_HOST")
		NICS+="$mac=10.0.2.15/24 "
		QEMU+=(-netdev 'user,id=up,ipv6=off'
			-device "virtio-net-pci,netdev=up,mac=$mac")
	fi
}

# hub_start DIR: the segment's switch, unless it runs.  Called under its lock.
hub_start()
{
	alive "$(read_pid "$1/pid")" && [ -S "$1/sock" ] && return
	rm -f "$1/sock"
	setsid /usr/bin/python3 "$LAB_D/net-hub.py" "$1" </dev/null \
		>"$1/log" 2>&1 {LOCK_FD}>&- {HUB_LOCK}>&- &
	echo $! >"$1/pid"
	await_path "$1/sock" 20 || die "the segment's switch does not start; see $1/log"
}

# hub_leave: wait until this host is connected to its segment; then others may come.
hub_leave()
{
	local left=600

	while [ -n "$OPT_NET" ] && [ "$(wc -l <"$SOCKETS/net-$OPT_NET/log")" = "$HUB_SEEN" ]; do
		left=$((left - 1))
		[ "$left" -gt 0 ] && alive "$(read_pid "$STATE/qemu.pid")" || break
		sleep 0.1
	done
	exec {HUB_LOCK}>&-
}

# await_path PATH SECONDS: until PATH exists.
await_path()
{
	local left=$(($2 * 20))
	while [ ! -e "$1" ]; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.05
	done
}

tpm_start()
{
	local sock=$SOCKETS/$1.tpm

	need swtpm lab
	tpm_stop
	rm -f "$sock"
	# --daemon returns when the socket is there; --terminate ends it with
	# QEMU
	swtpm socket --tpm2 --tpmstate "dir=$STATE/tpm" \
		--ctrl "type=unixio,path=$sock" --flags startup-clear \
		--pid "file=$STATE/swtpm.pid" --log "file=$STATE/swtpm.log,level=1" \
		--terminate --daemon {LOCK_FD}>&- || die "swtpm does not start; see $STATE/swtpm.log"
	# shellcheck disable=SC2054 # QEMU's commas
	QEMU+=(-chardev "socket,id=tpmc,path=$(qemu_text "$sock")"
		-tpmdev emulator,id=tpm0,chardev=tpmc
		-device tpm-tis,tpmdev=tpm0)
}

tpm_stop()
{
	local pid
	pid=$(read_pid "$STATE/swtpm.pid")
	if alive "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = swtpm ]; then
		kill "$pid"
		await_end "$pid" 10 || kill -KILL "$pid"
	fi
	rm -f "$STATE/swtpm.pid"
}

# host_command: the whole QEMU command line, into QEMU.
#
# The disk's cache is "unsafe" because the machine's page cache outlives QEMU:
# what the host has flushed is there after any end of QEMU, and that is all
# that a lab host is for.
host_command()
{
	local append key

	key=$(printf '%s' "$STATE" | sha256sum | cut -c1-12)
	append="console=ttyS0 quiet loglevel=5 panic=-1 oops=panic"
	append+=" random.trust_cpu=on mitigations=off net.ifnames=0 log_buf_len=4M"
	# emulation on a busy machine is slow, not stuck, and its timer late, not dead
	append+=" rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 no_timer_check"
	# shellcheck disable=SC2054 # QEMU's commas
	QEMU=(qemu-system-x86_64 -name "lab-$OPT_HOST" -M q35 -nodefaults
		-no-user-config -display none -no-reboot
		-cpu max -smp "$OPT_CPUS" -m "$OPT_MEM"
		-kernel "$KIMAGE" -initrd "$INITRAMFS" -append "$append $OPT_APPEND"
		-chardev "file,id=log,path=$(qemu_text "$STATE/serial.log")"
		-serial chardev:log
		-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
		-device virtio-9p-pci,fsdev=root,mount_tag=root
		-fsdev "local,id=lab,path=$(qemu_text "$STATE/lab"),security_model=none"
		-device virtio-9p-pci,fsdev=lab,mount_tag=lab
		-drive "if=none,id=disk,format=raw,cache=unsafe,discard=unmap,file=$(qemu_text "$STATE/disk.img")"
		-device virtio-blk-pci,drive=disk
		-device virtio-rng-pci
		-device virtio-serial-pci
		-chardev "pipe,id=bell,path=$(qemu_text "$STATE/bell")"
		-device virtserialport,chardev=bell,name=lab.bell)
	if [ "$ACCEL" = kvm ]; then
		QEMU+=(-accel kvm)
	else
		QEMU+=(-accel "tcg,thread=multi")
	fi
	[ -z "$PROMPT" ] || QEMU+=(-chardev "stdio,id=tty,signal=off"
		-device "virtconsole,chardev=tty")
	[ -z "$OPT_TPM" ] || tpm_start "$key"
	host_network
	# shellcheck disable=SC2206
	QEMU+=($OPT_QEMU)
}

# host_launch: QEMU runs; 0 once the host has said "up", else as event_await.
host_launch()
{
	host_command
	host_env
	if [ -n "$PROMPT" ]; then
		"${QEMU[@]}" <&0 2>"$STATE/qemu.log" {HUB_LOCK}>&- &
	else
		# a host for one command does not outlive us
		setsid ${TRANSIENT:+setpriv --pdeathsig KILL} "${QEMU[@]}" </dev/null \
			>"$STATE/qemu.log" 2>&1 {HUB_LOCK}>&- &
		disown
	fi
	echo $! >"$STATE/qemu.pid"
	hub_leave
	event_await up "$OPT_TIMEOUT"
}

# host_start: STATE and OPT_* in, a host that has said "up" out.  With PROMPT
# QEMU keeps the terminal.
host_start()
{
	local began status

	began=$(seconds)
	SOCKETS=$(socket_dir)
	OPT_HOST=${OPT_HOST:-host}
	need qemu-system-x86_64 lab
	state_prepare
	kernel_select "$OPT_KERNEL"
	module_build
	initramfs_build
	accel_select
	options_save
	host_launch
	status=$?
	if [ "$status" = 1 ] && [ "$ACCEL" = tcg ] && [ ! -s "$STATE/lab/dmesg" ]; then
		# On a loaded machine, once in some hundred boots, QEMU's emulated
		# CPU goes astray in the stock kernel's first second.  None of
		# our code has run by then.
		mv "$STATE/serial.log" "$STATE/serial.log.astray"
		say "host $OPT_HOST died before its first program ran: once more"
		host_kill
		host_launch
		status=$?
	fi
	# QEMU keeps the lock, we need not
	exec {LOCK_FD}>&-
	host_came_up "$status" "$began"
}

# host_came_up STATUS BEGAN: what there is to say when event_await has ended with STATUS.
host_came_up()
{
	if [ "$1" != 0 ]; then
		host_kill
		tail -n 30 "$STATE/serial.log" "$STATE/qemu.log" >&2
		warn "host $OPT_HOST did not come up (logs in $STATE)"
		return 125
	fi
	if grep -q '^failed' "$STATE/lab/events"; then
		grep '^failed' "$STATE/lab/events" | sed "s/^failed/$ME: host $OPT_HOST:/" >&2
		dmesg_tail
		return 125
	fi
	say "host $OPT_HOST is up after $(($(seconds) - $2)) s ($KVER, $ACCEL)"
}

# host_kexec: into the kernel that was loaded in it.
host_kexec()
{
	local began

	began=$(seconds)
	# another "up" is to come
	: >"$STATE/lab/events"
	bell kexec
	event_await up "$OPT_TIMEOUT"
	host_came_up "$?" "$began"
}

dmesg_tail()
{
	tail -n 8 "$STATE/lab/dmesg" | sed 's/^<[0-9]*>//' >&2
}

host_pid()
{
	local pid
	pid=$(read_pid "$STATE/qemu.pid")
	alive "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = qemu-system-x86 ] &&
		printf '%s\n' "$pid"
}

# ended PID: it is gone, or a child of ours that bash does not wait for while it
# reads; tail takes that for alive
ended()
{
	! alive "$1" || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# event_await PATTERN SECONDS: the rest of the event line in EVENT.  1 when
# the host ended first, 2 when time was over.
event_await()
{
	local line pid fd tailer until left got status=2

	pid=$(read_pid "$STATE/qemu.pid")
	exec {fd}< <(exec tail -n +1 -s 0.1 -F --pid="$pid" "$STATE/lab/events" 2>/dev/null)
	tailer=$!
	until=$(($(seconds) + $2))
	while left=$((until - $(seconds))); [ "$left" -gt 0 ]; do
		read -r -t "$((left < 2 ? left : 2))" -u "$fd" line
		got=$?
		if [ "$got" -gt 128 ] && ! ended "$pid"; then
			continue
		elif [ "$got" != 0 ]; then
			status=1
			break
		fi
		case $line in
		"$1" | "$1 "*)
			EVENT=${line#"$1"}
			EVENT=${EVENT# }
			status=0
			break
			;;
		failed\ *)
			[ "$1" != up ] || { status=0; break; }
			;;
		esac
	done
	exec {fd}<&-
	kill "$tailer" 2>/dev/null
	return "$status"
}

bell()
{
	# opened for both ways: never blocks, even when nobody reads any more
	printf '%s\n' "$*" 1<>"$STATE/bell.in"
}

# job_run SECONDS COMMAND...: runs it in the host, its output on ours as it
# comes, its status ours; 124 and 125 as the manual says.
job_run()
{
	local limit=$1 dir id mark tailer status
	shift

	[ -n "$(host_pid)" ] || { warn "host $OPT_HOST does not run"; return 125; }
	dir=$(mktemp -d "$STATE/lab/jobs/XXXXXX")
	chmod 755 "$dir"
	id=${dir##*/}
	{
		printf 'cd %q 2>/dev/null || cd %q || cd /\n' "$PWD" "$TREE"
		printf 'exec'
		printf ' %q' "$@"
		echo
	} >"$dir/cmd"
	: >"$dir/out"
	# When the mark has gone, tail reads what is left and ends.
	sleep 86400 &
	mark=$!
	tail -c +1 -s 0.05 -f --pid="$mark" "$dir/out" &
	tailer=$!
	bell run "$id"
	event_await "done $id" "$limit"
	case $? in
	0) status=$EVENT ;;
	1) status=125 ;;
	*) status=124 ;;
	esac
	{
		kill "$mark"
		wait "$mark"
	} 2>/dev/null
	wait "$tailer"
	case $status in
	125)
		warn "host $OPT_HOST died; the end of its console:"
		tail -n 60 "$STATE/serial.log" >&2
		;;
	124)
		warn "no end after $limit s: killing it (what blocks is in $STATE/lab/dmesg)"
		bell stacks
		bell kill "$id"
		event_await "done $id" 10
		;;
	esac
	return "$status"
}

# host_stop: power off in good order, or by force after a while.
host_stop()
{
	local pid
	pid=$(host_pid)
	if [ -n "$pid" ]; then
		bell off
		# a debug kernel looks for leaks first
		await_end "$pid" "${1:-300}" || {
			warn "host $OPT_HOST does not power off: killed"
			host_kill
		}
	fi
	tpm_stop
}

# host_kill: what a power cut does.
host_kill()
{
	local pid
	pid=$(host_pid)
	if [ -n "$pid" ]; then
		kill -KILL "$pid"
		await_end "$pid" 10
	fi
	tpm_stop
}

# host_complaints: 126 when its kernel said something it must not say, or leaks, or
# nobody knows whether it does.
host_complaints()
{
	local allow=$LAB_D/dmesg.allow

	"$LAB_D/dmesg-check" "$allow" ${OPT_ALLOW:+"$OPT_ALLOW"} -- \
		"$STATE"/lab/dmesg* "$STATE/serial.log" >"$STATE/complaints" &&
		[ ! -s "$STATE/lab/kmemleak" ] && return 0
	warn "the kernel of host $OPT_HOST complained (whole log: $STATE/lab/dmesg):"
	head -n 60 "$STATE/complaints" >&2
	[ ! -s "$STATE/lab/kmemleak" ] || head -n 60 "$STATE/lab/kmemleak" >&2
	return 126
}
