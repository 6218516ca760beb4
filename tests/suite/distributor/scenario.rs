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

use super::{dvipa, name, profile};
use portplex::distributor::{Claim, Decision, Flow, JobName, Load, Move, NoListener, Options, Rule, Scope};
use portplex::distributor::{Server, Syn, Sysplex, SysplexError};
use portplex::ident::{BootMs, ConnectorName, Dvipa};
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
                scene.now = BootMs((at.parse::<f64>().expect(&place) * 1_000.0).round() as u64);
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
    sysplex: Option<Sysplex>,
    now: BootMs,
    clients: BTreeMap<String, u8>,
    ports: BTreeMap<String, u16>,
    crowd: u32,
    loads: BTreeMap<(String, Option<u16>), Load>,
}

impl Scene {
    fn start(&mut self) {
        if self.sysplex.is_none() {
            self.sysplex = Some(Sysplex::new(self.options));
            for (stack, _) in self.cast.clone() {
                self.join(&stack).expect("it is not there");
            }
        }
    }

    fn sysplex(&mut self) -> &mut Sysplex {
        self.sysplex.as_mut().expect("the scenario has started")
    }

    /// A stack joins with the profile that its line stands for.
    fn join(&mut self, stack: &str) -> Result<String, SysplexError> {
        let (_, line) = self.cast.iter().find(|(of, _)| of == stack).expect("the stack has a line").clone();
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
        let text = format!("VIPADYNAMIC\n  {statement}\n{}ENDVIPADYNAMIC\n", rules.collect::<String>());
        let profile = profile(&text);
        let claims = profile.dvipas.iter().map(|definition| (definition.dvipa, Claim::from(definition))).collect();
        let (now, xcf) = (self.now, words[0].parse::<IpAddr>().into_iter().collect());
        self.sysplex().join_with(now, name(stack), xcf, claims).map(|moves| told(&moves))
    }

    /// One step; `None` if it is none.
    fn step(&mut self, who: &str, does: &str, words: &[&str]) -> Option<String> {
        let now = self.now;
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u16>().ok());
        let done = |result: Result<(), SysplexError>| match result {
            Ok(()) => Some(String::new()),
            Err(error) => panic!("{who} {does}: {error}"),
        };
        match does {
            "connects" => {
                let syn = Syn { flow: self.flow(who, number(0)?), from: self.behind(words, "from") };
                self.ports.insert(who.to_owned(), syn.flow.port);
                Some(self.sysplex().arrive(now, &syn).to_string())
            }
            "connect" => Some(self.crowd(who.parse().ok()?, number(0)?)),
            "sends" => {
                let (flow, holder) = (self.flow(who, number(0)?), self.behind(words, "held"));
                Some(self.sysplex().packet(&flow, holder.as_ref()).to_string())
            }
            "leaves" => {
                let port = *self.ports.get(who)?;
                let flow = self.flow(who, port);
                Some(self.sysplex().close(now, flow).map(|moved| told(&[(dvipa(), moved)])).unwrap_or_default())
            }
            "opens" => {
                let port = number(0)?;
                self.ports.insert(words[2].to_owned(), port);
                let flow = self.flow(words[2], port);
                Some(match self.sysplex().connect(now, &name(who), flow) {
                    Ok(()) => "ok".to_owned(),
                    Err(SysplexError::Collision(collision)) => format!("collision {}", collision.holder),
                    Err(error) => panic!("{error}"),
                })
            }
            "listens" | "stops" => {
                let ready = if does == "stops" { 0 } else { number(1).unwrap_or(1) };
                let server = Server { port: number(0)?, job: job(words) };
                done(self.sysplex().listen(now, &name(who), dvipa(), server, ready))
            }
            "quiesces" | "resumes" => {
                let scope = match (number(0), job(words)) {
                    (None, None) => Scope::Target,
                    (Some(port), None) => Scope::Port(port),
                    (Some(port), Some(job)) => Scope::PortOfJob(port, job),
                    (None, Some(job)) => Scope::Job(job),
                };
                done(self.sysplex().set_quiesced(now, &name(who), &scope, does == "quiesces"))
            }
            "deactivates" => Some(moved(self.sysplex().deactivate(now, &name(who), dvipa()))),
            "reactivates" => Some(moved(self.sysplex().reactivate(now, &name(who), dvipa()))),
            "weighs" | "health" => {
                let (value, port) = (u8::try_from(number(0)?).ok()?, number(2));
                let load = self.loads.entry((who.to_owned(), port)).or_default();
                if does == "weighs" {
                    load.weight = Some(value)
                } else {
                    load.health_percent = value
                }
                let load = *load;
                done(self.sysplex().set_load(&name(who), port.map(|port| (dvipa(), port)), load))
            }
            "fails" => {
                self.loads.retain(|(of, _), _| of != who);
                Some(told(&self.sysplex().leave(now, &name(who)).expect("it is there")))
            }
            "obeys" => {
                let claim = if who == "SYS1" { "VIPADEFINE" } else { "VIPABACKUP 100" };
                let rule = if words.is_empty() { String::new() } else { format!("VIPADISTRIBUTE {}", words.join(" ")) };
                let text =
                    format!("VIPADYNAMIC {claim} MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1\n{rule}\nENDVIPADYNAMIC\n");
                Some(told(&self.sysplex().obey(now, &name(who), &profile(&text)).expect("it is there")))
            }
            "surrenders" => {
                Some(told(&self.sysplex().obey(now, &name(who), &Profile::default()).expect("it is there")))
            }
            "joins" => Some(self.join(who).expect("it is not there")),
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
            let syn = Syn { flow: Flow { peer, dvipa: dvipa(), port }, from: None };
            let now = self.now;
            let decision = self.sysplex().arrive(now, &syn);
            let to = match &decision {
                Decision::Forward { stack, .. } => stack.to_string(),
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

/// The job that a step names.
fn job(words: &[&str]) -> Option<JobName> {
    let at = words.iter().position(|word| *word == "job")?;
    Some(JobName::new(words[at + 1]).expect("a job name"))
}

/// What DEACTIVATE or REACTIVATE came to.
fn moved(result: Result<Option<Move>, SysplexError>) -> String {
    match result {
        Ok(moved) => moved.map(|moved| told(&[(dvipa(), moved)])).unwrap_or_default(),
        Err(SysplexError::NotConfigured { .. }) => "not-configured".to_owned(),
        Err(SysplexError::Deactivated { .. }) => "deactivated-already".to_owned(),
        Err(SysplexError::NotDeactivated { .. }) => "not-deactivated".to_owned(),
        Err(error) => panic!("{error}"),
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
