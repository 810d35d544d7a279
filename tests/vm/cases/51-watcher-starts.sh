# The first ranked container has systemd start one watcher, in a cgroup of its own whose guarantee
# holds; killed, it is back and finds every pack; a critical container's guarantee reaches docker's
# parent slice, through a daemon-reload, and is taken back with the container. Metrics are served
# from another cgroup than its own.
# needs: packrank packrank-runtime packrank-hook packrank-watcher
# timeout: 240

linked packrank-runtime packrank-hook
mkdir -p /etc/docker
cp "$LAB/examples/docker/daemon.json" /etc/docker/daemon.json
at_exit rm -f /etc/docker/daemon.json
systemctl stop docker.socket docker 2>/dev/null || true
docker_up
watched
packrank gc >/dev/null
unit=packrank-watcher.service
own=/sys/fs/cgroup/$unit

# docker.service itself, and its containers under a slice without any guarantee of its own.
start() { # NAME CLASS COMMAND…
  local name=$1 class=$2
  shift 2
  docker run -d --name "$(_id "$name")" --runtime packrank --cgroup-parent lab-docker.slice --network none \
    --annotation "packrank.io/priority=$class" "$image" "$@" >/dev/null
  at_exit eval "docker rm -f $(_id "$name") >/dev/null 2>&1 || true"
}
away() { docker rm -f "$(_id "$1")" >/dev/null; }
knows() { [[ $(packrank status | grep -cE ' [0-9]+  ') == "$1" ]]; }
main() { systemctl show -p MainPID --value $unit; }
listens() { packrank status | grep -q '^pressure: memory'; }
parent=/sys/fs/cgroup/lab.slice/lab-docker.slice

start low low sleep 1000
wait_for 60 listens || { journalctl -u $unit -n 20 --no-pager; fail 'no watcher came'; }
pid=$(main)
expect "$own/cgroup.procs" "$pid"
expect "$own/memory.min" 16777216
expect "/proc/$pid/oom_score_adj" -999
expect_is 'watchers' "$(pgrep -xc packrank-watche)" 1

# Whoever serves metrics lives neither in the watcher's cgroup nor on its guarantee.
scrape() {
  printf 'GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n' \
    | timeout 20 nc -U -q 15 /run/packrank/metrics.sock | grep -m 1 '^pack_memory_usage_bytes{'
}
wait_for 60 scrape || { journalctl -u $unit -n 20 --no-pager; fail 'no metrics'; }
expect "$own/cgroup.procs" "$pid"

start critical critical sh -c 'dd if=/dev/zero of=/dev/shm/held bs=1M count=48; sleep 1000'
wait_for 30 knows 2 || fail "it does not know both: $(packrank status)"
expect_is 'the same one' "$(main)" "$pid"
# 2 GiB are guaranteed and 48 MiB of that are used; the parent had nothing.
has() { local value; read -r value <"$parent/memory.min" && ((value >= 48 << 20 && value < 256 << 20)); }
wait_for 30 has || { packrank events; fail "the parent has $(cat $parent/memory.min)"; }
systemctl daemon-reload
has || fail "after a reload the parent has $(cat $parent/memory.min)"

kill -9 "$pid"
wait_for 60 listens || fail 'it did not come back'
[[ $(main) != "$pid" ]] || fail 'the process is the same'
wait_for 30 knows 2 || fail "it does not find both: $(packrank status)"
packrank events | tail -n 5

away critical
wait_for 60 grep -qx 0 "$parent/memory.min" || { packrank events; fail "the parent keeps $(cat $parent/memory.min)"; }
away low
