# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# Long calls: progress, Ctrl-C, commands on an opened VM.

# wait_for FILE PATTERN: until a line fits, at most 20 seconds
wait_for()
{
	timeout 20 tail -n +1 -f "$1" 2> /dev/null | grep -q -m 1 "$2"
}

start_mock
run disk encrypt web1 d --source plain.img --progress-json
last=$(tail -n 1 err)
case $rc$last in
'0{"phase":"copy","done":20971520,"total":20971520,"percent":100.0,'*'"eta":0,"job":"/org/vmcrypt1/job/7","operation":"disk-encrypt"}')
	ok "--progress-json ends at 100 %" ;;
*)
	not_ok "--progress-json ends at 100 %" "$last" ;;
esac
if grep -v '^{.*"job":"/org/vmcrypt1/job/7".*}$' err > other; then
	not_ok "only our own job is shown" "$(cat other)"
else
	ok "only our own job is shown"
fi
run disk encrypt web1 d --source quiet.img --progress-json
case $rc$err in 0*'"percent":100.0'*) ok "a job that was not announced is found" ;; *) not_ok "a job that was not announced is found" "$err" ;; esac
run disk encrypt web1 d --source plain.img
expect "quiet when it is no terminal" 0 '*' ''

# a terminal: a bar, colours unless NO_COLOR
if command -v script > /dev/null; then
	TERM=xterm script -qec "stty cols 80; $cli disk encrypt web1 d --source plain.img" tty.log > /dev/null < /dev/null
	if grep -q '\[#*\.*\] .*%.*ETA' tty.log; then ok "a bar on a terminal"; else not_ok "a bar on a terminal" "$(cat -v tty.log)"; fi
	TERM=xterm script -qec "$cli vm list" tty.log > /dev/null < /dev/null
	if grep -q "$(printf '\033\[31m')invalid" tty.log; then ok "colours on a terminal"; else not_ok "colours on a terminal" "$(cat -v tty.log)"; fi
	NO_COLOR=1 TERM=xterm script -qec "$cli vm list" tty.log > /dev/null < /dev/null
	if grep -q "$(printf '\033')" tty.log; then not_ok "NO_COLOR" "$(cat -v tty.log)"; else ok "NO_COLOR"; fi
fi

# interrupt SOURCE SIGNALS: start a long job, send SIGINT that often
interrupt()
{
	local i

	rm -f out err
	: > err
	# a shell ignores SIGINT for what it starts in the background; env undoes that
	env --default-signal=INT timeout --foreground -k 5 30 "$cli" disk encrypt web1 d \
		--source "$1" --progress-json > out 2> err &
	job=$!
	wait_for err '"percent":'
	# the client itself, not the timeout around it
	client=$(pgrep -P "$job" | head -n 1)
	kill -INT "$client"
	for ((i = 1; i < $2; i++)); do
		wait_for err 'stopping at the next safe point'
		kill -INT "$client" 2> /dev/null
	done
	wait "$job"
	rc=$?
	out=$(cat out)
	err=$(grep -v '^{' err)
}
interrupt slow.img 1
expect "Ctrl-C cancels" 10 '' '*stopping at the next safe point*encryption of*was canceled*Hint: nothing is left half done*'
if grep -q '^org.vmcrypt1.Job.Cancel' calls; then ok "the job was told"; else not_ok "the job was told" "$(cat calls)"; fi
interrupt slow-resume.img 1
expect "Ctrl-C says what is left" 10 '' "*Hint: stopped where it can go on*'vmcrypt job abandon j1'*"
run job list
expect "job list shows it" 0 "ID  STATE *j1  pending  web1  encryption of disk 'd'*-   running *" ''
run job abandon j1
expect "job abandon" 0 "job 'j1' rolled back" ''

# events as they come; the list itself makes one
: > out
timeout --foreground -k 5 30 "$cli" event list --follow --json > out 2> err &
job=$!
if wait_for out '"type":"key-created"'; then ok "event list --follow"; else not_ok "event list --follow" "$(cat out err)"; fi
client=$(pgrep -P "$job" | head -n 1)
kill -TERM "$client"
wait "$job"
if grep -q twice out; then not_ok "what is in the list does not come twice" "$(cat out)"; else ok "what is in the list does not come twice"; fi
if /usr/bin/python3 -c 'import json; [json.loads(l) for l in open("out")]'; then ok "one JSON object a line"; else not_ok "one JSON object a line" "$(cat out)"; fi

# commands
# shellcheck disable=SC2016
run vm power-on web1 --exec -- sh -c 'echo "$VMCRYPT_VM $VMCRYPT_DISK_DATA_1 $1 {x}"; exit 7' sh '{home}'
expect "--exec: environment, substitution, status" 7 '11111111-*-data-1 /run/vmcrypt/home/11111111-* {x}' ''
called "the VM is off afterwards" 'org.vmcrypt1.VM.PowerOff -'
run vm power-on web1 --exec -- ./nonexistent
expect "--exec: not found" 127 '' "vmcrypt: cannot run './nonexistent': No such file*"
called "off, although it did not start" 'org.vmcrypt1.VM.PowerOff -'
run vm power-on web1 --exec -- "$work"
expect "--exec: not executable" 126 '' "vmcrypt: cannot run *Permission denied*"
run vm power-on web1 --exec -- echo '{disk:nope}'
expect "--exec: no such disk" 1 '' "*{disk:nope}, but the VM has no disk 'nope'*"
called "off, although a disk is missing" 'org.vmcrypt1.VM.PowerOff -'
# shellcheck disable=SC2016
run vm power-on web1 --exec -- sh -c 'kill -KILL $$'
expect "--exec: ended by a signal" 137 '' ''
run vm power-on clash --exec -- true
expect "--exec: two disks, one variable" 1 '' '*VMCRYPT_DISK_A_B*'
run vm power-on web1
run vm power-on web1 --exec -- true
expect "--exec: on already" 9 '' '*is on already*Hint: vmcrypt vm power-off web1*'
run vm power-off web1

wait_for_term='
import signal, sys
def term(*_):
    print("got-term")
    sys.exit(5)
signal.signal(signal.SIGTERM, term)
print("up", flush=True)
signal.pause()
'
: > out
timeout --foreground -k 5 30 "$cli" vm power-on web1 --exec -- \
	/usr/bin/python3 -c "$wait_for_term" > out 2> err &
job=$!
wait_for out '^up'
client=$(pgrep -P "$job" | head -n 1)
kill -TERM "$client"
wait "$job"
rc=$?
out=$(cat out)
err=$(cat err)
expect "--exec passes signals on" 5 'up*got-term' ''
called "off after a signal" 'org.vmcrypt1.VM.PowerOff -'
stop_mock
