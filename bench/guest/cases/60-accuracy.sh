# How exactly this machine keeps what the kernel is told, and what a process costs on it: what a figure
# from here is good for. Run it on both machines and compare.
# timeout: 300
# tries: 1

load=$LAB/extra/load
top=/sys/fs/cgroup/accuracy
mkdir -p "$top"
at_exit eval "echo 1 >$top/cgroup.kill; wait_for 30 rmdir $top"
echo '+cpu +memory +io' >/sys/fs/cgroup/cgroup.subtree_control
row() { printf '| %-34s %12s %12s\n' "$@"; }
into() { echo $BASHPID >"$top/cgroup.procs" && exec "$@"; }
row 'what' 'wanted' 'measured'

# Of one CPU, in percent, over six seconds of wall time.
for quota in 5 25 50; do
  echo "${quota}000 100000" >"$top/cpu.max"
  (into "$load" spin 8 "$WORK/spun") &
  spinner=$!
  sleep 1
  before=$(awk '/^usage_usec/ { print $2 }' "$top/cpu.stat") start=$EPOCHREALTIME
  sleep 6
  after=$(awk '/^usage_usec/ { print $2 }' "$top/cpu.stat") end=$EPOCHREALTIME
  row 'cpu.max, % of one CPU' $quota "$(awk -v used=$((after - before)) -v a="$start" -v b="$end" 'BEGIN { printf "%.2f", used / (b - a) / 1e4 }')"
  wait $spinner
done
# Two that want one CPU: somebody waits all the time.
echo max >"$top/cpu.max"
for _ in 1 2; do (into taskset -c 0 "$load" spin 8 "$WORK/spun$_") & done
sleep 1
waited() { sed -n 's/^some .*total=//p' "$top/cpu.pressure"; }
before=$(waited) start=$EPOCHREALTIME
sleep 6
row 'cpu.pressure, some, %' 100 "$(awk -v waited=$(($(waited) - before)) -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", waited / (b - a) / 1e4 }')"
wait

echo 67108864 >"$top/memory.max"
(into bash -c "head -c 200M /dev/zero | tail") >/dev/null 2>&1 || true
row 'memory.max, MiB at most' 64 "$(awk '{ printf "%.1f", $1 / 1048576 }' "$top/memory.peak")"
row 'kills at memory.max' 1 "$(awk '/^oom_kill / { print $2 }' "$top/memory.events")"
echo max >"$top/memory.max"

disk=$(readlink -f /dev/disk/by-id/virtio-scratch)
number=$(lsblk -ndo MAJ:MIN "$disk" | xargs)
measured_io() { # OPTION… : seconds that dd takes
  (into dd "$@" 2>&1) | sed -n 's/.* copied, \([0-9.]*\) s.*/\1/p'
}
echo "$number wbps=10485760" >"$top/io.max"
row 'io.max, MiB/s written' 10 "$(measured_io if=/dev/zero of="$disk" bs=256k count=160 oflag=direct | awk '{ printf "%.2f", 40 / $1 }')"
echo "$number wbps=max riops=100" >"$top/io.max"
row 'io.max, reads a second' 100 "$(measured_io if="$disk" of=/dev/null bs=4k count=500 iflag=direct | awk '{ printf "%.1f", 500 / $1 }')"

ip netns add accuracy
at_exit ip netns del accuracy
ip link add acc0 type veth peer name acc1 netns accuracy
ip addr add 10.91.0.1/24 dev acc0
ip link set acc0 up
ip -n accuracy addr add 10.91.0.2/24 dev acc1
ip -n accuracy link set acc1 up
for rate in 1 10 100; do
  tc qdisc replace dev acc0 root tbf rate ${rate}mbit burst 16kb latency 50ms
  ip netns exec accuracy iperf3 -s -1 >/dev/null 2>&1 &
  sleep 1
  row 'tbf, Mbit/s sent by TCP' $rate "$(iperf3 -c 10.91.0.2 -t 6 -O 1 -J | jq '.end.sum_received.bits_per_second / 1e6 * 100 | round / 100')"
done
tc qdisc del dev acc0 root
ip netns exec accuracy nft -f - <<'NFT'
table inet accuracy { chain in { type filter hook input priority 0; ip protocol icmp limit rate over 20/second burst 5 packets drop; }; }
NFT
row 'nft limit, packets a second' 20 "$(ping -q -i 0.01 -c 600 -W 1 10.91.0.2 | awk '/received/ { for (i = 1; i <= NF; i++) { if ($(i + 1) ~ /^received/) got = $i; if ($i == "time") t = $(i + 1) } } END { sub("ms", "", t); printf "%.1f", got / t * 1000 }')"

# What things cost here, in microseconds.
cost() { # WHAT TIMES COMMAND…
  local what=$1 times=$2 start=$EPOCHREALTIME n
  shift 2
  for ((n = 0; n < times; n++)); do "$@"; done >/dev/null
  row "$what, µs" '' "$(awk -v a="$start" -v b="$EPOCHREALTIME" -v n="$times" 'BEGIN { printf "%.0f", (b - a) * 1e6 / n }')"
}
cost 'a process (/bin/true)' 200 /bin/true
cost 'a fork and its wait' 200 eval '(:)'
row 'a system call (dd, one byte), µs' '' "$(LC_ALL=C dd if=/dev/zero of=/dev/null bs=1 count=20000 2>&1 | awk '/copied/ { for (i = 1; i < NF; i++) if ($(i + 1) == "s,") printf "%.1f", $i * 1e6 / 40000 }')"
row 'sha256 of 64 MiB, ms' '' "$(start=$EPOCHREALTIME; head -c 64M /dev/zero | sha256sum >/dev/null; awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", (b - a) * 1000 }')"
