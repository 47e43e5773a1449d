#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tools/examples/stream.c: both ends in one host, over the loopback.

. "$LAB_TREE/selftests/lib.sh"
plan 6

stream=$LAB_BUILD/selftests/examples/stream
dir=$(mktemp -d)
at_exit rm -rf "$dir"
cd "$dir" || bail "no folder"
modprobe vmcrypt || bail "the module does not load"
ip link set lo up
head -c 4000000 /dev/urandom > memory
head -c 32 /dev/urandom > secret
head -c 32 /dev/urandom > other

listening()
{
	ss -Hltn "sport = :$1" | grep -q .
}

# both PORT SECRET-OF-THE-SOURCE: sets $to, $from: how the two ended
both()
{
	timeout 40 "$stream" destination "$1" secret > copy 2> destination.log &
	local pid=$!

	wait_for 20 listening "$1"
	timeout 40 "$stream" source "$1" "$2" 127.0.0.1 < memory > back 2> source.log
	from=$?
	wait "$pid"
	to=$?
}

both 5801 secret
if [ "$to" = 0 ] && [ "$from" = 0 ]; then
	ok "both ends say that all came, authentically"
else
	not_ok "both ends say that all came, authentically"
	diag "destination $to: $(cat destination.log); source $from: $(cat source.log)"
fi
if cmp -s memory copy; then ok "what came is what went"; else not_ok "what came is what went"; fi
if grep -qx completed source.log && grep -qx completed destination.log; then
	ok "the kernel tells the reason"
else
	not_ok "the kernel tells the reason"
fi

both 5802 other
if [ "$to" != 0 ] && [ "$from" != 0 ]; then
	ok "with another secret at one end both fail"
else
	not_ok "with another secret at one end both fail"
	diag "destination $to, source $from"
fi
if [ ! -s copy ]; then ok "and nothing comes out"; else not_ok "and nothing comes out"; fi

if timeout 10 "$stream" source 5803 /dev/null 127.0.0.1 < /dev/null 2> none.log; then
	not_ok "a secret that is too short is refused"
else
	ok "a secret that is too short is refused"
fi
done_testing
