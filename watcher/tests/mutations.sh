#!/bin/sh
# Does the simulation catch a watcher that is wrong? Breaks one rule at a time
# in a copy of the sources and expects a failing seed. In: SIM_SEEDS (300).
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/ws"
cp -r "$here/core" "$here/watcher" "$here/kernel" "$here/Cargo.lock" "$copy/ws"
mkdir "$copy/ws/tests"
cp -r "$here/tests/skipped" "$copy/ws/tests"
sed 's/^members = .*/members = ["core", "kernel", "watcher", "tests\/skipped"]/' "$here/Cargo.toml" >"$copy/ws/Cargo.toml"
cd "$copy/ws/watcher/src/decide"
missed=0
try() { # what, file, sed expression
  cp "$2" "$copy/kept"
  sed -i "$3" "$2"
  if cmp -s "$2" "$copy/kept"; then
    echo "NO CHANGE $1"
    missed=1
  elif said=$(cd "$copy/ws" && SIM_SEEDS=${SIM_SEEDS:-300} RUST_BACKTRACE=0 \
    cargo test --offline -q -p packrank-watcher --test sim -- thousands each_fault full_and_well attacker 2>&1); then
    echo "MISSED    $1"
    missed=1
  else
    printf 'caught    %s: %s\n' "$1" "$(printf '%s\n' "$said" | grep -m 1 -E 'seed [0-9]+ at|^error' || echo '?')"
  fi
  cp "$copy/kept" "$2"
}
try 'kills low while scavengers live' ladder.rs \
  's/let scavengers = self.state.any_holds(Priority::Scavenger);/let scavengers = false;/'
try 'clamps normal while low lives' ladder.rs 's/} else if self.state.any_holds(Priority::Low) {/} else if false {/'
try 'takes low cache first' ladder.rs 's/gives || (next \&\& self.reclaim(Priority::Low))/(next \&\& self.reclaim(Priority::Low)) || gives/'
try 'does not look again' ladder.rs 's/if populated {/if false {/; s/if !self.proven() {/if false {/'
try 'keeps packs frozen' give_back.rs 's/let given = thaw(.*) || release/let given = release/'
try 'keeps what pressure took' give_back.rs 's/|| release(state, slot, level)//'
try 'squeezes low and scavengers alike' squeeze.rs 's/, knobs) || down/, knobs) | down/'
try 'squeezes below the floor' squeeze.rs 's/percent_of(step, from).max(dial.press_floor)/percent_of(step, from)/'
try 'reclaims below the guarantee' victim.rs 's/saturating_sub(self.guarantee())/saturating_sub(0)/'
try 'grows beyond the ceiling' adapt.rs 's/let most = dial.ceiling().number().unwrap_or(u64::MAX)/let most = u64::MAX/'
try 'forgets a refused write' dial.rs 's/        if done {$/        if done || !done {/'
try 'forgets over a restart' pack.rs 's/frozen: deeds.frozen || deeds.damaged,/frozen: false,/'
try 'keeps what it cannot read' pack.rs 's/if deeds.damaged {/if false {/'
try 'changes pinned values' dial.rs 's/self.plan.0 != Slim::NONE \&\& !self.pinned/self.plan.0 != Slim::NONE/'
try "believes a pack's own stalls" shortage.rs 's/if pack.waits_for_itself(now) {/if false {/'
try 'believes stalls without reclaim' shortage.rs 's/match reclaims \&\& !stalls.lost {/match !stalls.lost {/'
try 'ends packs for use alone' level.rs 's/let cache = memory_used(config, node, 0).min(Level::Medium);/let cache = memory_used(config, node, 0);/; s/match short.presses(node, some, now) {/match true {/'
try 'kills who holds nothing' pack.rs 's/self.lives() \&\& self.working_set().is_none_or(|held| held >= bytes)/self.lives()/'
try 'kills starting packs' victim.rs 's/let starts = |pack: \&Pack| now < pack.started;/let starts = |_: \&Pack| false;/'
try 'clamps without end' ladder.rs 's/if self.state.last_clamp.as_ref().is_some_and(worse) {/if false {/; s/ \&\& !pack.waits_for_itself(now);/;/'
exit $missed
