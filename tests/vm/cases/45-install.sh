# From nothing to a ranked container and back, as a newcomer does it: install, run, be refused
# while it runs, end it, uninstall; then every file is byte for byte what it was.
# matrix: manager=docker,podman,containerd
# needs: packrank packrank-runtime packrank-hook
# timeout: 300

# What earlier cases put there.
systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank
name=$(_id web)
rank=(--annotation packrank.io/priority=low)

# Every file, link and folder that an installation could touch.
state() {
  find /etc/docker /etc/containerd /etc/containers /usr/local/bin /usr/share/containers \
    /var/lib/packrank /run/packrank -printf '%p %M %u %l ' -type f -exec sha256sum {} \; -o -print 2>/dev/null | sort || true
}
install() { packrank install --for "$MANAGER" "$@"; }
case $MANAGER in
  docker)
    mkdir -p /etc/docker
    # As somebody may have written it: no newline at its end, and a runtime of his own.
    printf '{\n\t"log-level":   "warn",\n\t"runtimes": {"mine": {"path": "/usr/bin/crun"}}\n}' >/etc/docker/daemon.json
    at_exit rm -f /etc/docker/daemon.json
    systemctl stop docker.socket docker 2>/dev/null || true
    docker_up
    flags=(--class-runtimes --restart)
    ;;
  podman) podman_up && flags=() ;;
  containerd)
    cp /etc/containerd/config.toml "$WORK/config.toml"
    at_exit cp "$WORK/config.toml" /etc/containerd/config.toml
    printf '# mine, without a newline at its end' >>/etc/containerd/config.toml
    containerd_up
    flags=(--restart)
    ;;
esac
state >"$WORK/before"

install "${flags[@]}" --dry-run
state | cmp - "$WORK/before" || fail 'a dry run changed something'
install "${flags[@]}"
state >"$WORK/installed"
install "${flags[@]}" | grep 'nothing to change' || fail 'a second run would change something'
state | cmp - "$WORK/installed" || fail 'a second run changed something'

case $MANAGER in
  docker)
    at_exit docker rm -f "$name" "$name-2"
    docker run -d --name "$name" --runtime packrank "${rank[@]}" "$image" >/dev/null
    expect_low "$(docker inspect -f '{{.State.Pid}}' "$name")"
    # The class by the runtime's name alone.
    docker run -d --name "$name-2" --runtime packrank-low "$image" >/dev/null
    expect_low "$(docker inspect -f '{{.State.Pid}}' "$name-2")"
    away() { docker rm -f "$name" "$name-2"; }
    ;;
  podman)
    at_exit podman rm -f -t 0 "$name" "$name-2"
    # Nothing but the annotation: the hooks do it.
    podman run -d --name "$name" "${rank[@]}" "$image" >/dev/null
    expect_low "$(podman inspect -f '{{.State.Pid}}' "$name")"
    podman --runtime packrank run -d --name "$name-2" "${rank[@]}" "$image" >/dev/null
    expect_low "$(podman inspect -f '{{.State.Pid}}' "$name-2")"
    away() { podman rm -f -t 0 "$name" "$name-2"; }
    ;;
  containerd)
    expect_is 'the CRI' "$(ctr plugins list | awk '/\.cri\.| cri / { print $NF }' | sort -u)" ok
    expect_is 'the handler' "$(containerd config dump | grep -c 'runtimes.packrank\]')" 1
    expect_is 'the built-in handler' "$(containerd config dump | grep -c 'runtimes.runc\]')" 1
    at_exit away
    ctr run -d --runc-binary /usr/local/bin/packrank-runtime "${rank[@]}" "$image" "$name" sleep 1000
    expect_low "$(ctr tasks list | awk -v name="$name" '$1 == name { print $2 }')"
    away() { ctr tasks kill -s KILL "$name"; wait_for 10 ctr tasks delete "$name"; ctr containers delete "$name"; }
    ;;
esac

refused 'end' packrank uninstall --restart
away >/dev/null
packrank uninstall --restart
state >"$WORK/after"
diff "$WORK/before" "$WORK/after" || fail 'something is not as it was'
[[ $MANAGER != docker ]] || expect_is 'a runtime of ours' "$(docker info --format '{{index .Runtimes "packrank"}}' | grep -c packrank || true)" 0
[[ $MANAGER != containerd ]] || expect_is 'the CRI' "$(ctr plugins list | awk '/\.cri\.| cri / { print $NF }' | sort -u)" ok
