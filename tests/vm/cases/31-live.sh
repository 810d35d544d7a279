# Limits on running cgroups: raw, and through systemd, which keeps them at a daemon-reload.
# needs: test-live test-live-systemd
# timeout: 240

test-live --test-threads 1 --nocapture
test-live-systemd --test-threads 1 --nocapture
