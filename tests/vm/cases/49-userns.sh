# Docker with userns-remap: a ranked container of a user namespace has its class and its network's
# rate, and leaves nothing.
# needs: dockerd packrank packrank-runtime packrank-hook
# timeout: 150

for program in packrank-runtime packrank-hook; do
  cp "$(command -v $program)" /usr/local/bin/
  at_exit rm -f /usr/local/bin/$program
done
systemctl stop docker.socket docker 2>/dev/null || true
mkdir -p /etc/docker
jq '.["userns-remap"] = "default"' "$LAB/examples/docker/daemon.json" >/etc/docker/daemon.json
at_exit rm -f /etc/docker/daemon.json
docker_up
name=$(_id web)
at_exit docker rm -f "$name"
docker run -d --name "$name" --runtime packrank --annotation packrank.io/priority=low "$image" sleep 1000 >/dev/null
expect_low "$(docker inspect -f '{{.State.Pid}}' "$name")"
read -r _ outside _ <"/proc/$PID/uid_map"
((outside > 0)) || fail 'it has no user namespace of its own'
ID=$(docker inspect -f '{{.Id}}' "$name")
expect_is 'interfaces that are shaped' "$(packrank status "$ID" | grep -c 'to the container on')" 1
docker rm -f "$name" >/dev/null
expect_is 'what is left of ours' "$(ours)" ''
