# Four neighbours that write to one disk as fast as it goes, beside a critical service that reads
# from it past the page cache.
# matrix: with=alone,plain,ranked,watcher,iocost
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 300

. /lab/extra/lib.sh
seconds=24 rate=40
sum() { awk '{ n += $1 } END { print n + 0 }' "$@"; }
disk=$(readlink -f /dev/disk/by-id/virtio-scratch)
number=$(lsblk -ndo MAJ:MIN "$disk" | xargs)
scratch ext4
head -c 64M /dev/urandom >/scratch/data
for name in normal1 low1 scavenger1 scavenger2; do head -c 64M /dev/zero >"/scratch/$name"; done
if [[ ! -e $kept/write ]]; then
  # What the disk takes from one that has it for itself: the neighbours' measure.
  "$load" write /scratch/normal1 64 6 "$out/write"
  echo $(($(sum "$out/write") / 6)) >"$kept/write"
fi
if [[ $WITH == iocost ]]; then
  # The same with the kernel's own share-keeper on, told what this disk can.
  echo "$number ctrl=user model=linear rbps=52428800 rseqiops=1000 rrandiops=1000 wbps=52428800 wseqiops=1000 wrandiops=1000" >/sys/fs/cgroup/io.cost.model
  echo "$number enable=1 ctrl=user rpct=95 rlat=20000 wpct=95 wlat=100000 min=50 max=150" >/sys/fs/cgroup/io.cost.qos
  at_exit eval "echo '$number enable=0' >/sys/fs/cgroup/io.cost.qos"
fi
EDIT='.mounts += [{destination: "/disk", type: "bind", source: "/scratch", options: ["bind", "rw"]}]'
peer
pack critical critical service $rate $seconds 1 direct:/disk/data /out/service
if [[ $WITH != alone ]]; then
  for name in normal1:normal low1:low scavenger1:scavenger scavenger2:scavenger; do
    pack "${name%:*}" "${name#*:}" write "/disk/${name%:*}" 64 $seconds "/out/${name%:*}"
  done
fi
go $((seconds + 2))
cp "$out/service" "$kept/disk-$WITH"
cat "/sys/block/${disk##*/}/queue/scheduler"
for name in "${started[@]}"; do
  note "$name: $(grep "^$number " "${cgroup[$name]}/io.max") | $(grep "^$number " "${cgroup[$name]}/io.stat") | $(cat "${cgroup[$name]}/io.weight")"
done
head -n 1 /proc/pressure/io
note "| disk, $WITH, $seconds s, $(sed 's/.*\[\(.*\)\].*/\1/' "/sys/block/${disk##*/}/queue/scheduler"); the disk takes $(($(<"$kept/write") >> 20)) MiB/s"
"$load" table $rate $seconds "$kept/disk-alone" "$kept/disk-$WITH" | sed 's/^/| /'
if [[ $WITH != alone ]]; then
  got=0
  for name in normal1 low1 scavenger1 scavenger2; do
    bytes=$(($(sum "$out/$name") / seconds))
    got=$((got + bytes))
    note "| $name wrote $((bytes >> 10)) KiB/s"
  done
  note "| neighbours' work: $((got * 100 / $(<"$kept/write"))) % of what the disk takes"
fi
[[ $WITH != watcher && $WITH != iocost ]] || packrank events | tail -n 20
over
