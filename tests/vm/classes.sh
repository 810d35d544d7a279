# shellcheck shell=bash
# The five classes of the built-in policy, as the kernel shows them; sourced by lib.sh, whose list says
# what is here for a case: classes, figures_of, expect_class, expect_rates, expect_low_network,
# expect_low.

expect_low() {
  container_of "$1"
  expect cpu.max '50000 100000'
  expect memory.max 536870912
  expect memory.high 483180544
  expect pids.max 512
  expect "/proc/$PID/oom_score_adj" 500
}

# The built-in policy, in the kernel's words. guarantee: file and bytes; weight: see weight_of.
#        shares quota  memory.max guarantee              swap oom  pids nofile    io: bytes/s, operations/s, weight; Mbit/s
figures='
critical  2048  200000 4294967296 memory.min:2147483648  0   -999 4096 4096:8192 524288000 10000 1000 100
high      1536  150000 2147483648 memory.low:1073741824  0   -500 2048 4096:8192 209715200  5000  500  50
normal    1024  100000 1073741824 memory.low:268435456   0      0 1024 1024:4096  52428800  1000  100  10
low        512   50000  536870912 memory.low:0           0    500  512 1024:2048  20971520   500   50   5
scavenger  128   25000  268435456 memory.low:0           0   1000  128 512:1024    5242880   100   10   1
'
classes=(critical high normal low scavenger)
figures_of() {
  while read -r class shares quota limit guarantee swap oom pids nofile bytes operations io_weight mbit; do
    [[ $class != "$1" ]] || return 0
  done <<<"$figures"
  fail "no class is called $1"
}

own_files='' own_pids=''
expect_class() {
  local file size wanted
  figures_of "$1"
  if [[ $class == scavenger ]]; then
    # An idle group's weight is the least there is, whatever was asked; Linux 6.1 reads it as 0.
    expect cpu.idle 1
    wanted=1
    [[ $(uname -r) != 6.1.* ]] || wanted=0
    expect cpu.weight "$wanted"
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
  expect pids.max "$(_least "$pids" "$own_pids")"
  expect io.max "${disk:=$(lsblk -ndo MAJ:MIN /dev/vda | xargs)} rbps=$bytes wbps=$bytes riops=$operations wiops=$operations"
  expect io.weight "default $io_weight"
  for size in 2MB 1GB; do
    [[ -e $CGROUP/hugetlb.$size.max ]] || continue
    if [[ $class == critical ]]; then wanted=max; else wanted=0; fi
    expect "hugetlb.$size.max" "$wanted"
    expect "hugetlb.$size.rsvd.max" "$wanted"
  done
  expect "/proc/$PID/oom_score_adj" "$oom"
  expect_limit 'open files' "$(_least "${nofile%:*}" "$own_files")" "$(_least "${nofile#*:}" "$own_files")"
}
_least() { local most=${2:-$1}; echo $((most < $1 ? most : $1)); }

# What is shaped are frames: 1514 bytes for 1500 of IP.
expect_rates() {
  local said way device
  figures_of "$1"
  said=$(packrank status "$2")
  for way in from to; do
    device=$(sed -n "s/^ *$way the container on \([^:]*\):.*/\1/p" <<<"$said")
    expect_is "tc's rate $way it" "$(tc class show dev "${device:-nothing}" 2>&1 | sed -n 's/.* rate \([^ ]*\) .*/\1/p')" "$((mbit * 1514 * 1000 / 1500))Kbit"
  done
}

_listens() { grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp; }

# From a full bucket, 10 Mbit and then 5 Mbit/s of IP packets pass, 0.966 of that as TCP's payload: what
# is above is too much, however the machine stood still in between. A busy one sends less: that is
# measured again, and half of the rate is still more than the class below has. How near it is, other
# cases measure.
expect_low_network() {
  local host way port reverse bits try
  host=$(nsenter -t "$PID" -n ip route | awk '$1 == "default" { print $3; exit }')
  for way in from:5001: to:5002:-R; do
    IFS=: read -r way port reverse <<<"$way"
    for try in 1 2 3; do
      ((try == 1)) || sleep 3 # the bucket fills
      iperf3 -s -1 -D -B "$host" -p "$port"
      wait_for 20 _listens "$port" || fail "iperf3 does not listen on port $port"
      bits=$(nsenter -t "$PID" -n iperf3 -c "$host" -p "$port" -t 9 -J ${reverse:+"$reverse"} \
        | jq '.end.sum_received | (.bytes * 8 - 9660000) / .seconds | floor')
      note "| $way the container: $bits bit/s after the burst, measured"
      ((bits < 4350000)) || break
    done
    if ((bits < 2400000 || bits > 5350000)); then differences+=("$way the container pass $bits bit/s, not 4.83 Mbit/s"); fi
  done
}
