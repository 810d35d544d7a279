# systemd writes its own values at a daemon-reload: the class must outlive it.
# matrix: engine driver=systemd
# needs: packrank-runtime

bundle one '.root.readonly = false'
annotate packrank.io/priority low
run_ranked one
for round in before after; do
  note "== $round"
  expect cpu.weight "$(weight_of 512)"
  expect cpu.max '50000 100000'
  expect memory.max 536870912
  expect memory.high 483180544
  expect memory.swap.max 0
  expect pids.max 512
  [[ $round == after ]] || systemctl daemon-reload
done
