# Limits on running cgroups: raw, and through systemd, which keeps them at a daemon-reload.
# needs: test-kernel
# timeout: 240

for module in live_cgroup live_systemd; do
  test-kernel --test-threads 1 --nocapture "$module::" | tee said
  grep -q '^test result: ok. [1-9]' said || fail "no test of $module was run"
  if why=$(grep -m 1 SKIPPED said); then skip "$why"; fi
done
