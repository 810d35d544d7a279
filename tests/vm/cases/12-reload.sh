# systemd writes its own values at a daemon-reload: the class must outlive it, and the spec's CPUs.
# matrix: engine driver=systemd
# needs: packrank-runtime

# youki 0.7 sends systemd the set of CPUs in a form that it refuses (15-cpuset).
change='.root.readonly = false'
[[ $ENGINE == youki ]] || change+=' | .linux.resources.cpu.cpus = "0-1"'
bundle one "$change"
annotate packrank.io/priority low
[[ $ENGINE == youki ]] || annotate packrank.io/cpu.affinity 1
run_ranked one
for round in before after; do
  note "== $round"
  expect cpu.weight "$(weight_of 512)"
  expect cpu.max '50000 100000'
  [[ $ENGINE == youki ]] || expect cpuset.cpus 1
  expect memory.max 536870912
  expect memory.high 483180544
  expect memory.swap.max 0
  expect pids.max 512
  [[ $round == after ]] || systemctl daemon-reload
done
