# Huge pages are for the critical class only, both as they are charged and as they are reserved.
# matrix: engine=runc,crun,packrank-engine driver
# needs: packrank-runtime
# machine: qemu

grep -qw hugetlb /sys/fs/cgroup/cgroup.controllers || fail 'no hugetlb controller'
for class in critical low; do
  bundle "$class" '.root.readonly = false'
  annotate packrank.io/priority "$class"
  run_ranked "$class"
  if [[ $class == critical ]]; then wanted=max; else wanted=0; fi
  expect hugetlb.2MB.max "$wanted"
  expect hugetlb.2MB.rsvd.max "$wanted"
done
