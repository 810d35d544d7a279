# Two containers spin on one CPU: they share it as their weights say (2048 : 512 shares, which the
# older engines make 79 : 20 and the newer 174 : 59).
# matrix: engine driver
# needs: packrank-runtime
# tries: 3

spin='.process.args = ["sh", "-c", "while :; do :; done"]'
for class in critical low; do
  bundle "$class" "$spin"
  annotate packrank.io/priority "$class"
  run_ranked "$class"
  taskset -pc 1 "$PID" >/dev/null
done

usage() { select_container "$1" && awk '$1 == "usage_usec" { print $2 }' "$CGROUP/cpu.stat"; }
critical=$(usage critical) low=$(usage low)
sleep 4
critical=$(($(usage critical) - critical)) low=$(($(usage low) - low))
note "critical $critical µs, low $low µs"
((low > 0)) || fail 'low got nothing'
got=$((critical * 100 / low)) wanted=$(($(weight_of 2048) * 100 / $(weight_of 512)))
((got >= wanted * 3 / 4 && got <= wanted * 4 / 3)) \
  || fail "critical got $got % of what low got; the weights say $wanted %"
