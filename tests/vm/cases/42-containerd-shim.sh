# io.containerd.packrank.v2 beside the stock shim, asked the same: cgroup v2's figures, kills for
# want of memory, containerd restarted under a running container, and a shim that is killed.
# needs: containerd-shim-packrank-v2 packrank
# timeout: 240

ln -sf "$(command -v containerd-shim-packrank-v2)" /usr/local/bin/containerd-shim-packrank-v2
containerd_up
note "$(containerd --version)"
ctr() { timeout -k 2 60 /usr/bin/ctr "$@" </dev/null; }
status() { ctr tasks list | awk -v name="$1" '$1 == name { print $3 }'; }
gone() { [[ -z $(status "$1") ]]; }
ended() { [[ $(status "$1") == STOPPED ]]; }
clear_up() { ctr tasks rm -f "$1"; ctr containers rm "$1"; }

answers() { # runtime, tag
  local run=(run --runtime "$1") id=$2
  at_exit clear_up "$id"
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
}
heard=$WORK/heard
/usr/bin/ctr events >"$heard" 2>/dev/null </dev/null &
listener=$!
at_exit kill "$listener"
# What says the code in words besides depends on containerd and on the shim.
alike() { sed "s/$1/ID/g; s/time=\"[^\"]*\"//; s/ finished: not found\$/ finished/"; }
ours=$(answers io.containerd.packrank.v2 ours 2>&1 | alike ours)
stock=$(answers io.containerd.runc.v2 stock 2>&1 | alike stock)
note "$ours"
expect_is 'what ours answers' "$ours" "$stock"
told() { # tag
  awk -v id="\"$1\"" '/ \/tasks\// && index($0, id) { for (i = 1; i <= NF; i++) if ($i ~ /^\/tasks\//) print $i }' "$heard" | tr '\n' ' '
}
# Beside other work the stock shim may end before it tells of a want of memory.
others() { told "$1" | tr ' ' '\n' | grep -v oom | tr '\n' ' '; }
both() { [[ $(others ours) == "$(others stock)" && $(told ours) == *oom* ]]; }
wait_for 20 both || true
expect_is 'the events' "$(others ours)" "$(others stock)"
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
expect_is 'its record' "$(ls /run/packrank/packs)" ''
expect /sys/fs/cgroup/default/low/memory.max absent
