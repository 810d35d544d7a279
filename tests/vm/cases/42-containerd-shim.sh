# io.containerd.packrank.v2 beside the stock shim, asked the same: cgroup v2's figures, kills for
# want of memory, containerd restarted under a running container, and a shim that is killed.
# needs: containerd-shim-packrank-v2 packrank
# timeout: 400

linked containerd-shim-packrank-v2
containerd_up
note "$(containerd --version)"
ctr() { timeout -k 2 60 /usr/bin/ctr "$@" </dev/null; }
status() { ctr tasks list | awk -v name="$1" '$1 == name { print $3 }'; }
gone() { [[ -z $(status "$1") ]]; }
ended() { [[ $(status "$1") == STOPPED ]]; }
two_lines() { [[ $(wc -l <"$1") == 2 ]]; }
clear_up() { ctr tasks rm -f "$1"; ctr containers rm "$1"; }

answers() { # runtime, tag
  local run=(run --runtime "$1") id=$2
  ctr "${run[@]}" --rm "$image" "$id" sh -c 'echo out; exit 7' && echo 'no status' || echo "status $?"
  ctr "${run[@]}" -d "$image" "$id" sleep 1000
  ctr tasks exec --exec-id x "$id" sh -c 'echo exec; exit 5' && echo 'no status' || echo "status $?"
  ctr tasks metrics "$id" | awk 'NR > 2 { print $1 }' | tr '\n' ' '
  ctr tasks pause "$id"; status "$id"
  ctr tasks resume "$id"; status "$id"
  ctr tasks kill -s KILL "$id"
  wait_for 20 ended "$id"
  ctr tasks kill "$id" 2>&1 || true
  ctr tasks rm "$id" 2>&1 || true
  ctr containers rm "$id"
  ctr "${run[@]}" --rm --memory-limit 16777216 "$image" "$id" dd if=/dev/zero of=/dev/null bs=64M count=1 \
    && echo 'no status' || echo "status $?"
  # Not among those whose events are looked at.
  id+=-log
  ctr "${run[@]}" --rm --log-uri "file://$PWD/$id.file" "$image" "$id" sh -c 'echo to a file; echo and this >&2'
  # The stock shim's deletion waits for what is under way, but not for ever: its lines are not asked for.
  wait_for 20 two_lines "$id.file" || true
  ctr "${run[@]}" --rm --log-uri "binary://$PWD/logger?tag=$PWD/$id.got" "$image" "$id" echo to a program
  wait_for 20 test -s "$id.got" && cat "$id.got"
}
# What a logging program gets: an id, a namespace, what stands behind the question mark, the output.
cat >logger <<'LOGGER'
#!/bin/sh
exec 5>&-
read -r line <&3
echo "$CONTAINER_ID $CONTAINER_NAMESPACE $1 $line" >"$2"
LOGGER
chmod +x logger
for id in ours ours-log stock stock-log; do at_exit clear_up "$id"; done
heard=$WORK/heard
/usr/bin/ctr events >"$heard" 2>/dev/null </dev/null &
listener=$!
at_exit kill "$listener"
heard_of() { ctr images label "$image" "at=$SECONDS" >/dev/null; [[ -s $heard ]]; }
wait_for 60 heard_of || fail 'no events are heard'
# What says the code in words besides depends on containerd and on the shim.
alike() { sed "s/$1/ID/g; s/time=\"[^\"]*\"//; s/ finished: not found\$/ finished/"; }
ours=$(answers io.containerd.packrank.v2 ours 2>&1 | alike ours)
stock=$(answers io.containerd.runc.v2 stock 2>&1 | alike stock)
note "$ours"
expect_is 'what ours answers' "$ours" "$stock"
expect_is 'the log' "$(sort ours-log.file)" $'and this\nto a file'
told() { # tag
  awk -v id="\"$1\"" '/ \/tasks\// && index($0, id) { for (i = 1; i <= NF; i++) if ($i ~ /^\/tasks\//) print $i }' "$heard" | tr '\n' ' '
}
# What containerd relies on. The stock shim's are not asked for: beside other work it tells of an end
# behind the deletion, or not at all.
wanted=''
for event in create start exit delete create start exec-added exec-started exit paused resumed exit delete \
  create start exit delete; do wanted+="/tasks/$event "; done
others() { told ours | tr ' ' '\n' | grep -v oom | tr '\n' ' '; }
all_told() { [[ $(others) == "$wanted" && $(told ours) == *oom* ]]; }
wait_for 20 all_told || true
note "the stock shim's events: $(told stock)"
expect_is 'the events' "$(others)" "$wanted"
[[ $(told ours) == *oom* ]] || fail 'ours did not tell of the want of memory'

ctr run -d --runtime io.containerd.packrank.v2 --annotation packrank.io/priority=low "$image" low sleep 1000
at_exit clear_up low
systemctl restart containerd
wait_for 30 ctr version >/dev/null
expect_is 'after containerd came back' "$(status low)" RUNNING
expect_is 'an exec then' "$(ctr tasks exec --exec-id y low echo here)" here
shim=$(pgrep -f -- '-packrank-v2 .*-id low')
note "$(grep -E 'VmRSS|Threads' "/proc/$shim/status" | tr '\n' ' ')"
kill -KILL "$shim"
wait_for 30 gone low || fail "the task of a killed shim is still there"
# containerd 2 forgets it first, and then has it cleaned up.
unrecorded() { [[ ! -e /run/packrank/packs/low.json ]]; }
wait_for 30 unrecorded || true
expect_is 'its record' "$(ls /run/packrank/packs)" ''
expect /sys/fs/cgroup/default/low/memory.max absent
