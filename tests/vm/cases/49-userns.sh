# Docker with userns-remap: a ranked container of a user namespace has its class, its network holds
# the rate in both directions, and it leaves nothing.
# needs: dockerd packrank packrank-runtime packrank-hook iperf3
# timeout: 240

systemctl stop docker.socket docker 2>/dev/null || true
mkdir -p /etc/docker
echo '{"userns-remap": "default"}' >/etc/docker/daemon.json
at_exit rm -f /etc/docker/daemon.json
at_exit systemctl stop docker.socket docker
rm -f /usr/local/bin/*packrank*
packrank install --for docker --class-runtimes >/dev/null
at_exit packrank uninstall
docker_up
name=$(_id web)
at_exit docker rm -f "$name"
docker_class low
docker run -d --name "$name" "${how[@]}" "$image" sleep 1000 >/dev/null
expect_low "$(docker inspect -f '{{.State.Pid}}' "$name")"
read -r _ outside _ <"/proc/$PID/uid_map"
((outside > 0)) || fail 'it has no user namespace of its own'
expect_rates low "$(docker inspect -f '{{.Id}}' "$name")"
expect_low_network
docker rm -f "$name" >/dev/null
expect_is 'what is left of ours' "$(ours)" ''
