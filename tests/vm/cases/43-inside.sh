# A container on a network of the host's own interface (ipvlan, macvlan) has no end on the host: it
# is shaped inside, and status says so.
# matrix: network=ipvlan,macvlan
# needs: packrank packrank-runtime packrank-hook
# timeout: 120

manager_up podman
ip link add up0 type veth peer name up1
at_exit ip link del up0
ip link set up0 up
ip link set up1 up
lan=$(_id lan)
manager network create --driver "$NETWORK" -o parent=up0 --subnet 10.77.0.0/24 "$lan" >/dev/null
at_exit manager network rm -f "$lan" '>/dev/null'
start web --network "$lan" --annotation packrank.io/priority=low
PID=$(manager inspect -f '{{.State.Pid}}' "$(full web)")
said=$(packrank status "$(ranked_id web)")
note "$said"
within() { nsenter -t "$PID" -n "$@"; }
device=$(within ip -o link show type "$NETWORK" | sed 's/^[0-9]*: \([^@:]*\).*/\1/')
expect_is "the queue of $device" "$(within tc qdisc show dev "$device" root | awk '{ print $2 }')" htb
[[ $said == *"from the container on $device: 5 Mbit/s"* ]] || differences+=("status does not say 5 Mbit/s from it: $said")
expect_is 'queues of the host' "$(tc qdisc show dev up0 | grep -c htb || true)" 0
away web
expect_is 'what is left of ours' "$(ours)" ''
