# Six neighbours want more memory than the node has, beside a critical service with a working set:
# so many rounds with each that may look on, by turns; the service alone, and all of them on a plain
# runtime, in every fifth.
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 7200
# tries: 1

WITH=alone
. /lab/extra/lib.sh
read -r rounds only </lab/extra/rounds
seconds=20 rate=40
hogs='high:high:400 normal:normal:500 low1:low:400 low2:low:400 scavenger1:scavenger:200 scavenger2:scavenger:200'
declare -A died=() runs=() wanted=() got=()
rm -f "$kept"/memory-*

# One round; what the service saw is kept as memory-WITH-ROUND.
round() {
  local hog name class mib file
  peer
  pack critical critical service $rate $seconds 200 /data/data /out/service
  if [[ $WITH != alone ]]; then
    for hog in $hogs; do
      IFS=: read -r name class mib <<<"$hog"
      pack "$name" "$class" hog "$mib" 40 $seconds "/out/$name"
    done
  fi
  go $((seconds + 3))
  # It may have begun later: its working set comes first.
  wait_for 30 ended || true
  cp "$out/service" "$kept/memory-$WITH-$1"
  runs[$WITH]=$((${runs[$WITH]:-0} + 1))
  for name in "${started[@]}"; do
    file=$out/$name
    [[ $name != critical ]] || file=$out/service
    grep -qx end "$file" || died[$WITH:${name%[12]}]=$((${died[$WITH:${name%[12]}]:-0} + 1))
  done
  for file in "$out"/{high,normal,low1,low2,scavenger1,scavenger2}; do
    [[ -e $file ]] || continue
    got[$WITH]=$((${got[$WITH]:-0} + $(awk '{ n += $1 } END { print n + 0 }' "$file")))
    wanted[$WITH]=$((${wanted[$WITH]:-0} + 40 * 256 * seconds))
  done
  if [[ $WITH == watcher ]]; then
    packrank events --json | jq -r 'select(.deed != "remark" and .result == "done" and .deed != "alert" and .deed != "protect") | .at' >"$out/deeds"
    packrank events | tail -n 30
  else
    awk '$1 == "dead" { print $3 }' "$out/watch" >"$out/deeds"
  fi
  cat "$out/watch"
  "$load" first "$out/watch" "$out/deeds" >>"$kept/memory-$WITH.reactions"
  over
}

ended() { grep -qx end "$out/service" || ! grep -q 'populated 1' "${cgroup[critical]}/cgroup.events"; }

# Runs in which the service's mean latency was at most twice that of the service alone.
within_twice() {
  local file n=0
  for file in "$kept/memory-$WITH"-*; do
    "$load" table $rate $seconds "$alone" "$file" | awk '/^lat/ { exit $(NF - 3) > 100 }' && n=$((n + 1))
  done
  echo $n
}

those="alone ${only:-plain ranked watcher systemd-oomd earlyoom}"
for ((n = 1; n <= rounds; n++)); do
  for WITH in $those; do
    [[ $WITH != alone && $WITH != plain ]] || ((n % 5 == 1)) || continue
    round "$n"
  done
done
alone=$kept/memory-alone-1
for WITH in $those; do
  note "| memory, $WITH, ${runs[$WITH]} rounds of $seconds s"
  "$load" table $rate $seconds "$alone" "$kept/memory-$WITH"-* | sed 's/^/| /'
  note "| service within twice its mean latency alone: $(within_twice) of ${runs[$WITH]} rounds"
  [[ $WITH != alone ]] || continue
  for name in critical high normal low scavenger; do
    of=${runs[$WITH]}
    [[ $name != low && $name != scavenger ]] || of=$((2 * of))
    note "| died: $name ${died[$WITH:$name]:-0} of $of"
  done
  note "| neighbours' work: $((${got[$WITH]} * 100 / ${wanted[$WITH]})) % of what they wanted"
  note "| from a stall to the first deed, ms: $(sort -n "$kept/memory-$WITH.reactions" | xargs)"
done
