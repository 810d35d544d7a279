# Docker started anew and the machine booted anew: a container that its engine starts by itself is
# ranked again each time, and so is what people start then, through every engine; uninstalled, the
# engines are as they were.
# needs: packrank packrank-runtime packrank-hook packrank-watcher
# timeout: 600

name=$(_id web)
rank=(--annotation packrank.io/priority=low)
docker_class low
configuration() { find /etc/docker /etc/containerd /etc/containers /usr/local/bin -type f -exec sha256sum {} + 2>/dev/null | sort; }
# Docker last: it runs on containerd, whose restart it would have to get over first.
engines=(podman containerd docker)
clear_up() {
  docker rm -f "$name"
  podman rm -f -t 0 "$name"
  ctr tasks rm -f "$name"
  ctr containers rm "$name"
  packrank uninstall --restart
  systemctl disable --quiet docker
  rm -f /etc/docker/daemon.json
}
at_exit clear_up

if [[ -z $REBOOTED ]]; then
  systemctl stop packrank-watcher.service docker.socket docker 2>/dev/null || true
  rm -rf /usr/local/bin/*packrank* /run/packrank /etc/docker/daemon.json
  systemctl enable --quiet docker
  docker_up
  podman_up
  containerd_up
  # Docker 20.10 makes itself a key.
  configuration >/var/lib/lab/before
  for engine in "${engines[@]}"; do packrank install --for "$engine" --class-runtimes --restart; done
  docker run -d --restart always --name "$name" "${how[@]}" "$image" >/dev/null
  systemctl restart docker
fi
running() { [[ $(docker inspect -f '{{.State.Running}}' "$name") == true ]]; }
wait_for 60 running || fail 'docker did not start it again'
expect_low "$(docker inspect -f '{{.State.Pid}}' "$name")"
expect_rates low "$(docker inspect -f '{{.Id}}' "$name")"
[[ -n $REBOOTED ]] || reboot_machine

podman run -d --name "$name" "${rank[@]}" "$image" >/dev/null
expect_low "$(podman inspect -f '{{.State.Pid}}' "$name")"
ctr run -d --runc-binary /usr/local/bin/packrank-runtime "${rank[@]}" "$image" "$name" sleep 1000
expect_low "$(ctr tasks list | awk -v name="$name" '$1 == name { print $2 }')"
expect_is 'records' "$(ls /run/packrank/packs | wc -l)" 3

docker rm -f "$name" >/dev/null
podman rm -f -t 0 "$name" >/dev/null
ctr tasks rm -f "$name" >/dev/null
ctr containers rm "$name"
packrank uninstall --restart
configuration >after
diff /var/lib/lab/before after || fail 'something is not as it was'
