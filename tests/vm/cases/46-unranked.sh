# A container that runs under packrank without a class has no record, and needs packrank-runtime to
# end all the same: packrank stays while one is there, whichever way it came.
# matrix: manager=docker,podman,containerd,shim
# needs: packrank packrank-runtime packrank-hook containerd-shim-packrank-v2
# timeout: 240

# What earlier cases put there.
systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank
name=$(_id web)
install() { packrank install --for "$@"; }
at_exit eval 'packrank uninstall --restart >/dev/null 2>&1 || true'
gone() { away "$name" >/dev/null 2>&1 || true; }
at_exit gone

case $MANAGER in
  docker)
    at_exit rm -f /etc/docker/daemon.json
    systemctl stop docker.socket docker 2>/dev/null || true
    docker_up
    install docker --restart
    start() { docker run -d --name "$1" "${@:2}" "$image"; }
    ours=(--runtime packrank)
    away() { docker rm -f "$1"; }
    ;;
  podman)
    podman_up
    install podman
    start() { podman "${@:2}" run -d --name "$1" "$image"; }
    ours=(--runtime packrank)
    away() { podman rm -f -t 0 "$1"; }
    ;;
  containerd | shim)
    containerd_up
    cp /etc/containerd/config.toml "$WORK/config.toml"
    at_exit cp "$WORK/config.toml" /etc/containerd/config.toml
    install containerd --restart
    start() { ctr run -d "${@:2}" "$image" "$1" sleep 1000; }
    ours=(--runc-binary /usr/local/bin/packrank-runtime)
    [[ $MANAGER == containerd ]] || ours=(--runtime io.containerd.packrank.v2)
    away() { ctr tasks kill -s KILL "$1" && wait_for 20 ctr tasks delete "$1"; ctr containers delete "$1"; }
    ;;
esac

start "$name" "${ours[@]}" >/dev/null
expect_is 'its record' "$(ls /run/packrank/packs 2>/dev/null || true)" ''
refused 'runs under packrank: end' packrank uninstall
expect_is 'the programs' "$(ls /usr/local/bin/packrank-runtime)" /usr/local/bin/packrank-runtime
away "$name" >/dev/null
# One of another runtime's keeps nobody.
start "$name" >/dev/null
packrank uninstall --restart
expect_is 'the programs' "$(find /usr/local/bin -name '*packrank*')" ''
away "$name" >/dev/null
