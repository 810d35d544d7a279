# Disk space through Docker and Podman, on their own storage drivers: a container that overfills its layer
# gets the error, its neighbour does not, a stopped one keeps its limit, and nothing stays.
# matrix: storage=docker-ext4,docker-xfs,podman-ext4
# needs: packrank packrank-runtime packrank-hook
# timeout: 400

scratch "${STORAGE#*-}" prjquota
manager_up "${STORAGE%-*}" /scratch/engine
expect_is 'what is there of ours' "$(ours)" ''
start small --annotation packrank.io/priority=high --annotation packrank.io/disk.space=8Mi
start large --annotation packrank.io/priority=high --annotation packrank.io/disk.space=32Mi
expect_is 'the layer' "$(inside small awk '$2 == "/" { print $1 }' /proc/mounts)" overlay
fill() { inside "$1" dd if=/dev/zero of="/$3" bs=64k count=$(($2 * 16)) conv=fsync 2>&1; }

if said=$(fill small 12 big); then fail "12 MiB fit into a layer of 8"; fi
note "$said"
case $said in *'No space left'* | *'uota exceeded'*) ;; *) differences+=("not stopped by the quota: $said") ;; esac
held=$(inside small du -k /big | cut -f 1)
if ((held < 7 * 1024 || held > 8 * 1024)); then differences+=("a layer of 8 MiB holds $held KiB"); fi
fill large 12 big >/dev/null || differences+=("a layer of 32 MiB does not hold 12")
packrank status "$(ranked_id small)" | grep 'disk space used'

# Stopped and started it is the same layer with the same limit.
manager restart -t 0 "$(full small)" >/dev/null
if fill small 2 more >/dev/null; then differences+=("after a restart the full layer takes 2 MiB more"); fi
inside small rm -f /big /more
fill small 4 again >/dev/null || differences+=("an emptied layer of 8 MiB does not hold 4")

away small large
expect_is 'what is left of ours' "$(ours)" ''
