# Rootless Podman: a ranked container starts wherever a plain one does, and has what its user's
# engine can give; what was not delegated is left out and said so.
# matrix: engine=runc,crun
# needs: podman packrank packrank-runtime packrank-hook
# timeout: 200

podman_up
for program in packrank packrank-runtime packrank-hook; do
  cp "$(command -v $program)" /usr/local/bin/
  at_exit rm -f /usr/local/bin/$program
done
install -d -m 700 /run/packrank # root's, as where root's containers run too
user=lab-$ENGINE
useradd -m "$user"
uid=$(id -u "$user")
at_exit eval "pkill -KILL -u $uid; sleep 1; userdel -r $user 2>/dev/null; rm -rf /run/user/$uid"
install -d -o "$user" -m 700 "/run/user/$uid"
podman save -q -o "$WORK/image.tar" "$image"
chmod 755 "$WORK"
chmod 644 "$WORK/image.tar"
rootless() { runuser -u "$user" -- env -C "/home/$user" "XDG_RUNTIME_DIR=/run/user/$uid" "HOME=/home/$user" "$@"; }
rootless podman load -q -i "$WORK/image.tar" >/dev/null
run() { rootless podman --cgroup-manager cgroupfs --runtime "$1" "${@:2}" 2>"$WORK/said" || { cat "$WORK/said"; fail "it does not start: $(tail -n 1 "$WORK/said")"; }; }
# No network: pasta wants routes of this guest's that other cases take away.
flags=(--runtime-flag "engine=$(command -v "$ENGINE")")
tell='echo "$(cat /proc/self/oom_score_adj) $(ulimit -Sn) $(ulimit -Hn)"'

expect_is 'a plain one' "$(run "$(command -v "$ENGINE")" run --rm --network none "$image" echo here)" here
expect_is 'an unranked one' "$(run /usr/local/bin/packrank-runtime "${flags[@]}" run --rm --network none "$image" echo here)" here
ranked() { run /usr/local/bin/packrank-runtime "${flags[@]}" run --rm --network none --annotation "packrank.io/priority=$1" "$image" sh -c "$tell"; }
expect_is 'a low one' "$(ranked low)" '500 1024 2048'
expect_is 'open files of a critical one' "$(ranked critical | cut -d ' ' -f 2)" 4096

cp "$LAB/config.json" "$WORK/config.json"
chmod 644 "$WORK/config.json"
planned=$(rootless packrank explain --format json -a packrank.io/priority=low "$WORK/config.json")
noted() { jq -r --arg key "$1" '.settings[] | select(.key == $key) | .note' <<<"$planned"; }
expect_is 'of memory, explain says' "$(noted memory.limit)" 'left out: no memory controller was delegated to this user'
expect_is 'of the network' "$(noted network.egress)" 'left out: needs root on the node'
