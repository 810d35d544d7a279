# From the begin of a stall to the first deed: a scavenger with some cache runs into its memory.high
# and is throttled, which is a memory stall of the node, while memory is not short.
# matrix: with=calm,alert
# needs: packrank packrank-watcher jq
# timeout: 600

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
printf '[watch]\nhold = %s\nladder.dry = 1\n' $hold >policy.toml
packrank-watcher --foreground --run "$run" --policy "$PWD/policy.toml" >said 2>&1 &
watcher=$!
at_exit kill "$watcher"
level() { printf '{"verb":"node"}\n' | timeout 5 nc -U -q 2 "$run/watcher.sock" | jq -r .pressure.memory; }
calm() { [[ $WITH == alert || $(level) == none ]]; }

: >reactions
for ((n = 1; n <= 8; n++)); do
  wait_for 60 calm || fail "it does not become calm: $(level)"
  folder=$top/$n go=$PWD/go$n
  mkdir "$folder"
  GO=$go bash -c "echo \$\$ >$folder/cgroup.procs; head -c 16M /dev/urandom >file$n; sync file$n
    touch ready$n; exec $load hog 64 200 4 work" </dev/null >/dev/null 2>&1 &
  wait_for 60 test -e ready$n
  pid=$(head -n 1 "$folder/cgroup.procs")
  jq -n --arg id "$n" --arg path "/$name/$n" --argjson pid "$pid" \
    --argjson started "$(awk '{print $22}' "/proc/$pid/stat")" \
    '{version: 1, id: $id, priority: "scavenger", pid: $pid, started: $started, bundle: "/", engine: "/",
      cgroups: {unified: $path}, settings: {}}' >"$run/packs/.$n"
  chmod 600 "$run/packs/.$n"
  mv "$run/packs/.$n" "$run/packs/$n.json"
  sleep 2
  echo $(($(<"$folder/memory.current") + 8388608)) >"$folder/memory.high"
  chrt -f 50 "$load" watch 3 onlooker "$n=$folder" &
  onlooker=$!
  sleep 0.5
  touch "$go"
  wait "$onlooker"
  packrank events --run "$run" --json | jq -r 'select(.deed == "reclaim" or .deed == "kill") | .at' >deeds
  "$load" first onlooker deeds >>reactions
  echo 1 >"$folder/cgroup.kill"
  rm -f "$run/packs/$n.json" "file$n"
  wait_for 60 rmdir "$folder" 2>/dev/null
done
tail -n 20 said
note "| from a stall to the first deed, $WITH, ms: $(sort -n reactions | xargs)"
