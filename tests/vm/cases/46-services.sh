# An engine's service and the installer: a service that does not come up, or does not take notice,
# gets back what it had; one that is not told to is left running; and what its command line says,
# though it comes from a file beside the unit, is heeded.
# matrix: manager=docker,containerd
# needs: packrank packrank-runtime packrank-hook
# timeout: 300

systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank
state() {
  find /etc/docker /etc/containerd /usr/local/bin /var/lib/packrank /run/packrank \
    -printf '%p %M ' -type f -exec sha256sum {} \; -o -print 2>/dev/null | sort || true
}
install() { packrank install --for "$MANAGER" "$@"; }
drop_in() {
  mkdir -p "/run/systemd/system/$MANAGER.service.d"
  printf '[Service]\n%s\n' "$1" >"/run/systemd/system/$MANAGER.service.d/lab.conf"
  systemctl daemon-reload
}
no_drop_in() {
  rm -rf "/run/systemd/system/$MANAGER.service.d"
  systemctl daemon-reload
}
pid() { systemctl show --property MainPID --value "$MANAGER"; }
at_exit no_drop_in
at_exit eval 'packrank uninstall --restart >/dev/null 2>&1 || true'

case $MANAGER in
  docker)
    mkdir -p /etc/docker
    printf '{"log-level": "warn"}' >/etc/docker/daemon.json
    at_exit rm -f /etc/docker/daemon.json
    systemctl stop docker.socket docker 2>/dev/null || true
    docker_up
    # It is told, and takes no notice.
    drop_in $'ExecReload=\nExecReload=/bin/true'
    problem='it does not take runtime packrank'
    ;;
  containerd)
    cp /etc/containerd/config.toml "$WORK/config.toml"
    at_exit cp "$WORK/config.toml" /etc/containerd/config.toml
    containerd_up
    drop_in $'ExecStartPre=/bin/sh -c "! grep -q packrank /etc/containerd/config.toml"\nRestart=no'
    problem='containerd did not come up'
    ;;
esac
before=$(state)

note '== the change is taken back'
said=$(install --restart 2>&1) && fail 'it was not refused'
printf '%s\n' "$said" | tail -n 1
[[ $said == *"$problem"*'the change was taken back, and it runs as before' ]] || fail "it does not say '$problem'"
diff <(printf '%s\n' "$before") <(state) || fail 'something is not as it was'
expect_is 'the service' "$(systemctl is-active "$MANAGER")" active

note '== so is one that adds to what was installed'
no_drop_in
was=$(pid)
install
expect_is 'its process, without --restart' "$(pid)" "$was"
systemctl reload-or-restart "$MANAGER"
with=$(state)
case $MANAGER in
  docker) drop_in $'ExecReload=\nExecReload=/bin/true' ;;
  containerd) drop_in $'ExecStartPre=/bin/sh -c "! grep -q packrank-low /etc/containerd/config.toml"\nRestart=no' ;;
esac
refused 'the change was taken back, and it runs as before' install --class-runtimes --restart
# The classes' links stay, which nothing names.
diff <(grep -v programs.json <<<"$with") <(state | grep -v -e packrank-runtime- -e programs.json) \
  || fail 'something is not as it was installed'
no_drop_in
packrank uninstall --restart
diff <(printf '%s\n' "$before") <(state) || fail 'something is not as it was'
[[ $MANAGER == docker ]] || exit 0

note '== what the command line says'
opts() { printf 'DOCKER_OPTS="%s"\n' "$1" >/etc/default/docker; }
[[ ! -e /etc/default/docker ]] || cp /etc/default/docker "$WORK/docker.default"
opts_back() { rm -f /etc/default/docker; [[ ! -e $WORK/docker.default ]] || cp "$WORK/docker.default" /etc/default/docker; }
at_exit opts_back
opts '--add-runtime mine=/usr/bin/crun'
refused 'started with --add-runtime' install --dry-run # as it would be started next
opts "--config-file $WORK/other.json"
refused 'restart it first' install --dry-run
systemctl stop docker.socket docker
install --dry-run | grep "+++ b$WORK/other.json" || fail 'another file is edited than dockerd reads'
opts '--log-level warn'
refused 'both as a flag and in the configuration file' install --dry-run
