# A flood of connections out of a container, through each engine: the class's limit is held, what
# is above it is answered at once, and the neighbours notice nothing.
# matrix: manager=docker,podman
# needs: packrank packrank-runtime packrank-hook flood
# timeout: 400
# tries: 3

manager_up "$MANAGER"
expect_is 'what is there of ours' "$(ours)" ''
limit=(--annotation packrank.io/priority=high --annotation packrank.io/network.connections=100)
start flood "${limit[@]}"
start admin "${limit[@]}" --cap-add NET_ADMIN
start neighbour

gateway=$(gateway neighbour)
flood serve "$gateway:7000" &
at_exit kill $!
sleep 1
flood_of() { inside "$1" /lab/flood "$2" "$gateway:7000" "$3"; }

flood_of flood tcp 10000 >flood.tcp &
expect_is 'a neighbour meanwhile' "$(flood_of neighbour tcp 500)" 'held 500, refused 0, silent 0'
wait $!
expect_is 'TCP' "$(cat flood.tcp)" 'held 100, refused 9900, silent 0'
# The connections that were closed make room, at the class's rate.
_room() { [[ $(flood_of flood tcp 1) == 'held 1, refused 0, silent 0' ]]; }
wait_for 30 _room || fail "what the flood closed makes no room: $(packrank status "$(ranked_id flood)")"
expect_is 'UDP' "$(flood_of flood udp 300)" 'held 100, refused 200, silent 0'

# One who could undo a table in his own network is counted where he cannot reach.
expect_is 'TCP with NET_ADMIN' "$(flood_of admin tcp 1000)" 'held 100, refused 900, silent 0'

# Some were above the limit of new ones per second.
refused=$(packrank status "$(ranked_id flood)" | awk '$1 ~ /^(new-)?connections-refused$/ { n += $2 } END { print n + 0 }')
if ((refused < 10100)); then differences+=("status counts $refused refused packets, not 10100"); fi

away flood admin neighbour
expect_is 'what is left of ours' "$(ours)" ''
