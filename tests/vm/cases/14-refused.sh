# What cannot be planned is not created, and the sentence that says why is where engines look.
# matrix: engine driver=cgroupfs
# needs: packrank-runtime

attempt() { ranked --log "$WORK/log" --log-format json create --bundle "$BUNDLE" "$ID"; }

bundle one
annotate packrank.io/priority urgent
before=$(sha256sum "$BUNDLE/config.json")
refused urgent attempt
expect_is 'the last error in the log names the class' \
  "$(tail -n 1 "$WORK/log" | jq -r '.level + " " + (.msg | test("urgent") | tostring)')" 'error true'
expect_is 'config.json' "$(sha256sum "$BUNDLE/config.json")" "$before"
expect "$STATE/$ENGINE/$ID" absent

bundle two
annotate packrank.io/priority low
annotate packrank.io/memory.limit 768Mb
refused 768Mb attempt
expect "/sys/fs/cgroup/lab/$ID" absent
