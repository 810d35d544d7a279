# Rootless Podman: a ranked container starts wherever a plain one does, and has what its user's
# engine can give; what was not delegated is left out and said so. By packrank-runtime; and by the hooks
# that root installed for everybody, which have nothing to say of it.
# matrix: engine=runc,crun
# needs: podman packrank packrank-runtime packrank-hook
# timeout: 200

podman_up
rm -f /usr/local/bin/*packrank*
packrank install --for podman >/dev/null
at_exit packrank uninstall --for podman
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

# Nothing but the annotation.
said() { sort "$WORK/said"; }
bare() { run "$(command -v "$ENGINE")" "$@"; }
bare run -d --name plain --network none "$image" >/dev/null
plain=$(said)
bare rm -f -t 0 plain >/dev/null
plain_end=$(said)
bare run -d --name web --network none --annotation packrank.io/priority=low "$image" >/dev/null
expect_is 'what its start says' "$(said)" "$plain"
PID=$(rootless podman inspect -f '{{.State.Pid}}' web)
expect "/proc/$PID/oom_score_adj" 500
expect_limit 'open files' 1024 2048
bare rm -f -t 0 web >/dev/null
expect_is 'what its end says' "$(said)" "$plain_end"
# Podman keeps the hook's words to itself.
refused 'packrank-hook precreate' rootless podman --cgroup-manager cgroupfs run --rm --network none --annotation packrank.io/priority=no "$image" true

cp "$LAB/config.json" "$WORK/config.json"
chmod 644 "$WORK/config.json"
planned=$(rootless packrank explain --format json -a packrank.io/priority=low "$WORK/config.json")
noted() { jq -r --arg key "$1" '.settings[] | select(.key == $key) | .note' <<<"$planned"; }
expect_is 'of memory, explain says' "$(noted memory.limit)" 'left out: no memory controller was delegated to this user'
expect_is 'of the network' "$(noted network.egress)" 'left out: needs root on the node'
