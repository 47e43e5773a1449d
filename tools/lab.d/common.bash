# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# common.bash - what every shell tool of the tree shares: where things are,
# how to speak and how to stop.

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# Built things, per tree.  Removed by "make clean".
BUILD=${VMCRYPT_BUILD:-$TREE/build}
# Downloaded things, per user.  May be removed at any time.
CACHE=${VMCRYPT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmcrypt}
ME=${0##*/}

# say TEXT...: one line for the person who waits, never part of the output.
say()
{
	[ -n "${QUIET-}" ] || printf '%s: %s\n' "$ME" "$*" >&2
}

# warn TEXT...: the same, but also said when quiet.
warn()
{
	printf '%s: %s\n' "$ME" "$*" >&2
}

# die TEXT...: say what is wrong and what to do, and stop.
die()
{
	warn "$*"
	exit 1
}

# need COMMAND GROUP: stop unless COMMAND is installed.
need()
{
	command -v "$1" >/dev/null ||
		die "$1 is not installed. Run: tools/deps install $2"
}

# seconds: a clock that never goes back, in whole seconds.
seconds()
{
	local up _
	read -r up _ </proc/uptime
	printf '%s\n' "${up%.*}"
}

# alive PID: is that process there?
alive()
{
	[ -n "${1-}" ] && kill -0 "$1" 2>/dev/null
}

# read_pid FILE: the number in a pid file, or nothing.
read_pid()
{
	local pid=
	[ -r "$1" ] && read -r pid <"$1"
	case $pid in
	'' | *[!0-9]*) ;;
	*) printf '%s\n' "$pid" ;;
	esac
}

# await_end PID SECONDS: wait until a process (ours or not) has ended.
await_end()
{
	timeout "$2" tail -s 0.05 --pid="$1" -f /dev/null
}

# is_number TEXT LOW HIGH
is_number()
{
	case $1 in
	'' | *[!0-9]*) return 1 ;;
	esac
	[ "${#1}" -le 9 ] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}
