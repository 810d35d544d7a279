# Each request to a disk is in the histogram of the pack that made it, be it from a cgroup below the
# pack's own, and in no other's; their times are the disk's, not io.max's; and with whoever looks the
# program in the kernel is gone.
# needs: packrank jq nc
# timeout: 240
# machine: qemu
# tries: 3

packs_up
echo +io >/sys/fs/cgroup/cgroup.subtree_control
echo +io >"$top/cgroup.subtree_control"
disk=/dev/disk/by-id/virtio-scratch
reads=200
# Not on a disk: making a file there reads.
notes=$(mktemp -d /run/io-latency.XXXXXX)
at_exit rm -r "$notes"

# Each waits to be told, so that somebody looks before; dd says how long all took.
reader() { # NAME COMMAND
  pack "$1" normal . sh -c "cd $notes; until [ -e go ]; do sleep 0.2; done; $2 2>took-$1; : >done-$1; sleep 1000"
}
read_all="dd if=$disk of=/dev/null bs=4k count=$reads iflag=direct"
# Once unseen: what dd itself is made of is in memory then.
$read_all 2>/dev/null
reader direct "$read_all"
# Within a cgroup below the pack's, as crun makes one.
own=$top/below
mkdir -p "$own/container"
reader below "echo \$\$ >$own/container/cgroup.procs; echo +io >$own/cgroup.subtree_control; $read_all"
at_exit wait_for 60 _no_folder "$own/container"
at_exit eval "echo 1 >$own/cgroup.kill"
# Held back by its own limit to 50 a second.
mkdir -p "$top/held"
echo "$(lsblk -ndo MAJ:MIN "$disk" | xargs) riops=50" >"$top/held/io.max"
reader held "$read_all"
reader idle true

packrank metrics --run "$run" --listen "$WORK/socket" &
exporter=$!
at_exit eval "kill $exporter 2>/dev/null || true"
scrape() {
  printf 'GET /metrics HTTP/1.1\r\nHost: lab\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n' \
    | timeout 20 nc -U -q 15 "$WORK/socket" | tr -d '\r' >text && grep -q '^# EOF' text
}
loaded() { grep -q packrank_disk /proc/kallsyms; }
unloaded() { ! loaded; }
figure() { # count or sum, of a pack; empty where there is none
  awk -v begin="pack_io_latency_seconds_$1{pack=\"$2\"," 'index($0, begin) == 1 { print $NF }' text
}
seen() { scrape && [[ $(figure count "$1") -ge $reads ]]; }

scraped() { [[ -S $WORK/socket ]] && scrape; }
wait_for 60 scraped || fail 'no metrics'
help=$(grep -m 1 '^# HELP pack_io_latency_seconds ' text)
[[ $help == *BPF* ]] || skip "${help##*: }"
loaded || fail 'it is not in the kernel'
touch "$notes/go"
for pack in direct below held idle; do
  wait_for 60 test -e "$notes/done-$pack" || fail "$pack has not read"
done
for pack in direct below held; do
  wait_for 30 seen "$pack" || { grep '^pack_io' text; fail "of $pack there is $(figure count "$pack")"; }
done
for pack in direct below held; do
  expect_is "requests of $pack" "$(figure count "$pack")" "$reads"
  took=$(sed -n 's/.* copied, \([0-9.]*\) s.*/\1/p' "$notes/took-$pack")
  note "| $pack: $(figure sum "$pack") s of $took s"
  # One after the other: together no longer than dd itself.
  awk -v sum="$(figure sum "$pack")" -v took="$took" 'BEGIN { exit !(sum > 0 && sum <= took) }' \
    || fail "the requests of $pack took $(figure sum "$pack") s, dd $took s"
done
expect_is 'requests of idle' "$(figure count idle)" ''
grep '^pack_io_latency_seconds_bucket{le="[0-9.]*",pack="direct"' text | sed 's/,pack=[^}]*//' | paste -sd ' '
# Four seconds of waiting for its limit are not its requests'.
awk -v sum="$(figure sum held)" -v took="$took" 'BEGIN { exit !(took > 3 && sum < took / 2) }' \
  || fail "held: $(figure sum held) s of $took s"

kill "$exporter"
wait_for 30 unloaded || fail 'it is still in the kernel'
note 'and it is gone with the exporter'
