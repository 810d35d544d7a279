# Where the root cannot be pivoted, as in an initramfs: a container starts with the option NoPivotRoot
# and not without it, under the stock shim and ours alike. Here containerd's root is a bind mount
# upon one that is shared, and the kernel pivots no such one.
# needs: containerd-shim-packrank-v2 packrank
# timeout: 300

linked containerd-shim-packrank-v2
containerd_up # for its image
cat >config.toml <<CONFIG
version = 2
root = "$WORK/root"
state = "$WORK/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$WORK/sock"
CONFIG
# In mounts of its own, which go with it and are nobody else's.
unshare --mount --propagation private sh -c 'mount --make-shared /
  mount --rbind / /mnt && mount --make-rslave /mnt
  exec chroot /mnt containerd -c "$1/config.toml"' sh "$WORK" >daemon.log 2>&1 &
daemon=$!
at_exit eval "kill $daemon; wait $daemon || true"
ctr() { timeout -k 2 60 /usr/bin/ctr -a "$WORK/sock" "$@" </dev/null; }
wait_for 60 ctr version >/dev/null 2>&1 || { cat daemon.log; fail 'containerd does not come up'; }
ctr images import /var/lib/lab/busybox-image.tar >/dev/null
note "$(containerd --version), $(runc --version | head -n 1)"

printf 'NoPivotRoot = true\n' >options.toml
# ctr's own flag for it is the stock shim's alone.
declare -A asked=([ours]="--runtime-config-path $WORK/options.toml" [stock]=--no-pivot)
declare -A runtime=([ours]=io.containerd.packrank.v2 [stock]=io.containerd.runc.v2)
answers() { # ours or stock
  local id=$1 run=(run --rm --runtime "${runtime[$1]}")
  ctr "${run[@]}" "$image" "$id" echo in && echo started || echo "status $?"
  ctr containers rm "$id"
  # shellcheck disable=SC2206 # words they are
  run+=(${asked[$1]})
  ctr "${run[@]}" "$image" "$id" sh -c 'echo in; ls /bin/busybox; exit 7' && echo 'no status' || echo "status $?"
}
# runc says why on the container's own stderr too, which is handed on or not.
alike() { sed "s/$1/ID/g; s/time=\"[^\"]*\"//; /^runc create failed/d"; }
ours=$(answers ours 2>&1 | alike ours)
stock=$(answers stock 2>&1 | alike stock)
note "$ours"
expect_is 'what ours answers' "$ours" "$stock"
[[ $ours == *'pivot_root'*$'\n''status 1'* ]] || fail 'the root was pivoted without the option'
expect_is 'with it' "$(tail -n 3 <<<"$ours" | xargs)" 'in /bin/busybox status 7'

# With a class, and entered.
clear_up() { ctr tasks rm -f low; ctr containers rm low; }
at_exit clear_up
# shellcheck disable=SC2086
ctr run -d --runtime "${runtime[ours]}" ${asked[ours]} --annotation packrank.io/priority=low "$image" low sleep 1000
expect /sys/fs/cgroup/default/low/memory.max 536870912
expect_is 'an exec' "$(ctr tasks exec --exec-id x low sh -c 'echo here')" here
