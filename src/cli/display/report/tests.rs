//! The reports against each other and against hostile input.

use super::dry_run::Scene;
use super::given::Given;
use super::{conn, portlist, ports, vcrt, vdpt, vipadcfg, vipadyn};
use crate::cli::splitmix;
use crate::profile::sample;
use serde_json::Value;
use std::collections::BTreeMap;

/// A source of numbers that repeats.
struct Random(u64);

impl Random {
    /// From the environment's `PORTPLEX_SEED`, else from `default`; the seed is printed.
    fn seeded(default: u64) -> Self {
        let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        println!("PORTPLEX_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        splitmix::next(&mut self.0) % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

const STACKS: [&str; 3] = ["SYS1.TCPIP", "SYS2.TCPIP", "SYS3.TCPIP"];
const PORTS: [&str; 5] = ["4035", "992", "20", "5000", "23937"];

/// Two DVIPAs, one of them distributed without PORT and with another owner.
fn given() -> Given {
    let second = |statement: &str| {
        format!(
            "\nVIPADYNAMIC {statement}\nVIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.2 DESTIP 192.168.10.2 PREFERRED \
             192.168.10.3 BACKUP 1\nENDVIPADYNAMIC\n"
        )
    };
    let statements =
        ["VIPABACKUP 9 10.1.1.2", "VIPADEFINE MOVEABLE WHENIDLE 255.255.255.0 10.1.1.2", "VIPABACKUP 8 10.1.1.2"];
    let texts: Vec<(&str, String)> = sample()
        .iter()
        .zip(statements)
        .map(|((name, text), statement)| (*name, format!("{text}{}", second(statement))))
        .collect();
    let bytes: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    Given::of(&bytes)
}

/// One event as people might think of it; it may be one that cannot happen.
fn event(random: &mut Random) -> String {
    let stack = random.one(&STACKS);
    let dvipa = random.one(&["10.1.1.1", "10.1.1.2"]);
    let port = random.one(&PORTS);
    let peer = format!("203.0.113.{}:{}", random.below(3), 50_000 + random.below(4));
    match random.below(24) {
        0..=4 => format!("listen {stack} {dvipa} {port} {}", random.below(3)),
        5..=12 => format!("arrive {peer} {dvipa} {port}"),
        13..=14 => format!("connect {stack} {dvipa}:{port} {peer}"),
        15..=18 => format!("close {peer} {dvipa} {port}"),
        19 => format!("quiesce {stack} {port}"),
        20 => format!("load {stack} wlm={}", random.below(9)),
        21 => format!("fail {stack}"),
        22 => format!("join {stack}"),
        _ => format!("wait {}", random.below(40)),
    }
}

/// A random script of events that can happen.
fn script(random: &mut Random, length: usize) -> String {
    let mut run = crate::distributor::DryRun::new(Default::default(), given().stacks).expect("three names");
    let mut text = String::new();
    while text.lines().count() < length {
        let line = event(random);
        let (_, event) = &crate::distributor::parse_script(line.as_bytes()).expect("an event")[0];
        if run.step(event).is_ok() {
            text.push_str(&line);
            text.push('\n');
            run.sysplex().audit().unwrap_or_else(|fault| panic!("{fault}\n{text}"));
        }
    }
    text
}

fn rows<'a>(report: &'a [Value], of: &str) -> Vec<(&'a str, &'a Value)> {
    let stacks = report.iter().map(|stack| (stack["stack"].as_str().expect("a name"), stack[of].as_array()));
    stacks.flat_map(|(stack, rows)| rows.into_iter().flatten().map(move |row| (stack, row))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn key(row: &Value, keys: &[&str]) -> String {
    keys.iter().map(|key| text(&row[key])).collect::<Vec<_>>().join(" ")
}

/// Adds up by key.
fn sums(all: impl Iterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in all.filter(|(_, count)| *count > 0) {
        *sums.entry(key).or_default() += count;
    }
    sums
}

#[test]
fn the_reports_agree_with_each_other_whatever_happens() {
    let mut random = Random::seeded(30);
    let mut seen = [0_usize; 3];
    for _ in 0..50 {
        let script = script(&mut random, 60);
        let scene = Scene::of(given(), Some(script.as_bytes())).expect("a script");
        let (vdpt, vcrt, conn) = (vdpt::json(&scene), vcrt::json(&scene), conn::json(&scene));
        let owner = |dvipa: &Value| {
            let dvipa = text(dvipa).parse().expect("a DVIPA");
            scene.run.sysplex().owner(dvipa).map(ToString::to_string)
        };

        // Every connection that a stack has is in the table of the distributor, and nothing else is.
        let established = rows(&conn, "sockets").into_iter().filter(|(_, row)| row["state"] == "established");
        let has_owner = |row: &&(&str, &Value)| owner(&row.1["local"]).is_some();
        let ends = |(stack, row): &(&str, &Value)| {
            format!("{stack} {}", key(row, &["local", "local_port", "foreign", "foreign_port"]))
        };
        let established: Vec<_> = established.collect();
        let mut of_stacks: Vec<String> = established.iter().filter(has_owner).map(ends).collect();
        let table = rows(&vcrt, "connections");
        let (of_owner, of_others): (Vec<_>, Vec<_>) =
            table.into_iter().partition(|(stack, row)| owner(&row["dvipa"]).as_deref() == Some(stack));
        let routed = |(_, row): &(&str, &Value)| key(row, &["dest", "dvipa", "port", "source", "source_port"]);
        let mut routes: Vec<String> = of_owner.iter().map(routed).collect();
        of_stacks.sort_unstable();
        routes.sort_unstable();
        assert_eq!(of_stacks, routes, "CONN and VCRT of the distributors\n{script}");

        // Every other stack shows exactly its own.
        let is_others = |(stack, row): &&(&str, &Value)| owner(&row["local"]).as_deref() != Some(stack);
        let mut own: Vec<String> = established.iter().filter(is_others).map(ends).collect();
        let mut shown: Vec<String> = of_others.iter().map(routed).collect();
        own.sort_unstable();
        shown.sort_unstable();
        assert_eq!(own, shown, "CONN and VCRT of the targets\n{script}");

        // ActConn counts the table's rows; TotalConn what went there since this owner has the DVIPA.
        let ports = rows(&vdpt, "rows");
        let place = |row: &Value| key(row, &["dest", "dvipa", "port"]);
        let active = sums(ports.iter().map(|(_, row)| (place(row), row["active_conn"].as_u64().expect("a count"))));
        let listed: BTreeMap<String, u64> = ports.iter().map(|(_, row)| (place(row), 0)).collect();
        let counted = sums(of_owner.iter().map(|(_, row)| (place(row), 1)).filter(|(at, _)| listed.contains_key(at)));
        assert_eq!(active, counted, "VDPT ActConn and VCRT\n{script}");
        let total = sums(ports.iter().map(|(_, row)| (place(row), row["total_conn"].as_u64().expect("a count"))));
        let expected = totals(&scene);
        for (at, count) in &total {
            assert!(expected.get(at).is_some_and(|most| count <= most), "TotalConn {at}: {count}\n{script}");
        }

        // Rdy is the number of listeners, and a listener has its row.
        let ready = sums(ports.iter().map(|(_, row)| (place(row), row["ready"].as_u64().expect("a count").min(1))));
        let listening = rows(&conn, "sockets").into_iter().filter(|(_, row)| row["state"] == "listen");
        let listening = listening.filter(|(_, row)| owner(&row["local"]).is_some());
        let listening =
            sums(listening.map(|(stack, row)| (format!("{stack} {}", key(row, &["local", "local_port"])), 1)));
        assert_eq!(ready, listening, "VDPT Rdy and CONN\n{script}");
        seen = [seen[0] + of_owner.len(), seen[1] + of_others.len(), seen[2] + total.len()];
    }
    assert!(seen.iter().all(|count| *count > 50), "the scripts are worth something: {seen:?}");
}

/// What arrived and went to a stack, by stack, DVIPA and port, as the events' outcomes say.
fn totals(scene: &Scene) -> BTreeMap<String, u64> {
    let json = scene.json("", "rows", Vec::new());
    let events = json["events"].as_array().expect("events").iter();
    let arrived = events.filter_map(|told| {
        let event = text(&told["event"]);
        let words: Vec<&str> = event.split(' ').collect();
        let outcome = text(&told["outcome"]);
        let (stack, why) = outcome.split_once(' ')?;
        let is_new = words[0] == "arrive" && stack != "drop" && why != "known";
        is_new.then(|| (format!("{stack} {} {}", words[2], words[3]), 1))
    });
    sums(arrived)
}

#[test]
fn a_script_without_takeover_gives_exact_totals() {
    let mut random = Random::seeded(31);
    let mut count = 0;
    for _ in 0..40 {
        let mut script: String = STACKS.iter().map(|stack| format!("listen {stack} ANY 4035\n")).collect();
        for _ in 0..30 {
            let stack = random.one(&STACKS);
            let line = match random.below(4) {
                0 => format!("connect {stack} 10.1.1.1:{} 203.0.113.9:443", 5_000 + random.below(50)),
                _ => format!("arrive 203.0.113.{}:{} 10.1.1.1 4035", random.below(9), 50_000 + random.below(9)),
            };
            script.push_str(&format!("{line}\n"));
        }
        let scene = Scene::of(given(), Some(script.as_bytes())).expect("a script");
        let rows_of = vdpt::json(&scene);
        let totals_shown = sums(
            rows(&rows_of, "rows")
                .into_iter()
                .map(|(_, row)| (key(row, &["dest", "dvipa", "port"]), row["total_conn"].as_u64().expect("a count"))),
        );
        assert_eq!(totals_shown, totals(&scene), "{script}");
        count += totals_shown.len();
    }
    assert!(count > 100, "{count}");
}

#[test]
fn no_profile_and_no_script_make_a_report_panic() {
    let mut random = Random::seeded(32);
    let words = [
        "VIPADYNAMIC",
        "ENDVIPADYNAMIC",
        "VIPADEFINE",
        "VIPABACKUP",
        "200",
        "MOVEABLE",
        "IMMEDIATE",
        "255.255.255.0",
        "10.1.1.1",
        "VIPADISTRIBUTE",
        "DELETE",
        "SYSPLEXPORTS",
        "DISTMETHOD",
        "HOTSTANDBY",
        "SERVERWLM",
        "PROCXCOST",
        "ZAAP",
        "1",
        "PORT",
        "20-21",
        "1-65535",
        "65535",
        "DESTIP",
        "ALL",
        "192.168.10.1",
        "PREFERRED",
        "BACKUP",
        "VIPARANGE",
        "V6",
        "2001:db8::1/64",
        "2001:db8::1",
        "VIPAROUTE",
        "DEFINE",
        "VIPASMPARMS",
        "SMPORT",
        "IPCONFIG",
        "DYNAMICXCF",
        "IPCONFIG6",
        "PORTRANGE",
        "TCP",
        "RESERVED",
        "UNRSV",
        "*",
        "DENY",
        "GLOBALCONFIG",
        "EXPLICITBINDPORTRANGE",
        "0",
        "\u{e9}",
        ";",
        "\n",
    ];
    for _ in 0..200 {
        let mut text = |length: u64| {
            let words: Vec<&str> = (0..random.below(length)).map(|_| random.one(&words)).collect();
            words.join(" ")
        };
        let (one, two) = (text(200), format!("{}\n{}", sample()[1].1, text(60)));
        let given = Given::of(&[("SYS1.TCPIP", one.as_bytes()), ("B", two.as_bytes())]);
        let script = "listen B ANY 4035\narrive 9.9.9.9:9 10.1.1.1 4035\nfail B\njoin B\n";
        let _ = (ports::shown_in_full(&given), portlist::json(&given), portlist::text(&given));
        let _ = (vipadcfg::json(&given), vipadcfg::text(&given, true));
        let scene = Scene::of(given, Some(script.as_bytes())).expect("10.1.1.1 is there");
        let _ = (vipadyn::text(&scene), vdpt::json(&scene), vdpt::text(&scene, true));
        let _ = (vcrt::json(&scene), vcrt::text(&scene, true), conn::json(&scene), conn::text(&scene));
    }
}

#[test]
fn the_largest_statements_make_a_small_report() {
    let all = "IPCONFIG DYNAMICXCF 192.168.10.1 255.255.255.0 1\nVIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1\n\
               VIPADISTRIBUTE 10.1.1.1 PORT 100 DESTIP ALL\nVIPADISTRIBUTE 10.1.1.1 PORT 1-65535 DESTIP ALL\n";
    let scene = Scene::of(Given::of(&[("S", all.as_bytes())]), None).expect("a sysplex");
    let shown = vdpt::text(&scene, false);
    let dests: Vec<&str> = shown.lines().skip(2).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(dests, ["10.1.1.1..1-99", "10.1.1.1..100", "10.1.1.1..101-65535"]);
}
