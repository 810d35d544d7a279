# shellcheck shell=bash
# Which cases a run has. Sourced by `run` on the host, which sends the list to the guest, and by the
# guest's `lab NAME`.

# The values of a matrix's dimension whose header names none.
declare -A dimension=(
  [engine]='runc crun youki packrank-engine'
  [driver]='cgroupfs systemd'
  [manager]='docker podman containerd'
)

header() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }

# Every combination of a matrix header, one per line: "engine=runc driver=systemd".
combinations() {
  local prefix=$1 word name value
  shift
  if [[ $# == 0 ]]; then
    printf '%s\n' "$prefix"
    return
  fi
  word=$1
  shift
  name=${word%%=*}
  local values=${word#"$name"}
  values=${values#=}
  values=${values:-${dimension[$name]:-}}
  for value in ${values//,/ }; do
    combinations "$prefix${prefix:+ }$name=$value" "$@"
  done
}

# Whether a case's name matches one of the patterns; all do where there is none.
wanted() { # NAME PATTERNS
  local pattern
  [[ -n $2 ]] || return 0
  for pattern in $2; do
    # shellcheck disable=SC2053 # a pattern it is
    [[ $1 == *$pattern* ]] && return 0
  done
  return 1
}

# The cases of a folder that match the patterns and run on the machine, one line each: file, name and
# combination, separated by tabs.
plan() { # FOLDER MACHINE PATTERNS
  local file base combination word name needed
  for file in "$1"/*.sh; do
    needed=$(header "$file" machine)
    [[ -z $needed || $needed == "$2" ]] || continue
    base=$(basename "$file" .sh)
    # shellcheck disable=SC2046 # words they are
    while read -r combination; do
      name=$base
      for word in $combination; do name+=:${word#*=}; done
      wanted "$name" "$3" && printf '%s\t%s\t%s\n' "$(basename "$file")" "$name" "$combination"
    done < <(combinations '' $(header "$file" matrix))
  done
}
