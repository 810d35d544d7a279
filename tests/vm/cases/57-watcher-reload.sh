# What the watcher has taken stays taken through a daemon-reload, which writes systemd's own values over
# those of scopes, and comes back when the pressure is gone.
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun
# timeout: 180
# tries: 3

ENGINE=crun DRIVER=systemd
linked packrank-runtime packrank-hook
mkdir -p /etc/packrank
at_exit rm -f /etc/packrank/policy.toml
quick_policy /etc/packrank/policy.toml
watched
spin='.process.args = ["sh", "-c", "while :; do :; done & while :; do :; done"]'
for name in scavenger critical other; do
  bundle "$name" "$spin"
  annotate packrank.io/priority "${name/other/critical}"
  run_ranked "$name"
done
select_container scavenger
for file in cpu.max memory.max memory.high; do cat "$CGROUP/$file"; done
is() { grep -qx "$1 100000" "$CGROUP/cpu.max"; }
wait_for 60 is 2500 || { packrank events | tail -n 20; cat /proc/pressure/cpu; fail "it keeps $(cat "$CGROUP/cpu.max")"; }
systemctl daemon-reload
note "| at once after a reload: $(cat "$CGROUP/cpu.max"); systemd: $(systemctl show -p CPUQuotaPerSecUSec "${CGROUP##*/}")"
sleep 3
note "| and later: $(cat "$CGROUP/cpu.max")"
packrank events | tail -n 8
expect cpu.max '2500 100000'
remove other
remove critical
select_container scavenger
wait_for 60 is 25000 || { packrank events | tail -n 20; cat /proc/pressure/cpu; fail "it did not get its quota back: $(cat "$CGROUP/cpu.max")"; }
systemctl daemon-reload
expect cpu.max '25000 100000'
