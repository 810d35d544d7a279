//! Many starts at once.
//!
//! In: two hundred containers with a veth each. Out: what one hook takes where
//! twenty run at once, and where all do: no lock, no list that grows with the
//! number of containers may show.

use std::path::Path;
use std::time::Instant;

use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::container::{Container, Wish};
use crate::host;
use crate::place::Place;
use crate::race::{children, spread};
use crate::table;

const MANY: usize = 200;
const FEW: usize = 20;

pub fn starts(place: &Place) {
    host::own(place, "bench of parallel starts", |runc| {
        at_once(place, runc);
    });
}

fn at_once(place: &Place, runc: &Path) {
    let create = |n: usize| {
        let wish = Wish {
            name: &format!("p{n}"),
            annotations: json!({ "packrank.io/priority": "low" }),
            network: true,
        };
        Container::create(place, runc, &wish)
    };
    let all: Option<Vec<Container>> = (0..MANY).map(create).collect();
    let Some(all) = all else {
        return skipped("bench of parallel starts", "runc creates no container here");
    };
    let (mut few, mut many) = (Figures::default(), Figures::default());
    // In turns: the machine's mood touches both.
    for _ in 0..3 {
        for part in all.chunks(FEW) {
            few.add("createRuntime", part);
            clean(part);
        }
        many.add("createRuntime", &all);
        clean(&all);
    }
    table::section("createRuntime of many containers at once: milliseconds a container");
    few.print(&format!("{FEW} at once"));
    many.print(&format!("{MANY} at once"));
    let ratio = |of: &dyn Fn(&Figures) -> f64| of(&many) / of(&few);
    let (wall, cpu) = (ratio(&|f| spread(&f.wall).0), ratio(&|f| spread(&f.cpu).0));
    table::note(&format!(
        "{MANY} against {FEW}: wall {wall:.2}x, CPU {cpu:.2}x (goal 1.00)"
    ));
}

fn clean(containers: &[Container]) {
    Figures::default().add("poststop", containers);
}

/// Of each time that so many ran at once, one container's part.
#[derive(Default)]
struct Figures {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Figures {
    fn add(&mut self, phase: &str, containers: &[Container]) {
        let mut hooks: Vec<_> = containers.iter().map(|c| c.hook(phase)).collect();
        let (cpu, start) = (children(), Instant::now());
        let running: Vec<_> = hooks.iter_mut().map(|(hook, _)| hook.spawn()).collect();
        for child in running {
            assert!(child.unwrap().wait().unwrap().success(), "{phase}");
        }
        let count = containers.len() as f64;
        self.wall.push(start.elapsed().as_secs_f64() * 1e3 / count);
        self.cpu.push((children() - cpu) / count);
    }

    fn print(&self, name: &str) {
        let times = crate::race::Times {
            wall: self.wall.clone(),
            cpu: self.cpu.clone(),
        };
        table::row(name, &times, None);
    }
}
