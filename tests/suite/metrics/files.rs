//! What is written about the metrics, for people and for Prometheus and Grafana, against the code: every
//! metric is described, nothing that does not exist is named, and every alert leads to a section.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ALERTS: &str = "packaging/prometheus-alerts.yml";
const RUNBOOK: &str = "https://github.com/portplex/portplex/blob/main/docs/operations.md#";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the project")
}

/// Every metric of the code: its kind and labels.
fn metrics() -> BTreeMap<String, (String, Vec<String>)> {
    let source = read("src/api/http/families.rs");
    let mut found = BTreeMap::new();
    for line in source.lines().map(str::trim) {
        let Some((kind, rest)) = line.split_once(" \"").filter(|(left, _)| left.contains(": ")) else { continue };
        let Some((name, labels)) = rest.split_once("\" [") else { continue };
        let kind = kind.rsplit(' ').next().unwrap_or_default().to_lowercase();
        let labels = labels.trim_end_matches(']').split_whitespace().map(|label| label.trim_matches('"').to_owned());
        assert!(found.insert(name.to_owned(), (kind, labels.collect())).is_none(), "{name} is there twice");
    }
    assert!(found.len() > 60, "the metrics are read: {}", found.len());
    found
}

/// The names in a text that begin as metrics do.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("portplex_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// Those that are no metric; parts of a histogram are one.
fn unknown(names: &BTreeSet<String>) -> Vec<&String> {
    let metrics = metrics();
    let is_known = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        metrics.contains_key(name)
            || base.is_some_and(|base| metrics.get(base).is_some_and(|(kind, _)| kind == "histogram"))
    };
    names.iter().filter(|name| !is_known(name)).collect()
}

/// The alerts: name, and its lines.
fn alerts() -> Vec<(String, BTreeMap<String, String>)> {
    let text = read(ALERTS);
    let mut alerts: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push((name.to_owned(), BTreeMap::new()));
        } else if let (Some((key, value)), Some((_, lines))) = (line.split_once(": "), alerts.last_mut()) {
            lines.insert(key.to_owned(), value.trim_matches('\'').to_owned());
        }
    }
    assert!(alerts.len() > 20, "the alerts are read");
    alerts
}

#[test]
fn every_metric_is_described_with_its_kind_and_labels_and_no_other_is() {
    let guide = read("docs/metrics.md");
    let mut described = BTreeMap::new();
    for line in guide.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[0].trim_end_matches('`');
        let labels = cells[2].split_whitespace().map(|label| label.trim_matches('`').to_owned()).collect();
        assert_eq!(cells.len(), 6, "{name}: five cells");
        assert!(cells[3].len() > 2 && cells[4].len() > 1, "{name}: what it is, and when to worry");
        assert!(described.insert(name.to_owned(), (cells[1].to_owned(), labels)).is_none(), "{name} twice");
    }
    assert_eq!(described, metrics());
    assert_eq!(unknown(&named(&guide)), Vec::<&String>::new(), "docs/metrics.md");
    assert_eq!(unknown(&named(&read("docs/operations.md"))), Vec::<&String>::new(), "docs/operations.md");
}

#[test]
fn every_alert_says_how_grave_it_is_and_leads_to_a_section() {
    let guide = read("docs/operations.md");
    let anchors: BTreeSet<String> = guide.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let mut names = BTreeSet::new();
    for (name, lines) in alerts() {
        let of = |key: &str| lines.get(key).unwrap_or_else(|| panic!("{name} has no {key}")).as_str();
        assert!(["critical", "warning", "info"].contains(&of("severity")), "{name}");
        assert!(of("summary").ends_with('.') && of("description").ends_with('.'), "{name}: whole sentences");
        let section = of("runbook_url").strip_prefix(RUNBOOK).unwrap_or_else(|| panic!("{name}: its runbook"));
        assert!(anchors.contains(section), "{name}: docs/operations.md has no #{section}");
        let row = format!("| `{name}` | [");
        let listed = guide.lines().find(|line| line.starts_with(&row));
        assert!(listed.is_some_and(|line| line.ends_with(&format!("](#{section}) |"))), "{name}: {listed:?}");
        let metrics = named(of("expr"));
        assert!(!metrics.is_empty() || name == "PortplexDown", "{name} looks at no metric");
        assert_eq!(unknown(&metrics), Vec::<&String>::new(), "{name}");
        assert!(names.insert(name.clone()), "{name} twice");
    }
    let listed = guide.lines().filter_map(|line| line.strip_prefix("| `Portplex")).count();
    assert_eq!(listed, names.len(), "docs/operations.md lists the alerts that there are");
    for name in named_alerts(&guide) {
        assert!(names.contains(&name), "docs/operations.md names {name}");
    }
}

#[test]
fn labels_that_alerts_and_dashboard_select_by_are_labels_of_the_metric() {
    let metrics = metrics();
    let dashboard = read("packaging/grafana-dashboard.json").replace("\\\"", "\"");
    let mut count = 0;
    for text in alerts().into_iter().filter_map(|(_, mut lines)| lines.remove("expr")).chain([dashboard]) {
        for (name, (_, labels)) in &metrics {
            for part in ["", "_bucket", "_sum", "_count"] {
                for rest in text.split(&format!("{name}{part}{{")).skip(1) {
                    let selector = rest.split('}').next().unwrap_or_default();
                    for choice in selector.split(',').filter(|choice| choice.contains('=')) {
                        let label = choice.split(['=', '!']).next().unwrap_or_default().trim();
                        assert!(label == "job" || labels.iter().any(|known| known == label), "{name}: {label}");
                        count += 1;
                    }
                }
            }
        }
    }
    assert!(count > 40, "selectors are read: {count}");
}

#[test]
fn the_dashboard_is_whole_and_names_only_metrics_that_exist() {
    let text = read("packaging/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(dashboard["title"], "Portplex");
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is there twice");
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(places.insert((x, y)), "{title} lies on another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty() && panel["description"].as_str().is_some_and(|text| text.len() > 5), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            let balanced = ["()", "{}", "[]"].map(|pair| {
                let count = |at: usize| expression.matches(&pair[at..=at]).count();
                count(0) == count(1)
            });
            assert!(balanced.iter().all(|is_so| *is_so), "{title}: {expression}");
            let metrics = named(expression);
            assert!(!metrics.is_empty() || expression.starts_with("up{"), "{title}: {expression}");
        }
    }
    assert!(panels.len() > 20);
    let mut names = named(&text);
    names.retain(|name| name != "portplex_");
    assert_eq!(unknown(&names), Vec::<&String>::new());
}

fn named_alerts(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_alert = |word: &&str| word.strip_prefix("Portplex").is_some_and(|rest| rest.starts_with(char::is_uppercase));
    words.filter(is_alert).map(str::to_owned).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
