# shellcheck shell=bash
# What the guest's benchmarks share; sourced by each case.
#
#   pack NAME CLASS WORDS…   a container of that class that runs `load WORDS…` once `go` was said;
#                            on the bare engine where $WITH is plain; $EDIT is a jq filter for
#                            its config.json
#   go SECONDS               all begin; returns when the time is over
#   peer                     starts what is watching where $WITH says so, anew
#   over                     all are removed
# A line that begins with `| ` is shown also when the case passes.

ENGINE=crun
load=/lab/extra/load
kept=/var/lib/lab/bench
out=/run/lab-bench
mkdir -p "$kept" "$out"
rm -f "$out"/*
linked packrank-runtime packrank-hook
data=$kept/data
[[ -e $data ]] || head -c 64M /dev/urandom >"$data"
at_exit peer_off

declare -a started=()
declare -A cgroup=()
pack() {
  local name=$1 class=$2 words
  shift 2
  words=$(printf '%s\n' /load/load "$@" | jq -R . | jq -s .)
  # A program of its own, as each image has, and not in memory yet: pages are
  # charged to whoever reads them first.
  mkdir -p "$kept/bin-$name"
  cp "$load" "$kept/bin-$name/load"
  forget
  bundle "$name" ".process.args = $words | .process.env += [\"GO=/out/go\"] | .mounts += [
    {destination: \"/load\", type: \"bind\", source: \"$kept/bin-$name\", options: [\"bind\", \"ro\"]},
    {destination: \"/data\", type: \"bind\", source: \"$kept\", options: [\"bind\", \"ro\"]},
    {destination: \"/out\", type: \"bind\", source: \"$out\", options: [\"bind\", \"rw\"]}] | ${EDIT:-.}"
  annotate packrank.io/priority "$class"
  if [[ $WITH == plain ]]; then run_plain "$name"; else run_ranked "$name"; fi
  started+=("$name")
  cgroup[$name]=$CGROUP
}

# Files are read anew.
forget() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

go() {
  local name
  local -a watched=()
  for name in "${started[@]}"; do watched+=("$name=${cgroup[$name]}"); done
  # What is looking on comes first, and nothing may take its memory or time.
  chrt -f 50 choom -n -1000 -- "$load" watch "$1" "$out/watch" "${watched[@]}" &
  local onlooker=$!
  forget
  touch "$out/go"
  wait "$onlooker"
  # What a load had to complain of.
  for name in "${started[@]}"; do cat "$WORK/$name.out"; done
}

over() {
  local name
  for name in "${started[@]}"; do remove "$name" || true; done
  started=()
  cgroup=()
  rm -f "$out"/*
}

peer() {
  peer_off
  case $WITH in
    watcher | iocost) systemctl unmask --quiet --runtime packrank-watcher.service ;;
    earlyoom) systemctl start earlyoom ;;
    systemd-oomd)
      # Its quickest: pressure of a tenth for a second.
      mkdir -p /run/systemd/oomd.conf.d
      printf '[OOM]\nDefaultMemoryPressureDurationSec=1s\n' >/run/systemd/oomd.conf.d/bench.conf
      systemctl set-property --runtime lab.slice ManagedOOMMemoryPressure=kill ManagedOOMMemoryPressureLimit=10%
      systemctl start systemd-oomd
      ;;
  esac
}
peer_off() {
  systemctl stop earlyoom systemd-oomd packrank-watcher.service 2>/dev/null || true
  systemctl mask --quiet --runtime packrank-watcher.service
}
