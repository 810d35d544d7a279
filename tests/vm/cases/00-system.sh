# The ground the other cases stand on: systemd, a cgroup v2 hierarchy with every controller,
# pressure information, and the modules that shaping needs.

expect_is 'the root cgroup' "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
for controller in cpuset cpu io memory pids; do
  grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers || fail "no $controller controller"
done
expect_is 'pid 1' "$(cat /proc/1/comm)" systemd
wait_for 60 systemctl is-system-running --quiet || systemctl --failed --no-pager
expect_is 'the system' "$(systemctl is-system-running || true)" running
expect_is 'pressure' "$(cut -d ' ' -f 1 /proc/pressure/memory | xargs)" 'some full'
