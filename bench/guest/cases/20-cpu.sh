# Four neighbours that compute on two CPUs, beside a critical service.
# matrix: with=alone,plain,ranked,watcher
# needs: packrank packrank-runtime packrank-hook packrank-watcher crun jq
# timeout: 300

. /lab/extra/lib.sh
seconds=24 rate=40
sum() { awk '{ n += $1 } END { print n + 0 }' "$@"; }
if [[ ! -e $kept/spin ]]; then
  # What one CPU gets done that has nothing else to do: the neighbours' measure.
  "$load" spin 5 "$out/spin"
  echo $(($(sum "$out/spin") / 5)) >"$kept/spin"
fi
peer
pack critical critical service $rate $seconds 50 - /out/service
if [[ $WITH != alone ]]; then
  for name in normal1:normal low1:low scavenger1:scavenger scavenger2:scavenger; do
    pack "${name%:*}" "${name#*:}" spin $seconds "/out/${name%:*}"
  done
fi
read -r _ user nice system idle _ </proc/stat
go $((seconds + 2))
read -r _ user2 nice2 system2 idle2 _ </proc/stat
cp "$out/service" "$kept/cpu-$WITH"
note "| cpu, $WITH, $seconds s"
"$load" table $rate $seconds "$kept/cpu-alone" "$kept/cpu-$WITH" | sed 's/^/| /'
busy=$((user2 - user + nice2 - nice + system2 - system)) all=$((user2 - user + nice2 - nice + system2 - system + idle2 - idle))
note "| CPUs busy: $((busy * 100 / all)) %"
if [[ $WITH != alone ]]; then
  for name in normal1 low1 scavenger1 scavenger2; do
    note "| $name computed $(($(sum "$out/$name") * 100 / seconds / $(<"$kept/spin"))) % of one CPU"
  done
fi
over
