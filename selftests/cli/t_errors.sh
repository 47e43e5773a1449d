# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Each error of the daemon: text, hint, exit status.

start_mock
while read -r name status; do
	run vm show "err-$name"
	expect "error $name" "$status" '' "vmcrypt: the text of $name
Hint: the hint of $name"
	run vm show "err-$name" --json
	expect "error $name, --json" "$status" "{*\"code\": \"$name\"*\"text\": \"the text of $name\"*\"hint\": \"the hint of $name\"*}" 'vmcrypt: *'
done <<'LIST'
InvalidArgument 1
NotAuthorized 2
NoMemory 3
NotFound 4
NoModule 4
Exists 5
Busy 5
KeyMissing 6
KeyNotActive 6
NotAuthentic 7
NotTrusted 7
ProviderUnreachable 8
TimedOut 8
WrongState 9
ProviderRefused 10
NotAttested 10
ProtocolError 10
NoSpace 10
InputOutput 10
Canceled 10
NotSupported 10
Internal 10
LIST
run vm show err-AccessDenied
expect "refused by the bus" 2 '' '*not allowed: no*Hint: run it as root*polkit*'
run vm show err-UnknownMethod
expect "a daemon of another version" 10 '' '*does not know this call*restart vmcryptd*'
run vm show nope
expect "no such VM" 4 '' "*no VM 'nope'*Hint: 'vmcrypt vm list'*"
run disk encrypt web1 d --source die.img
expect "the daemon dies in the middle" 10 '' '*vmcryptd stopped before it answered*Hint: systemctl start vmcryptd*job list*'
stop_mock
