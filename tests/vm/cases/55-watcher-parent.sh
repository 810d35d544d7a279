# A critical pack's guarantee under a parent that has none, as docker's slice: without a watcher the
# kernel takes nearly all of what it holds for a neighbour that only reads files; with it the pack keeps
# it, and the parent has its own value back also when the watcher was not there to see the pack end.
# needs: packrank-watcher jq
# timeout: 180
# tries: 3

MIB=1048576
packs_up
outer=$top
# Short of memory here alone, so that it does not take the whole guest.
echo $((320 * MIB)) >"$outer/memory.max"
top=$outer/docker
mkdir "$top"
echo '+memory +cpu' >"$top/cgroup.subtree_control"
at_exit rmdir "$top"
guarantee=$((160 * MIB))
truncate -s 128M held-without held-with

holder() { # NAME: a pack that holds 128 MiB, all of it guaranteed
  mkdir "$top/$1"
  echo $guarantee >"$top/$1/memory.min"
  pack "$1" critical ".\"guarantee-file\" = \"memory.min\" | .settings.\"memory.guarantee\" = $guarantee
    | .cgroups.unified = \"/${outer##*/}/docker/$1\"" sh -c 'cat "held-$0" >/dev/null; touch "ready-$0"; sleep 1000' "$1"
  wait_for 30 test -e "ready-$1"
  (($(held "$1") > 120 * MIB)) || fail "$1 holds only $(held "$1") bytes"
}
held() { awk '$1 == "file" { print $2 }' "$top/$1/memory.stat"; }
neighbour() { # reads more than all may have, three times
  truncate -s 512M big
  bash -c 'echo $$ >"$1/cgroup.procs"; for n in 1 2 3; do cat big >/dev/null; done' neighbour "$outer/neighbour" </dev/null
}
mkdir "$outer/neighbour"
at_exit rmdir "$outer/neighbour"
end() {
  echo 1 >"$top/$1/cgroup.kill"
  rm "$run/packs/$1.json"
  echo 0 >"$top/$1/memory.min"
  # What they read goes with the files: the next one has room.
  rm big "held-$1"
}

holder without
neighbour
without=$(held without)
note "| of 128 MiB held and guaranteed, without a watcher: $((without / MIB)) MiB left"
((without < 48 * MIB)) || fail "$((without / MIB)) MiB are left: this proves nothing"
end without

watch
holder with
# What the pack uses of its guarantee, and no more: a surplus would protect everybody below the parent.
has() { local value; read -r value <"$top/memory.min" && ((value > 120 * MIB && value <= $(cat "$top/with/memory.current") + MIB)); }
wait_for 30 has || { cat said; fail "the parent has $(cat "$top/memory.min") for $(cat "$top/with/memory.current") in use"; }
neighbour
with=$(held with)
note "| and with it: $((with / MIB)) MiB"
((with > 120 * MIB)) || { cat said; fail "only $((with / MIB)) MiB are left"; }
! grep -q 'with critical: \(take back\|kill\|freeze\)' said || fail 'the watcher took from it'

kill -9 "$watcher"
wait "$watcher" || true
end with
watch
wait_for 30 grep -qx 0 "$top/memory.min" || { cat said; fail "the parent keeps $(cat "$top/memory.min")"; }
note 'and the parent has its own value back'
