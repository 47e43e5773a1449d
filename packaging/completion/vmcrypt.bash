# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for vmcrypt(1). The candidates come from vmcrypt itself, so
# that verbs, options and the names of VMs, disks, providers and keys are never
# out of date. Install as /usr/share/bash-completion/completions/vmcrypt.

_vmcrypt()
{
	local cur=${COMP_WORDS[COMP_CWORD]} line i
	local -a candidates

	COMPREPLY=()
	# behind "--" stands a command of its own
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			if declare -F _command_offset > /dev/null; then
				_command_offset $((i + 1))
			else
				mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
			fi
			return
		fi
	done
	# a daemon that hangs must not take the shell with it
	mapfile -t candidates < <(timeout 2 "${COMP_WORDS[0]}" __complete \
		"${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
	for line in "${candidates[@]}"; do
		case $line in
		"<file>")
			compopt -o filenames
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
			;;
		"<dir>")
			compopt -o filenames
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur")
			;;
		*)
			COMPREPLY+=("$(printf '%q' "$line")")
			;;
		esac
	done
}

complete -F _vmcrypt vmcrypt
