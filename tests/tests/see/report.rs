//! The report of a real node, in a real browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use super::workload;

/// What the browser is asked of the page it has laid out.
const MEASURE: &str = "<script>document.title = JSON.stringify({
  charts: [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height > 20
    && [...s.querySelectorAll('polygon, polyline, rect')].some(p => p.getBoundingClientRect().width > 0)),
  limits: [...document.querySelectorAll('.limit.allowed')].map(l => [l.getBoundingClientRect(), l.closest('svg').getBoundingClientRect()])
    .map(([l, s]) => l.width > 0 && l.top >= s.top && l.bottom <= s.bottom),
  limited: [...document.querySelectorAll('svg')].filter(s => s.querySelector('.limit.allowed')).length,
  shares: [...document.querySelectorAll('section')].filter(s => s.innerText.includes('of the limits, by class')
    || s.innerText.includes('of the quotas, by class')).map(s => s.querySelectorAll('polyline.line').length),
  wide: document.documentElement.scrollWidth > innerWidth,
  packs: document.querySelectorAll('tbody tr .track').length,
  events: document.querySelectorAll('.events tr').length,
  fetched: performance.getEntriesByType('resource').length,
  scripts: document.scripts.length })</script>";

#[test]
fn the_report_is_one_page_that_a_browser_draws() {
    let Some(mut node) = workload::busy("report") else {
        return;
    };
    // A name that is markup; the page has to show it, not obey it.
    // It holds enough that limits are not far above all use.
    let hold = "{ head -c 150m /dev/zero; sleep 600; } | tail";
    node.pack(
        "bad",
        "low",
        &["sh", "-c", hold],
        &json!({ "name": "<script>alert(1)</script>", "settings": {} }),
    );
    node.policy(
        "[watch]\nlinger = 600\nhistory = 1\nadaptive.every = 1\ncpu.some = [0, 0, 101, 101]\n\
         squeeze.down-every = 1\n",
    );
    node.watch();
    let history = node.run().join("history");
    let rows = || {
        fs::read_to_string(&history)
            .unwrap_or_default()
            .matches("\"at\"")
            .count()
    };
    let held = || {
        let files = ["memory.usage_in_bytes", "memory.current"];
        let mut text = files.iter().filter_map(|file| node.cgroup("bad", file));
        text.next().unwrap().trim().parse::<u64>().unwrap()
    };
    node.wait("much is held", || held() >= 150 << 20);
    let before = rows();
    node.wait("there is some history", || rows() >= before + 4);
    let page = node.folder.path().join("report.html");
    let written = node
        .packrank(&["report", "--output"])
        .arg(&page)
        .output()
        .unwrap();
    assert!(
        written.status.success(),
        "{}",
        String::from_utf8_lossy(&written.stderr)
    );
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.contains("&lt;script&gt;alert") && !text.contains("<script"));
    assert!(
        !text.contains("http://") && !text.contains("https://"),
        "it points elsewhere"
    );
    assert!(text.contains("set cpu.quota"), "no word of what was done");
    // The limits of the history: 256, 64, 64 and 128 MiB; the quotas, which
    // pressure took of, are drawn beside.
    assert!(text.contains(">all limits: 512 MiB"), "no limit of memory");
    assert!(text.contains(">all quotas: "), "no limit of CPUs");
    if !Path::new("/usr/bin/chromium").exists() {
        packrank_tests::skipped::skipped(
            "the page in a browser",
            "Debian's chromium is not installed",
        );
        return;
    }
    for width in [1240, 700] {
        let told = measured(&text, node.folder.path(), width);
        let charts = told["charts"].as_array().unwrap();
        assert_eq!(charts.len(), 7, "{told}");
        assert!(
            charts.iter().all(|drawn| drawn == true),
            "a chart is empty: {told}"
        );
        let limits = told["limits"].as_array().unwrap();
        assert!(!limits.is_empty(), "no limit beside use: {told}");
        assert!(limits.iter().all(|drawn| drawn == true), "{told}");
        assert_eq!(
            told["shares"],
            json!([4, 4]),
            "a line for each class: {told}"
        );
        assert_eq!(told["wide"], false, "wider than {width}");
        assert_eq!(told["packs"], 10, "two bars for each pack: {told}");
        assert!(told["events"].as_u64().unwrap() > 0, "{told}");
        assert_eq!(told["fetched"], 0, "{told}");
        assert_eq!(told["scripts"], 1, "only the one that measures: {told}");
    }
}

/// What a headless Chromium of that width makes of the page.
fn measured(text: &str, folder: &Path, width: u32) -> Json {
    let page = folder.join("measured.html");
    fs::write(&page, text.replace("</body>", &format!("{MEASURE}</body>"))).unwrap();
    let out = Command::new("timeout")
        .args([
            "60",
            "/usr/bin/chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
        ])
        .args(["--dump-dom", "--hide-scrollbars"])
        .arg(format!("--window-size={width},900"))
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(&page)
        .env("HOME", folder)
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&out.stdout).into_owned();
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next());
    let title = title.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&out.stderr)));
    serde_json::from_str(&title.replace("&amp;", "&").replace("&quot;", "\""))
        .unwrap_or_else(|_| panic!("{title}"))
}
