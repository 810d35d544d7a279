# What those who watch take while nothing happens, all at the same time: earlyoom and systemd-oomd as
# they are shipped, packrank-watcher with no pack and with a hundred that sleep.
# needs: packrank-watcher earlyoom jq
# timeout: 1200
# tries: 1

windows=12 seconds=5
packs_up
for ((n = 1; n <= 100; n++)); do pack "idle$n" low . sleep 3600; done
declare -A pid=()
# One that has nothing to watch stays.
printf '[watch]\nlinger = 3600\n' >policy.toml
watched_by() { # NAME FOLDER
  local run=$2
  watch --policy "$PWD/policy.toml"
  pid[$1]=$watcher
}
mkdir -m 700 "$WORK/none"
watched_by packrank-watcher-100 "$run"
watched_by packrank-watcher-0 "$WORK/none"
at_exit systemctl stop earlyoom systemd-oomd
systemctl start earlyoom systemd-oomd
for who in earlyoom systemd-oomd; do pid[$who]=$(systemctl show --value --property MainPID "$who"); done
sleep 60

# Nanoseconds on a CPU, and how often it has waited, of all its threads.
used() {
  awk 'FILENAME ~ /schedstat$/ { ns += $1 } /^voluntary_ctxt_switches:/ { waits += $2 } END { print ns, waits }' \
    /proc/"$1"/task/*/{schedstat,status}
}
for ((n = 1; n <= windows; n++)); do
  for who in "${!pid[@]}"; do used "${pid[$who]}" >"$who.before"; done
  sleep $seconds
  for who in "${!pid[@]}"; do
    used "${pid[$who]}" | paste "$who.before" - | awk -v s=$seconds '{ print ($3 - $1) / s / 1e7, ($4 - $2) / s }' >>"$who"
  done
done
for who in earlyoom systemd-oomd packrank-watcher-0 packrank-watcher-100; do
  note "| $who: $(awk '/^(Rss|Pss|Locked):/ { printf "%s %s KiB, ", $1, $2 }' "/proc/${pid[$who]}/smaps_rollup")CPU $(
    sort -g "$who" | awk '{ v[NR] = $1; waits += $2 }
      END { printf "%.4f %% of a core (%.4f–%.4f), %.1f waits a second", v[int((NR + 1) / 2)], v[int(NR / 10) + 1], v[int(NR * 9 / 10)], waits / NR }'
  )"
done
