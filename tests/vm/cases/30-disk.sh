# A container's writable layer: limited, full for nobody else, cleaned up after any death.
# matrix: filesystem=ext4,xfs
# needs: test-disk
# timeout: 240

scratch "$FILESYSTEM" prjquota
PACKRANK_QUOTA=/scratch test-disk --test-threads 1 --nocapture
