//! What a harness believes after reading the lines of `store exercise`, and what it holds against
//! `store dump`. Shares no code with the crate.

use serde_json::Value;
use std::collections::BTreeMap;

/// What is known of one grant.
#[derive(Clone, Debug)]
struct Grant {
    connector: String,
    list: String,
    group: u64,
    /// Acknowledged, and no release of them was asked for.
    certain: u64,
    /// Acknowledged as given back.
    gone: u64,
}

/// An ask without an answer, and what it put in doubt.
#[derive(Debug)]
struct Open {
    kind: String,
    connector: String,
    list: String,
    /// Token and ports that stop being certain until the answer.
    doubts: Vec<(u64, u64)>,
}

/// Ports of one group of one list at one lsn: granted, or no longer held.
#[derive(Debug)]
struct Moment {
    lsn: u64,
    list: String,
    group: u64,
    mask: u64,
    connector: String,
}

/// The lines so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    grants: BTreeMap<u64, Grant>,
    open: BTreeMap<u64, Open>,
    granted: Vec<Moment>,
    ended: Vec<Moment>,
    /// Lsn of the event, list, and up to which lsn it is ready; in the order of the lines.
    ready: Vec<(u64, String, u64)>,
    pub(crate) kinds: BTreeMap<String, u64>,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) readies: u64,
    pub(crate) held_max: usize,
}

impl Told {
    /// Reads one line; a torn last line (killed while writing) is none.
    pub(crate) fn read(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some(kind) = line["ask"].as_str() {
            self.ask(kind, &line);
        } else if line["ok"].is_string() {
            self.okay(&line);
        } else if line["refused"].is_string() {
            self.refused(&line);
        } else if line["ready"].is_u64() {
            assert!(line["ready"].as_u64() < line["lsn"].as_u64(), "{line}");
            self.ready.push((number(&line["lsn"]), list_of(&line), number(&line["ready"])));
            self.readies += 1;
        } else {
            assert!(line["summary"].is_object(), "what is this: {line}");
        }
        self.held_max = self.held_max.max(self.grants.values().filter(|grant| grant.certain != 0).count());
    }

    fn ask(&mut self, kind: &str, line: &Value) {
        let (connector, list) = (text(&line["connector"]), list_of(line));
        let mine = |grant: &Grant| grant.connector == connector;
        let doubts: Vec<(u64, u64)> = match kind {
            "release" => vec![(number(&line["grant"]), mask(&line["mask"]))],
            "leave" => self.every(|grant| mine(grant) && grant.list == list),
            "disconnect" | "clean-up" => self.every(mine),
            _ => Vec::new(),
        };
        let doubts = doubts.into_iter().map(|(lsn, asked)| (lsn, self.doubt(lsn, asked))).collect();
        let open = Open { kind: kind.to_owned(), connector, list, doubts };
        let before = self.open.insert(number(&line["request"]), open);
        assert!(before.is_none(), "a request number was used twice: {line}");
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
    }

    fn okay(&mut self, line: &Value) {
        let open = self.answered(line, "ok");
        for (lsn, mask) in open.doubts {
            if let Some(grant) = self.grants.get_mut(&lsn) {
                grant.gone |= mask;
                let (list, group, connector) = (grant.list.clone(), grant.group, grant.connector.clone());
                self.ended.push(Moment { lsn: number(&line["lsn"]), list, group, mask, connector });
            }
        }
        for granted in line["grants"].as_array().into_iter().flatten() {
            let (connector, list) = (open.connector.clone(), open.list.clone());
            let (lsn, group, certain) = (number(&granted["lsn"]), number(&granted["group"]), mask(&granted["mask"]));
            let moment = Moment { lsn, list: list.clone(), group, mask: certain, connector: connector.clone() };
            self.granted.push(moment);
            let grant = Grant { connector, list, group, certain, gone: 0 };
            let before = self.grants.insert(lsn, grant);
            assert!(before.is_none(), "an lsn was granted twice: {line}");
        }
        if open.kind == "attach" {
            let holds = line["holds"].as_array().expect("an attach tells what is held");
            self.agree(&open.connector, holds.iter().map(|held| (number(&held["lsn"]), mask(&held["mask"]))));
        }
    }

    fn refused(&mut self, line: &Value) {
        let open = self.answered(line, "refused");
        for (lsn, ports) in open.doubts {
            if let Some(grant) = self.grants.get_mut(&lsn) {
                grant.certain |= ports;
            }
        }
        *self.refusals.entry(text(&line["why"])).or_default() += 1;
    }

    fn answered(&mut self, line: &Value, answer: &str) -> Open {
        let open = self.open.remove(&number(&line["request"])).unwrap_or_else(|| panic!("never asked: {line}"));
        assert_eq!(text(&line[answer]), open.kind, "{line}");
        open
    }

    /// What an attach lists is what was told: nothing certain missing, nothing given back there.
    fn agree(&self, connector: &str, holds: impl Iterator<Item = (u64, u64)>) {
        let holds: BTreeMap<u64, u64> = holds.collect();
        for (lsn, grant) in self.grants.iter().filter(|(_, grant)| grant.connector == connector) {
            let held = holds.get(lsn).copied().unwrap_or(0);
            assert_eq!(grant.certain & !held, 0, "attach of {connector} lost ports of grant {lsn}");
            assert_eq!(grant.gone & held, 0, "attach of {connector} revived ports of grant {lsn}");
        }
    }

    fn every(&self, which: impl Fn(&Grant) -> bool) -> Vec<(u64, u64)> {
        self.grants.iter().filter(|(_, grant)| which(grant)).map(|(lsn, grant)| (*lsn, grant.certain)).collect()
    }

    fn doubt(&mut self, lsn: u64, asked: u64) -> u64 {
        let Some(grant) = self.grants.get_mut(&lsn) else { return 0 };
        let ports = grant.certain & asked;
        grant.certain &= !ports;
        ports
    }

    /// Holds everything told against a dump, then believes the dump: what was in doubt is settled.
    pub(crate) fn compare(&mut self, dump: &str) {
        let rows: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let grants: BTreeMap<u64, &Value> =
            rows.iter().filter(|row| row["kind"] == "grant").map(|row| (number(&row["lsn"]), row)).collect();
        for (lsn, told) in &self.grants {
            let held = grants.get(lsn).map_or(0, |row| mask(&row["mask"]));
            assert_eq!(told.certain & !held, 0, "acknowledged and lost: grant {lsn}, {told:?}");
            assert_eq!(told.gone & held, 0, "given back and still held: grant {lsn}, {told:?}");
            if let Some(row) = grants.get(lsn) {
                let same = (text(&row["connector"]), list_of(row), number(&row["group"]));
                assert_eq!(same, (told.connector.clone(), told.list.clone(), told.group), "grant {lsn}");
            }
        }
        nothing_is_held_twice(&rows);
        self.every_hold_was_followed_by_quarantine();
        let quarantined = rows.iter().filter(|row| row["kind"] == "quarantine");
        self.ended = quarantined
            .map(|row| Moment {
                lsn: number(&row["lsn"]),
                list: list_of(row),
                group: number(&row["group"]),
                mask: mask(&row["mask"]),
                connector: text(&row["connector"]),
            })
            .collect();
        (self.granted, self.ready) = (Vec::new(), Vec::new());
        self.open.clear();
        self.grants = grants
            .into_iter()
            .map(|(lsn, row)| {
                let (connector, list, group) = (text(&row["connector"]), list_of(row), number(&row["group"]));
                (lsn, Grant { connector, list, group, certain: mask(&row["mask"]), gone: 0 })
            })
            .collect();
    }
}

impl Told {
    /// Nobody else is granted a port before it was told ready. Lines of other threads may come late,
    /// and a kill may swallow the last: only what came before a later `ready` is judged.
    fn every_hold_was_followed_by_quarantine(&self) {
        assert!(self.ready.is_sorted_by_key(|(lsn, _, _)| *lsn), "ready lines come in order");
        let judged = self.ready.last().map_or(0, |(lsn, _, _)| *lsn);
        for granted in self.granted.iter().filter(|granted| granted.lsn < judged) {
            for ended in self.ended.iter().filter(|ended| {
                ended.lsn < granted.lsn
                    && (&ended.list, ended.group) == (&granted.list, granted.group)
                    && ended.mask & granted.mask != 0
                    && ended.connector != granted.connector
            }) {
                let is_ready = self
                    .ready
                    .iter()
                    .any(|(lsn, list, up_to)| *lsn < granted.lsn && *list == granted.list && *up_to >= ended.lsn);
                assert!(is_ready, "{granted:?} before the quarantine of {ended:?} was over");
            }
        }
    }
}

/// Of one list, and of the explicit-bind pool and every list of its transport.
fn nothing_is_held_twice(rows: &[Value]) {
    let mut used: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let mut pool: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let mut lists: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == "grant" || row["kind"] == "quarantine") {
        let (group, ports) = (number(&row["group"]), mask(&row["mask"]));
        let before = used.entry((list_of(row), group)).or_default();
        assert_eq!(*before & ports, 0, "held twice: {row}");
        *before |= ports;
        let of_transport = if row["dvipa"] == "ANY" { &mut pool } else { &mut lists };
        *of_transport.entry((text(&row["transport"]), group)).or_default() |= ports;
    }
    for (place, ports) in &pool {
        let both = ports & lists.get(place).copied().unwrap_or(0);
        assert_eq!(both, 0, "in the pool and in a list at once: {place:?}");
    }
}

fn list_of(line: &Value) -> String {
    format!("{}/{}", text(&line["dvipa"]), text(&line["transport"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn mask(value: &Value) -> u64 {
    let text = value.as_str().expect("a mask is text");
    assert_eq!(text.len(), 18, "16 hex digits: {text}");
    u64::from_str_radix(text.strip_prefix("0x").expect("hex"), 16).expect("hex digits")
}

#[test]
fn a_lost_grant_a_revived_one_and_a_double_one_are_found() {
    let told = |lines: &[&str]| {
        let mut told = Told::default();
        lines.iter().for_each(|line| told.read(line));
        told
    };
    let acquire = [
        r#"{"ask":"acquire","request":1,"connector":"A","incarnation":1,"transport":"tcp","dvipa":"10.1.1.1","groups":1}"#,
        r#"{"ok":"acquire","request":1,"lsn":5,"grants":[{"lsn":5,"group":7,"mask":"0x00000000000000ff"}]}"#,
    ];
    let release = [
        r#"{"ask":"release","request":2,"connector":"A","transport":"tcp","dvipa":"10.1.1.1","grant":5,"mask":"0x0000000000000001"}"#,
        r#"{"ok":"release","request":2,"lsn":6}"#,
    ];
    let row = |kind: &str, mask: &str| {
        format!(
            r#"{{"kind":"{kind}","lsn":5,"transport":"tcp","dvipa":"10.1.1.1","group":7,"mask":"0x{mask}","connector":"A"}}"#
        )
    };
    let whole = row("grant", "00000000000000ff");
    let fails = |mut told: Told, dump: String| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| told.compare(&dump))).is_err()
    };
    assert!(!fails(told(&acquire), whole.clone()));
    assert!(fails(told(&acquire), String::new()), "lost");
    assert!(!fails(told(&acquire[..1]), String::new()), "asked only");
    assert!(!fails(told(&acquire[..1]), whole.clone()), "asked only");
    let both = [acquire, release].concat();
    assert!(fails(told(&both), whole.clone()), "revived");
    assert!(!fails(told(&both), row("grant", "00000000000000fe")));
    assert!(!fails(told(&both[..3]), row("grant", "00000000000000fe")), "in doubt");
    assert!(fails(told(&both[..3]), row("grant", "00000000000000f0")), "more is gone than was asked");
    assert!(fails(told(&acquire), [whole, row("quarantine", "0000000000000080")].join("\n")), "twice");
}

#[test]
fn a_port_that_another_stack_gets_before_its_quarantine_is_over_is_found() {
    let grant = |connector: &str, request: u64, lsn: u64| {
        [
            format!(
                r#"{{"ask":"acquire","request":{request},"connector":"{connector}","transport":"tcp","dvipa":"10.1.1.1","groups":1}}"#
            ),
            format!(
                r#"{{"ok":"acquire","request":{request},"lsn":{lsn},"grants":[{{"lsn":{lsn},"group":7,"mask":"0x0000000000000001"}}]}}"#
            ),
        ]
    };
    let release = [
        r#"{"ask":"release","request":2,"connector":"A","transport":"tcp","dvipa":"10.1.1.1","grant":5,"mask":"0x0000000000000001"}"#,
        r#"{"ok":"release","request":2,"lsn":6}"#,
    ]
    .map(str::to_owned);
    let ready =
        |up_to: u64, lsn: u64| [format!(r#"{{"ready":{up_to},"transport":"tcp","dvipa":"10.1.1.1","lsn":{lsn}}}"#)];
    let fails = |connector: &str, readies: [(u64, u64); 2]| {
        let mut told = Told::default();
        let lines = [&grant("A", 1, 5)[..], &release, &grant(connector, 3, 8)];
        lines.concat().iter().for_each(|line| told.read(line));
        readies.iter().flat_map(|(up_to, lsn)| ready(*up_to, *lsn)).for_each(|line| told.read(&line));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| told.every_hold_was_followed_by_quarantine())).is_err()
    };
    assert!(!fails("B", [(6, 7), (6, 9)]));
    assert!(fails("B", [(5, 7), (6, 9)]), "ready too late");
    assert!(!fails("A", [(5, 7), (6, 9)]), "its own ports may be taken back at once");
}
