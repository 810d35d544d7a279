# Memory runs out under a real version 2 hierarchy: the scavenger dies, low and critical live, and
# the critical one's guarantee reaches its parent, also after the watcher itself was killed.
# needs: packrank-watcher stress-ng jq
# timeout: 240
# tries: 3

packs_up
hog() { # CLASS BYTES GUARANTEE
  mkdir "$top/$1"
  echo "$3" >"$top/$1/memory.min"
  pack "$1" "$1" ".\"guarantee-file\" = \"memory.min\" | .settings.\"memory.guarantee\" = $3" \
    stress-ng --quiet --oom-avoid-bytes 0 --vm 1 --vm-bytes "$2" --vm-keep --vm-method zero-one
}
alive() { grep -q 'populated 1' "$top/$1/cgroup.events"; }
dead() { ! alive "$1"; }

hog critical 600M 67108864
watch
wait_for 30 grep -qx 67108864 "$top/memory.min" || { cat said; fail "the parent has no memory.min"; }
note "the parent of the critical pack has its guarantee"
kill -9 "$watcher"
wait "$watcher" || true
watch
hog low 600M 0
hog scavenger 1500M 0
# More than there is: the normal one grows until tasks wait for memory, and goes on.
hog normal 1700M 0
wait_for 120 dead scavenger || { cat said; free -m; fail "the scavenger was not killed"; }
sleep 10
cat said
free -m
for class in critical normal; do alive "$class" || fail "$class died"; done
grep -q 'scavenger scavenger: kill' said || fail "not by the watcher"
expect_is "the kernel's own kills" "$(awk '/^oom_kill /{print $2}' "$top/memory.events")" 0
echo 1 >"$top/critical/cgroup.kill"
wait_for 30 grep -qx 0 "$top/memory.min" || fail "the parent keeps $(cat "$top/memory.min")"
note "and loses it with the pack"
