# A set of CPUs in the spec reaches the container; an affinity only narrows it.
# matrix: engine driver
# needs: packrank-runtime

if [[ $ENGINE == youki && $DRIVER == systemd ]]; then
  # youki 0.7 sends systemd the set in a form that it refuses. When this line fails, it no longer does.
  bundle one '.linux.resources.cpu = {cpus: "1"}'
  refused 'Unexpected message contents' engine create --bundle "$BUNDLE" "$ID"
  exit
fi

bundle one '.linux.resources.cpu = {cpus: "0-1"}'
annotate packrank.io/priority low
run_ranked one
expect cpuset.cpus 0-1

bundle two '.linux.resources.cpu = {cpus: "0-1"}'
annotate packrank.io/priority low
annotate packrank.io/cpu.affinity 1
run_ranked two
expect cpuset.cpus 1
expect_is 'allowed to its process' "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$PID/status")" 1
