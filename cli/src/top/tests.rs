use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packrank_core::record::{Amount, Deeds, Record, Taken};
use packrank_kernel::pressure::{Pressure, Stalls};
use packrank_monitor::ask::{Levels, Told};
use packrank_monitor::event::Event;
use packrank_monitor::latency::Source;
use packrank_monitor::{Pack, Rates, Snapshot, Use};
use packrank_watcher::decide::{Node, Sample};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Text;
use serde_json::json;

use super::view::{Go, Sort, View};
use super::{draw, json};

fn pack(id: &str, class: &str, name: &str, cpu: f64, memory: u64) -> Pack {
    let record: Record = serde_json::from_value(json!({
        "version": 1, "id": id, "priority": class, "pid": 42, "started": 1, "cgroups": {},
        "bundle": "/", "engine": "/", "name": name, "pod": "pod-0", "namespace": "shop",
        "settings": { "memory.limit": 1 << 30, "cpu.quota": 100, "nofile": { "soft": 1, "hard": 2 } },
        "origins": { "memory.limit": "annotation", "cpu.quota": "class" },
        "pinned": if name == "web" { json!({ "cpu.quota": 100 }) } else { json!({}) },
    }))
    .unwrap();
    let some = Some(Stalls {
        avg10: 1_250,
        total: 9,
    });
    Pack {
        record: Arc::new(record),
        deeds: Arc::default(),
        sample: Sample {
            populated: true,
            memory: Some(memory << 20),
            cache: Some(0),
            ..Sample::default()
        },
        rates: Some(Rates {
            cpu,
            throttled: cpu / 4.0,
            io: [1e6, 2e6, 10.0, 20.0],
            network: [1e5, 2e5],
        }),
        cpu_limit: Some(Amount::At(100_000)),
        memory_limit: Some(Amount::At(1 << 30)),
        io_limit: [Some(50 << 20), None],
        network_limit: [Some(8_000_000), None],
        frozen: false,
        pressure: [None, Some(Pressure { some, full: some }), None],
        network: Some([1, 2]),
        files: Some(Use {
            used: 7,
            limit: Some(1024),
        }),
        connections: None,
        processes: None,
        latency: Default::default(),
    }
}

fn node(packs: Vec<Pack>) -> View {
    let snapshot = Snapshot {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(3_723),
        node: Node {
            memory_total: Some(16 << 30),
            memory_available: Some(4 << 30),
            cpu_capacity: Some(400_000),
            cpu_used: Some(340_000),
            ..Node::default()
        },
        pressure: [None; 3],
        packs,
        latency: Source::Requests,
        watcher: Some(Told {
            pressure: Levels {
                memory: "high".to_owned(),
                cpu: "none".to_owned(),
                io: "low".to_owned(),
            },
            ..Told::default()
        }),
        took: 0.0,
    };
    let mut view = View::new("node-1".to_owned(), Sort::Class, "");
    view.take(snapshot);
    view
}

fn five() -> View {
    node(vec![
        pack("1a", "critical", "db", 20.0, 900),
        pack("2b", "high", "web", 95.0, 100),
        pack("3c", "normal", "api", 50.0, 500),
        pack("4d", "low", "backup", 85.0, 300),
        pack("5e", "scavenger", "batch", 5.0, 1000),
    ])
}

/// What a terminal of this size shows.
fn shown(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let lines = draw::screen(view, width.into(), height.into());
    for line in &lines {
        assert!(line.width() <= width.into(), "too wide: {line}");
    }
    assert_eq!(lines.len(), usize::from(height));
    let drawn = terminal.draw(|frame| frame.render_widget(Text::from(lines), frame.area()));
    drawn.unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(row).collect()
}

fn press(view: &mut View, keys: &[KeyCode]) {
    for key in keys {
        assert_eq!(view.press(KeyEvent::new(*key, KeyModifiers::NONE)), Go::On);
    }
}

fn packs(view: &mut View) -> &mut Vec<Pack> {
    &mut view.snapshot.as_mut().unwrap().packs
}

fn order(view: &View) -> Vec<&str> {
    view.packs().iter().map(|p| p.record.id.as_str()).collect()
}

#[test]
fn a_small_terminal_has_all_that_matters() {
    let mut view = five();
    view.hear(vec![Event {
        number: 1,
        at: 3_720_000,
        id: Some("5e".to_owned()),
        class: Some("scavenger".to_owned()),
        text: "reclaim 32 MiB, memory pressure high".to_owned(),
        ..Event::default()
    }]);
    let screen = shown(&mut view, 80, 24);
    let all = screen.join("\n");
    for part in [
        "node-1",
        "5 packs",
        "watching",
        "01:02:03",
        "85% of 4 CPUs",
        "75% of 16G",
        "pressure high",
        "pressure low",
        "crit db",
        "high web",
        "norm api",
        "low  backup",
        "scav batch",
        "88%",
        "2.4M",
        "2.9M",
        "12%m",
        "24%",
        "01:02:00 batch",
        "reclaim 32 MiB, memory pressure high",
        "q quit",
    ] {
        assert!(all.contains(part), "no {part:?} in\n{all}");
    }
    // The heading stands over its columns: limits end where it says "of".
    let (heading, row) = (&screen[5], &screen[6]);
    let column = |line: &str, byte: usize| line[..byte].chars().count();
    let of = column(heading, heading.find("of").unwrap()) + 2;
    let limit = column(row, row.find("1.0").unwrap()) + 3;
    assert_eq!(of, limit, "{heading}\n{row}");
}

#[test]
fn every_size_is_drawn_without_a_line_too_long() {
    let mut view = five();
    for detail in [false, true] {
        view.chosen = Some("3c".to_owned());
        view.detail = detail;
        for (width, height) in [(80, 24), (80, 8), (200, 60), (81, 9), (120, 30)] {
            shown(&mut view, width, height);
        }
    }
}

#[test]
fn packs_are_sorted_filtered_and_chosen() {
    let mut view = five();
    assert_eq!(order(&view), ["1a", "2b", "3c", "4d", "5e"]);
    press(&mut view, &[KeyCode::Char('c')]);
    assert_eq!(order(&view), ["2b", "4d", "3c", "1a", "5e"]);
    press(&mut view, &[KeyCode::Char('m')]);
    assert_eq!(order(&view), ["5e", "1a", "3c", "4d", "2b"]);
    press(&mut view, &[KeyCode::Char('a')]);
    assert_eq!(order(&view), ["3c", "4d", "5e", "1a", "2b"], "by name");
    press(&mut view, &[KeyCode::Char('m')]);
    press(
        &mut view,
        &[KeyCode::Char('/'), KeyCode::Char('B'), KeyCode::Char('a')],
    );
    assert_eq!(order(&view), ["5e", "4d"], "batch and backup");
    press(
        &mut view,
        &[KeyCode::Enter, KeyCode::Down, KeyCode::Down, KeyCode::Down],
    );
    assert_eq!(view.chosen.as_deref(), Some("4d"));
    press(&mut view, &[KeyCode::Esc]);
    assert_eq!(order(&view).len(), 5);
    let quit = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert_eq!(view.press(quit), Go::Away);
}

#[test]
fn a_chosen_pack_is_in_sight_among_many() {
    let many = (0..200).map(|n| pack(&format!("id{n:03}"), "low", &format!("n{n:03}"), 1.0, 1));
    let mut view = node(many.collect());
    press(&mut view, &[KeyCode::End]);
    let all = shown(&mut view, 80, 24).join("\n");
    assert!(
        all.contains("▸ low  n199") || all.contains("▸      n199"),
        "{all}"
    );
    press(&mut view, &[KeyCode::Home]);
    assert!(shown(&mut view, 80, 24).join("\n").contains("n000"));
}

#[test]
fn a_pack_in_full_says_who_decided_each_setting() {
    let mut view = five();
    let taken = Taken {
        original: Some(100_000),
        adapted: Some(100_000),
        pressed: Some(40_000),
    };
    let mut deeds = Deeds::default();
    deeds.taken.insert("cpu.quota".to_owned(), taken);
    packs(&mut view)[3].deeds = Arc::new(deeds);
    let list = shown(&mut view, 80, 24).join("\n");
    assert!(list.contains("1.0▼") && list.contains("1.0="), "{list}");
    press(
        &mut view,
        &[KeyCode::Down, KeyCode::Down, KeyCode::Down, KeyCode::Enter],
    );
    let all = shown(&mut view, 100, 40).join("\n");
    for part in [
        "shop/pod-0/backup  low",
        "DECIDED BY",
        "annotation",
        "class; taken by pressure",
        "1/2",
        "files 7 of 1024",
    ] {
        assert!(all.contains(part), "no {part:?} in\n{all}");
    }
    view.chosen = Some("2b".to_owned());
    assert!(shown(&mut view, 80, 24).join("\n").contains("a person"));
}

#[test]
fn what_became_of_disk_and_network_limits_is_marked_and_who_is_frozen() {
    let mut view = five();
    let took = |key: &str, pressed: Option<u64>| {
        let mut deeds = Deeds::default();
        let taken = Taken {
            original: Some(9),
            adapted: Some(7),
            pressed,
        };
        deeds.taken.insert(key.to_owned(), taken);
        Arc::new(deeds)
    };
    packs(&mut view)[0].deeds = took("network.ingress", None);
    packs(&mut view)[2].deeds = took("io.write-iops", Some(3));
    packs(&mut view)[4].deeds = Arc::new(Deeds {
        frozen: true,
        ..Deeds::default()
    });
    packs(&mut view)[3].frozen = true;
    packs(&mut view)[4].frozen = true;
    let screen = shown(&mut view, 80, 24);
    let line = |name: &str| screen.iter().find(|line| line.contains(name)).unwrap();
    assert!(line("crit db").contains("2.4M≈ 2.9M "), "{screen:#?}");
    assert!(line("norm api").contains("2.4M  2.9M▼"), "{screen:#?}");
    assert!(line("high web").contains("2.4M  2.9M "), "{screen:#?}");
    for name in ["low  backup", "scav batch"] {
        assert!(line(name).trim_end().ends_with(" frozen"), "{screen:#?}");
    }
    view.chosen = Some("5e".to_owned());
    view.detail = true;
    let screen = shown(&mut view, 80, 24).join("\n");
    assert!(
        screen.contains("scavenger  frozen by the watcher"),
        "{screen}"
    );
    view.chosen = Some("4d".to_owned());
    let screen = shown(&mut view, 80, 24).join("\n");
    assert!(screen.contains("low  frozen  4d"), "{screen}");
}

#[test]
fn hostile_names_move_nothing() {
    let mut view = node(vec![pack(
        "x",
        "low",
        "a\u{1b}[2J\u{202e}b\n漢字漢字漢字漢字漢字",
        1.0,
        1,
    )]);
    let all = shown(&mut view, 80, 24).join("\n");
    assert!(!all.contains('\u{1b}') && all.contains("\\u{1b}"), "{all}");
    shown(&mut view, 140, 24);
}

#[test]
fn programs_get_the_same_in_base_units() {
    let told = json::tell(&five());
    let db = &told["packs"][0];
    assert_eq!(
        (&db["name"], &db["class"]),
        (&json!("db"), &json!("critical"))
    );
    assert_eq!(db["memory-limit-bytes"], 1 << 30);
    assert_eq!(db["cpu-limit-percent"], 100);
    assert_eq!(told["node"]["pressure"]["memory"], "high");
}
