# `update` is merged with the plan: stricter than the class goes through, looser does not, and
# what an update does not name stays.
# matrix: engine driver
# needs: packrank-runtime

bundle one
annotate packrank.io/priority low
run_ranked one

note '== looser'
ranked update --memory 2147483648 --pids-limit 4000 --cpu-period 100000 --cpu-quota 90000 "$ID"
expect memory.max 536870912
expect memory.high 483180544
expect memory.swap.max 0
expect pids.max 512
expect cpu.max '50000 100000'

note '== stricter'
ranked update --memory 268435456 --pids-limit 50 --cpu-period 100000 --cpu-quota 20000 "$ID"
expect memory.max 268435456
expect pids.max 50
expect cpu.max '20000 100000'
expect memory.swap.max 0

note '== one thing only: the rest is as planned'
ranked update --pids-limit 60 "$ID"
expect pids.max 60
expect cpu.weight "$(weight_of 512)"
expect memory.swap.max 0
