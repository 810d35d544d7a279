//! Packs come and go.

use crate::node::die;
use crate::run::Run;

impl Run {
    fn remove(&mut self, index: usize) {
        let gone = self.world.containers.remove(index);
        self.state.leave(gone.slot);
        self.checker.forget(gone.slot);
        self.late
            .retain(|(_, action)| action.slot != Some(gone.slot));
        self.samples[gone.slot.0 as usize] = None;
        self.disk.remove(&gone.record.id);
        self.unwritten.retain(|slot| *slot != gone.slot);
    }

    /// Every twenty seconds four start at once.
    pub fn wave(&mut self) {
        let wave = |ms: u64| ms / 20_000;
        if wave(self.world.now) == wave(self.world.now.saturating_sub(1_000)) {
            return;
        }
        while self.world.containers.len() as u64 > self.shape.packs + 8 {
            self.remove(0);
        }
        for _ in 0..4 {
            self.start();
        }
    }

    /// Packs end, start anew and arrive; the watcher dies and comes back.
    pub fn churn(&mut self) -> Result<(), String> {
        let mut index = 0;
        while index < self.world.containers.len() {
            let container = &mut self.world.containers[index];
            if container.alive && self.rng.next().is_multiple_of(20_000) {
                die(container);
            }
            // The engine notices, its poststop removes the record.
            if !container.alive && self.rng.chance(30) {
                self.remove(index);
                self.start();
                continue;
            }
            index += 1;
        }
        if self.rng.next().is_multiple_of(300) {
            self.restart(false)?;
        }
        Ok(())
    }
}
