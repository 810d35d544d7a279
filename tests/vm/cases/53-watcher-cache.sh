# Reclaim comes before kill: a scavenger that fills memory with files it reads loses that cache to
# a normal pack, and lives; nothing of the normal one is taken.
# needs: packrank-watcher stress-ng jq
# timeout: 200
# tries: 3

packs_up
total=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
# Memory in use decides here, well before anything stalls.
cat >policy.toml <<'TOML'
[watch]
memory.used = [50, 97, 98, 99]
memory.some-low = 90
memory.some-medium = 95
memory.full-high = 96
memory.full-critical = 97
adaptive.enabled = false
TOML
truncate -s $((total / 5))K big
cached() { awk '/^file / { print $2 }' "$top/scavenger/memory.stat"; }
full() { (($(cached) > total * 1024 / 6)); }
lost() { (($(cached) < total * 1024 / 50)); }

pack scavenger scavenger . sh -c 'cat big >/dev/null; sleep 1000'
wait_for 60 full || fail "it has $(cached) bytes of cache"
note "the scavenger's cache: $(cached)"
watch --policy "$PWD/policy.toml"
pack normal normal . stress-ng --quiet --vm 1 --vm-bytes $((total * 55 / 100))K --vm-keep --vm-hang 0
wait_for 90 lost || { cat said; free -m; fail "it keeps $(cached) bytes of cache"; }
note "and after: $(cached)"
free -m
tail -n 5 said
for class in scavenger normal; do
  grep -q 'populated 1' "$top/$class/cgroup.events" || fail "$class died"
done
grep -q 'scavenger scavenger: take back' said || fail 'not by the watcher'
! grep -q 'normal normal: \(take back\|kill\|freeze\|set\)' said || fail 'the normal one was taken from'
