# shellcheck shell=bash disable=SC2034,SC2154 # shared with host.sh and run
# The uml machine: User Mode Linux, a kernel of our own configuration as a process of this host
# (seccomp mode, no ptrace). Programs run at the processor's own speed; system calls and page faults
# are dearer. It has no huge pages, perf events, BPF JIT compiler or transparent huge pages, and a
# disk that is not throttled. Sourced by host.sh.

# Each page of a guest's process can be a mapping of its own here; with the usual 65530 a process of the
# guest that holds more than 250 MB may be killed for it. The kernel counts them for each process.
mappings=1048576

machine_tools() {
  local most
  install_missing socat:socat
  kernel=$("$vm_dir/kernel")
  read -r most </proc/sys/vm/max_map_count
  if ((most < mappings)); then
    say "raising vm.max_map_count from $most to $mappings on this host, for the guest's processes"
    echo $mappings >/proc/sys/vm/max_map_count
  fi
}

machine_boot_limit=120
machine_about() { printf '%s, %s CPUs, %s MB' "$(cat "$kernel/package")" "$cpus" "$memory"; }

# The overlay is made by the machine itself.
machine_disks() { :; }

# A terminal line of the guest's wants a pipe at each end; one that this process holds open for writing
# and reading never ends.
machine_boot() {
  mkfifo "$work/null" "$work/console.pipe" "$work/report.pipe"
  cat "$work/console.pipe" >"$work/console" &
  cat "$work/report.pipe" >"$work/report" &
  _uml "$1" "$2 con0=fd:0,fd:1 ssl0=null ssl1=fd:4,fd:3" \
    0<>"$work/null" >"$work/console.pipe" 2>"$work/machine" 3>"$work/report.pipe" 4<>"$work/null" &
  machine_pid=$!
}

machine_shell() {
  export -f _uml
  export work kernel cpus memory IMAGE=$1 ARGUMENTS="$2 con0=null ssl0=fd:0,fd:1 ssl1=null"
  # shellcheck disable=SC2016 # the script expands them
  printf '#!/bin/bash\n_uml "$IMAGE" "$ARGUMENTS" 2>"$work/machine"\n' >"$work/start"
  chmod +x "$work/start"
  socat -,raw,echo=0,escape=0x1d "EXEC:$work/start,pipes" || true
}

_uml() { # IMAGE-FOLDER KERNEL-ARGUMENTS
  local -a arguments
  read -ra arguments <<<"$2"
  # The wire between the two network cards: a pair of datagram sockets that the kernel inherits.
  # shellcheck disable=SC2016 # perl expands it
  exec setpriv --pdeathsig KILL env TMPDIR="${PACKRANK_VM_TMP:-/dev/shm}" perl -MSocket -e '
    $^F = 255;
    socketpair(my $left, my $right, AF_UNIX, SOCK_DGRAM, 0) or die "socketpair: $!\n";
    exec @ARGV, map { "vec$_:transport=fd,fd=" . fileno(($left, $right)[$_]) } 0, 1;
    die "$ARGV[0]: $!\n"' \
    "$kernel/linux" "umid=lab$BASHPID" uml_dir="$work/" "mem=${memory}M" "ncpus=$cpus" seccomp=on \
    "ubd0=$work/root.cow,$1/disk" "ubd1r=$work/payload,,payload" "ubd2=$work/scratch,,scratch" \
    con=null root=/dev/ubda "${arguments[@]}"
}
