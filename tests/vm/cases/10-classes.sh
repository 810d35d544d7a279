# Each class, read back from the kernel's own files: what the built-in policy says is what
# `packrank explain` plans and what the container gets.
# matrix: engine driver
# needs: packrank packrank-runtime
# timeout: 240

if [[ $ENGINE:$DRIVER == youki:systemd ]]; then
  # youki 0.7 hands systemd what systemd knows, and the rest to nobody.
  known_gap cpu.idle 0
  # The plan leaves the weight to cpu.idle, so a scavenger has the kernel's own.
  known_gap cpu.weight 100
  known_gap io.weight 'default 100'
  for size in 2MB 1GB; do
    known_gap "hugetlb.$size.max" max
    known_gap "hugetlb.$size.rsvd.max" max
  done
fi

for class in "${classes[@]}"; do
  figures_of "$class"
  note "== $class"
  bundle "$class" '.root.readonly = false'
  annotate packrank.io/priority "$class"
  declare -A planned=()
  while IFS=$'\t' read -r key value; do
    planned[$key]=$value
  done < <(packrank explain --format json "$BUNDLE" | jq -r '(["class", .priority], (.settings[] | [.key, .value])) | map(tostring) | @tsv')
  for pair in "class:$class" "cpu.shares:$shares" "cpu.quota:$((quota / 1000))" "memory.limit:$limit" \
    "memory.guarantee:${guarantee#*:}" "memory.swap:$swap" "oom.score:$oom" "pids:$pids" \
    "io.read-bps:$bytes" "io.write-bps:$bytes" "io.read-iops:$operations" "io.write-iops:$operations" \
    "io.weight:$io_weight"; do
    expect_is "planned ${pair%%:*}" "${planned[${pair%%:*}]-nothing}" "${pair#*:}"
  done

  run_ranked "$class"
  expect_class "$class"
  remove "$class"
done
