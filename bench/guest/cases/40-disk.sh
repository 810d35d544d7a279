# Neighbours that write to one disk as fast as it goes, beside a critical service that reads from it
# past the page cache. Eight scavengers' limits are four fifths of what the disk takes.
# matrix: crowd=scavengers,mix
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 7200
# tries: 1
# machine: qemu

. "$LAB/extra/lib.sh"
disk=$(readlink -f /dev/disk/by-id/virtio-scratch)
number=$(lsblk -ndo MAJ:MIN "$disk" | xargs)
scratch ext4
head -c 64M /dev/urandom >/scratch/data
for name in $(neighbours 8); do head -c 24M /dev/zero >"/scratch/$name"; done
# What the disk takes from as many that have it for themselves.
declare -a writers=()
for name in $(neighbours 8); do
  "$load" write "/scratch/$name" 24 $seconds "$out/$name" &
  writers+=($!)
done
wait "${writers[@]}"
takes=0
for name in $(neighbours 8); do takes=$((takes + $(worked "$name") / seconds)); done
note "| the disk takes $((takes >> 20)) MiB/s; scheduler $(sed 's/.*\[\(.*\)\].*/\1/' "/sys/block/${disk##*/}/queue/scheduler")"
EDIT='.mounts += [{destination: "/disk", type: "bind", source: "/scratch", options: ["bind", "rw"]}]'
service() { serve 1 direct:/disk/data; }
neighbour() { pack "$1" "$(class_of "$1")" write "/disk/$1" 24 $seconds "/out/$1"; }
before() {
  [[ $WITH == iocost ]] || return 0
  # The same with the kernel's own share-keeper on, told what this disk can.
  echo "$number ctrl=user model=linear rbps=52428800 rseqiops=1000 rrandiops=1000 wbps=52428800 wseqiops=1000 wrandiops=1000" >/sys/fs/cgroup/io.cost.model
  echo "$number enable=1 ctrl=user rpct=95 rlat=20000 wpct=95 wlat=100000 min=50 max=150" >/sys/fs/cgroup/io.cost.qos
}
after() {
  local name
  for name in "${started[@]}"; do
    note "$name: $(grep "^$number " "${cgroup[$name]}/io.max") | $(grep "^$number " "${cgroup[$name]}/io.stat") | $(cat "${cgroup[$name]}/io.weight")"
  done
  head -n 1 /proc/pressure/io
  case $WITH in watcher | iocost) packrank events | tail -n 20 ;; esac
  [[ $WITH != iocost ]] || echo "$number enable=0" >/sys/fs/cgroup/io.cost.qos
}
at_exit eval "echo '$number enable=0' >/sys/fs/cgroup/io.cost.qos"
rounds disk 8 "$takes" plain ranked watcher systemd-oomd earlyoom iocost
