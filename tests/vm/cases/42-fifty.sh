# Fifty containers at once through io.containerd.packrank.v2: each runs with its class's limits; then
# all go at once, and neither shim nor record nor cgroup of theirs stays.
# needs: containerd-shim-packrank-v2 packrank
# timeout: 600

linked containerd-shim-packrank-v2
containerd_up
# ctr gives up on a daemon that has not answered in ten seconds: fifty of them at once are slower.
ctr() { timeout -k 2 300 /usr/bin/ctr --connect-timeout 4m "$@" </dev/null; }
names=$(seq -f 'many-%g' 50)
clear_up() {
  local left
  left=$(ctr containers list -q | grep many-) || return 0
  # shellcheck disable=SC2086 # words they are
  ctr tasks rm -f $left && ctr containers rm $left
}
at_exit clear_up
shims() { pgrep -c -f -- '-packrank-v2 .*-id many-' || true; }
count() { # FILE VALUE
  local name value n=0
  for name in $names; do
    _read "/sys/fs/cgroup/default/$name/$1"
    [[ $value != "$2" ]] || n=$((n + 1))
  done
  printf '%s' "$n"
}

for name in $names; do
  ctr run -d --runtime io.containerd.packrank.v2 --annotation packrank.io/priority=low "$image" "$name" sleep 1000 &
done
wait
expect_is 'running' "$(ctr tasks list | grep -c 'many-.*RUNNING')" 50
expect_is 'of 512 MiB' "$(count memory.max 536870912)" 50
expect_is 'of half a CPU' "$(count cpu.max '50000 100000')" 50
expect_is 'shims' "$(shims)" 50
expect_is 'records' "$(ls /run/packrank/packs | grep -c many-)" 50

clear_up >/dev/null
none() { [[ $(shims) == 0 ]]; }
wait_for 60 none || true
expect_is 'shims that are left' "$(shims)" 0
expect_is 'records that are left' "$(ls /run/packrank/packs | grep -c many- || true)" 0
expect_is 'cgroups that are left' "$(ls /sys/fs/cgroup/default | grep -c many- || true)" 0
