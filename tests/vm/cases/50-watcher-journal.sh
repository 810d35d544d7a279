# The system's journal knows who was killed and why, in fields.
# needs: packrank-watcher jq
# timeout: 180

packs_up
# Any node has more than three percent of its memory in use.
printf '[watch]\nmemory.used = [1, 2, 3, 99]\n' >policy.toml
pack web normal . sleep 1000
pack batch scavenger . sleep 1000
watch --policy "$PWD/policy.toml"
told() {
  journalctl -o json -t packrank-watcher PACKRANK_DEED=kill PACKRANK_ID=batch | jq -r '[.PACKRANK_ID, .PACKRANK_CLASS, .PACKRANK_CAUSE,
    .PACKRANK_RESOURCE, .PACKRANK_LEVEL, .PACKRANK_RESULT, .PRIORITY, .SYSLOG_IDENTIFIER, .MESSAGE] | join(" ")' >told
  [[ -s told ]]
}
wait_for 120 told || { cat said; fail 'it does not'; }
expect_is 'the entry' "$(sort -u told)" \
  'batch scavenger pressure memory high done 5 packrank-watcher batch scavenger: kill, memory pressure is high'
tail -n 5 said
