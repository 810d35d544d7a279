# shellcheck shell=bash
# What a case has at hand. The guest runs `bash -eEu -o pipefail lib.sh CASE`; a person's shell
# sources this file.
#
#   bundle NAME [JQ]         makes a busybox bundle; JQ edits its config.json
#   annotate KEY VALUE       an annotation for the last bundle
#   run_ranked NAME          packrank-runtime run --detach; then $ID, $PID and $CGROUP are set
#   run_plain NAME           the same by the bare engine
#   ranked ARGS… / engine ARGS…    any other verb, under the case's $ENGINE and $DRIVER
#   select_container NAME    $ID, $PID and $CGROUP of another container of this case
#   container_of PID         $PID and $CGROUP of a container that a manager made
#   expect_low PID           the same, and it has the limits of class low
#   classes                  their names; `figures_of CLASS` sets what the built-in policy says of one
#   expect_class CLASS       $PID and $CGROUP have all of it, at most $own_files open files and $own_pids
#                            processes, where the engine's own spec says so: the stricter wins
#   expect_rates CLASS ID    so have the queues of its network
#   expect_low_network       what passes from and to $PID, measured, is the rate of class low
#   remove NAME              deletes a container now
#   expect FILE VALUE        $CGROUP/FILE (or an absolute path) reads VALUE
#   known_gap FILE VALUE     … or this, which the engine is known for
#   expect_limit NAME SOFT HARD    of the container's process, named as in /proc/PID/limits
#   expect_is WHAT GOT WANTED
#   weight_of SHARES         the cpu.weight that the case's engine makes of cpu.shares
#   refused PART COMMAND…    COMMAND fails, and says PART on stderr
#   wait_for SECONDS COMMAND…    until it succeeds, or three times what takes that long at worst on a
#                            machine that has nothing else to do
#   reboot_machine           boots it anew and runs the case again, then with $REBOOTED set
#   at_exit COMMAND…         cleaning up, last first
#   fail REASON · skip REASON · note TEXT
#   linked PROGRAM…          where engines look for it
#   docker_up · containerd_up · podman_up    starts the engine; its image is localhost/busybox
#   docker_class CLASS       sets `how`: the options by which this Docker is told a class
#   watched                  from now on a ranked container has a watcher started
#   packs_up                 cgroup $top and folder $run, for packs that are no containers:
#   pack NAME CLASS JQ COMMAND…    COMMAND in cgroup $top/NAME, with a record that JQ adds to
#   quick_policy FILE        one by which the watcher takes steps each second and calms in three
#   watch [ARGS…]            packrank-watcher for them, in the background as $watcher; says what it
#                            does in the file said
#   scratch FILESYSTEM OPTIONS    a fresh file system on the scratch disk, mounted at /scratch
#   manager_up docker|podman [FOLDER]   the same with packrank as its runtime, and its storage in
#                            FOLDER; then there are:
#   start NAME [OPTION…]     a sleeping container of it, by `run` with these options
#   inside NAME COMMAND…     what a container of it runs; busybox is all there is
#   manager VERB ARGS…       any other verb of it; `full NAME` is a container's name for it
#   gateway NAME             the host's address in its network
#   ranked_id NAME           the engine's id of it, as packrank's verbs want it
#   away NAME…               removes containers; at the case's end all that are left
#   ours                     what is there of packrank's: interfaces, tables, files, quotas
#
# `expect` goes on after a difference and fails the case at its end, so that one run shows all.

LAB=${LAB:-/lab}
STATE=${STATE:-/run/lab}
WORK=${WORK:-/var/lib/lab/work}
ENGINE=${ENGINE:-runc}
DRIVER=${DRIVER:-systemd}
ID='' PID='' CGROUP='' LEAF='' BUNDLE=''
image=localhost/busybox:latest

# shellcheck source-path=SCRIPTDIR source=classes.sh
. "${BASH_SOURCE[0]%/*}/classes.sh"

declare -a cleanups=() containers=() differences=()
declare -A gaps=()

note() { printf '%s\n' "$*"; }

_end() { # status and reason, in a case; only the words, in a person's shell
  if [[ $- == *i* ]]; then
    printf '%s\n' "$2" >&2
  else
    printf '%s' "$2" >"$STATE/reason"
    trap - ERR
    exit "$1"
  fi
}
fail() { printf 'failed: %s\n' "$*"; _end 1 "$*"; }
skip() { _end 77 "$*"; }

at_exit() { cleanups+=("$(printf '%q ' "$@")"); }

# --- bundles ---------------------------------------------------------------------------------

# Container ids are unique within a boot: the case's name (the guest's $CASE_ID) and the container's.
_id() { printf '%s-%s' "$CASE_ID" "$1"; }

bundle() {
  local name=$1 filter=${2:-.} path
  ID=$(_id "$name")
  BUNDLE=$WORK/$name
  mkdir -p "$BUNDLE"
  case $DRIVER in
    systemd) path=lab.slice:lab:$ID ;;
    *) path=/lab/$ID ;;
  esac
  jq --arg root /var/lib/lab/rootfs --arg path "$path" --arg host "$name" \
    ".root.path = \$root | .linux.cgroupsPath = \$path | .hostname = \$host | $filter" \
    "$LAB/config.json" >"$BUNDLE/config.json"
}

annotate() {
  local written
  written=$(jq --arg key "$1" --arg value "$2" '.annotations[$key] = $value' "$BUNDLE/config.json")
  printf '%s\n' "$written" >"$BUNDLE/config.json"
}

_flags() {
  local -n _out=$1
  _out=(--root "$STATE/$ENGINE")
  [[ $DRIVER != systemd ]] || _out+=(--systemd-cgroup)
}
engine() { local -a flags; _flags flags; "$ENGINE" "${flags[@]}" "$@"; }
ranked() {
  local -a flags
  _flags flags
  packrank-runtime --engine "$(command -v "$ENGINE")" "${flags[@]}" "$@"
}

run_ranked() { _run ranked "$@"; }
run_plain() { _run engine "$@"; }
_run() {
  local how=$1 name=$2
  shift 2
  ID=$(_id "$name")
  containers+=("$name")
  # A detached container inherits our stdout and stderr: give it a file of its own.
  if ! "$how" run --detach --bundle "$WORK/$name" --pid-file "$WORK/$name.pid" "$@" "$ID" \
    </dev/null >"$WORK/$name.out" 2>&1; then
    cat "$WORK/$name.out"
    fail "$ENGINE could not run $name: $(tail -n 1 "$WORK/$name.out")"
    return 1
  fi
  select_container "$name"
}

container_of() {
  local value
  PID=$1
  _read "/proc/$PID/cgroup"
  LEAF=/sys/fs/cgroup${value##*0::}
  CGROUP=${LEAF%/container}
}

select_container() {
  ID=$(_id "$1")
  BUNDLE=$WORK/$1
  local value
  _read "$WORK/$1.pid"
  PID=$value
  _read "/proc/$PID/cgroup"
  LEAF=/sys/fs/cgroup${value##*0::}
  CGROUP=$LEAF
  while [[ ${CGROUP##*/} != *"$ID"* ]]; do
    [[ $CGROUP == /sys/fs/cgroup/?* ]] || { fail "$1 runs in no cgroup of its own: $LEAF"; return 1; }
    CGROUP=${CGROUP%/*}
  done
}

remove() {
  local -a left=()
  local name
  for name in "${containers[@]}"; do [[ $name == "$1" ]] || left+=("$name"); done
  containers=(${left[@]+"${left[@]}"})
  _delete "$1"
}

# As a manager does it: again, when the engine's delete fails. youki 0.7 gives up before it runs
# the poststop hooks when a scope's cgroup is not empty at once.
_delete() {
  local try said=''
  local -a flags
  _flags flags
  for try in 1 2 3; do
    said=$(timeout 20 "$ENGINE" "${flags[@]}" delete --force "$(_id "$1")" 2>&1) && return
    note "delete $1, try $try: $(tail -n 1 <<<"$said")"
    sleep 0.5
  done
  return 1
}

# --- looking ---------------------------------------------------------------------------------

expect_is() {
  if [[ $2 == "$3" ]]; then
    printf 'ok    %s is %s\n' "$1" "$2"
  else
    printf 'WRONG %s is %s, not %s\n' "$1" "$2" "$3"
    differences+=("$1 is $2, not $3")
  fi
}

# Sets `value` to a kernel file's contents on one line. No process is started: under emulation
# that is most of what a case costs.
_read() {
  local -a lines
  if [[ ! -e $1 ]]; then
    value=absent
  elif mapfile -t lines <"$1"; then
    value=${lines[*]}
    value=${value//$'\t'/ }
  fi
}

# A limit may sit on the container's cgroup or on the one below it that holds its processes (crun
# under systemd makes one). Weights and guarantees count on the container's cgroup only.
expect() {
  local path=$1 value
  [[ $path == /* ]] || path=$CGROUP/$path
  _read "$path"
  case $1 in
    /*) ;;
    *.max | memory.high | cpuset.*)
      [[ $value == "$2" || $LEAF == "$CGROUP" ]] || _read "$LEAF/$1"
      ;;
  esac
  if [[ $value != "$2" && $value == "${gaps[$1]-}" ]]; then
    printf 'gap   %s is %s, not %s, as is known of %s\n' "$1" "$value" "$2" "$ENGINE"
    grep -sqw "$1" "$STATE/gaps" || printf '%s ' "$1" >>"$STATE/gaps"
  else
    expect_is "$1" "$value" "$2"
  fi
}

# From now on FILE may also read VALUE: a lack of the engine's that is reported and does not fail.
known_gap() { gaps[$1]=$2; }

# A soft or hard limit of the container's first process: expect_limit 'open files' SOFT HARD
expect_limit() {
  local line soft='' hard=''
  while read -r line; do
    [[ $line == "Max $1 "* ]] || continue
    read -r soft hard _ <<<"${line#"Max $1 "}"
  done <"/proc/$PID/limits"
  expect_is "limit of $1" "$soft $hard" "$2 $3"
}

# The cpu.weight that the case's engine makes of cpu.shares. Up to runc 1.3.1 and crun 1.22:
# linear, shares 2…262144 to weight 1…10000. Since then, and in libcontainer 0.7: a curve through
# 1024 → 100, rounded up.
weight_of() {
  local version since
  version=$("$ENGINE" --version | sed -n '1s/.*version:* *v*\([0-9.]*\).*/\1/p')
  case $ENGINE in
    runc) since=1.3.2 ;;
    crun) since=1.23 ;;
    *) since=0 ;;
  esac
  if _older "$version" "$since"; then
    echo $((1 + ($1 - 2) * 9999 / 262142))
    return
  fi
  awk -v shares="$1" 'BEGIN { l = log(shares) / log(2); w = 10 ^ ((l * l + 125 * l) / 612 - 7 / 34)
    c = int(w); print c + (w > c) }'
}
_older() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

refused() {
  local part=$1 said
  shift
  if said=$("$@" 2>&1 >/dev/null); then
    fail "was not refused: $*"
  elif [[ $said != *"$part"* ]]; then
    printf '%s\n' "$said"
    fail "the refusal does not say '$part': $(tail -n 1 <<<"$said")"
  else
    printf 'ok    refused: %s\n' "$said"
  fi
}

wait_for() {
  local end=$((SECONDS + 3 * $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

# What the case would clean up stays for what comes after.
reboot_machine() {
  local drop_in=/run/systemd/system/lab-run.service.d
  [[ -e /var/lib/lab/booted ]] || skip 'a shell does not outlive it'
  [[ ${#differences[@]} == 0 ]] || fail "${differences[0]}"
  mkdir -p "$drop_in"
  printf '[Unit]\nSuccessAction=none\nFailureAction=none\n' >"$drop_in/reboot.conf"
  systemctl daemon-reload
  printf '%s\n' "$CASE" >/var/lib/lab/reboot
  systemctl reboot
  sleep 1000
}

# --- engines and disks -----------------------------------------------------------------------

_image_tar() {
  local tar=/var/lib/lab/busybox.tar
  [[ -e $tar ]] || tar -C /var/lib/lab/rootfs -cf "$tar" .
  printf '%s' "$tar"
}

# An engine that this Debian does not have is nobody's failure.
_has() { command -v "$1" >/dev/null || skip "no $1 in this guest"; }

docker_up() {
  _has dockerd
  systemctl start docker || { systemctl status --no-pager docker; fail "docker does not start"; }
  docker image inspect "$image" >/dev/null 2>&1 \
    || docker import --change 'CMD ["sleep", "1000"]' "$(_image_tar)" "$image" >/dev/null
}

docker_class() {
  how=(--runtime packrank --annotation "packrank.io/priority=$1")
  # Before 24 the runtime's name is all there is.
  docker run --help | grep -q -e --annotation || how=(--runtime "packrank-$1")
}

podman_up() {
  _has podman
  podman image exists "$image" \
    || podman import --quiet --change 'CMD ["sleep", "1000"]' "$(_image_tar)" "$image" >/dev/null
}

# Its own ten seconds are too few for a machine that two guests share.
ctr() { command ctr --connect-timeout 2m "$@"; }

# containerd imports only OCI or docker archives: this makes one of the same single layer.
containerd_up() {
  local layer config tar=/var/lib/lab/busybox-image.tar folder
  _has containerd
  systemctl start containerd || { systemctl status --no-pager containerd; fail "containerd does not start"; }
  if [[ ! -e $tar ]]; then
    folder=$(mktemp -d)
    cp "$(_image_tar)" "$folder/layer.tar"
    layer=$(sha256sum "$folder/layer.tar" | cut -d ' ' -f 1)
    jq -n --arg layer "sha256:$layer" '{architecture: "amd64", os: "linux",
      config: {Cmd: ["sleep", "1000"], Env: ["PATH=/bin"]}, rootfs: {type: "layers", diff_ids: [$layer]}}' \
      >"$folder/config.json"
    config=$(sha256sum "$folder/config.json" | cut -d ' ' -f 1).json
    mv "$folder/config.json" "$folder/$config"
    jq -n --arg config "$config" --arg image "$image" \
      '[{Config: $config, RepoTags: [$image], Layers: ["layer.tar"]}]' >"$folder/manifest.json"
    tar -C "$folder" -cf "$tar" manifest.json "$config" layer.tar
    rm -r "$folder"
  fi
  ctr images list --quiet | grep -qx "$image" || ctr images import "$tar" >/dev/null
}

linked() {
  local program
  for program; do ln -sf "$(command -v "$program")" "/usr/local/bin/$program"; done
}

watched() {
  systemctl unmask --quiet --runtime packrank-watcher.service
  at_exit systemctl mask --quiet --runtime packrank-watcher.service
  at_exit eval 'systemctl stop packrank-watcher.service 2>/dev/null || true'
}

quick_policy() {
  cat >"$1" <<'TOML'
[watch]
hold = 3
squeeze.down-every = 1
squeeze.up-every = 1
adaptive.every = 1
adaptive.enabled = false
TOML
}

packs_up() {
  top=/sys/fs/cgroup/watcher-$CASE_ID run=$WORK/run
  mkdir -p "$top" "$run/packs"
  chmod 700 "$run" "$run/packs"
  echo '+memory +cpu' >/sys/fs/cgroup/cgroup.subtree_control
  echo '+memory +cpu' >"$top/cgroup.subtree_control"
  at_exit rmdir "$top"
}
_no_folder() { [[ ! -d $1 ]] || rmdir "$1" 2>/dev/null; }
pack() {
  local name=$1 class=$2 more=$3 folder=$top/$1 pid
  shift 3
  mkdir -p "$folder"
  # A killed process takes its time to go, the longer the more memory it has.
  at_exit wait_for 60 _no_folder "$folder"
  at_exit eval "echo 1 >$folder/cgroup.kill"
  bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' pack "$folder" "$@" </dev/null >/dev/null 2>&1 &
  pid=$!
  wait_for 20 grep -qx "$pid" "$folder/cgroup.procs"
  jq -n --arg top "${top##*/}" --arg id "$name" --arg class "$class" --argjson pid "$pid" \
    --argjson started "$(awk '{print $22}' "/proc/$pid/stat")" \
    "{version: 1, id: \$id, priority: \$class, pid: \$pid, started: \$started, bundle: \"/\", engine: \"/\",
      cgroups: {unified: \"/\(\$top)/\(\$id)\"}, settings: {}} | $more" >"$run/packs/.$name"
  chmod 600 "$run/packs/.$name"
  mv "$run/packs/.$name" "$run/packs/$name.json"
}
watch() {
  packrank-watcher --foreground --run "$run" "$@" >>said 2>&1 &
  watcher=$!
  at_exit eval "kill $watcher 2>/dev/null || true"
}

scratch() {
  local filesystem=$1 options=${2:-defaults} disk=/dev/disk/by-id/virtio-scratch
  umount /scratch 2>/dev/null || true
  wipefs -q -a "$disk"
  case $filesystem in
    ext4) mkfs.ext4 -q -O quota,project -E quotatype=prjquota "$disk" ;;
    *) "mkfs.$filesystem" -q "$disk" ;;
  esac
  mkdir -p /scratch
  mount -t "$filesystem" -o "$options" "$disk" /scratch
  at_exit umount /scratch
}

# --- containers through a manager ------------------------------------------------------------

declare -A _started=()
manager_up() {
  local storage=${2-}
  linked packrank-runtime packrank-hook
  # What an earlier case's engine left when it was killed is not this one's.
  packrank gc >/dev/null
  at_exit _away_all
  # Emulated, the kernel takes seconds to load what the first container wants.
  modprobe -aq ifb sch_htb sch_tbf sch_fq_codel nf_tables nf_conntrack nft_ct nft_limit nft_connlimit nft_reject_inet nft_fwd_netdev || true
  case $1 in
    docker)
      mkdir -p /etc/docker
      jq --arg root "$storage" 'if $root == "" then . else . + {"data-root": $root} end' \
        "$LAB/examples/docker/daemon.json" >/etc/docker/daemon.json
      at_exit rm -f /etc/docker/daemon.json
      systemctl stop docker.socket docker 2>/dev/null || true
      at_exit _stop docker.socket docker
      docker_up
      manager() { docker "$@"; }
      _with=(--runtime packrank) _remove=(rm -f)
      ;;
    podman)
      podman() { command podman "${_podman[@]}" "$@"; }
      _podman=()
      [[ -z $storage ]] || _podman=(--root "$storage" --runroot "$STATE/podman")
      podman_up
      _podman+=(--runtime /usr/local/bin/packrank-runtime)
      manager() { podman "$@"; }
      _with=() _remove=(rm -f -t 0)
      ;;
  esac
}
full() { _id "$1"; }
start() {
  local name=$1
  shift
  _started[$name]=$(full "$name")
  manager run -d --name "$(full "$name")" ${_with[@]+"${_with[@]}"} -v "$LAB/bin:/lab:ro" "$@" "$image" sleep 1000 >/dev/null
}
inside() {
  local name=$1
  shift
  manager exec "$(full "$name")" "$@"
}
gateway() { inside "$1" ip route | awk '$1 == "default" { print $3; exit }'; }
ranked_id() { manager inspect -f '{{.Id}}' "$(full "$1")"; }
away() {
  local name
  local -a names=()
  for name; do names+=("$(full "$name")") && unset "_started[$name]"; done
  manager "${_remove[@]}" "${names[@]}" >/dev/null
}
_away_all() { [[ ${#_started[@]} == 0 ]] || manager "${_remove[@]}" "${_started[@]}" >/dev/null 2>&1; }
_stop() { systemctl stop "$@" 2>/dev/null; }

ours() {
  {
    ip -br link | grep '^prk'
    nft list tables | grep packrank
    ls /run/packrank/packs /run/packrank/networks /run/packrank/projects | grep -v '^/run\|^$'
    # Our projects are the 65536 from 0x70610000 up, and the numbers are the kernel's. One without a
    # limit is a layer's that an engine keeps.
    repquota -a -P -n | awk '/^#/ { n = substr($1, 2) + 0
      if (n >= 1885405184 && n < 1885470720 && $4 + $5 + $7 + $8) print }'
  } 2>/dev/null || true
}

# --- a case ----------------------------------------------------------------------------------

# Its names are its own: the commands of at_exit see the case's variables.
_finish() {
  local _status=$? _name _index
  set +eE
  trap - ERR EXIT
  [[ ! -e /var/lib/lab/reboot ]] || exit 0
  for _name in "${containers[@]}"; do
    if ! _delete "$_name"; then differences+=("$ENGINE cannot delete $_name"); fi
  done
  for ((_index = ${#cleanups[@]} - 1; _index >= 0; _index--)); do
    eval "${cleanups[_index]}"
  done
  if [[ $_status == 0 && ${#differences[@]} -gt 0 ]]; then
    printf '%s' "${differences[0]}" >"$STATE/reason"
    [[ ${#differences[@]} == 1 ]] || printf ' (and %s more)' "$((${#differences[@]} - 1))" >>"$STATE/reason"
    _status=1
  fi
  cd /
  rm -rf "$WORK"
  exit "$_status"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  mkdir -p "$WORK"
  cd "$WORK" || exit
  trap _finish EXIT
  trap 'exit 143' TERM
  trap 'printf "%s" "line ${BASH_LINENO[0]}: ${BASH_COMMAND%%$'\''\n'\''*} (status $?)" >"$STATE/reason"' ERR
  # shellcheck source=/dev/null
  . "$1"
fi
