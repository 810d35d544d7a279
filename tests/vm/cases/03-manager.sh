# Each container manager starts, runs a container from a busybox image, and gives it a network.
# matrix: manager
# timeout: 240

"${MANAGER}_up"
look='ip -o -4 addr show eth0 | grep -o "inet [0-9.]*"'
case $MANAGER in
  docker) said=$(docker run --rm "$image" sh -c "$look") ;;
  podman) said=$(podman run --rm "$image" sh -c "$look") ;;
  containerd) said=$(ctr run --rm --cni "$image" "$CASE_ID" sh -c "$look") ;;
esac
note "$said"
[[ $said == inet\ 10.* || $said == inet\ 172.* ]] || fail "no address on eth0: $said"
