# Memory runs out under a real version 2 hierarchy: the scavenger dies, low and critical live, and
# the critical one's guarantee reaches its parent, also after the watcher itself was killed.
# needs: packrank-watcher stress-ng jq
# timeout: 240

name=watcher-$CASE_ID
top=/sys/fs/cgroup/$name
run=$WORK/run
mkdir -p "$top" "$run/packs"
chmod 700 "$run" "$run/packs"
echo '+memory +cpu' >/sys/fs/cgroup/cgroup.subtree_control
echo '+memory +cpu' >"$top/cgroup.subtree_control"
at_exit rmdir "$top"

pack() { # CLASS BYTES GUARANTEE
  local folder=$top/$1 pid
  mkdir "$folder"
  # A killed process takes its time to go, the longer the more memory it has.
  at_exit eval "wait_for 60 rmdir $folder 2>/dev/null"
  at_exit eval "echo 1 >$folder/cgroup.kill"
  bash -c "echo \$\$ >$folder/cgroup.procs; exec stress-ng --quiet --oom-avoid-bytes 0 --vm 1 --vm-bytes $2 --vm-keep --vm-method zero-one" \
    </dev/null >/dev/null 2>&1 &
  pid=$!
  wait_for 20 grep -qx "$pid" "$folder/cgroup.procs"
  echo "$3" >"$folder/memory.min"
  jq -n --arg top "$name" --arg class "$1" --argjson pid "$pid" --argjson guarantee "$3" \
    --argjson started "$(awk '{print $22}' "/proc/$pid/stat")" \
    '{version: 1, id: $class, priority: $class, pid: $pid, started: $started, bundle: "/", engine: "/",
      cgroups: {unified: "/\($top)/\($class)"}, "guarantee-file": "memory.min",
      settings: {"memory.guarantee": $guarantee}}' >"$run/packs/.$1"
  chmod 600 "$run/packs/.$1"
  mv "$run/packs/.$1" "$run/packs/$1.json"
}
alive() { grep -q 'populated 1' "$top/$1/cgroup.events"; }
dead() { ! alive "$1"; }
watch() {
  packrank-watcher --foreground --run "$run" >>"$WORK/said" 2>&1 &
  watcher=$!
}
at_exit eval 'kill $watcher'

pack critical 600M 67108864
watch
wait_for 30 grep -qx 67108864 "$top/memory.min" || { cat "$WORK/said"; fail "the parent has no memory.min"; }
note "the parent of the critical pack has its guarantee"
kill -9 "$watcher"
wait "$watcher" || true
watch
pack low 600M 0
pack scavenger 1500M 0
# What is still free, and a little less than the kernel's own killer would need.
pack normal 1050M 0
wait_for 120 dead scavenger || { cat "$WORK/said"; free -m; fail "the scavenger was not killed"; }
sleep 10
cat "$WORK/said"
free -m
for class in critical normal; do alive "$class" || fail "$class died"; done
grep -q 'scavenger scavenger: kill' "$WORK/said" || fail "not by the watcher"
expect_is "the kernel's own kills" "$(awk '/^oom_kill /{print $2}' "$top/memory.events")" 0
echo 1 >"$top/critical/cgroup.kill"
wait_for 30 grep -qx 0 "$top/memory.min" || fail "the parent keeps $(cat "$top/memory.min")"
note "and loses it with the pack"
