# A project quota on the scratch disk holds.
# matrix: filesystem=ext4,xfs

scratch "$FILESYSTEM" prjquota
mkdir /scratch/project
case $FILESYSTEM in
  ext4)
    chattr +P -p 42 /scratch/project
    setquota -P 42 0 1024 0 0 /scratch
    ;;
  xfs) xfs_quota -x -c 'project -s -p /scratch/project 42' -c 'limit -p bhard=1m 42' /scratch ;;
esac
dd if=/dev/zero of=/scratch/project/within bs=64k count=8 2>/dev/null
# ext4 lets a process with CAP_SYS_RESOURCE write past its quota, so write as a container would.
if setpriv --bounding-set -sys_resource dd if=/dev/zero of=/scratch/project/over bs=64k count=64 conv=fsync 2>said; then
  fail "4 MiB fit into a quota of 1 MiB"
fi
cat said
grep -q -e 'No space left' -e 'quota exceeded' said || fail "not stopped by the quota: $(head -n 1 said)"
dd if=/dev/zero of=/scratch/outside bs=64k count=64 conv=fsync 2>/dev/null
