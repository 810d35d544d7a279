# Neighbours that compute, beside a critical service: together they may use every CPU there is.
# matrix: crowd=scavengers,mix
# needs: packrank packrank-runtime packrank-hook packrank-watcher jq
# timeout: 7200
# tries: 1

. "$LAB/extra/lib.sh"
service() { serve 50 -; }
neighbour() { pack "$1" "$(class_of "$1")" spin $seconds "/out/$1"; }
# What one CPU gets done that has nothing else to do.
"$load" spin 5 "$out/spin"
one=$(($(worked spin) / 5))
rounds cpu $((4 * $(nproc))) $((one * $(nproc))) plain ranked watcher $(systemd && echo systemd-oomd earlyoom)
