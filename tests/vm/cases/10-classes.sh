# Each class, read back from the kernel's own files: what the built-in policy says is what
# `packrank explain` plans and what the container gets.
# matrix: engine driver
# needs: packrank packrank-runtime
# timeout: 240

# The built-in policy, in the kernel's words. guarantee: file and bytes; weight: see below.
#        shares quota  memory.max guarantee              swap oom  pids nofile    io: bytes/s, operations/s, weight
figures='
critical  2048  200000 4294967296 memory.min:2147483648  0   -999 4096 4096:8192 524288000 10000 1000
high      1536  150000 2147483648 memory.low:1073741824  0   -500 2048 4096:8192 209715200  5000  500
normal    1024  100000 1073741824 memory.low:268435456   0      0 1024 1024:4096  52428800  1000  100
low        512   50000  536870912 memory.low:0           0    500  512 1024:2048  20971520   500   50
scavenger  128   25000  268435456 memory.low:0           0   1000  128 512:1024    5242880   100   10
'
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
disk=$(lsblk -ndo MAJ:MIN /dev/vda | xargs)

while read -r class shares quota limit guarantee swap oom pids nofile bytes operations io_weight; do
  [[ -n $class ]] || continue
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
  if [[ $class == scavenger ]]; then
    # An idle group's weight is the least there is, whatever was asked.
    expect cpu.idle 1
    expect cpu.weight 1
  else
    expect cpu.idle 0
    expect cpu.weight "$(weight_of "$shares")"
  fi
  expect cpu.max "$quota 100000"
  expect memory.max "$limit"
  expect memory.high "$((limit * 9 / 10 / 4096 * 4096))"
  for file in memory.min memory.low; do
    if [[ $file == "${guarantee%:*}" ]]; then expect "$file" "${guarantee#*:}"; else expect "$file" 0; fi
  done
  expect memory.swap.max "$swap"
  expect pids.max "$pids"
  expect io.max "$disk rbps=$bytes wbps=$bytes riops=$operations wiops=$operations"
  expect io.weight "default $io_weight"
  for size in 2MB 1GB; do
    [[ -e $CGROUP/hugetlb.$size.max ]] || continue
    if [[ $class == critical ]]; then wanted=max; else wanted=0; fi
    expect "hugetlb.$size.max" "$wanted"
    expect "hugetlb.$size.rsvd.max" "$wanted"
  done
  expect "/proc/$PID/oom_score_adj" "$oom"
  expect_limit 'open files' "${nofile%:*}" "${nofile#*:}"
  remove "$class"
done <<<"$figures"
