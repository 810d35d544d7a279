# shellcheck shell=bash
# What image, kernel, run and shell share on the host's side: where things are cached, the tools they
# need, and the machine that the guest runs on. Sourced, never run.

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

# The cases, a folder.
cases=${PACKRANK_VM_CASES:-$vm_dir/cases}

# The ledger holds each result of the last runs, one line each: seconds since the epoch, where it ran,
# the test, PASS, AGAIN or FAIL, seconds taken, commit. Other fields are free of tabs.
ledger() {
  local file=${cache%/vm}/ledger
  [[ -e $file ]] || { mkdir -p "${cache%/vm}" && : >>"$file"; }
  printf '%s' "$file"
}
commit=$(git -C "$tree" rev-parse --short HEAD 2>/dev/null || true)
note_result() { # WHERE TEST RESULT SECONDS
  [[ $cases == "$vm_dir/cases" && -z ${PACKRANK_VM_TRIES:-} ]] || return 0
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$EPOCHSECONDS" "$1" "$2" "$3" "$4" "${commit:--}" >>"$(ledger)"
}

# --- tools -----------------------------------------------------------------------------------

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
      && if [[ ${APT_VERB:-install} == download ]]; then
        apt-get "${options[@]}" download "$@"
      else
        DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" -y --no-install-recommends \
          --no-upgrade install "$@"
      fi
  } >"$state/log" 2>&1 </dev/null || status=$?
  if [[ $status != 0 ]]; then
    tail -n 20 "$state/log" >&2
  fi
  rm -rf "$state"
  return "$status"
}

# Installs the packages of those programs that this host lacks: install_missing PROGRAM:PACKAGE…
install_missing() {
  local -a missing=()
  local tool
  for tool; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  [[ -e $keyring ]] || missing+=(debian-archive-keyring)
  [[ ${#missing[@]} == 0 ]] || apt_install '' "${missing[@]}"
}

# Installs packages of this host's own release, or of TARGET: apt_install TARGET PACKAGE…
apt_install() {
  local target=$1 suite base security sources
  shift
  command -v apt-get >/dev/null || die "needs $*, and this host has no apt to install them with"
  [[ $EUID == 0 ]] || die "needs root to install $*"
  suite=$(codename)
  base=$(mirror "$suite")
  [[ -n $base ]] || die "apt's sources on this host name no mirror that serves $suite main"
  say "installing $* …"
  sources="deb [signed-by=$keyring] $base $suite main
deb [signed-by=$keyring] $base $suite-updates main"
  security=$(mirror "$suite-security")
  [[ -z $security ]] || sources+="
deb [signed-by=$keyring] $security $suite-security main"
  [[ -z $target ]] || sources+="
deb [signed-by=$keyring] $base $target main"
  apt_with "$sources" ${target:+-t "$target"} "$@" || die "could not install $*"
}

# --- the machine -----------------------------------------------------------------------------

cpus=${PACKRANK_VM_CPUS:-2}
memory=${PACKRANK_VM_MEMORY:-4096}

# Chooses the machine, and installs or builds what it needs: `use_machine [uml|qemu]`. Without a name it
# is uml, and qemu where uml cannot be had; $machine is which.
machine=''
use_machine() {
  case ${1:-} in
    uml | qemu) machine=$1 ;;
    '') machine=${PACKRANK_VM_MACHINE:-uml} ;;
    *) die "there is no machine '$1': use uml or qemu" ;;
  esac
  # shellcheck source-path=SCRIPTDIR source=machine/uml.sh
  . "$vm_dir/machine/$machine.sh"
  if [[ -z ${1:-} && $machine == uml ]] && ! kernel=$("$vm_dir/kernel"); then
    say "the guest kernel cannot be built on this host: QEMU instead, which takes several times as long"
    machine=qemu
    # shellcheck source-path=SCRIPTDIR source=machine/qemu.sh
    . "$vm_dir/machine/qemu.sh"
  fi
  machine_tools
}

# A run's own folder. It is removed when the script ends, however it ends, after the machine was killed.
work=''
machine_pid=''
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
  if [[ -n $machine_pid ]] && kill -0 "$machine_pid" 2>/dev/null; then
    kill -KILL "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
  fi
  [[ -z $work ]] || rm -rf "$work"
}

# Makes the guest's disks in $work: an overlay over the image, the payload, an empty scratch disk.
disks() {
  local image=$1
  machine_disks "$image"
  truncate -s 512M "$work/scratch"
  pack "$work/payload"
}

# The cases of this run: lines of plan.sh.
planned=()

# The payload: this folder's guest side, the binaries under test, and tests/'s fixtures.
stage() {
  local stage=$1 file
  mkdir -p "$stage/bin" "$stage/cases"
  cp "$vm_dir/guest" "$vm_dir"/{lib,classes,plan}.sh "$vm_dir/config.json" "$stage/"
  cp -r "$cases/." "$stage/cases/"
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
  # What modprobe wants to know of a kernel that has no modules.
  [[ $machine != uml ]] || cp -r "$kernel/modules" "$stage/"
  printf '%s\n' "$machine" >"$stage/machine"
  printf '%s' "${PACKRANK_VM_TRIES:-}" >"$stage/tries"
  printf '%s\n' "${budget:-1000000}" >"$stage/budget"
  printf '%s\n' "${planned[@]}" >"$stage/plan"
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

# The kernel's arguments on every machine.
# shellcheck disable=SC2034 # for run and shell
kernel_arguments='rootflags=prjquota rw panic=-1 psi=1 audit=0 quiet systemd.show_status=false'
