# What would take a node down is refused, and no file is touched: the engines themselves say what
# they would read. A folder stands in for the root, the engines are the guest's own.
# needs: packrank packrank-runtime packrank-hook
# timeout: 200

root=$WORK/root
mkdir -p "$root"/usr/bin "$root"/usr/sbin "$root"/etc/containerd/conf.d "$root"/etc/docker
ln -s /usr/bin/containerd "$root/usr/bin/"
ln -s /usr/sbin/dockerd /usr/sbin/docker-proxy "$root/usr/sbin/"
[[ ! -e /usr/bin/podman ]] || ln -s /usr/bin/podman "$root/usr/bin/"
folder=$root/etc/containerd toml=$root/etc/containerd/config.toml json=$root/etc/docker/daemon.json
cri='plugins."io.containerd.grpc.v1.cri"'
install() { packrank install --root "$root" --for "$@"; }
state() { find "$root" -type f -exec sha256sum {} + | sed "s|$root||" | sort | xargs; }
# refuses ENGINE PART: it says PART, and nothing is changed.
refuses() {
  local before
  before=$(state)
  refused "$2" install "$1"
  expect_is "what is there after '$2'" "$(state)" "$before"
}
# accepts ENGINE FILE [FLAG]: registered in FILE, and gone again.
accepts() {
  local before
  before=$(state)
  install "$1" "${@:3}" >said || { cat said; fail "$1 was refused"; }
  grep -q packrank "$2" || fail "nothing is registered in $2"
  install "$1" | grep -q 'nothing to change' || fail 'a second run would change something'
  packrank uninstall --root "$root" >/dev/null
  expect_is "what is there after $2" "$(state)" "$before"
}

note '== docker'
echo '{"runtimes": {"a": {"path": "/a"}}, "debug": false, "runtimes": {"b": {"path": "/b"}}}' >"$json"
refuses docker 'runtimes stands twice'
echo '{"debug": false,}' >"$json"
refuses docker 'daemon.json is left as it is'
echo '{"debugg": false}' >"$json"
refuses docker "don't match any configuration option: debugg"
echo '{"runtimes": {"packrank": {"path": "/opt/other"}}}' >"$json"
refuses docker "somebody else's"
rm "$json" && ln -s /etc/passwd "$json"
refuses docker 'it is a link'
rm "$json" && printf '{"debug":false}' >"$json"
accepts docker "$json"
rm "$json"
accepts docker "$json"

if [[ -e $root/usr/bin/podman ]]; then
  note '== podman'
  conf=$root/etc/containers/containers.conf hooks=$root/usr/share/containers/oci/hooks.d
  drop_in=$root/etc/containers/containers.conf.d/50-packrank.conf
  accepts podman "$hooks/packrank-precreate.json"
  # The runtimes of the classes stay when it is run again without them.
  accepts podman "$drop_in" --class-runtimes
  grep -q 'packrank-low = ' <(install podman --class-runtimes --dry-run) || fail 'no runtime of a class'
  mkdir -p "$root/etc/containers"
  printf '[engine\nhooks_dir = 1\n' >"$conf"
  refuses podman 'containers.conf is left as it is'
  # Another folder of hooks, which somebody has hooks in.
  mkdir -p "$root/opt/hooks"
  echo '{}' >"$root/opt/hooks/mine.json"
  printf '[engine]\nhooks_dir = ["/usr/share/containers/oci/hooks.d", "/opt/hooks/"]\n' >"$conf"
  accepts podman "$root/opt/hooks/packrank-precreate.json"
  rm "$conf"
  # Somebody has all run by one of ours.
  install podman --class-runtimes >/dev/null
  printf '[engine]\nruntime = "packrank-low"\n' >"${drop_in%/*}/60-mine.conf"
  before=$(state)
  refused 'runtime is packrank-low' packrank uninstall --root "$root"
  expect_is 'what is there after it' "$(state)" "$before"
  rm "${drop_in%/*}/60-mine.conf"
  packrank uninstall --root "$root" >/dev/null
fi

note '== containerd'
rm -f "$toml"
accepts containerd "$toml" # the built-in runc must stay beside ours
printf 'version = 2\n[%s.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n' "$cri" >"$toml"
# The first form, which says no version.
printf '[plugins.cri.containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n' >"$WORK/one.toml"
if containerd config default | grep -q 'version = 2'; then
  cp "$WORK/one.toml" "$toml"
  accepts containerd "$toml"
  printf 'version = 2\n[%s.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n' "$cri" >"$toml"
  refuses containerd 'runtimes.runc has no runtime_type'
  printf 'version = 2\nimports = ["conf.d/*.toml"]\n' >"$toml"
  printf 'version = 3\n' >"$folder/conf.d/other.toml"
  refuses containerd 'unsupported config version'
  # An import takes the place of the whole section: here of the built-in runc.
  printf 'version = 2\n[%s.containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n' "$cri" >"$folder/conf.d/other.toml"
  refuses containerd 'default_runtime_name is "runc", which is none'
  printf '[%s.containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n' "$cri" >>"$folder/conf.d/other.toml"
  accepts containerd "$folder/conf.d/other.toml" # in the root it would not be read
else
  cp "$WORK/one.toml" "$toml"
  refuses containerd 'would not be read as it is written'
  printf 'version = 2\n[%s.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n' "$cri" >"$toml"
  # 2.x has a type for runc, and merges what 1.x replaces.
  accepts containerd "$toml"
  printf 'version = 2\nimports = ["conf.d/*.toml"]\n' >"$toml"
  printf 'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n' >"$folder/conf.d/other.toml"
  if containerd --config "$toml" config dump >/dev/null 2>&1; then
    # With a v3 drop-in over a v2 root only v3 is read.
    accepts containerd "$folder/conf.d/99-packrank.toml"
  else
    refuses containerd 'higher than root config version'
  fi
fi
rm -f "$folder"/conf.d/*
printf 'version = 2\n[%s.containerd]\nruntimes = { runc = { runtime_type = "io.containerd.runc.v2" } }\n' "$cri" >"$toml"
refuses containerd 'does not accept the change'
printf 'version = 2\n[%s.containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n[%s.containerd.runtimes.runc.options]\nSystemdCgroup = true' "$cri" "$cri" >"$toml"
install containerd >said
grep -q '^+  SystemdCgroup = true' said || fail 'the handler is not like the default one'
# What somebody adds meanwhile stays, and ours goes.
printf '[timeouts]\n"io.containerd.timeout.shim.load" = "7s"\n' >>"$toml"
packrank uninstall --root "$root" >/dev/null
grep -q '7s' "$toml" || fail "somebody else's change is gone"
expect_is 'what is ours in it' "$(grep -c packrank "$toml" || true)" 0
expect_is 'temporary files' "$(find "$root" -name '*trial*' -o -name '*.packrank-new')" ''
