# The disk presses: a scavenger that writes as fast as it may is throttled further, in steps; a
# critical pack that reads beside it is not touched.
# needs: packrank-watcher jq
# timeout: 150
# tries: 3

packs_up
echo +io >/sys/fs/cgroup/cgroup.subtree_control
echo +io >"$top/cgroup.subtree_control"
disk=$(lsblk -ndo MAJ:MIN /dev/vda | xargs)
cat >policy.toml <<'TOML'
[watch]
io.some = [2, 4, 6, 8]
squeeze.down-every = 1
adaptive.enabled = false
TOML
dd if=/dev/zero of=read bs=1M count=64 conv=fsync status=none
throttled() { # NAME CLASS KIND BYTES COMMAND
  mkdir "$top/$1"
  echo "$disk $3=$4" >"$top/$1/io.max"
  pack "$1" "$2" ".devices = [\"$disk\"] | .settings.\"io.$5\" = $4" sh -c "while :; do $6; done"
}
throttled scavenger scavenger wbps 20971520 write-bps 'dd if=/dev/zero of=written bs=256k count=256 oflag=direct conv=notrunc status=none'
throttled critical critical rbps 104857600 read-bps 'dd if=read of=/dev/null bs=64k iflag=direct status=none'
limit() { sed -n "s/^$disk .*$2=\([^ ]*\).*/\1/p" "$top/$1/io.max"; }
below() { (($(limit scavenger wbps) < 12000000)); }

watch --policy "$PWD/policy.toml"
wait_for 90 below || { cat said; cat /proc/pressure/io "$top"/*/io.max; fail "the scavenger keeps $(limit scavenger wbps)"; }
note "the scavenger's bytes a second: $(limit scavenger wbps)"
expect_is "the critical one's" "$(limit critical rbps)" 104857600
tail -n 5 said
! grep -q 'critical critical: set' said || fail 'the critical one was touched'
