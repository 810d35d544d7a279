# Neighbours that want a quarter more memory than there is, beside a critical service with a working
# set. The mix is six that want 2 100 MiB.
# matrix: crowd=scavengers,mix
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 7200
# tries: 1

. "$LAB/extra/lib.sh"
service() { serve 200 /data/data; }
each=200
case $CROWD in
  mix)
    neighbours() { printf '%s\n' high1 normal1 low1 low2 scavenger1 scavenger2; }
    declare -A mib=([high1]=400 [normal1]=500 [low1]=400 [low2]=400 [scavenger1]=200 [scavenger2]=200)
    ;;
  *) declare -A mib=() ;;
esac
# Pages that it touches in a second: 40 MiB.
touched=$((40 * 256))
neighbour() { pack "$1" "$(class_of "$1")" hog "${mib[$1]:-$each}" 40 $seconds "/out/$1"; }
after() {
  if [[ $WITH == watcher ]]; then
    packrank events --json | jq -r 'select(.deed != "remark" and .result == "done" and .deed != "alert" and .deed != "protect") | .at' >"$out/deeds"
    packrank events | tail -n 30
  else
    awk '$1 == "dead" { print $3 }' "$out/watch" >"$out/deeds"
  fi
  cat "$out/watch"
  "$load" first "$out/watch" "$out/deeds" >>"$kept/reactions-$WITH"
}
rm -f "$kept"/reactions-*
# What is there for them beside the service's own 200 MiB and its file.
forget
there=$(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) / 1024 - 264))
count=$((there * 5 / 4 / each))
case $CROWD in mix) wanted=2100 many=6 ;; *) wanted=$((count * each)) many=$count ;; esac
fit=$((there * 100 / wanted))
note "| memory: $many want $wanted MiB, $there are there: $fit %"
rounds memory "$count" $((many * touched * (fit < 100 ? fit : 100) / 100)) plain ranked watcher systemd-oomd earlyoom
for who in "$kept"/reactions-*; do
  # Where memory was all in use and nobody stalled, there is nothing to tell.
  [[ -s $who ]] || continue
  note "| from a stall to the first deed, ${who##*-}, ms: $(sort -n "$who" | xargs)"
done
