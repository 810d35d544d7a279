# A running container that is connected to one more network: the watcher shapes it there as well.
# matrix: manager=docker,podman
# needs: packrank packrank-runtime packrank-hook packrank-watcher
# timeout: 300

watched
manager_up "$MANAGER"
manager network create one >/dev/null
at_exit manager network rm -f one
manager network create two >/dev/null
at_exit manager network rm -f two
start web --network one --annotation packrank.io/priority=low
id=$(ranked_id web)
shaped() { packrank status "$id" | grep -c 'to the container on .*: 5 Mbit/s'; }
expect_is 'interfaces shaped at the start' "$(shaped)" 1
wait_for 20 test -S /run/packrank/watcher.sock || fail "the watcher does not come up"

manager network connect two "$(full web)"
_both() { [[ $(shaped) == 2 ]]; }
wait_for 20 _both || fail "the second network is not shaped: $(packrank status "$id")"
manager network disconnect two "$(full web)"
_one() { [[ $(shaped) == 1 ]]; }
wait_for 20 _one || fail "the first network is not shaped alone: $(packrank status "$id")"
away web
expect_is 'what is left of ours' "$(ours)" ''
