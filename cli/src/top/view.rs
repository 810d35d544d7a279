//! What is shown, and what keys change of it.
//!
//! In: snapshots, events, keys. Out: which packs in which order, which one is
//! chosen, and whether to go on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use packrank_monitor::event::Event;
use packrank_monitor::follow::Follower;
use packrank_monitor::{Pack, Snapshot};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Looks remembered for a pack's curves: two minutes.
const REMEMBERED: usize = 60;

/// Events remembered.
const EVENTS: usize = 200;

/// By what packs are sorted; by class always comes with it, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// Highest class first
    Class,
    /// CPU time
    Cpu,
    /// Memory
    Memory,
    /// Network traffic
    Network,
    /// Disk traffic
    Disk,
    /// Time that the CPU quota held it back
    Held,
    /// Name
    Name,
}

impl Sort {
    const KEYS: [(char, Sort, &'static str); 7] = [
        ('k', Sort::Class, "class"),
        ('c', Sort::Cpu, "cpu"),
        ('m', Sort::Memory, "memory"),
        ('n', Sort::Network, "network"),
        ('d', Sort::Disk, "disk"),
        ('h', Sort::Held, "held back"),
        ('a', Sort::Name, "name"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let row = Sort::KEYS.iter().find(|row| row.1 == self);
        row.map_or("", |row| row.2)
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    Away,
}

/// A pack's last looks: CPU and memory in percent of their limits.
pub(crate) type Curve = VecDeque<(f64, f64)>;

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct View {
    pub host: String,
    pub snapshot: Option<Snapshot>,
    pub events: VecDeque<Event>,
    pub follower: Follower,
    pub curves: BTreeMap<String, Curve>,
    pub sort: Sort,
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    /// The chosen pack's id.
    pub chosen: Option<String>,
    /// It is shown in full.
    pub detail: bool,
    /// Lines of the detail above the screen.
    pub scroll: usize,
    /// Nothing is looked at.
    pub held: bool,
}

impl View {
    pub(crate) fn new(host: String, sort: Sort, filter: &str) -> View {
        View {
            host,
            snapshot: None,
            events: VecDeque::new(),
            follower: Follower::default(),
            curves: BTreeMap::new(),
            sort,
            filter: filter.to_owned(),
            typing: false,
            chosen: None,
            detail: false,
            scroll: 0,
            held: false,
        }
    }

    /// A new look.
    pub(crate) fn take(&mut self, snapshot: Snapshot) {
        let mut before = std::mem::take(&mut self.curves);
        for pack in &snapshot.packs {
            let mut curve = before.remove(&pack.record.id).unwrap_or_default();
            if pack.rates.is_some() {
                let cpu = pack.cpu_percent(&snapshot.node).unwrap_or(0.0);
                curve.push_back((cpu, pack.memory_percent(&snapshot.node).unwrap_or(0.0)));
            }
            while curve.len() > REMEMBERED {
                curve.pop_front();
            }
            self.curves.insert(pack.record.id.clone(), curve);
        }
        self.snapshot = Some(snapshot);
    }

    /// New events.
    pub(crate) fn hear(&mut self, events: Vec<Event>) {
        self.events.extend(events);
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// The packs that pass the filter, in order.
    pub(crate) fn packs(&self) -> Vec<&Pack> {
        let Some(snapshot) = &self.snapshot else {
            return Vec::new();
        };
        let wanted = self.filter.to_lowercase();
        let passes = |pack: &&Pack| {
            let record = &pack.record;
            let names = &record.names;
            let texts = [&names.name, &names.pod, &names.namespace];
            let mut texts = texts.into_iter().flatten().map(String::as_str);
            let class = record.priority.name();
            wanted.is_empty()
                || record.id.to_lowercase().contains(&wanted)
                || class.contains(&wanted)
                || texts.any(|text| text.to_lowercase().contains(&wanted))
        };
        let mut packs: Vec<&Pack> = snapshot.packs.iter().filter(passes).collect();
        let rates = |pack: &Pack| pack.rates.unwrap_or_default();
        let most = |by: &dyn Fn(&Pack) -> f64, packs: &mut Vec<&Pack>| {
            packs.sort_by(|a, b| by(b).total_cmp(&by(a)));
        };
        match self.sort {
            Sort::Class => {}
            // As they are shown: the name comes first.
            Sort::Name => packs.sort_by_cached_key(|pack| {
                let record = &pack.record;
                let name = record.names.name.as_ref().unwrap_or(&record.id);
                (name.clone(), record.title())
            }),
            Sort::Memory => packs.sort_by_key(|pack| Reverse(pack.working_set())),
            Sort::Cpu => most(&|pack| rates(pack).cpu, &mut packs),
            Sort::Held => most(&|pack| rates(pack).throttled, &mut packs),
            Sort::Network => most(&|pack| rates(pack).network.iter().sum(), &mut packs),
            Sort::Disk => most(&|pack| rates(pack).io[..2].iter().sum(), &mut packs),
        }
        packs
    }

    /// Where the chosen pack is; the first when there is none.
    pub(crate) fn place(&self) -> usize {
        let chosen = self.chosen.as_deref();
        let packs = self.packs();
        let place = packs
            .iter()
            .position(|p| Some(p.record.id.as_str()) == chosen);
        place.unwrap_or(0)
    }

    fn step(&mut self, by: isize) {
        let ids: Vec<String> = self.packs().iter().map(|p| p.record.id.clone()).collect();
        let last = ids.len().saturating_sub(1);
        let place = self.place().saturating_add_signed(by).min(last);
        self.chosen = ids.get(place).cloned();
    }

    /// A key was pressed.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Go {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Go::Away;
        }
        if self.typing {
            match key.code {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.filter.clear();
                }
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) if !control => self.filter.push(c),
                _ => {}
            }
            return Go::On;
        }
        let far = 10;
        match key.code {
            KeyCode::Char('q') => return Go::Away,
            KeyCode::Esc if self.detail => self.detail = false,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => self.held = !self.held,
            KeyCode::Enter => {
                self.step(0);
                self.detail = !self.detail && self.chosen.is_some();
                self.scroll = 0;
            }
            KeyCode::Down if self.detail => self.scroll += 1,
            KeyCode::Up if self.detail => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.step(1),
            KeyCode::Up => self.step(-1),
            KeyCode::PageDown => self.step(far),
            KeyCode::PageUp => self.step(-far),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char(c) => {
                if let Some(row) = Sort::KEYS.iter().find(|row| row.0 == c) {
                    self.sort = row.1;
                }
            }
            _ => {}
        }
        Go::On
    }
}
