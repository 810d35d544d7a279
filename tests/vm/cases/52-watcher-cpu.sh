# CPUs press: the scavenger's quota shrinks in steps and comes back when the pressure is gone;
# a normal pack's is never touched, and nothing of a pack in audit, which only says what it would do.
# needs: packrank packrank-watcher stress-ng jq
# timeout: 200
# tries: 3

packs_up
quick_policy policy.toml

spin() { # NAME CLASS MODE PERCENT
  mkdir "$top/$1"
  echo "${4}000 100000" >"$top/$1/cpu.max"
  pack "$1" "$2" ".mode = \"$3\" | .settings.\"cpu.quota\" = $4" stress-ng --quiet --cpu 2 --cpu-method int64
}
quota() { local text; read -r text _ <"$top/$1/cpu.max"; printf '%s' "$text"; }
below() { (($(quota scavenger) < 60000)); }
whole() { [[ $(quota scavenger) == 100000 ]]; }

spin scavenger scavenger enforce 100
spin audited scavenger audit 100
spin normal normal enforce 200
watch --policy "$PWD/policy.toml"

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
