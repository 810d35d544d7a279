# From the begin of a stall to the first deed. Somebody who is not to be asked runs into its
# memory.high and is throttled, which is a memory stall of the node, while memory is not short; beside
# it a scavenger with cache to give, which nothing but the watcher takes.
#   calm    nothing pressed before: from the begin of the stall
#   alert   the stall is a second old when the scavenger begins to read, and has something to give:
#           from the begin of that
# matrix: with=calm,alert
# needs: packrank packrank-watcher jq
# timeout: 900
# tries: 1

read -r rounds _ </lab/extra/rounds
rounds=$((rounds * 4))
load=/lab/extra/load
name=react-$WITH
top=/sys/fs/cgroup/$name
run=$WORK/run
mkdir -p "$top" "$run/packs"
chmod 700 "$run" "$run/packs"
at_exit eval "wait_for 60 rmdir $top 2>/dev/null"
echo '+memory' >/sys/fs/cgroup/cgroup.subtree_control
echo '+memory' >"$top/cgroup.subtree_control"
case $WITH in calm) hold=1 ;; alert) hold=300 ;; esac
printf '[watch]\nhold = %s\n' $hold >policy.toml
packrank-watcher --foreground --run "$run" --policy "$PWD/policy.toml" >said 2>&1 &
watcher=$!
at_exit kill "$watcher"
if [[ $WITH == alert ]]; then
  # Somebody works on, or the node stalls as a whole and the scavenger that has nothing is killed.
  for cpu in 0 1; do taskset -c $cpu nice -n 19 "$load" spin 3600 spun$cpu & at_exit kill $!; done
fi
level() { printf '{"verb":"node"}\n' | timeout 5 nc -U -q 2 "$run/watcher.sock" | jq -r .pressure.memory; }
calm() { [[ $WITH == alert || $(level) == none ]]; }
head -c 64M /dev/urandom >file
sync

# NAME CLASS GO WORDS…: a pack that runs `load WORDS…` once there is a file GO.
pack_of() {
  local name=$1 class=$2 go=$3 folder=$top/$1 pid
  shift 3
  mkdir "$folder"
  GO=$go bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' pack "$folder" "$load" "$@" </dev/null >/dev/null 2>&1 &
  wait_for 60 grep -q . "$folder/cgroup.procs"
  pid=$(head -n 1 "$folder/cgroup.procs")
  jq -n --arg id "$name" --arg path "${folder#/sys/fs/cgroup}" --argjson pid "$pid" --arg class "$class" \
    --argjson started "$(awk '{print $22}' "/proc/$pid/stat")" \
    '{version: 1, id: $id, priority: $class, pid: $pid, started: $started, bundle: "/", engine: "/",
      cgroups: {unified: $path}, settings: {}}' >"$run/packs/.$name"
  chmod 600 "$run/packs/.$name"
  mv "$run/packs/.$name" "$run/packs/$name.json"
}
# NAME GO: one that stalls.
stalls() {
  pack_of "$1" normal "$2" hog 64 200 6 work
  echo $(($(<"$top/$1/memory.current") + 8388608)) >"$top/$1/memory.high"
}
gone() {
  local name
  for name; do
    echo 1 >"$top/$name/cgroup.kill"
    rm -f "$run/packs/$name.json"
    wait_for 60 rmdir "$top/$name" 2>/dev/null
  done
}

: >reactions
for ((n = 1; n <= rounds; n++)); do
  wait_for 90 calm || fail "it does not become calm: $(level)"
  echo 3 >/proc/sys/vm/drop_caches
  go=$PWD/go$n
  rm -f begun
  pack_of "cache$n" scavenger "$go-cache" read file begun
  stalls "stalls$n" "$go"
  if [[ $WITH == calm ]]; then
    touch "$go-cache"
    sleep 2
    chrt -f 50 "$load" watch 3 onlooker "$n=$top/stalls$n" &
    onlooker=$!
    sleep 1
    touch "$go"
    wait "$onlooker"
  else
    sleep 1
    touch "$go"
    sleep 1
    touch "$go-cache"
    sleep 1.5
    echo "stall $(<begun)" >onlooker
  fi
  packrank events --run "$run" --json | jq -r 'select(.deed == "reclaim") | .at' >deeds
  "$load" first onlooker deeds | tee -a reactions
  cat onlooker
  gone "stalls$n" "cache$n"
done
tail -n 40 said
note "| from a stall to the first deed, $WITH, $rounds rounds, ms: $(sort -n reactions | xargs)"
