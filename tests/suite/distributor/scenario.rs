//! Scenarios as aligned text: a sysplex, then steps, each with what is expected.
//!
//! ```text
//! = title                             a new sysplex; the lines below it set it up
//! stack NAME XCF define|backup N|target [whenidle] [creates] [bare]
//! rule  OPTIONS 10.1.1.1 PORT … DESTIP …    a VIPADISTRIBUTE of every stack that is not bare
//! reset                               no listener: reset instead of drop
//! probe N                             every Nth connection probes a target of health 0
//!
//! at  who     does                    expected
//!  0  SYS1    listens 80 [2]
//!  1  ann.1   connects 80 [from SYS2] -> SYS1 roundrobin
//!  1  ann.1   sends 80 [held SYS2]    -> SYS1 known
//!  2  ann.1   leaves
//!  2  16      connect 80              -> SYS1 8 SYS2 8
//!  3  SYS2    opens 5000 to eve.1     -> ok
//!  3  SYS1    weighs 8 [on 80]
//!  3  SYS1    health 50 [on 80]
//!  3  SYS1    quiesces [80] [job RSED]         resumes [80] [job RSED]
//!  3  SYS1    listens 80 job RSED              stops 80 [job RSED]
//!  4  SYS1    deactivates             -> over SYS2      VARY TCPIP,,SYSPLEX,DEACTIVATE
//!  4  SYS1    reactivates             -> back SYS1
//!  4  SYS1    obeys OPTIONS 10.1.1.1 PORT … DESTIP …    its only VIPADISTRIBUTE from now on
//!  4  SYS1    surrenders              -> over SYS2      VIPADELETE
//!  4  SYS1    fails                   -> over SYS2
//!  5  SYS1    joins                   -> back SYS1
//!  5  SYS2    is                      -> moving
//!  5  SYS2    has 80                  -> 3
//! ```
//!
//! Time is in seconds. `ann.1` and `ann.2` are two connections of one client; `connect` with a number
//! is that many new clients, counted by stack. Stacks join at second 0, in order. After every step
//! the books are audited.
//!
//! Each step that is an event is one of a script, `distributor::script`, and happens in a dry run.

use super::{dvipa, name, profile};
use portplex::distributor::{
    Decision, DryRun, Flow, Move, NoListener, Options, Outcome, Rule, ScriptFault, Sysplex, SysplexError, parse_script,
};
use portplex::ident::{ConnectorName, Dvipa};
use portplex::profile::Profile;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Runs every scenario of a file; returns how many steps that were.
pub(super) fn run(file: &str, text: &str) -> usize {
    let (mut scene, mut steps) = (Scene::default(), 0);
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().expect("there is a first").trim();
        let place = format!("{file}:{}: {line}", number + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] | ["at", ..] => {}
            ["=", ..] => scene = Scene::default(),
            ["stack", stack, ref rest @ ..] => scene.cast.push((stack.to_owned(), rest.join(" "))),
            ["rule", ..] => scene.rules.push(line["rule".len()..].trim().to_owned()),
            ["probe", every] => scene.options.probe_every = every.parse().expect(&place),
            ["reset"] => scene.options.no_listener = NoListener::Reset,
            [at, who, does, ..] => {
                let (step, expected) = line.split_once("->").unwrap_or((line, ""));
                scene.start();
                scene.wait_until((at.parse::<f64>().expect(&place) * 1_000.0).round() as u64);
                let words: Vec<&str> = step.split_whitespace().skip(3).collect();
                let got = scene.step(who, does, &words).unwrap_or_else(|| panic!("{place}: not a step"));
                assert_eq!(got, expected.split_whitespace().collect::<Vec<_>>().join(" "), "\n{place}");
                scene.sysplex().audit().unwrap_or_else(|fault| panic!("{place}: {fault}"));
                steps += 1;
            }
            _ => panic!("{place}: not a step"),
        }
    }
    steps
}

#[derive(Default)]
struct Scene {
    cast: Vec<(String, String)>,
    rules: Vec<String>,
    options: Options,
    run: Option<DryRun>,
    now_ms: u64,
    clients: BTreeMap<String, u8>,
    ports: BTreeMap<String, u16>,
    crowd: u32,
}

impl Scene {
    fn start(&mut self) {
        if self.run.is_none() {
            let profiles = self.cast.iter().map(|(stack, line)| (name(stack), self.profile_of(line)));
            self.run = Some(DryRun::new(self.options, profiles.collect()).expect("each has its own name"));
        }
    }

    fn run(&mut self) -> &mut DryRun {
        self.run.as_mut().expect("the scenario has started")
    }

    fn sysplex(&mut self) -> &Sysplex {
        self.run().sysplex()
    }

    fn wait_until(&mut self, ms: u64) {
        let passed = ms.checked_sub(self.now_ms).expect("time does not run backwards");
        self.now_ms = ms;
        self.event(&format!("wait {}.{:03}", passed / 1_000, passed % 1_000));
    }

    /// The profile that a stack's line stands for.
    fn profile_of(&self, line: &str) -> Profile {
        let words: Vec<&str> = line.split_whitespace().collect();
        let has = |word: &str| words.contains(&word);
        let moveable = if has("whenidle") { "WHENIDLE" } else { "IMMEDIATE" };
        let statement = match words[1] {
            "define" => format!("VIPADEFINE MOVEABLE {moveable} 255.255.255.0 10.1.1.1"),
            "backup" if has("creates") => format!("VIPABACKUP {} MOVEABLE {moveable} 255.255.255.0 10.1.1.1", words[2]),
            "backup" => format!("VIPABACKUP {} 10.1.1.1", words[2]),
            _ => String::new(),
        };
        let is_bare = has("bare") || statement.is_empty();
        let rules = self.rules.iter().filter(|_| !is_bare).map(|rule| format!("  VIPADISTRIBUTE {rule}\n"));
        let xcf = match words[0].parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("IPCONFIG DYNAMICXCF {address} 255.255.255.0 1\n"),
            Ok(IpAddr::V6(address)) => format!("IPCONFIG6 DYNAMICXCF {address}\n"),
            Err(_) => String::new(),
        };
        profile(&format!("{xcf}VIPADYNAMIC\n  {statement}\n{}ENDVIPADYNAMIC\n", rules.collect::<String>()))
    }

    /// One event of a script, which must be possible.
    fn event(&mut self, line: &str) -> Outcome {
        self.try_event(line).unwrap_or_else(|fault| panic!("{line}: {fault}"))
    }

    fn try_event(&mut self, line: &str) -> Result<Outcome, ScriptFault> {
        let events = parse_script(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.run().step(&events[0].1)
    }

    /// One step; `None` if it is none.
    fn step(&mut self, who: &str, does: &str, words: &[&str]) -> Option<String> {
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u16>().ok());
        let port = |at: usize| number(at).map(|port| format!(" 10.1.1.1 {port}")).unwrap_or_else(|| " 10.1.1.1".into());
        let event = match does {
            "connects" => {
                let flow = self.flow(who, number(0)?);
                self.ports.insert(who.to_owned(), flow.port);
                let from = self.behind(words, "from").map(|stack| format!(" from {stack}")).unwrap_or_default();
                format!("arrive {} 10.1.1.1:{}{from}", flow.peer, flow.port)
            }
            "leaves" => {
                let port = *self.ports.get(who)?;
                format!("close {} 10.1.1.1:{port}", self.flow(who, port).peer)
            }
            "opens" => {
                let port = number(0)?;
                self.ports.insert(words[2].to_owned(), port);
                format!("connect {who} 10.1.1.1:{port} {}", self.flow(words[2], port).peer)
            }
            "listens" => format!("listen {who} 10.1.1.1 {}", words.join(" ")),
            "stops" => format!("stop {who} 10.1.1.1 {}", words.join(" ")),
            "quiesces" => format!("quiesce {who} {}", words.join(" ")),
            "resumes" => format!("resume {who} {}", words.join(" ")),
            "deactivates" | "reactivates" => {
                let event = format!("{} {who} 10.1.1.1", does.trim_end_matches('s'));
                return Some(match self.try_event(&event) {
                    Ok(outcome) => said(&outcome),
                    Err(ScriptFault::Refused { error }) => refused(&error).to_owned(),
                    Err(fault) => panic!("{event}: {fault}"),
                });
            }
            "weighs" | "health" => {
                let what = if does == "weighs" { "wlm" } else { "health" };
                let server = number(2).map(|_| port(2)).unwrap_or_default();
                format!("load {who} {what}={}{server}", number(0)?)
            }
            "fails" => format!("fail {who}"),
            "joins" => format!("join {who}"),
            _ => return self.other(who, does, words),
        };
        Some(said(&self.event(&event)))
    }

    /// A step that is no event of a script; `None` if it is none at all.
    fn other(&mut self, who: &str, does: &str, words: &[&str]) -> Option<String> {
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u16>().ok());
        match does {
            "connect" => Some(self.crowd(who.parse().ok()?, number(0)?)),
            "sends" => {
                let (flow, holder) = (self.flow(who, number(0)?), self.behind(words, "held"));
                Some(self.sysplex().packet(&flow, holder.as_ref()).to_string())
            }
            "obeys" => {
                let claim = if who == "SYS1" { "VIPADEFINE" } else { "VIPABACKUP 100" };
                let rule = if words.is_empty() { String::new() } else { format!("VIPADISTRIBUTE {}", words.join(" ")) };
                let text =
                    format!("VIPADYNAMIC {claim} MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1\n{rule}\nENDVIPADYNAMIC\n");
                Some(said(&self.run().obey(&name(who), &profile(&text)).expect("it is there")))
            }
            "surrenders" => Some(said(&self.run().obey(&name(who), &Profile::default()).expect("it is there"))),
            "is" => {
                let standings = self.sysplex().standings(dvipa());
                let standing = standings.iter().find(|standing| standing.stack.as_str() == who);
                let status = standing.and_then(|standing| standing.status);
                Some(status.map_or("nothing".to_owned(), |status| status.to_string().to_lowercase()))
            }
            "has" => {
                let distributor = self.sysplex().distributor(dvipa())?;
                Some(distributor.active(number(0)?, &name(who)).to_string())
            }
            _ => None,
        }
    }

    /// Many new clients connect; who got how many.
    fn crowd(&mut self, count: u32, port: u16) -> String {
        let mut shares: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..count {
            self.crowd += 1;
            let peer = SocketAddr::new(Ipv4Addr::from(0xc612_0000 + self.crowd).into(), 40_000);
            let to = match self.event(&format!("arrive {peer} 10.1.1.1:{port}")) {
                Outcome::Routed(Decision::Forward { stack, .. }) => stack.to_string(),
                other => other.to_string(),
            };
            *shares.entry(to).or_default() += 1;
        }
        shares.iter().map(|(to, count)| format!("{to} {count}")).collect::<Vec<_>>().join(" ")
    }

    /// `ann.2` is the second connection of the client ann.
    fn flow(&mut self, connection: &str, port: u16) -> Flow {
        let (client, number) = connection.split_once('.').unwrap_or((connection, "0"));
        let next = u8::try_from(self.clients.len() + 1).expect("few clients");
        let client = *self.clients.entry(client.to_owned()).or_insert(next);
        let address = IpAddr::from([203, 0, 113, client]);
        Flow { peer: SocketAddr::new(address, 50_000 + number.parse::<u16>().expect("a number")), dvipa: dvipa(), port }
    }

    fn behind(&self, words: &[&str], word: &str) -> Option<ConnectorName> {
        let at = words.iter().position(|found| *found == word)?;
        Some(name(words[at + 1]))
    }
}

/// Why the operator could not say that, in a table's short words.
fn refused(error: &SysplexError) -> &'static str {
    match error {
        SysplexError::NotConfigured { .. } => "not-configured",
        SysplexError::Deactivated { .. } => "deactivated-already",
        SysplexError::NotDeactivated { .. } => "not-deactivated",
        _ => panic!("{error}"),
    }
}

/// An outcome in a table's short words.
fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Connected => "ok".to_owned(),
        Outcome::Moved(moves) => told(moves),
        other => other.to_string(),
    }
}

fn told(moves: &[(Dvipa, Move)]) -> String {
    let tell = |(_, moved): &(Dvipa, Move)| match moved {
        Move::Created { by } => format!("created {by}"),
        Move::TakenOver { by, .. } => format!("over {by}"),
        Move::TakenBack { by, .. } => format!("back {by}"),
        Move::Waits { by } => format!("waits {by}"),
        Move::Lost { from } => format!("lost {from}"),
    };
    moves.iter().map(tell).collect::<Vec<_>>().join(" ")
}

/// The rules that a text parses to, for tests that build their own sysplex.
pub(super) fn rules(text: &str) -> Vec<Rule> {
    let profile = profile(&format!(
        "VIPADYNAMIC VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1\nVIPADISTRIBUTE {text}\nENDVIPADYNAMIC\n"
    ));
    profile.dvipas[0].distributions.iter().map(Rule::from).collect()
}
