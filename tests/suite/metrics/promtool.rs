//! The real promtool on a live scrape and on the alert rules.

use super::{Service, introduction, joined, list};
use crate::requirements::{Requirement, has};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn promtool_finds_nothing_wrong_with_a_scrape() {
    if !has(Requirement::Promtool, "promtool check metrics on a live scrape") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let remote = service.remote();
    let (stack, member) = joined(&remote, introduction("A", 1, 30_000), list(1));
    stack.acquire(member, 1, 2).expect("granted");
    service.facility.checkpoint_now().expect("made");
    let scraped = service.get("/metrics", "").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    promtool.stdin.take().expect("piped").write_all(scraped.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("ends");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success() && told.trim().is_empty(), "{}: {told}", output.status);
}

#[test]
fn promtool_understands_every_alert_rule() {
    if !has(Requirement::Promtool, "promtool check rules on packaging/prometheus-alerts.yml") {
        return;
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus-alerts.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(rules).output().expect("runs");
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&told));
}

#[test]
fn the_alerts_fire_when_they_should_and_not_otherwise() {
    if !has(Requirement::Promtool, "promtool test rules on packaging/prometheus-alerts.yml") {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/metrics/alerts.test.yml");
    let output = Command::new("promtool").args(["test", "rules"]).arg(tests).output().expect("runs");
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&told));
}

#[test]
fn promtool_understands_every_expression_of_the_dashboard() {
    if !has(Requirement::Promtool, "promtool check rules on packaging/grafana-dashboard.json") {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana-dashboard.json");
    let text = std::fs::read_to_string(path).expect("a file of the project");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let targets =
        dashboard["panels"].as_array().expect("panels").iter().filter_map(|panel| panel["targets"].as_array());
    for (number, target) in targets.flatten().enumerate() {
        let expression = target["expr"].as_str().expect("an expression");
        let expression = expression.replace("$__rate_interval", "5m").replace("$structure", ".*").replace('\'', "''");
        let _ = write!(rules, "      - record: dashboard:{number}\n        expr: '{expression}'\n");
    }
    assert!(rules.lines().count() > 60, "the expressions are read");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, rules).expect("written");
    let output = Command::new("promtool").args(["check", "rules"]).arg(file).output().expect("runs");
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&told));
}
