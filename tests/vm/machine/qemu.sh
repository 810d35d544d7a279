# shellcheck shell=bash disable=SC2034,SC2154 # shared with host.sh and run
# The qemu machine: Debian's own kernel under QEMU's software emulation (PACKRANK_VM_ACCEL=kvm where
# there is KVM). Every instruction is emulated, so it is slow, but it is the kernel that users run:
# huge pages, BPF with its JIT compiler, perf events. Sourced by host.sh.

accel=${PACKRANK_VM_ACCEL:-tcg,thread=multi}

# QEMU before 8 corrupts the CPU's flags under emulation, which panics the guest's kernel.
qemu_is_usable() {
  local major
  major=$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
  [[ -n $major && $major -ge 8 ]]
}

machine_tools() {
  install_missing qemu-img:qemu-utils socat:socat
  if ! qemu_is_usable; then
    # Debian 12 has a newer QEMU in its backports only.
    apt_install "$([[ $(codename) != bookworm ]] || echo bookworm-backports)" qemu-system-x86 qemu-utils
    qemu_is_usable || die "QEMU is older than 8 and none newer could be installed"
  fi
}

machine_boot_limit=240
machine_about() { printf '%s, %s CPUs, %s MB' "${accel%%,*}" "$cpus" "$memory"; }

# The overlay that the guest writes to, over the image.
machine_disks() { qemu-img create -q -f qcow2 -b "$1/disk" -F raw "$work/root.qcow2"; }

# Boots the guest in the background: machine_boot IMAGE-FOLDER KERNEL-ARGUMENTS
machine_boot() { _qemu "$1" "$2" -serial "file:$work/console" -serial "file:$work/report"; }

# The same with the guest's console on this terminal, until it powers off or the person leaves.
machine_shell() {
  local _
  _qemu "$1" "$2" -chardev "socket,id=console,path=$work/socket,server=on,wait=on,logfile=$work/console" \
    -serial chardev:console
  for _ in {1..100}; do [[ -S $work/socket ]] && break; sleep 0.1; done
  [[ -S $work/socket ]] || die "QEMU does not start: $(cat "$work/machine")"
  socat -,raw,echo=0,escape=0x1d "UNIX-CONNECT:$work/socket" || true
}

# The image is read by other guests at the same time, and written by none: it needs no lock, which uml's guests
# hold in another form.
_qemu() {
  local image=$1 append=$2
  # Mitigations and cleared pages cost an emulated processor a quarter of its work.
  append+=' mitigations=off init_on_alloc=0 randomize_kstack_offset=off nokaslr nowatchdog no_timer_check'
  shift 2
  setpriv --pdeathsig KILL qemu-system-x86_64 \
    -name packrank -nodefaults -no-user-config -display none \
    -accel "$accel" -cpu max -smp "$cpus" -m "$memory" -nic none \
    -device virtio-rng-pci \
    -netdev hubport,hubid=0,id=wire0 -device virtio-net-pci,netdev=wire0 \
    -netdev hubport,hubid=0,id=wire1 -device virtio-net-pci,netdev=wire1 \
    -kernel "$image/vmlinuz" -initrd "$image/initrd" \
    -drive "file=$work/root.qcow2,format=qcow2,if=none,id=root,cache=unsafe,backing.file.locking=off" \
    -device virtio-blk-pci,drive=root \
    -drive "file=$work/payload,format=raw,if=none,id=payload,readonly=on" \
    -device virtio-blk-pci,drive=payload,serial=payload \
    -drive "file=$work/scratch,format=raw,if=none,id=scratch,cache=unsafe${PACKRANK_VM_SCRATCH:+,$PACKRANK_VM_SCRATCH}" \
    -device virtio-blk-pci,drive=scratch,serial=scratch \
    -append "console=ttyS0 root=/dev/vda $append" \
    "$@" </dev/null >"$work/machine" 2>&1 &
  machine_pid=$!
}
