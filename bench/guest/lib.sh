# shellcheck shell=bash
# What the protection benchmarks share; sourced by each case.
#
# Rounds by turns, so that a machine's mood touches all alike: the service alone, and beside its
# neighbours with each that may look on. A case says what the service asks for, what a neighbour
# wants, and calls
#
#   rounds RESOURCE SCAVENGERS CAPACITY WHO…
#
# CAPACITY is what the node can do of the neighbours' work in a second; the neighbours are
# SCAVENGERS scavengers or, where $CROWD is mix, a normal one, a low one and two scavengers. The case
# has these, called for each round with $WITH set:
#
#   service           starts it with `serve MIB ASK`: its working set, and what a request asks for
#   neighbour NAME    starts one with `pack`; $at is its place among them
#   neighbours COUNT  prints their names, a class and a number each; there is one already
#   before · after    about the round
#   worked NAME       prints how much of the work it got done; there is one already
#
# And for itself:
#
#   pack NAME CLASS WORDS…   a container of that class that runs `load WORDS…` once all begin;
#                            on the bare engine where $WITH is plain; $EDIT is a jq filter for
#                            its config.json
#   peer                     starts what is looking on where $WITH says so, anew
#   go SECONDS               all begin; returns when the time is over
#   over                     all are removed
# A line that begins with `| ` is shown also when the case passes.

ENGINE=${BENCH_ENGINE:-crun} DRIVER=${BENCH_DRIVER:-systemd}
load=$LAB/extra/load
kept=/var/lib/lab/bench
out=/run/lab-bench
seconds=20 rate=40
WITH=alone
mkdir -p "$kept" "$out"
rm -f "$out"/*
linked packrank-runtime packrank-hook
data=$kept/data
[[ -e $data ]] || head -c 64M /dev/urandom >"$data"
at_exit peer_off

declare -a started=()
declare -A cgroup=() pid=()
pack() {
  local name=$1 class=$2 words
  shift 2
  words=$(printf '%s\n' /load/load "$@" | jq -R . | jq -s .)
  # A program of its own, as each image has, and not in memory yet: pages are
  # charged to whoever reads them first.
  mkdir -p "$kept/bin-$name"
  cp "$load" "$kept/bin-$name/load"
  bundle "$name" ".process.args = $words | .process.env += [\"GO=/out/go\"] | .mounts += [
    {destination: \"/load\", type: \"bind\", source: \"$kept/bin-$name\", options: [\"bind\", \"ro\"]},
    {destination: \"/data\", type: \"bind\", source: \"$kept\", options: [\"bind\", \"ro\"]},
    {destination: \"/out\", type: \"bind\", source: \"$out\", options: [\"bind\", \"rw\"]}] | ${EDIT:-.}"
  annotate packrank.io/priority "$class"
  if [[ $WITH == plain ]]; then run_plain "$name"; else run_ranked "$name"; fi
  started+=("$name")
  cgroup[$name]=$CGROUP
  pid[$name]=$PID
}
serve() { pack critical critical service $rate $seconds "$1" "$2" /out/service; }

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
  chrt -f 50 "$load" watch "$1" "$out/watch" "${watched[@]}" &
  local onlooker=$!
  # Refused where memory is not what this is about.
  { echo -1000 >"/proc/$onlooker/oom_score_adj"; } 2>/dev/null || true
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
  cgroup=() pid=()
  rm -f "$out"/*
}

# --- who looks on ----------------------------------------------------------------------------

systemd() { [[ -S /run/systemd/private ]]; }
watcher=''
peer() {
  peer_off
  case $WITH in
    watcher | iocost)
      if systemd; then
        systemctl unmask --quiet --runtime packrank-watcher.service
      else
        "$LAB/extra/packrank-watcher" --foreground >"$out/watcher" 2>&1 &
        watcher=$!
      fi
      ;;
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
  if [[ -n $watcher ]]; then
    kill "$watcher" && wait "$watcher" || true
    watcher=''
  fi
  systemd || return 0
  systemctl stop earlyoom systemd-oomd packrank-watcher.service 2>/dev/null || true
  systemctl mask --quiet --runtime packrank-watcher.service
}

# --- rounds ----------------------------------------------------------------------------------

declare -A runs=() born=() died=() work=() got=() busy=()
class_of() { printf '%s' "${1%%[0-9]*}"; }
neighbours() {
  case ${CROWD:-scavengers} in
    mix) printf '%s\n' normal1 low1 scavenger1 scavenger2 ;;
    *) seq -f 'scavenger%g' "$1" ;;
  esac
}
before() { :; }
after() { :; }
# What it wrote, line by line, each second.
worked() { awk '{ n += $1 } END { printf "%.0f\n", n + 0 }' "$out/$1"; }
# So much work in all rounds with $WITH, in percent of what the node could have done.
percent() { # WORK CAPACITY FORMAT
  awk -v got="$1" -v all="$2" -v time=$((seconds * runs[$WITH])) -v as="$3" 'BEGIN { printf as, got * 100 / all / time }'
}

# Jiffies in which a CPU did something, and in which none did.
jiffies() {
  local _ user nice system idle wait irq soft
  read -r _ user nice system idle wait irq soft _ </proc/stat
  printf '%s %s\n' $((user + nice + system + irq + soft)) $((idle + wait))
}

# The service's seconds are in another file than the others' work.
file_of() { printf '%s' "$out/${1/#critical/service}"; }
ended() { grep -qsx end "$(file_of "$1")"; }
lives() { kill -0 "${pid[$1]}" 2>/dev/null; }
settled() { ended critical || ! lives critical; }

round() {
  local n=$1 count=$2 name class did at=0 b i b2 i2
  peer
  before
  service
  if [[ $WITH != alone ]]; then
    for name in $(neighbours "$count"); do
      at=$((at + 1))
      neighbour "$name"
    done
  fi
  read -r b i < <(jiffies)
  go $((seconds + 3))
  read -r b2 i2 < <(jiffies)
  # It may have begun later: its working set comes first.
  wait_for 30 settled || true
  cp "$out/service" "$kept/$resource-$WITH-$n"
  runs[$WITH]=$((${runs[$WITH]:-0} + 1))
  busy[$WITH]="${busy[$WITH]:-} $(((b2 - b) * 100 / (b2 - b + i2 - i)))"
  for name in "${started[@]}"; do
    class=$(class_of "$name")
    born[$WITH:$class]=$((${born[$WITH:$class]:-0} + 1))
    ended "$name" || lives "$name" || died[$WITH:$class]=$((${died[$WITH:$class]:-0} + 1))
    [[ $name != critical ]] || continue
    did=$(worked "$name")
    got[$WITH:$class]=$((${got[$WITH:$class]:-0} + did))
    work[$WITH]=$((${work[$WITH]:-0} + did))
  done
  after "$n"
  over
}

rounds() {
  local resource=$1 count=$2 capacity=$3 all only n class
  local -a alone=()
  shift 3
  read -r all only <"$LAB/extra/rounds"
  rm -f "$kept/$resource"-*
  for ((n = 1; n <= all; n++)); do
    for WITH in alone ${only:-$@}; do round "$n" "$count"; done
  done
  alone=("$kept/$resource"-alone-*)
  for WITH in alone ${only:-$@}; do
    note "| $resource, $WITH, ${runs[$WITH]} rounds of $seconds s"
    "$load" table $rate $seconds "${alone[@]}" -- "$kept/$resource-$WITH"-* | sed 's/^/| /'
    note "| service within twice its latency alone: $("$load" twice $rate $seconds "${alone[@]}" -- "$kept/$resource-$WITH"-*) of ${runs[$WITH]} rounds; CPUs busy:${busy[$WITH]} %"
    [[ $WITH != alone ]] || continue
    for class in critical high normal low scavenger; do
      [[ -n ${born[$WITH:$class]:-} ]] || continue
      note "| $class: $((${died[$WITH:$class]:-0})) of ${born[$WITH:$class]} died$([[ $class == critical ]] \
        || echo "; work: $(percent "${got[$WITH:$class]:-0}" "$capacity" %.1f) %")"
    done
    note "| neighbours' work: $(percent "${work[$WITH]}" "$capacity" %.0f) % of what the node can do beside the service"
  done
}
