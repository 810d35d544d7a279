# The clock steps: a day ahead, a year back, and where it was. The watcher goes by one that does not:
# nothing is done that would not be done anyway, it answers, and a scavenger is killed in time.
# needs: packrank packrank-watcher jq
# timeout: 100

packs_up
at_exit eval 'date -s "@$(($(date +%s) - ahead))" >/dev/null'
ahead=0
step() { # SECONDS from the right time
  date -s "@$(($(date +%s) - ahead + $1))" >/dev/null
  ahead=$1
}
# bash's own SECONDS step with the clock.
until_so() {
  local n
  for ((n = 0; n < 300; n++)); do
    "$@" && return
    sleep 0.1
  done
  return 1
}
printf '[watch]\nhold = 2\nadaptive.every = 1\nmemory.used = [96, 97, 98, 99]\nlinger = 5\n' >policy.toml
for class in low critical; do pack $class $class '.settings."cpu.quota" = 25' sleep 1000; done
# It holds nine tenths of its limit, and asks to be ended there.
mkdir "$top/scavenger"
echo 67108864 >"$top/scavenger/memory.max"
pack scavenger scavenger '.options."on-violation" = "restart" | .settings."memory.limit" = 67108864' sh -c 'cat /dev/zero | tail -c 59M'
watch --policy "$PWD/policy.toml"
events() { packrank events --run "$run" --json; }
knows() { [[ $(packrank status --run "$run" | grep -c '^\(scavenger\|low\|critical\) ') == 3 ]]; }
until_so knows || { cat said; fail 'it does not know all three'; }
begun=$(events | jq -s 'map(.number) | max')
for seconds in 86400 -31536000 0; do
  step "$seconds"
  sleep 3
  knows || { cat said; fail "after a step of $seconds s it does not answer"; }
done
done=$(events | jq -s --argjson begun "${begun:-0}" 'map(select(.number > $begun and .deed != "remark")) | length')
expect_is 'what the steps made it do' "$done" 0
kill -0 "$watcher" || fail 'it ended'

# What it waits to do, it does in time.
printf '[watch]\nhold = 2\nadaptive.every = 1\nviolation.memory = 85\nviolation.restart-after = 5\n' >policy.toml
kill "$watcher"
wait "$watcher" || true
step -86400
watch --policy "$PWD/policy.toml"
step 86400
gone() { grep -q 'populated 0' "$top/scavenger/cgroup.events"; }
until_so gone || { cat said; fail 'the scavenger was not killed'; }
step -31536000
sleep 3
expect_is 'kills' "$(grep -c ': kill' said)" 1
for class in low critical; do grep -q 'populated 1' "$top/$class/cgroup.events" || fail "$class died"; done
