# Rootless Podman in a session of systemd's, as somebody who logged in has it: what was delegated to
# the user holds, the rest is left out and said so.
# matrix: engine=runc,crun
# needs: podman packrank packrank-runtime packrank-hook
# timeout: 300

podman_up
for program in packrank packrank-runtime packrank-hook; do
  cp "$(command -v $program)" /usr/local/bin/
  at_exit rm -f /usr/local/bin/$program
done
user=session-$ENGINE
# Not a number of other cases': systemd takes a user's /run/user away a while after his last session.
case $ENGINE in runc) uid=2001 ;; *) uid=2002 ;; esac
useradd -m -u $uid "$user"
at_exit eval "systemctl stop user@$uid.service; pkill -KILL -u $uid; sleep 1; userdel -r $user 2>/dev/null"
# What logging in starts.
systemctl start "user@$uid.service"
session=(env -C "/home/$user" "HOME=/home/$user" "XDG_RUNTIME_DIR=/run/user/$uid" "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus")
# By the user's own service manager, in its own part of the tree; conmon may stay.
rootless() { runuser -u "$user" -- "${session[@]}" systemd-run --user --quiet --pipe --wait --collect --service-type=exec -p KillMode=process "$@"; }
delegated=$(cat "/sys/fs/cgroup/user.slice/user-$uid.slice/user@$uid.service/cgroup.controllers")
note "delegated: $delegated"
podman save -q -o "$WORK/image.tar" "$image"
chmod 755 "$WORK"
chmod 644 "$WORK/image.tar"
rootless podman load -q -i "$WORK/image.tar" >/dev/null
ranked=(podman --cgroup-manager systemd --runtime /usr/local/bin/packrank-runtime --runtime-flag "engine=$(command -v "$ENGINE")")
run() { rootless "${ranked[@]}" run --network none "$@" 2>"$WORK/said" || { cat "$WORK/said"; fail "it does not start: $(tail -n 1 "$WORK/said")"; }; }

expect_is 'an unranked one' "$(run --rm "$image" echo here)" here
run -d --name low --annotation packrank.io/priority=low "$image" sleep 1000 >/dev/null
container_of "$(rootless podman inspect -f '{{.State.Pid}}' low)"
note "cgroup $CGROUP"
[[ $CGROUP == *"/user@$uid.service/"* ]] || fail 'it is not in the part of its user'
expect memory.max 536870912
expect memory.high 483180544
expect pids.max 512
[[ " $delegated " != *' cpu '* ]] || expect cpu.max '50000 100000'
expect "/proc/$PID/oom_score_adj" 500
expect_limit 'open files' 1024 2048
# Podman remembers the runtime of a container, not its flags.
rootless "${ranked[@]}" rm -f -t 0 low >/dev/null

cp "$LAB/config.json" "$WORK/config.json"
chmod 644 "$WORK/config.json"
planned=$(rootless /usr/local/bin/packrank explain --format json -a packrank.io/priority=low "$WORK/config.json")
noted() { jq -r --arg key "$1" '.settings[] | select(.key == $key) | .note' <<<"$planned"; }
expect_is 'of the network' "$(noted network.egress)" 'left out: needs root on the node'
