//! A made-up node: packs that grow, leak, burst, idle, restart and die, and a
//! kernel that reclaims, stalls, throttles and kills as kernels do.

use packrank_core::Priority;
use packrank_core::record::{Amount, Record};
use packrank_kernel::cgroup::Reclaim;
use packrank_watcher::decide::{Knob, Millis, Node, Sample, Slot, Stall};
use serde_json::json;

use crate::habit::{Habit, live};

use crate::rng::Rng;

pub const MIB: u64 = 1 << 20;

/// What the node is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Too small for its packs, or not.
    Any,
    /// Full and well: most of its memory is huge pages, or a cache that counts
    /// as used, and whatever its packs may have is left.
    Full,
    /// Nobody can make it short.
    Roomy,
}

/// One container, as the kernel has it.
pub struct Container {
    pub record: Record,
    pub slot: Slot,
    pub habit: Habit,
    pub base: u64,
    pub anon: u64,
    pub cache: u64,
    pub cpu_wish: u64,
    pub io_wish: u64,
    pub cpu_us: u64,
    pub throttled_us: u64,
    pub io_bytes: u64,
    pub at_limit: u64,
    pub at_high: u64,
    /// It waits at its own limit.
    pub own: bool,
    /// Microseconds in which it waited for memory.
    pub stalled: u64,
    pub alive: bool,
    pub frozen: bool,
    pub values: [Option<Amount>; Knob::COUNT],
    pub born: u64,
}

impl Container {
    pub fn class(&self) -> Priority {
        self.record.priority
    }

    pub fn charged(&self) -> u64 {
        self.anon + self.cache
    }

    pub fn value(&self, knob: Knob) -> u64 {
        self.values[knob as usize]
            .and_then(Amount::number)
            .unwrap_or(u64::MAX)
    }
}

/// The node.
pub struct World {
    pub total: u64,
    pub cpus: u64,
    pub containers: Vec<Container>,
    pub now: u64,
    pub calm: bool,
    /// What no pack has and nobody gets: the system's own, huge pages, a cache
    /// that counts as used.
    pub system: u64,
    /// When somebody last waited for the node's memory, a twentieth of the time.
    pub short_at: Option<u64>,
    /// Microseconds that packs and node waited for memory, added up.
    pub suffered: u64,
    scanned: u64,
    memory: [(f64, f64); 2],
    cpu: (f64, f64),
    io: (f64, f64),
    cpu_used: u64,
    next: u64,
    pub oom_kills: u64,
}

impl World {
    pub fn new(rng: &mut Rng, packs: u64, kind: Kind) -> World {
        // From far too small for its packs to roomy.
        let needed = (packs * rng.between(40, 400) * MIB).max(512 * MIB);
        let (total, system) = match kind {
            Kind::Any => (needed, 0),
            // Whatever they may have fits, and little is left beside it.
            Kind::Full => {
                let all = packs * 1_024 * MIB;
                (all * 20, all * 19 - all / 10)
            }
            Kind::Roomy => (packs * 1_024 * MIB * 4, 0),
        };
        World {
            total,
            system,
            short_at: None,
            suffered: 0,
            scanned: 0,
            cpus: 1 + packs * rng.between(1, 100) / 100,
            containers: Vec::new(),
            now: 0,
            calm: false,
            memory: [(0.0, 0.0); 2],
            cpu: (0.0, 0.0),
            io: (0.0, 0.0),
            cpu_used: 0,
            next: 0,
            oom_kills: 0,
        }
    }

    /// A container's record, with everything that makes the watcher's life hard.
    pub fn record(&mut self, rng: &mut Rng) -> Record {
        self.next += 1;
        let class = Priority::ALL[rng.between(0, 4) as usize];
        let limit = rng.between(16, 512) * MIB;
        let guarantee = match class >= Priority::Normal || rng.chance(20) {
            true => limit / rng.between(2, 8),
            false => 0,
        };
        let mut record: Record = serde_json::from_value(json!({
            "version": 1, "id": format!("pack-{}", self.next), "priority": class.name(),
            "pid": self.next, "started": self.now, "cgroups": {}, "bundle": "/", "engine": "/",
            "settings": {
                "memory.limit": limit, "memory.high": limit / 10 * 9,
                "memory.guarantee": guarantee, "cpu.quota": rng.between(10, 200),
                "io.read-bps": rng.between(1, 100) * MIB, "io.write-bps": rng.between(1, 100) * MIB,
            },
        }))
        .unwrap();
        if rng.chance(20) {
            record
                .settings
                .put_amount(Knob::CpuQuota.key(), Amount::Unlimited);
        }
        if rng.chance(20) {
            record
                .floor
                .put_amount(Knob::MemoryHigh.key(), Amount::At(limit / 3));
        }
        if rng.chance(30) {
            record
                .ceiling
                .put_amount(Knob::MemoryHigh.key(), Amount::At(limit * 2));
            record
                .ceiling
                .put_amount(Knob::MemoryLimit.key(), Amount::At(limit * 2));
            record
                .ceiling
                .put_amount(Knob::CpuQuota.key(), Amount::At(400_000));
        }
        if rng.chance(5) {
            record
                .pinned
                .put_amount(Knob::MemoryHigh.key(), Amount::At(limit / 2));
        }
        if rng.chance(5) {
            record.mode = packrank_core::record::Mode::Audit;
        }
        if rng.chance(10) {
            record.options.gc_signal = Some(10);
        }
        if rng.chance(10) {
            record.options.on_violation = packrank_core::record::OnViolation::Restart;
        }
        record.options.adaptive = rng.chance(90);
        record
    }

    pub fn start(&mut self, rng: &mut Rng, record: Record, slot: Slot, habit: Habit) {
        let limit = record
            .amount(Knob::MemoryLimit.key())
            .and_then(Amount::number)
            .unwrap();
        let values = Knob::ALL.map(|_| None::<Amount>);
        let mut container = Container {
            slot,
            habit,
            base: limit * rng.between(10, 80) / 100,
            anon: MIB,
            cache: 0,
            cpu_wish: rng.between(0, 150_000),
            io_wish: rng.between(0, 50) * MIB,
            cpu_us: 0,
            throttled_us: 0,
            io_bytes: 0,
            at_limit: 0,
            at_high: 0,
            own: false,
            stalled: 0,
            alive: true,
            frozen: false,
            values,
            born: self.now,
            record,
        };
        for knob in Knob::ALL {
            container.values[knob as usize] = container.record.amount(knob.key());
        }
        self.containers.push(container);
    }

    /// Lets time pass.
    pub fn pass(&mut self, rng: &mut Rng, ms: u64) {
        self.now += ms;
        let before: u64 = self.containers.iter().map(Container::charged).sum();
        let squeezed = before + self.system > self.total * 95 / 100;
        for container in &mut self.containers {
            if container.alive && !container.frozen {
                live(container, rng, self.now, ms, squeezed, self.calm);
            }
        }
        self.reclaim();
        self.stall(ms);
        self.run_cpus(ms);
    }

    /// The kernel's own reclaim, then its own killer.
    fn reclaim(&mut self) {
        let mut over = self
            .containers
            .iter()
            .map(Container::charged)
            .sum::<u64>()
            .saturating_add(self.system)
            .saturating_sub(self.total * 98 / 100);
        self.scanned += over;
        for container in &mut self.containers {
            let taken = over.min(container.cache);
            container.cache -= taken;
            over -= taken;
        }
        while self.containers.iter().map(|c| c.anon).sum::<u64>() + self.system > self.total {
            let living = self.containers.iter_mut().filter(|c| c.alive);
            let Some(victim) = living.min_by_key(|c| (c.class(), std::cmp::Reverse(c.anon))) else {
                break;
            };
            die(victim);
            self.oom_kills += 1;
        }
    }

    /// The node stalls those who run when its memory does not hold what is
    /// needed; who is at his own limit stalls himself, and with nobody else at
    /// work that is all there is to see.
    fn stall(&mut self, ms: u64) {
        let anon: u64 = self.containers.iter().map(|c| c.anon).sum();
        let used = (anon + self.system) as f64 / self.total as f64;
        let (mut some, mut full) = match anon > self.total / 50 {
            true => (
                ((used - 0.96) / 0.03).clamp(0.0, 1.0),
                ((used - 0.97) / 0.03).clamp(0.0, 1.0),
            ),
            false => (0.0, 0.0),
        };
        if some > 0.0 {
            self.scanned += 1;
        }
        if some >= 0.05 {
            self.short_at = Some(self.now);
        }
        let node = some;
        self.suffered += (some * ms as f64 * 1_000.0) as u64;
        for c in self.containers.iter_mut().filter(|c| c.alive && !c.frozen) {
            let share: f64 = if c.own { 0.95 } else { 0.0 };
            let us = (share.max(node) * ms as f64 * 1_000.0) as u64;
            c.stalled += us;
            self.suffered += us;
            (some, full) = (some.max(share), full.max(share * 0.95));
        }
        for (line, share) in self.memory.iter_mut().zip([some, full]) {
            average(line, share, ms);
        }
        let wish: u64 = self
            .containers
            .iter()
            .filter(|c| c.alive)
            .map(|c| c.io_wish)
            .sum();
        let io = (wish as f64 / (800.0 * MIB as f64) - 1.0).clamp(0.0, 1.0);
        average(&mut self.io, io, ms);
    }

    fn run_cpus(&mut self, ms: u64) {
        let capacity = self.cpus * 100_000;
        let wish = |c: &Container| match c.alive && !c.frozen {
            true => c.cpu_wish.min(c.value(Knob::CpuQuota)),
            false => 0,
        };
        let all: u64 = self.containers.iter().map(wish).sum();
        let share = (capacity as f64 / all.max(1) as f64).min(1.0);
        average(&mut self.cpu, 1.0 - share, ms);
        self.cpu_used = all.min(capacity);
        for container in &mut self.containers {
            let got = wish(container) as f64 * share;
            container.cpu_us += (got * ms as f64 / 100.0) as u64;
            if container.alive && container.cpu_wish > container.value(Knob::CpuQuota) {
                container.throttled_us += ms * 500;
            }
            let io = container.io_wish.min(container.value(Knob::ReadBps));
            container.io_bytes += io * ms / 1_000;
        }
    }

    pub fn node(&self) -> Node {
        let stall = |(avg, total): (f64, f64)| {
            Some(Stall {
                avg10: (avg * 10_000.0) as u32,
                total: (total * 1_000.0) as u64,
            })
        };
        let cache: u64 = self.containers.iter().map(|c| c.cache).sum();
        let charged: u64 = self.containers.iter().map(Container::charged).sum();
        Node {
            memory_trigger: false,
            weighed: true,
            swap_free: Some(0),
            reclaim: Some(Reclaim {
                background: self.scanned,
                direct: 0,
            }),
            memory_total: Some(self.total),
            memory_available: Some(self.total.saturating_sub(charged + self.system) + cache),
            memory_some: stall(self.memory[0]),
            memory_full: stall(self.memory[1]),
            cpu_some: stall(self.cpu),
            io_some: stall(self.io),
            cpu_capacity: Some(self.cpus * 100_000),
            cpu_used: Some(self.cpu_used),
        }
    }

    pub fn sample(&self, container: &Container, at: Millis) -> Sample {
        Sample {
            at,
            populated: container.alive,
            memory: Some(container.charged()),
            cache: Some(container.cache),
            at_limit: Some(container.at_limit),
            at_high: Some(container.at_high),
            stalled: Some([container.stalled; 2]),
            cpu_used: Some(container.cpu_us),
            cpu_throttled: Some(container.throttled_us),
            io: Some([container.io_bytes, 0, container.io_bytes / 4096, 0]),
            ..Sample::default()
        }
    }
}

pub fn die(container: &mut Container) {
    container.alive = false;
    container.anon = 0;
    container.cache = 0;
}

/// `avg10` and milliseconds in all.
fn average(line: &mut (f64, f64), share: f64, ms: u64) {
    let weight = (ms as f64 / 10_000.0).min(1.0);
    line.0 += (share - line.0) * weight;
    line.1 += share * ms as f64;
}
