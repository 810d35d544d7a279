# CPUs press: the scavenger's quota shrinks in steps and comes back when the pressure is gone;
# a normal pack's is never touched, and nothing of a pack in audit, which only says what it would do.
# needs: packrank packrank-watcher stress-ng jq
# timeout: 200

name=watcher-$CASE_ID
top=/sys/fs/cgroup/$name
run=$WORK/run
mkdir -p "$top" "$run/packs"
chmod 700 "$run" "$run/packs"
echo '+memory +cpu' >/sys/fs/cgroup/cgroup.subtree_control
echo '+memory +cpu' >"$top/cgroup.subtree_control"
at_exit rmdir "$top"
cat >policy.toml <<'TOML'
[watch]
hold = 3
squeeze.down-every = 1
squeeze.up-every = 1
adaptive.every = 1
adaptive.enabled = false
TOML

pack() { # NAME CLASS MODE PERCENT
  local folder=$top/$1 pid
  mkdir "$folder"
  # A killed process takes its time to go, the longer the more memory it has.
  at_exit eval "wait_for 60 rmdir $folder 2>/dev/null"
  at_exit eval "echo 1 >$folder/cgroup.kill"
  echo "${4}000 100000" >"$folder/cpu.max"
  bash -c "echo \$\$ >$folder/cgroup.procs; exec stress-ng --quiet --cpu 2 --cpu-method int64" </dev/null >/dev/null 2>&1 &
  pid=$!
  wait_for 20 grep -qx "$pid" "$folder/cgroup.procs"
  jq -n --arg top "$name" --arg id "$1" --arg class "$2" --arg mode "$3" --argjson percent "$4" --argjson pid "$pid" \
    --argjson started "$(awk '{print $22}' "/proc/$pid/stat")" \
    '{version: 1, id: $id, priority: $class, mode: $mode, pid: $pid, started: $started, bundle: "/", engine: "/",
      cgroups: {unified: "/\($top)/\($id)"}, settings: {"cpu.quota": $percent}}' >"$run/packs/.$1"
  chmod 600 "$run/packs/.$1"
  mv "$run/packs/.$1" "$run/packs/$1.json"
}
quota() { local text; read -r text _ <"$top/$1/cpu.max"; printf '%s' "$text"; }
below() { (($(quota scavenger) < 60000)); }
whole() { [[ $(quota scavenger) == 100000 ]]; }

pack scavenger scavenger enforce 100
pack audited scavenger audit 100
pack normal normal enforce 200
packrank-watcher --foreground --run "$run" --policy "$PWD/policy.toml" >said 2>&1 &
watcher=$!
at_exit kill "$watcher"

wait_for 90 below || { cat said; cat /proc/pressure/cpu; fail "the scavenger keeps $(quota scavenger)"; }
note "the scavenger's quota is $(quota scavenger) of 100000"
expect "$top/normal/cpu.max" '200000 100000'
expect "$top/audited/cpu.max" '100000 100000'
grep -q 'audited scavenger: would set cpu.quota' said || fail 'of the audited pack nothing is said'
packrank status --run "$run"
echo 1 >"$top/normal/cgroup.kill"
# The squeezed ones still want more than they get: their own waiting is no pressure.
wait_for 60 whole || { tail -n 30 said; cat /proc/pressure/cpu; fail "it did not get its quota back: $(quota scavenger)"; }
note 'and is given back'
