# Neighbours that flood the link of their node, by TCP and by datagrams, beside a critical service
# that asks over it. The scavengers' limits and the service take nine tenths of the link.
# matrix: crowd=scavengers,mix link=8,20
# needs: packrank packrank-runtime packrank-hook packrank-watcher jq ip tc
# timeout: 7200
# tries: 1

. "$LAB/extra/lib.sh"
command -v modprobe >/dev/null && modprobe -aq ifb sch_htb sch_tbf sch_fq_codel nf_tables nf_conntrack nft_ct nft_limit nft_connlimit nft_reject_inet nft_fwd_netdev || true

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
far() {
  ip netns exec far chrt -f 40 "$load" "$@" &
  at_exit eval "kill $! && wait $! || true"
}
far echo 7000
far sink 7001 "$kept/sink"

declare -A address=()
wired() { # NAME NUMBER: a network of its own on the bridge, before the container is created
  address[$1]=10.77.0.$((10 + $2))
  ip netns add "bench-$1"
  ip link add "b-$1" type veth peer name eth0 netns "bench-$1"
  ip link set "b-$1" master bench0 up
  ip -n "bench-$1" addr add "${address[$1]}/24" dev eth0
  ip -n "bench-$1" link set eth0 up
  EDIT="(.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/bench-$1\""
}
unwire() {
  local name
  for name in "${!address[@]}"; do
    # A namespace takes its time to go, and its devices with it.
    ip link del "b-$name" || true
    ip netns del "bench-$name" || true
  done
  address=()
}
at_exit unwire
# What came of it by now, and not in the rounds before.
declare -A came=()
so_far() { awk -v from="${address[$1]}" '$1 == from { print $2; n = 1 } END { if (!n) print 0 }' "$kept/sink"; }
worked() { echo $((($(so_far "$1") - ${came[$1]:-0}) * 8)); }
passed() { cat "/sys/class/net/up0/statistics/tx_bytes"; }

service() {
  wired critical 0
  serve 1 tcp:10.77.0.1:7000
}
neighbour() {
  local how=tcp
  ((at % 2)) || how=udp
  wired "$1" "$at"
  came[$1]=$(so_far "$1")
  pack "$1" "$(class_of "$1")" send $how:10.77.0.1:7001 "$LINK" $seconds "/out/$1"
}
after() {
  tc -s qdisc show dev up0
  [[ $WITH != watcher ]] || packrank events | tail -n 20
  unwire
}
rounds "network-$LINK" $((LINK * 9 / 10 - 1)) $((LINK * 1000000)) plain ranked watcher $(systemd && echo systemd-oomd earlyoom)
