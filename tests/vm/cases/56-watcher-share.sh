# A critical pack that computes beside 20 scavengers that do: alike it gets next to nothing; by the
# classes' weights, on real containers, most; and where weights do not compare, for each sits
# under a parent of its own, the watcher takes the scavengers' time until it has most.
# matrix: with=nothing,classes,watcher
# needs: packrank packrank-runtime packrank-watcher
# timeout: 180
# tries: 3

others=$(seq 20)
case $WITH in
  classes)
    ENGINE=crun DRIVER=cgroupfs
    for name in $others critical; do
      bundle "$name" '.process.args = ["sh", "-c", "while :; do :; done & while :; do :; done"]'
      case $name in critical) annotate packrank.io/priority critical ;; *) annotate packrank.io/priority scavenger ;; esac
      run_ranked "$name"
      declare "cgroup_$name=$CGROUP"
    done
    ;;
  *)
    packs_up
    at_exit eval 'for name in $others critical; do wait_for 30 _no_folder "$top/of-$name/$name" && rmdir "$top/of-$name"; done'
    at_exit eval 'echo 1 >"$top/cgroup.kill"'
    spin() { # NAME CLASS PERCENT PROCESSES
      local parent=$top/of-$1 folder=$top/of-$1/$1 n pid
      local -a stat
      mkdir "$parent"
      echo +cpu >"$parent/cgroup.subtree_control"
      mkdir "$folder"
      echo "${3}000 100000" >"$folder/cpu.max"
      for n in $4; do
        sh -c 'echo $$ >"$0/cgroup.procs"; while :; do :; done' "$folder" </dev/null >/dev/null 2>&1 &
        pid=$!
        disown
      done
      wait_for 20 grep -qx "$pid" "$folder/cgroup.procs"
      read -ra stat <"/proc/$pid/stat"
      printf '{"version":1,"id":"%s","priority":"%s","pid":%s,"started":%s,"bundle":"/","engine":"/",
        "cgroups":{"unified":"/%s/of-%s/%s"},"settings":{"cpu.quota":%s}}' \
        "$1" "$2" "$pid" "${stat[21]}" "${top##*/}" "$1" "$1" "$3" >"$run/packs/.$1"
      chmod 600 "$run/packs/.$1"
      mv "$run/packs/.$1" "$run/packs/$1.json"
      declare -g "cgroup_$1=$folder"
    }
    for name in $others; do spin "$name" scavenger 25 1; done
    spin critical critical 200 '1 2'
    ;;
esac

used() { # all of them together
  local name folder sum=0 line
  for name; do
    folder=cgroup_$name
    while read -r line; do [[ $line != usage_usec* ]] || sum=$((sum + ${line#* })); done <"${!folder}/cpu.stat"
  done
  printf '%s' "$sum"
}
share() { # of what all used in four seconds, the critical one's, in percent
  local critical scavengers
  critical=$(used critical) scavengers=$(used $others)
  sleep 4
  critical=$(($(used critical) - critical)) scavengers=$(($(used $others) - scavengers))
  printf '%s' $((critical * 100 / (critical + scavengers)))
}
# By weight it would be 5; 93 (an idle cgroup weighs 3 of 1024); and, with a tenth of its quota left
# to each scavenger, 75, of which a kernel that counts by ticks of 4 ms leaves 60.
case $WITH in
  nothing)
    got=$(share)
    ((got < 20)) || fail "it gets $got %: this proves nothing"
    ;;
  classes)
    got=$(share)
    ((got >= 60)) || { cat "$cgroup_1/cpu.idle" "$cgroup_critical/cpu.weight"; fail "it gets only $got %"; }
    ;;
  watcher)
    printf '[watch]\nsqueeze.down-every = 1\nadaptive.every = 1\nadaptive.enabled = false\n' >policy.toml
    watch --policy "$PWD/policy.toml"
    low() { local text; read -r text _ <"$cgroup_1/cpu.max" && ((text <= 3000)); }
    wait_for 60 low || { tail -n 30 said; packrank status --run "$run"; cat /proc/pressure/cpu "$cgroup_critical"/cpu.{pressure,stat}; fail "a scavenger keeps $(cat "$cgroup_1/cpu.max")"; }
    got=$(share)
    expect "$cgroup_critical/cpu.max" '200000 100000'
    ! grep -q 'critical critical: set' said || fail 'the critical one was touched'
    ((got >= 45)) || fail "it gets only $got %"
    ;;
esac
note "| a critical pack beside 20 scavengers, with $WITH: $got % of what all used"
