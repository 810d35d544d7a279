# A container on a network of the host's own interface (ipvlan, macvlan), or with a network card of
# its own, has no end on the host: it is shaped inside, in both directions, and status says so.
# matrix: network=ipvlan,macvlan,hardware
# needs: packrank packrank-runtime packrank-hook iperf3
# timeout: 120
# tries: 3

manager_up podman
lan=$(_id lan)
if [[ $NETWORK == hardware ]]; then
  # The guest has two cards on one wire.
  mapfile -t cards < <(cd /sys/class/net && printf '%s\n' */device | cut -d / -f 1)
  expect_is 'network cards' "${#cards[@]}" 2
  device=${cards[0]} across=${cards[1]}
  ip netns add "$lan"
  at_exit ip link set "$across" down
  at_exit ip addr flush dev "$across"
  at_exit ip netns del "$lan"
  ip link set "$device" netns "$lan"
  ip -n "$lan" addr add 10.77.0.2/24 dev "$device"
  ip -n "$lan" link set "$device" up
  with=(--network "ns:/run/netns/$lan")
else
  ip link add up0 type veth peer name up1
  at_exit ip link del up0
  ip link set up0 up
  across=up1
  manager network create --driver "$NETWORK" -o parent=up0 --subnet 10.77.0.0/24 "$lan" >/dev/null
  at_exit manager network rm -f "$lan"
  with=(--network "$lan")
fi
ip addr add 10.77.0.254/24 dev "$across"
ip link set "$across" up
start web "${with[@]}" --annotation packrank.io/priority=low --annotation packrank.io/network.burst=1Mbit
PID=$(manager inspect -f '{{.State.Pid}}' "$(full web)")
said=$(packrank status "$(ranked_id web)")
note "$said"
within() { nsenter -t "$PID" -n "$@"; }
[[ $NETWORK == hardware ]] || device=$(within ip -o link show type "$NETWORK" | sed 's/^[0-9]*: \([^@:]*\).*/\1/')
expect_is "the queue of $device" "$(within tc qdisc show dev "$device" root | awk '{ print $2 }')" htb
[[ $said == *"from the container on $device: 5 Mbit/s"* ]] || differences+=("status does not say 5 Mbit/s from it: $said")
expect_is 'queues of the host' "$(tc qdisc show dev "$across" | grep -c htb || true)" 0
for direction in from:5001 to:5002:-R; do
  IFS=: read -r way port reverse <<<"$direction"
  iperf3 -s -1 -D -B 10.77.0.254 -p "$port"
  bits=$(within iperf3 -c 10.77.0.254 -p "$port" -O 1 -t 5 -J ${reverse:+"$reverse"} | jq '.end.sum_received.bits_per_second | floor')
  note "$way the container: $bits bit/s"
  # 5 Mbit/s of IP packets are 4.83 Mbit/s of TCP's payload. How near, other tests measure.
  if ((bits < 3800000 || bits > 5600000)); then differences+=("$way the container pass $bits bit/s, not 4.83 Mbit/s"); fi
done
away web
expect_is 'what is left of ours' "$(ours)" ''
[[ $NETWORK != hardware ]] || expect_is 'the queues that are left' "$(ip netns exec "$lan" tc qdisc show dev "$device" | grep -c htb || true)" 0
