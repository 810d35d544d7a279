# shellcheck shell=bash
# What image, run and shell share on the host's side: where things are cached, the tools
# they need, and how QEMU is called. Sourced, never run.

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(cd "$vm_dir/../.." && pwd)
cache=${PACKRANK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/packrank}/vm

die() { printf 'vm: %s\n' "$*" >&2; exit 1; }
say() { printf 'vm: %s\n' "$*" >&2; }

known_image() {
  case $1 in trixie | sid | bookworm) ;; *) die "no image is called '$1'; there are trixie, sid and bookworm" ;; esac
}

# What is installed in an image: the recipe's lines for all, and those for its release.
packages() { sed -E "s/#.*//; s/^\[.*\b$1\b.*\]//; /^\[/d" "$vm_dir/recipe/packages" | xargs; }

# The folder of an image, named by a hash over everything that goes into it: a changed recipe
# is another folder, so an image is never out of date and never half changed.
image_folder() {
  local key
  key=$(cd "$vm_dir" && { printf '%s\n' "$1" "$(packages "$1")"; find image recipe -type f ! -name packages \
    | LC_ALL=C sort | xargs sha256sum; } | sha256sum)
  printf '%s/%s-%.12s\n' "$cache" "$1" "$key"
}

# --- tools -----------------------------------------------------------------------------------

# QEMU before 8 corrupts the CPU's flags under emulation, which panics the guest's kernel.
qemu_is_usable() {
  local major
  major=$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
  [[ -n $major && $major -ge 8 ]]
}

# Debian's mirror as this host's own apt knows it, whatever the format of its sources.
#   mirror SUITE   the URI that serves SUITE's component main
mirror() {
  # shellcheck disable=SC2016 # apt fills these in, not the shell
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
    'Created-By: Packages' 2>/dev/null \
    | awk -v suite="$1" '
        $1 != suite || $2 != "main" { next }
        $3 ~ /\/debian(-security)?\/$/ && !debian { debian = $3 }
        !first { first = $3 }
        END { if (first) print debian ? debian : first }'
}

codename() { (. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}"); }

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# apt-get on sources of our own in a temporary folder: the host's lists stay as they are.
#   apt_with SOURCES ARGUMENTS...
apt_with() {
  local sources=$1 state status=0
  shift
  state=$(mktemp -d)
  mkdir -p "$state"/{lists,archives}/partial "$state/parts"
  printf '%s\n' "$sources" >"$state/parts/vm.list"
  local -a options=(
    -qq -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$state/parts"
    -o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
    -o "APT::Update::Post-Invoke-Success=" -o "APT::Sandbox::User=root"
    -o "DPkg::Lock::Timeout=600" -o "Dpkg::Use-Pty=0" -o "Acquire::Retries=3"
  )
  {
    apt-get "${options[@]}" update \
      && DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" -y --no-install-recommends \
        --no-upgrade install "$@"
  } >"$state/log" 2>&1 </dev/null || status=$?
  if [[ $status != 0 ]]; then
    tail -n 20 "$state/log" >&2
  fi
  rm -rf "$state"
  return "$status"
}

# Installs what is missing of: qemu, image building tools. Quiet when nothing is.
host_tools() {
  local -a missing=()
  local suite base security='' tool
  for tool in mmdebstrap:mmdebstrap mke2fs:e2fsprogs qemu-img:qemu-utils socat:socat; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  [[ -e $keyring ]] || missing+=(debian-archive-keyring)
  qemu_is_usable || missing+=(qemu-system-x86 qemu-utils)
  [[ ${#missing[@]} == 0 ]] && return

  command -v apt-get >/dev/null || die "needs ${missing[*]}, and this host has no apt to get them with"
  [[ $EUID == 0 ]] || die "needs root to install ${missing[*]}"
  suite=$(codename)
  base=$(mirror "$suite")
  [[ -n $base ]] || die "apt's sources on this host name no mirror that serves $suite main"
  say "installing ${missing[*]} …"
  local sources="deb [signed-by=$keyring] $base $suite main
deb [signed-by=$keyring] $base $suite-updates main"
  security=$(mirror "$suite-security")
  [[ -z $security ]] || sources+="
deb [signed-by=$keyring] $security $suite-security main"
  local -a target=()
  if [[ $suite == bookworm ]]; then
    sources+="
deb [signed-by=$keyring] $base bookworm-backports main"
    # Only QEMU comes from there; the other packages exist in both, and -t would prefer it.
    target=(-t bookworm-backports)
  fi
  apt_with "$sources" "${target[@]}" "${missing[@]}" || die "could not install ${missing[*]}"
  qemu_is_usable || die "QEMU is older than 8 and none newer could be installed"
}

# --- QEMU ------------------------------------------------------------------------------------

cpus=${PACKRANK_VM_CPUS:-2}
memory=${PACKRANK_VM_MEMORY:-4096}
accel=${PACKRANK_VM_ACCEL:-tcg,thread=multi}

# A run's own folder, gone when the script ends however it ends; QEMU goes first.
work=''
qemu_pid=''
open_work() {
  mkdir -p "$cache"
  # What a script that was itself killed left behind.
  find "$cache" -maxdepth 1 -type d -name 'run.*' -mmin +1440 -exec rm -rf {} +
  work=$(mktemp -d "$cache/run.XXXXXX")
  trap close_work EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}
close_work() {
  trap - EXIT
  trap '' INT TERM HUP
  if [[ -n $qemu_pid ]] && kill -0 "$qemu_pid" 2>/dev/null; then
    kill -KILL "$qemu_pid" 2>/dev/null || true
    wait "$qemu_pid" 2>/dev/null || true
  fi
  [[ -z $work ]] || rm -rf "$work"
}

# Makes the guest's disks in $work: an overlay over the image, the payload, an empty scratch disk.
disks() {
  local image=$1
  qemu-img create -q -f qcow2 -b "$image/disk" -F raw "$work/root.qcow2"
  truncate -s 512M "$work/scratch"
  pack "$work/payload"
}

# The payload: this folder's guest side, the binaries under test, and tests/'s fixtures.
stage() {
  local stage=$1 file
  mkdir -p "$stage/bin" "$stage/cases"
  cp "$vm_dir/guest" "$vm_dir"/{lib,classes}.sh "$vm_dir/config.json" "$stage/"
  cp -r "${PACKRANK_VM_CASES:-$vm_dir/cases}/." "$stage/cases/"
  for file in "$tree"/out/packrank_*.deb; do
    [[ ! -f $file ]] || cp "$file" "$stage/packrank.deb"
  done
  [[ -z ${PACKRANK_VM_EXTRA:-} ]] || cp -r "$PACKRANK_VM_EXTRA" "$stage/extra"
  [[ ! -d $tree/examples ]] || cp -r "$tree/examples" "$stage/"
  [[ ! -d $tree/tests/fixtures ]] || cp -r "$tree/tests/fixtures" "$stage/"
  for file in "${PACKRANK_BIN:-$tree/out/bin}"/*; do
    [[ -f $file && -x $file ]] && cp "$file" "$stage/bin/"
  done
  if [[ -n ${youki:-} ]]; then
    cp "$youki" "$stage/bin/youki"
  fi
  printf '%s\n' "${only:-}" >"$stage/only"
}
# The same as a disk.
pack() {
  local disk=$1 stage=$work/stage size
  stage "$stage"
  size=$(du -sk --apparent-size "$stage" | cut -f 1)
  rm -f "$disk"
  mke2fs -q -t ext4 -O '^has_journal' -m 0 -d "$stage" "$disk" "$((size * 5 / 4 + 4096))k" >/dev/null
  rm -rf "$stage"
}

# youki, if there is one: named by $PACKRANK_YOUKI, beside our binaries, or on the PATH.
find_youki() {
  local candidate
  for candidate in "${PACKRANK_YOUKI:-}" "$tree/out/bin/youki" "$cache/../youki/bin/youki" \
    "$(command -v youki || true)" "$HOME/.cargo/bin/youki"; do
    if [[ -n $candidate && -x $candidate ]]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
}

#   qemu IMAGE-FOLDER KERNEL-ARGUMENTS QEMU-ARGUMENTS...
# Sets `command` to QEMU's command line. It is killed with the script that starts it.
qemu_command() {
  local image=$1 append=$2
  # What guards against attackers and lost time costs an emulated processor a quarter of its work.
  append+=' mitigations=off init_on_alloc=0 randomize_kstack_offset=off nokaslr nowatchdog audit=0'
  shift 2
  # shellcheck disable=SC2034,SC2054 # for the caller; commas are QEMU's
  command=(
    setpriv --pdeathsig KILL
    qemu-system-x86_64
    -name packrank -nodefaults -no-user-config -display none
    -accel "$accel" -cpu max -smp "$cpus" -m "$memory" -nic none
    -device virtio-rng-pci
    -netdev hubport,hubid=0,id=wire0 -device virtio-net-pci,netdev=wire0
    -netdev hubport,hubid=0,id=wire1 -device virtio-net-pci,netdev=wire1
    -kernel "$image/vmlinuz" -initrd "$image/initrd"
    -drive "file=$work/root.qcow2,format=qcow2,if=none,id=root,cache=unsafe"
    -device virtio-blk-pci,drive=root
    -drive "file=$work/payload,format=raw,if=none,id=payload,readonly=on"
    -device virtio-blk-pci,drive=payload,serial=payload
    -drive "file=$work/scratch,format=raw,if=none,id=scratch,cache=unsafe${PACKRANK_VM_SCRATCH:+,$PACKRANK_VM_SCRATCH}"
    -device virtio-blk-pci,drive=scratch,serial=scratch
    -append "console=ttyS0 root=/dev/vda rootflags=prjquota rw panic=-1 psi=1 no_timer_check quiet systemd.show_status=false $append"
    "$@"
  )
}
