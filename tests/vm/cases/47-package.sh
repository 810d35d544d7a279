# The Debian package: installed, registered with Docker, kept while a container runs under it,
# ranked or not, and removed without a trace, also from the memory of the dockerd that runs.
# needs: dpkg jq
# timeout: 240

package=$LAB/packrank.deb
[[ -f $package ]] || skip 'no package in the payload: make deb makes it'
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # not the payload's
rm -f /usr/local/bin/packrank*
name=$(_id web)
state() {
  find /etc /usr/bin /usr/lib/systemd /usr/share/bash-completion /usr/local /var/lib/packrank /run/packrank \
    -name '*packrank*' -o -path '/etc/docker/*' -printf '%p ' -exec sha256sum {} \; 2>/dev/null | sort || true
}
systemctl stop docker.socket docker 2>/dev/null || true
mkdir -p /etc/docker
# Docker forgets ours without a restart where it is told of another.
echo '{"log-level": "warn", "runtimes": {"mine": {"path": "/usr/bin/crun"}}}' >/etc/docker/daemon.json
at_exit rm -f /etc/docker/daemon.json
docker_up
before=$(state)

dpkg -i "$package" 2>&1
watched # for a runtime mask would hide the unit
at_exit dpkg --purge --force-all packrank
# The guest's dpkg leaves documentation out.
expect_is 'what dpkg finds changed' "$(dpkg --verify packrank | grep -v ' /usr/share/\(doc\|man\)' || true)" ''
expect_is 'the unit' "$(systemd-analyze verify packrank-watcher.service 2>&1)" ''
expect_is 'the program' "$(command -v packrank)" /usr/bin/packrank
expect_is 'its files' "$(dpkg -L packrank | grep -c -e 'bin/packrank' -e 'completions/packrank' -e packrank-watcher.service)" 12
said=$(packrank install --for docker --restart)
expect_is 'programs that it places' "$(grep -c '^place' <<<"$said" || true)" 0
expect_is 'the runtime' "$(jq -r .runtimes.packrank.path /etc/docker/daemon.json)" /usr/bin/packrank-runtime

at_exit docker rm -f "$name"
docker run -d --name "$name" --runtime packrank --annotation packrank.io/priority=low "$image" >/dev/null
PID=$(docker inspect -f '{{.State.Pid}}' "$name")
expect "/proc/$PID/oom_score_adj" 500
doctor() { grep -E "^ +$1" <<<"$(packrank doctor)" || fail "doctor does not say: $1"; }
doctor 'ok +docker .*knows packrank'
doctor 'ok +packs +1 of a class'
doctor 'ok +watcher +runs'
mv /usr/bin/packrank-runtime "$WORK"
doctor 'lack +docker .*would start /usr/bin/packrank-runtime'
mv "$WORK/packrank-runtime" /usr/bin
refused 'runs under packrank' dpkg -r packrank
expect_is 'the package, refused' "$(dpkg-query -W -f '${db:Status-Status}' packrank)" installed
docker rm -f "$name" >/dev/null
docker run -d --name "$name" --runtime packrank "$image" >/dev/null
refused 'runs under packrank' dpkg -r packrank
docker rm -f "$name" >/dev/null
runtimes() { docker info --format '{{json .Runtimes}}' | jq -r 'keys[]' | grep -c packrank || true; }
expect_is 'runtimes of ours in dockerd' "$(runtimes)" 1
pid=$(systemctl show --property MainPID --value docker)
dpkg -r packrank >/dev/null 2>&1
expect_is 'runtimes of ours in dockerd' "$(runtimes)" 0
expect_is 'its process' "$(systemctl show --property MainPID --value docker)" "$pid"
diff <(printf '%s\n' "$before") <(state) || fail 'something is not as it was'
