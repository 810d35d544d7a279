# Four neighbours that flood the link of their node, beside a critical service that asks over it.
# matrix: with=alone,plain,ranked,watcher link=20,100
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq ip tc
# timeout: 300

. /lab/extra/lib.sh
seconds=24 rate=40
modprobe -aq ifb sch_htb sch_tbf sch_fq_codel nf_tables nf_conntrack nft_ct nft_limit nft_connlimit nft_reject_inet nft_fwd_netdev || true

# The node's bridge; behind its link, which holds 50 ms of packets and knows no flows, is all else.
ip link add bench0 type bridge
at_exit ip link del bench0
ip link set bench0 up
ip netns add far
at_exit ip netns del far
ip link add up0 type veth peer name far0 netns far
ip link set up0 master bench0 up
ip -n far addr add 10.77.0.1/24 dev far0
ip -n far link set far0 up
tc qdisc add dev up0 root tbf rate "${LINK}mbit" burst 32k latency 50ms
tc -n far qdisc add dev far0 root tbf rate "${LINK}mbit" burst 32k latency 50ms
# Other machines' processors are not this one's.
ip netns exec far chrt -f 40 "$load" echo 7000 &
at_exit kill $!
ip netns exec far chrt -f 40 "$load" sink 7001 "$out/sink" &
at_exit kill $!

declare -A address=()
number=1
wired() { # NAME: a network of its own on the bridge, before the container is created
  number=$((number + 1))
  address[$1]=10.77.0.$number
  ip netns add "bench-$1"
  at_exit ip netns del "bench-$1"
  ip link add "b-$1" type veth peer name eth0 netns "bench-$1"
  ip link set "b-$1" master bench0 up
  ip -n "bench-$1" addr add "${address[$1]}/24" dev eth0
  ip -n "bench-$1" link set eth0 up
  EDIT="(.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/bench-$1\""
}
peer
wired critical
pack critical critical service $rate $seconds 1 tcp:10.77.0.1:7000 /out/service
if [[ $WITH != alone ]]; then
  for name in normal1:normal:tcp low1:low:tcp scavenger1:scavenger:udp scavenger2:scavenger:udp; do
    IFS=: read -r name class how <<<"$name"
    wired "$name"
    pack "$name" "$class" send $how:10.77.0.1:7001 20 $seconds "/out/$name"
  done
fi
passed() { cat "/sys/class/net/up0/statistics/$1"; }
before=$(passed tx_bytes) dropped=$(passed tx_dropped)
read -r _ user nice system idle _ </proc/stat
go $((seconds + 2))
read -r _ user2 nice2 system2 idle2 _ </proc/stat
bits=$((($(passed tx_bytes) - before) * 8 / (seconds + 2)))
cp "$out/service" "$kept/network-$LINK-$WITH"
tc -s qdisc show dev up0
note "| network, $WITH, a link of $LINK Mbit/s, $seconds s"
"$load" table $rate $seconds "$kept/network-$LINK-alone" "$kept/network-$LINK-$WITH" | sed 's/^/| /'
busy=$((user2 - user + nice2 - nice + system2 - system))
note "| CPUs busy: $((busy * 100 / (busy + idle2 - idle))) %; $((bits / 1000)) kbit/s passed the link: $((bits / LINK / 10000)) % of it"
if [[ $WITH != alone ]]; then
  for name in normal1 low1 scavenger1 scavenger2; do
    came=$(awk -v from="${address[$name]}" '$1 == from { print $2 }' "$out/sink")
    note "| of $name came $((${came:-0} * 8 / seconds / 1000)) kbit/s"
  done
fi
[[ $WITH != watcher ]] || packrank events | tail -n 20
over
