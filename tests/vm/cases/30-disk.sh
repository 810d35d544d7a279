# A container's writable layer: limited, full for nobody else, cleaned up after any death.
# matrix: filesystem=ext4,xfs
# needs: test-kernel
# timeout: 240

scratch "$FILESYSTEM" prjquota
PACKRANK_QUOTA=/scratch test-kernel --test-threads 1 --nocapture disk_quota:: | tee said
grep -q '^test result: ok. [1-9]' said || fail 'no test was run'
if why=$(grep -m 1 SKIPPED said); then skip "$why"; fi
