//! The report of a real node, in a real browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::workload;

/// What the browser is asked of the page it has laid out.
const MEASURE: &str = "<script>document.title = JSON.stringify({
  charts: [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height > 20
    && [...s.querySelectorAll('polygon, polyline, rect')].some(p => p.getBoundingClientRect().width > 0)),
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
    node.pack(
        "bad",
        "low",
        &["sleep", "600"],
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
    node.wait("there is some history", || rows() >= 4);
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
        assert_eq!(charts.len(), 5, "{told}");
        assert!(
            charts.iter().all(|drawn| drawn == true),
            "a chart is empty: {told}"
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
