# A container without a rank: the bundle stays as it was, byte for byte, and so do the limits.
# matrix: engine driver
# needs: packrank-runtime

bundle one '.linux.resources.pids = {limit: 77}'
before=$(sha256sum "$BUNDLE/config.json")
run_ranked one
expect_is 'config.json' "$(sha256sum "$BUNDLE/config.json")" "$before"
expect pids.max 77
expect memory.max max
expect_is 'the state' "$(ranked state "$ID" | jq -r .status)" running
