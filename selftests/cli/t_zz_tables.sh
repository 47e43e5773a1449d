# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# One truth: the D-Bus contract, help, man page and completion agree.
# The last of the tests: it looks at the calls of the others, too.

man=$work/man
cat "$top"/Documentation/man/vmcrypt.1 "$top"/Documentation/man/vmcrypt-trust.1 > "$man"

# Patterns of all verbs, from the help: what stands in front of two blanks.
"$cli" help | sed -n '/^Options/q; s/^  \([a-z].*\)$/\1/p' | sed 's/   *.*//' > verbs
if [ "$(wc -l < verbs)" -ge 40 ]; then ok "the help lists the verbs"; else not_ok "the help lists the verbs" "$(cat verbs)"; fi

# The man page writes ".It Ic vm create Ar NAME ...": without macros that is the pattern.
sed -n 's/^\.It Ic //p' "$man" | sed -E 's/\<(Ic|Ar|Op|Fl|Oo|Oc) //g; s/ \.\.\.//g' > in-man
while read -r pattern; do
	want=$(printf '%s\n' "$pattern" | sed 's/[][]//g; s/\.\.\.//g')
	grep -q "^$want\( \|$\)" in-man || printf '%s\n' "$pattern"
done < verbs > missing
if [ -s missing ]; then not_ok "each verb is in vmcrypt(1) or vmcrypt-trust(1)" "$(cat missing)"; else ok "each verb is in vmcrypt(1) or vmcrypt-trust(1)"; fi

# help_of VERB...: the options in the help of one verb
help_of()
{
	"$cli" "$@" --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'
}

: > missing
: > uncompleted
: > with-options
while read -r pattern; do
	read -r -a words <<< "$(printf '%s\n' "$pattern" | sed 's/\[.*//')"
	for ((i = 0; i < ${#words[@]}; i++)); do
		case ${words[i]} in [A-Z]*) continue ;; esac
		"$cli" __complete "${words[@]:0:i}" "${words[i]:0:1}" | grep -q -x "${words[i]}" ||
			echo "word ${words[i]} of $pattern" >> uncompleted
	done
	help_of "${words[@]}" > options
	"$cli" __complete "${words[@]}" -- > offered
	while read -r option; do
		grep -q "Fl -$option\( \|$\)" "$man" || echo "--$option" >> missing
		grep -q -x -e "--$option" offered || echo "--$option of $pattern" >> uncompleted
	done < options
	printf '%s\t%s\n' "$pattern" "$("$cli" "${words[@]}" --help |
		sed -n 's/^  --\([a-z-]*\) [^ ].*/\1=/p; s/^  --\([a-z-]*\)\(  .*\|$\)/\1/p' | tr '\n' ' ')" >> with-options
done < verbs
if [ -s missing ]; then not_ok "each option is in one of them" "$(sort -u missing)"; else ok "each option is in one of them"; fi
if [ -s uncompleted ]; then not_ok "each verb and option is completed" "$(cat uncompleted)"; else ok "each verb and option is completed"; fi

# What hints, guides and translations tell to type can be typed.
mapfile -t texts < <(find "$top/userspace" \( -name '*.c' -o -name '*.h' \) ! -name '*_test.c' ! -name 'mock_*'
	find "$top/Documentation" "$top/README.md" -name '*.md'
	find "$top/po" "$top/packaging/journal" -name '*.po' -o -name '*.catalog')
/usr/bin/python3 "$here/hints.py" with-options "${texts[@]}" > odd
if [ -s odd ]; then not_ok "commands in texts are there" "$(cat odd)"; else ok "commands in texts are there"; fi
# and this would be seen
printf 'See "vmcrypt trust frobnicate" and "vmcrypt vm unlock --never" or vmcrypt trust ca list.\n' > text.md
/usr/bin/python3 "$here/hints.py" with-options text.md > odd
if [ "$(grep -c 'frobnicate: no such verb$\|: no option --never$' odd)" = 2 ]; then
	ok "commands that are not there are found"
else
	not_ok "commands that are not there are found" "$(cat odd)"
fi

# completed EXPECTED WORD...: what bash offers in the end
completed()
{
	local want=$1 got

	shift
	got=$(PATH="$build:$PATH" bash --norc -c '
		. "$1" || exit
		compopt() { :; }
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_vmcrypt
		printf "%s " "${COMPREPLY[@]}"' bash "$top/packaging/completion/vmcrypt.bash" vmcrypt "$@")
	if [ "$got" = "$want" ]; then ok "bash completes '$*'"; else not_ok "bash completes '$*'" "got $got" "not $want"; fi
}
start_mock
mkdir -p here/sub
: > here/file
completed 'web1 clash ' vm show ''
completed 'web1 ' vm power-off w
completed 'root data-1 ' disk detach web1 ''
completed 'kms1 ' vm create n --provider ''
completed 'kms1/42 kms1/43 kms1/9 ' key show ''
completed 'raw qcow2 ' disk encrypt web1 n --format ''
completed 'here/sub ' vm create n --dir here/
completed 'here/file here/sub ' vm register here/
completed 'pin ' provider trust kms1 p
completed '--fingerprint ' provider trust kms1 pin --f
completed 'web1 clash ' vm unlock web1 ''
completed '3 ' alarm acknowledge ''
completed 'web1 clash ' event list --vm ''
stop_mock

# Signatures in the contract against all that was sent.
awk 'BEGIN { RS = "<" }
	function attr(name) {
		if (!match($0, " " name "=\"[^\"]*\""))
			return ""
		return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
	}
	/^interface / { iface = attr("name") }
	/^method / { member = attr("name"); sig = ""; inside = 1 }
	/^arg / && inside && attr("direction") != "out" { sig = sig attr("type") }
	/^method .*\/>/ || /^\/method/ { print iface "." member, sig == "" ? "-" : sig; inside = 0 }
' "$top/userspace/api/org.vmcrypt1.xml" "$top/userspace/trust/state/org.vmcrypt1.Trust.xml" | sort -u > contract
cat calls all-calls | grep '^org.vmcrypt1' | cut -d' ' -f1,2 | sort -u > sent
comm -13 contract sent > odd
comm -23 contract sent > unused
if [ -s sent ] && [ ! -s odd ]; then ok "calls are those of the contract"; else not_ok "calls are those of the contract" "$(cat odd)"; fi
if [ -s contract ] && [ ! -s unused ]; then ok "each method of the contract is called"; else not_ok "each method of the contract is called" "$(cat unused)"; fi
