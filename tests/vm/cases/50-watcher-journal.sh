# The system's journal knows who was killed and why, in fields.
# needs: packrank-watcher jq
# timeout: 180

packs_up
# A pack that asks to be ended at its own limit: a kill on a node that is not short.
printf '[watch]\nviolation.memory = 85\nviolation.restart-after = 1\n' >policy.toml
pack web normal . sleep 1000
mkdir "$top/batch"
echo 67108864 >"$top/batch/memory.max"
pack batch scavenger '.options."on-violation" = "restart" | .settings."memory.limit" = 67108864' sh -c 'cat /dev/zero | tail -c 59M'
watch --policy "$PWD/policy.toml"
told() {
  journalctl -o json -t packrank-watcher PACKRANK_DEED=kill PACKRANK_ID=batch | jq -r '[.PACKRANK_ID, .PACKRANK_CLASS, .PACKRANK_CAUSE,
    .PACKRANK_RESOURCE, .PACKRANK_LEVEL, .PACKRANK_RESULT, .PRIORITY, .SYSLOG_IDENTIFIER, .MESSAGE] | join(" ")' >told
  [[ -s told ]]
}
wait_for 120 told || { cat said; fail 'it does not'; }
expect_is 'the entry' "$(sort -u told)" \
  'batch scavenger violation   done 5 packrank-watcher batch scavenger: kill, it breaks its bounds'
tail -n 5 said
