# The examples, exactly as their READMEs say: each command of their console blocks, and what the
# README says that it answers.
# matrix: manager=docker,podman,containerd,packs
# needs: packrank packrank-runtime packrank-hook
# timeout: 240

# What earlier cases put there.
systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank
at_exit packrank uninstall
case $MANAGER in
  docker | packs)
    systemctl stop docker.socket docker 2>/dev/null || true
    rm -f /etc/docker/daemon.json
    docker_up
    docker tag "$image" busybox
    at_exit docker rmi busybox
    at_exit docker rm -f web batch redis-low redis-high
    ;;
  podman)
    podman_up
    podman tag "$image" docker.io/library/busybox
    at_exit podman rmi docker.io/library/busybox
    ;;
  containerd)
    containerd_up
    # There is no registry here: what would be pulled is there.
    ctr() { [[ "$1 $2" == 'images pull' ]] || command ctr "$@"; }
    command ctr images tag --force "$image" docker.io/library/busybox:latest
    at_exit ctr images rm docker.io/library/busybox:latest
    ;;
esac

# One line a command, then the lines it must say; both quoted for `eval`.
mapfile -t steps < <(awk '
  /^```console/ { inside = 1; next }
  /^```/ { inside = 0; next }
  inside && /^[#$] / { printf "%s>%s", (n++ ? "\n" : ""), substr($0, 3); next }
  inside { printf "\t%s", $0 }
  END { if (n) print "" }' "$LAB/examples/$MANAGER/README.md")
((${#steps[@]} > 3)) || fail 'the README has no commands'
cp -r "$LAB/examples/$MANAGER/." .
for step in "${steps[@]}"; do
  IFS=$'\t' read -r command wanted <<<"${step#>}"
  note "# $command"
  # In this shell: a README sets variables and changes folders.
  eval "$command" >"$WORK/said" 2>&1 || { cat "$WORK/said"; fail "$command"; }
  if [[ -n $wanted ]]; then expect_is "$command" "$(cat "$WORK/said")" "$wanted"; else cat "$WORK/said"; fi
done
expect_is 'what is left in the way of programs' "$(ls /usr/local/bin | grep -c packrank || true)" 0
