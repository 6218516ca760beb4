//! The text format of Prometheus, read and judged: written apart from what writes it.

use super::{Service, introduction, joined, list};
use std::collections::{BTreeMap, BTreeSet};

/// Labels of a series, sorted by name.
pub(super) type Labels = BTreeMap<String, String>;

/// One metric as it is announced, with all lines under it.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) kind: String,
    /// The name as written (with `_bucket` and the like), labels, value.
    pub(super) samples: Vec<(String, Labels, f64)>,
}

/// A whole scrape.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    pub(super) families: BTreeMap<String, Family>,
    /// What is wrong with it.
    faults: Vec<String>,
}

impl Exposition {
    pub(super) fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut current = String::new();
        let mut seen = BTreeSet::new();
        if !text.ends_with('\n') {
            parsed.fault("the last line has no end");
        }
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                name.clone_into(&mut current);
                let family = Family { help: help.to_owned(), ..Family::default() };
                if parsed.families.insert(name.to_owned(), family).is_some() {
                    parsed.fault(&format!("{name} is announced twice"));
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                match parsed.families.get_mut(name) {
                    Some(family) if name == current && family.kind.is_empty() => kind.clone_into(&mut family.kind),
                    _ => parsed.fault(&format!("TYPE of {name} does not follow its HELP")),
                }
            } else if line.starts_with('#') || line.is_empty() {
                parsed.fault(&format!("a line that means nothing: {line:?}"));
            } else {
                let Some((name, labels, value)) = sample(line) else {
                    parsed.fault(&format!("not a sample: {line:?}"));
                    continue;
                };
                if !seen.insert((name.clone(), labels.clone())) {
                    parsed.fault(&format!("a series is there twice: {line}"));
                }
                match parsed.families.get_mut(&current) {
                    Some(family) if belongs(&name, &current, &family.kind) => {
                        family.samples.push((name, labels, value))
                    }
                    _ => parsed.fault(&format!("not under its own HELP and TYPE: {line}")),
                }
            }
        }
        parsed
    }

    fn fault(&mut self, what: &str) {
        self.faults.push(what.to_owned());
    }

    /// The value of one series; `None` if it is not there.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let family = self.families.get(name).or_else(|| {
            let base = ["_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
            self.families.get(base)
        })?;
        family.samples.iter().find(|(known, labels, _)| known == name && *labels == wanted).map(|(.., value)| *value)
    }

    /// The value of one series of the one structure.
    pub(super) fn of_structure(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().copied().chain([("structure", "EZBEPORT")]).collect();
        self.value(name, &labels).unwrap_or_else(|| panic!("{name}{labels:?} is missing"))
    }

    /// Everything that breaks the format or the conventions.
    pub(super) fn judged(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        for (name, family) in &self.families {
            judge_name(name, &family.kind, &mut faults);
            if family.help.len() < 10 || family.help.contains('\\') {
                faults.push(format!("{name}: no help that helps: {:?}", family.help));
            }
            if family.samples.is_empty() {
                faults.push(format!("{name} has no sample"));
            }
            judge_labels(name, family, &mut faults);
            if family.kind == "histogram" {
                judge_histogram(name, family, &mut faults);
            } else if let Some((_, labels, value)) =
                family.samples.iter().find(|(.., value)| !value.is_finite() || *value < 0.0)
            {
                faults.push(format!("{name}{labels:?} is {value}"));
            }
        }
        faults
    }
}

fn belongs(name: &str, family: &str, kind: &str) -> bool {
    match name.strip_prefix(family) {
        Some("") => kind != "histogram",
        Some("_bucket" | "_sum" | "_count") => kind == "histogram",
        _ => false,
    }
}

/// `name{key="value",…} number`.
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().ok()? };
    let Some((name, rest)) = series.split_once('{') else { return Some((series.to_owned(), Labels::new(), value)) };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(key.to_owned(), text).is_none().then_some(())?;
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some((name.to_owned(), labels, value))
}

/// Up to the closing quotation mark, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

fn judge_name(name: &str, kind: &str, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{name}: {what}"));
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        fault("letters other than small ones, digits and underscores");
    }
    if !name.starts_with("portplex_") && !name.starts_with("process_") {
        fault("no prefix of ours");
    }
    match kind {
        "counter" if name.ends_with("_total") => {}
        "counter" => fault("a counter that does not end with _total"),
        "gauge" | "histogram" if !name.ends_with("_total") => {}
        "gauge" | "histogram" => fault("_total on what is no counter"),
        _ => fault("no kind"),
    }
    let base = name.trim_end_matches("_total");
    if ["_count", "_sum", "_bucket"].iter().any(|suffix| base.ends_with(suffix)) {
        fault("ends as a part of a histogram does");
    }
    let units =
        ["ms", "us", "ns", "millis", "milliseconds", "minutes", "hours", "days", "kb", "mb", "kib", "mib", "percent"];
    if name.split('_').any(|word| units.contains(&word)) {
        fault("not a base unit");
    }
    if ["seconds", "bytes"].iter().any(|unit| base.contains(unit) && !base.ends_with(unit)) {
        fault("the unit is not at the end");
    }
    if name.split('_').any(|word| ["counter", "gauge", "histogram", "metric"].contains(&word)) {
        fault("names its own kind");
    }
}

fn judge_labels(name: &str, family: &Family, faults: &mut Vec<String>) {
    let mut keys = BTreeSet::new();
    for (written, labels, _) in &family.samples {
        for (key, value) in labels {
            let is_word = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !key.starts_with('_');
            let is_le = key == "le" && !written.ends_with("_bucket");
            if !is_word || is_le || ["job", "instance"].contains(&key.as_str()) {
                faults.push(format!("{name}: label {key}"));
            }
            if value.is_empty() || value.len() > 128 {
                faults.push(format!("{name}: label {key} is {value:?}"));
            }
        }
        keys.insert(labels.keys().filter(|key| *key != "le").cloned().collect::<Vec<_>>());
    }
    if keys.len() > 1 {
        faults.push(format!("{name}: series with different labels: {keys:?}"));
    }
}

fn judge_histogram(name: &str, family: &Family, faults: &mut Vec<String>) {
    let mut series: BTreeMap<Labels, (Vec<(f64, f64)>, Option<f64>, Option<f64>)> = BTreeMap::new();
    for (written, labels, value) in &family.samples {
        let mut key = labels.clone();
        let bound = key.remove("le");
        let (buckets, sum, count) = series.entry(key).or_default();
        match (bound, written.strip_prefix(name)) {
            (Some(bound), Some("_bucket")) => {
                let bound = if bound == "+Inf" { Some(f64::INFINITY) } else { bound.parse().ok() };
                buckets.push((bound.unwrap_or(f64::NAN), *value));
            }
            (None, Some("_sum")) => *sum = Some(*value),
            (None, Some("_count")) => *count = Some(*value),
            _ => faults.push(format!("{name}: {written}{labels:?}")),
        }
    }
    for (labels, (buckets, sum, count)) in &series {
        let ascend = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        let last = buckets.last().copied();
        if !buckets.windows(2).all(ascend)
            || last.is_none_or(|(bound, value)| bound.is_finite() || Some(value) != *count)
        {
            faults.push(format!("{name}{labels:?}: buckets {buckets:?}, count {count:?}"));
        }
        if sum.is_none_or(|sum| sum < 0.0) {
            faults.push(format!("{name}{labels:?}: no sum"));
        }
    }
}

#[test]
fn what_breaks_the_conventions_is_found() {
    let good = "# HELP portplex_a_seconds How long it took.\n# TYPE portplex_a_seconds histogram\n\
        portplex_a_seconds_sum 3\nportplex_a_seconds_count 2\n\
        portplex_a_seconds_bucket{le=\"1\"} 1\nportplex_a_seconds_bucket{le=\"+Inf\"} 2\n\
        # HELP portplex_b_total How often it was.\n# TYPE portplex_b_total counter\n\
        portplex_b_total{kind=\"a \\\"b\\\" {c}, d\"} 1\n";
    let parsed = Exposition::parse(good);
    assert_eq!(parsed.judged(), Vec::<String>::new());
    assert_eq!(parsed.value("portplex_b_total", &[("kind", "a \"b\" {c}, d")]), Some(1.0));
    assert_eq!(parsed.value("portplex_a_seconds_sum", &[]), Some(3.0));
    for (from, to) in [
        ("+Inf\"} 2", "+Inf\"} 3"),
        ("le=\"1\"} 1", "le=\"1\"} 3"),
        ("# TYPE portplex_b_total counter\n", ""),
        ("# HELP portplex_b_total How often it was.\n", ""),
        ("portplex_b_total", "portplex_b"),
        ("portplex_b_total", "portplex_bTotal_total"),
        ("portplex_b_total", "other_b_total"),
        ("portplex_b_total", "portplex_ns:b_total"),
        ("a_seconds", "a_ms"),
        ("a_seconds", "a_seconds_taken"),
        ("portplex_a_seconds_sum 3\n", ""),
        ("kind=", "le="),
        ("kind=", "Kind="),
        ("{c}, d\"} 1\n", "{c}, d\"} 1\nportplex_b_total{kind=\"a \\\"b\\\" {c}, d\"} 1\n"),
        ("{c}, d\"} 1\n", "{c}, d\"} 1\nportplex_b_total{cause=\"x\"} 1\n"),
        ("{c}, d\"} 1\n", "{c}, d\"} -1\n"),
        (" counter", " gauge"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        assert!(!Exposition::parse(&bad).judged().is_empty(), "{from:?} as {to:?} passes");
    }
}

#[test]
fn a_scrape_keeps_the_format_and_the_conventions_idle_and_at_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    assert_eq!(service.scrape().judged(), Vec::<String>::new());
    let remote = service.remote();
    let (stack, member) = joined(&remote, introduction("A", 1, 30_000), list(1));
    stack.acquire(member, 1, 2).expect("granted");
    stack.acquire(member, 2, 1).expect_err("not so");
    service.facility.checkpoint_now().expect("made");
    service.get("/nowhere", "");
    let scrape = service.scrape();
    assert_eq!(scrape.judged(), Vec::<String>::new());
    let series: usize = scrape.families.values().map(|family| family.samples.len()).sum();
    assert!(series < 500, "{series} series for one list");
    assert!(scrape.families.len() > 60, "{} metrics", scrape.families.len());
}
