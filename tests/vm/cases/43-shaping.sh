# Shaping with fq_codel, on a container with two networks: a class's rate is never exceeded, in
# neither direction, by TCP nor by UDP, and held where this guest is fast enough; a ping waits for
# nobody; the host's own network is not touched.
# needs: packrank packrank-runtime packrank-hook iperf3
# timeout: 300
# tries: 3

manager_up podman
for network in one two; do
  manager network create $network >/dev/null
  at_exit manager network rm -f $network
done
start web --network one --network two --annotation packrank.io/priority=critical --annotation packrank.io/network.burst=200kbit
ID=$(ranked_id web)
PID=$(manager inspect -f '{{.State.Pid}}' "$(full web)")

# Of each network: the host's bridge and address, the container's address.
declare -a bridge=() host=() own=()
while read -r _ _ _ address _; do
  address=${address%/*}
  own+=("$address")
  read -r _ _ device _ < <(ip route get "$address")
  bridge+=("$device")
  host+=("$(ip -4 -o addr show dev "$device" | awk '{ sub("/.*", "", $4); print $4 }')")
done < <(nsenter -t "$PID" -n ip -4 -o addr show | grep -v ' lo ')
expect_is 'networks' "${#own[@]}" 2
mapfile -t ends < <(packrank status "$ID" | sed -n 's/^ *to the container on \([^:]*\):.*/\1/p')
expect_is 'shaped interfaces of the host' "${#ends[@]}" 2
for device in "${ends[@]}"; do
  expect_is "queue of $device" "$(tc qdisc show dev "$device" | awk '{ print $2 }' | sort | paste -sd ' ')" 'fq_codel htb tbf'
done
for address in "${host[@]}"; do
  iperf3 -s -B "$address" -p 5001 >/dev/null 2>&1 &
  at_exit kill $!
done

# Bytes of IP that came out behind the shaper, in $bytes: from the container on the bridges, or to
# it on its interfaces (which count 14 bytes of Ethernet in 1514).
count() {
  local line name value
  bytes=0
  if [[ $1 == from ]]; then
    for name in "${bridge[@]}"; do
      read -r value <"/sys/class/net/$name/statistics/rx_bytes"
      bytes=$((bytes + value))
    done
    return
  fi
  while read -r line; do
    [[ $line == eth* ]] || continue
    read -r value _ <<<"${line#*:}"
    bytes=$((bytes + value * 1500 / 1514))
  done <"/proc/$PID/net/dev"
}
now() { read -r now _ </proc/uptime; now=$((10#${now/./})); }

# pass DIRECTION NETWORKS WHAT IPERF-OPTION… : the load runs, WHAT is done meanwhile, and what passed
# is between $least and $most bits per second: this guest may be held up between clock and counter.
pass() {
  local direction=$1 networks=$2 what=$3 index pids=() before begun started
  shift 3
  for ((index = 0; index < networks; index++)); do
    nsenter -t "$PID" -n iperf3 -c "${host[index]}" -p 5001 -t 6 "$@" >"iperf.$index" 2>&1 &
    pids+=($!)
  done
  sleep 1.5
  now; begun=$now; count "$direction"; before=$bytes; now; started=$now
  $what
  now; ended=$now; count "$direction"; now
  least=$(((bytes - before) * 800 / (now - begun)))
  most=$(((bytes - before) * 800 / (ended - started)))
  wait "${pids[@]}" || cat iperf.*
}
three_seconds() { sleep 3; }
median() {
  ping -n -i 0.03 -c 100 -W 2 "${own[0]}" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n \
    | awk '{ t[NR] = $1 } END { print NR > 50 ? t[int((NR + 1) / 2)] : 9999 }'
}
ping_on() { busy=$(median); }

not_above() { # what, Mbit/s
  note "$2 Mbit/s $1: $((least / $2 / 10000)) to $((most / $2 / 10000)) % passed"
  ((least <= $2 * 1050000)) || differences+=("$2 Mbit/s $1 pass at least $least bit/s")
}
held() { # what, Mbit/s
  not_above "$@"
  ((most >= $2 * 950000)) || differences+=("$2 Mbit/s $1 pass at most $most bit/s")
}
waits() { # what, Mbit/s
  note "$2 Mbit/s $1: ping idle $idle ms, under full load $busy ms"
  if awk -v idle="$idle" -v busy="$busy" 'BEGIN { exit !(busy - idle >= 30) }'; then
    differences+=("at $2 Mbit/s $1 a full load makes a ping of $idle ms take $busy ms")
  fi
}
idle=$(median)
for rate in 1 10; do
  packrank set "$ID" network.egress=${rate}Mbit network.ingress=${rate}Mbit >/dev/null 2>&1
  # At 10 Mbit/s the emulated processor may be what holds a stream.
  judge=$( ((rate == 1)) && echo held || echo not_above)
  pass from 1 ping_on -P 2
  $judge 'from, TCP,' $rate
  waits from $rate
  pass to 1 ping_on -P 2 -R
  $judge 'to, TCP,' $rate
  waits to $rate
done
packrank set "$ID" network.egress=1Mbit network.ingress=1Mbit >/dev/null 2>&1
pass from 1 three_seconds -u -b 2M -l 1400
held 'from, UDP,' 1
pass to 1 three_seconds -u -b 2M -l 1400 -R
held 'to, UDP,' 1
# What it sends is limited over all its networks, what it gets on each.
pass from 2 three_seconds -P 2
held 'from, over two networks,' 1
pass to 2 three_seconds -P 2 -R
held 'to, over two networks,' 2

queues() { tc qdisc show | grep -v ' dev \(veth\|prk\)'; }
before=$(queues)
start host --network host --annotation packrank.io/priority=low
expect_is 'queues of the host' "$(queues)" "$before"
expect_is 'what status says of the host network' "$(packrank status "$(ranked_id host)" | sed -n 's/^ *\(network:.*\)/\1/p')" "network: the host's own"

away host web
expect_is 'what is left of ours' "$(ours)" ''
