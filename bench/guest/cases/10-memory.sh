# Six neighbours want more memory than the node has, beside a critical service with a working set.
# matrix: with=alone,plain,ranked,watcher,systemd-oomd,earlyoom
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 900

. /lab/extra/lib.sh
rounds=${ROUNDS:-$(cat /lab/extra/rounds 2>/dev/null || echo 4)} seconds=24 rate=40
[[ $WITH != alone ]] || rounds=1
hogs='high:high:400 normal:normal:500 low1:low:400 low2:low:400 scavenger1:scavenger:200 scavenger2:scavenger:200'

declare -A died=()
wanted=0 got=0
: >"$STATE/reactions"
for ((round = 1; round <= rounds; round++)); do
  peer
  pack critical critical service $rate $seconds 200 /data/data /out/service
  if [[ $WITH != alone ]]; then
    for hog in $hogs; do
      IFS=: read -r name class mib <<<"$hog"
      pack "$name" "$class" hog "$mib" 40 $seconds "/out/$name"
    done
  fi
  go $((seconds + 4))
  cp "$out/service" "$kept/$WITH-$round"
  for name in "${started[@]}"; do
    file=$out/$name
    [[ $name != critical ]] || file=$out/service
    grep -qx end "$file" || died[${name%[12]}]=$((${died[${name%[12]}]:-0} + 1))
  done
  for file in "$out"/{high,normal,low1,low2,scavenger1,scavenger2}; do
    [[ -e $file ]] || continue
    got=$((got + $(awk '{ n += $1 } END { print n + 0 }' "$file")))
    wanted=$((wanted + 40 * 256 * seconds))
  done
  if [[ $WITH == watcher ]]; then
    packrank events --json | jq -r 'select(.deed != "remark" and .result == "done" and .deed != "alert" and .deed != "protect") | .at' >"$out/deeds"
    "$load" first "$out/watch" "$out/deeds" >>"$STATE/reactions"
    packrank events | tail -n 30
  else
    awk '$1 == "dead" { print $3 }' "$out/watch" >"$out/deeds"
    "$load" first "$out/watch" "$out/deeds" >>"$STATE/reactions"
  fi
  cat "$out/watch"
  over
done
[[ $WITH != alone ]] || cp "$kept/alone-1" "$kept/baseline"
note "| memory, $WITH, $rounds rounds of $seconds s"
"$load" table $rate $seconds "$kept/baseline" "$kept/$WITH"-* | sed 's/^/| /'
note "| died: critical ${died[critical]:-0} of $rounds, high ${died[high]:-0} of $rounds, normal ${died[normal]:-0} of $rounds, low ${died[low]:-0} of $((2 * rounds)), scavenger ${died[scavenger]:-0} of $((2 * rounds))"
((wanted == 0)) || note "| neighbours' work: $((got * 100 / wanted)) % of what they wanted"
note "| from a stall to the first deed, ms: $(sort -n "$STATE/reactions" | xargs)"
