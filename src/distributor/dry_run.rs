//! A sysplex of profiles in which the events of a script happen.
//!
//! It starts with every given stack joined, in the order given, and no program listening. Nothing
//! outside is touched.
#![forbid(unsafe_code)]

use super::decision::Decision;
use super::decision::Flow;
use super::decision::Syn;
use super::error::SysplexError;
use super::event::{Event, ScriptFault};
use super::learn::Collision;
use super::owner::Options;
use super::rule::Load;
use super::succession::Move;
use super::sysplex::Sysplex;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::profile::Profile;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

/// Most sockets and DVIPAs that the events of one dry run may concern, all in all: an event for every
/// DVIPA concerns each of them, and a stack that goes or comes every socket too.
pub const EFFECTS_MAX: usize = 1 << 20;

/// A sysplex, its stacks' profiles, and the time since it began.
#[derive(Clone, Debug)]
pub struct DryRun {
    sysplex: Sysplex,
    now: BootMs,
    profiles: Vec<(ConnectorName, Profile)>,
    dvipas: BTreeSet<Dvipa>,
    joined: BTreeSet<ConnectorName>,
    loads: BTreeMap<(ConnectorName, Option<(Dvipa, u16)>), Load>,
    sockets: BTreeMap<ConnectorName, Sockets>,
    /// What the events so far concerned.
    effects: usize,
}

/// A stack's sockets and their numbers.
#[derive(Clone, Debug, Default)]
struct Sockets {
    numbers: BTreeMap<Socket, u32>,
    last: u32,
}

/// A local DVIPA and port, and the other side of a connection; none for a listener.
type Socket = (Dvipa, u16, Option<SocketAddr>);

/// What came of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so, and there is no more to say.
    Done,
    /// A connection request went there, or nowhere.
    Routed(Decision),
    /// A stack opened a connection.
    Connected,
    /// It could not: another stack has the same 4-tuple.
    Collision(Collision),
    /// DVIPAs changed hands, or will.
    Moved(Vec<(Dvipa, Move)>),
}

impl DryRun {
    /// All stacks joined, in the order given.
    ///
    /// # Errors
    /// [`SysplexError::AlreadyJoined`] if two have one name.
    pub fn new(options: Options, profiles: Vec<(ConnectorName, Profile)>) -> Result<Self, SysplexError> {
        let mut sysplex = Sysplex::new(options);
        for (stack, profile) in &profiles {
            sysplex.join(BootMs(0), stack.clone(), profile)?;
        }
        let dvipas = profiles.iter().flat_map(|(_, profile)| profile.dvipas.iter().map(|definition| definition.dvipa));
        Ok(Self {
            now: BootMs(0),
            dvipas: dvipas.collect(),
            joined: profiles.iter().map(|(stack, _)| stack.clone()).collect(),
            loads: BTreeMap::new(),
            sockets: BTreeMap::new(),
            effects: 0,
            sysplex,
            profiles,
        })
    }

    /// One event happens.
    ///
    /// # Errors
    /// [`ScriptFault`] if it cannot: it names a stack or DVIPA that is not there, a stack that is
    /// gone or there already, or a connection that nobody has; or if the events concern more than
    /// [`EFFECTS_MAX`]. Nothing has changed then.
    pub fn step(&mut self, event: &Event) -> Result<Outcome, ScriptFault> {
        let now = self.now;
        self.effects = self.effects.saturating_add(self.effects_of(event));
        if self.effects > EFFECTS_MAX {
            return Err(ScriptFault::TooMuch);
        }
        match event {
            Event::Listen { stack, dvipa, server, ready } => {
                self.must_be_there(stack)?;
                for dvipa in self.meant(*dvipa)? {
                    self.sysplex.listen(now, stack, dvipa, server.clone(), *ready).map_err(fault)?;
                    // Another job may go on listening on the port.
                    match self.sysplex.books(stack, dvipa).map_or(0, |books| books.ready(server.port)) {
                        0 => self.forget(stack, (dvipa, server.port, None)),
                        _ => self.number(stack, (dvipa, server.port, None)),
                    }
                }
                Ok(Outcome::Done)
            }
            Event::Arrive { flow, from } => {
                self.must_be_there_if(from.as_ref())?;
                self.meant(Some(flow.dvipa))?;
                let decision = self.sysplex.arrive(now, &Syn { flow: *flow, from: from.clone() });
                if let Some(stack) = decision.stack() {
                    self.number(stack, socket(flow));
                }
                Ok(Outcome::Routed(decision))
            }
            Event::Connect { stack, flow } => {
                self.must_be_there(stack)?;
                self.meant(Some(flow.dvipa))?;
                match self.sysplex.connect(now, stack, *flow) {
                    Ok(()) => {
                        self.number(stack, socket(flow));
                        Ok(Outcome::Connected)
                    }
                    Err(SysplexError::Collision(collision)) => Ok(Outcome::Collision(collision)),
                    Err(error) => Err(fault(error)),
                }
            }
            Event::Close { flow } => {
                let has =
                    |name: &&ConnectorName| self.sysplex.books(name, flow.dvipa).is_some_and(|books| books.has(flow));
                let holder = self.joined.iter().find(has).cloned();
                let stack = holder.ok_or(ScriptFault::NoConnection { flow: *flow })?;
                self.forget(&stack, socket(flow));
                let moved = self.sysplex.close(now, *flow);
                Ok(moved.map_or(Outcome::Done, |moved| Outcome::Moved(vec![(flow.dvipa, moved)])))
            }
            Event::Quiesce { stack, scope, quiesced } => {
                self.must_be_there(stack)?;
                self.sysplex.set_quiesced(now, stack, scope, *quiesced).map_err(fault)?;
                Ok(Outcome::Done)
            }
            Event::Deactivate { stack, dvipa } | Event::Reactivate { stack, dvipa } => {
                self.must_be_there(stack)?;
                self.meant(Some(*dvipa))?;
                let moved = match event {
                    Event::Deactivate { .. } => self.sysplex.deactivate(now, stack, *dvipa),
                    _ => self.sysplex.reactivate(now, stack, *dvipa),
                };
                let moved = moved.map_err(fault)?;
                Ok(moved.map_or(Outcome::Done, |moved| Outcome::Moved(vec![(*dvipa, moved)])))
            }
            Event::Load { stack, server, weight, health_percent } => {
                self.must_be_there(stack)?;
                if let Some((dvipa, _)) = server {
                    self.meant(Some(*dvipa))?;
                }
                let load = self.loads.entry((stack.clone(), *server)).or_default();
                load.weight = weight.or(load.weight);
                load.health_percent = health_percent.unwrap_or(load.health_percent);
                self.sysplex.set_load(stack, *server, *load).map_err(fault)?;
                Ok(Outcome::Done)
            }
            Event::Fail { stack } => {
                self.must_be_there(stack)?;
                let moves = self.sysplex.leave(now, stack).map_err(fault)?;
                self.joined.remove(stack);
                self.sockets.remove(stack);
                self.loads.retain(|(of, _), _| of != stack);
                Ok(Outcome::Moved(moves))
            }
            Event::Join { stack } => {
                let (_, profile) = self.given(stack)?;
                if self.joined.contains(stack) {
                    return Err(ScriptFault::AlreadyJoined { stack: stack.clone() });
                }
                let moves = self.sysplex.join(now, stack.clone(), &profile.clone()).map_err(fault)?;
                self.joined.insert(stack.clone());
                Ok(Outcome::Moved(moves))
            }
            Event::Wait { ms } => {
                self.now = now.plus(*ms);
                self.sysplex.pass(self.now);
                Ok(Outcome::Done)
            }
        }
    }

    /// A stack's profile changes (VARY TCPIP,,OBEYFILE) until the stack fails: it joins again with the
    /// one that was given, as the origin's does.
    ///
    /// # Errors
    /// [`ScriptFault`] if the stack is not there.
    pub fn obey(&mut self, stack: &ConnectorName, profile: &Profile) -> Result<Outcome, ScriptFault> {
        self.must_be_there(stack)?;
        let moves = self.sysplex.obey(self.now, stack, profile).map_err(fault)?;
        self.dvipas.extend(profile.dvipas.iter().map(|definition| definition.dvipa));
        Ok(Outcome::Moved(moves))
    }

    /// The sysplex as it is.
    #[must_use]
    pub const fn sysplex(&self) -> &Sysplex {
        &self.sysplex
    }

    /// Every stack given and its profile, in the order given.
    #[must_use]
    pub fn profiles(&self) -> &[(ConnectorName, Profile)] {
        &self.profiles
    }

    /// Every DVIPA that a profile defines or backs up.
    #[must_use]
    pub const fn dvipas(&self) -> &BTreeSet<Dvipa> {
        &self.dvipas
    }

    /// Whether a stack is in the sysplex.
    #[must_use]
    pub fn is_joined(&self, stack: &ConnectorName) -> bool {
        self.joined.contains(stack)
    }

    /// A stack's sockets, in order: DVIPA, port, the other side (`None` for a listener), and a number
    /// that counts the sockets of this life of the stack from 1.
    pub fn sockets(&self, stack: &ConnectorName) -> impl Iterator<Item = (Dvipa, u16, Option<SocketAddr>, u32)> {
        let sockets = self.sockets.get(stack).into_iter().flat_map(|sockets| &sockets.numbers);
        sockets.map(|((dvipa, port, peer), number)| (*dvipa, *port, *peer, *number))
    }

    fn given(&self, stack: &ConnectorName) -> Result<&(ConnectorName, Profile), ScriptFault> {
        let found = self.profiles.iter().find(|(name, _)| name == stack);
        found.ok_or_else(|| ScriptFault::UnknownStack {
            stack: stack.clone(),
            given: listed(self.profiles.iter().map(|(name, _)| name)),
        })
    }

    fn must_be_there(&self, stack: &ConnectorName) -> Result<(), ScriptFault> {
        self.given(stack)?;
        if self.joined.contains(stack) { Ok(()) } else { Err(ScriptFault::NotJoined { stack: stack.clone() }) }
    }

    fn must_be_there_if(&self, stack: Option<&ConnectorName>) -> Result<(), ScriptFault> {
        stack.map_or(Ok(()), |stack| self.must_be_there(stack))
    }

    /// The DVIPA, if a profile has it; all for `None`.
    fn meant(&self, dvipa: Option<Dvipa>) -> Result<Vec<Dvipa>, ScriptFault> {
        match dvipa {
            None => Ok(self.dvipas.iter().copied().collect()),
            Some(dvipa) if self.dvipas.contains(&dvipa) => Ok(vec![dvipa]),
            Some(dvipa) => Err(ScriptFault::UnknownDvipa { dvipa, given: listed(&self.dvipas) }),
        }
    }

    fn effects_of(&self, event: &Event) -> usize {
        let sockets = || self.sockets.values().map(|sockets| sockets.numbers.len()).sum::<usize>();
        match event {
            Event::Listen { dvipa: None, .. } | Event::Quiesce { .. } | Event::Load { .. } => self.dvipas.len(),
            Event::Deactivate { .. } | Event::Reactivate { .. } => self.profiles.len() + sockets(),
            Event::Fail { .. } | Event::Join { .. } => self.dvipas.len() * self.profiles.len() + sockets(),
            Event::Listen { .. } | Event::Arrive { .. } | Event::Connect { .. } => 1,
            Event::Close { .. } | Event::Wait { .. } => 1,
        }
    }

    /// Gives a socket its number, if it has none yet.
    fn number(&mut self, stack: &ConnectorName, socket: Socket) {
        let Sockets { numbers, last } = self.sockets.entry(stack.clone()).or_default();
        numbers.entry(socket).or_insert_with(|| {
            *last = last.wrapping_add(1);
            *last
        });
    }

    fn forget(&mut self, stack: &ConnectorName, socket: Socket) {
        if let Some(sockets) = self.sockets.get_mut(stack) {
            sockets.numbers.remove(&socket);
        }
    }
}

impl Sysplex {
    /// Time passes: affinities whose time is over are forgotten.
    fn pass(&mut self, now: BootMs) {
        for distributor in self.seats.values_mut().filter_map(|seat| seat.distributor.as_mut()) {
            distributor.affinities.expire(now);
        }
    }
}

const fn socket(flow: &Flow) -> Socket {
    (flow.dvipa, flow.port, Some(flow.peer))
}

fn fault(error: SysplexError) -> ScriptFault {
    match error {
        SysplexError::UnknownStack { stack } => ScriptFault::NotJoined { stack },
        SysplexError::AlreadyJoined { stack } => ScriptFault::AlreadyJoined { stack },
        SysplexError::Collision(Collision { flow, .. }) => ScriptFault::NoConnection { flow },
        error => ScriptFault::Refused { error },
    }
}

/// Some names, and how many more there are.
fn listed<T: fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    const SHOWN_MAX: usize = 8;
    let mut all = all.into_iter();
    let some: Vec<String> = all.by_ref().take(SHOWN_MAX).map(|one| one.to_string()).collect();
    match (some.is_empty(), all.count()) {
        (true, _) => "none, there is none".to_owned(),
        (_, 0) => some.join(", "),
        (_, more) => format!("{} and {more} more", some.join(", ")),
    }
}

/// In one line, as a person reads it; empty for [`Outcome::Done`] and for no move.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => Ok(()),
            Self::Routed(decision) => write!(f, "{decision}"),
            Self::Connected => f.write_str("connected"),
            Self::Collision(Collision { holder, .. }) => write!(f, "collision {holder}"),
            Self::Moved(moves) => {
                let told: Vec<String> = moves.iter().map(|(dvipa, moved)| format!("{dvipa} {}", told(moved))).collect();
                f.write_str(&told.join(", "))
            }
        }
    }
}

fn told(moved: &Move) -> String {
    match moved {
        Move::Created { by } => format!("created by {by}"),
        Move::TakenOver { from, by } => format!("taken over from {from} by {by}"),
        Move::TakenBack { from, by } => format!("taken back from {from} by {by}"),
        Move::Waits { by } => format!("awaited by {by}"),
        Move::Lost { from } => format!("lost with {from}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributor::parse_script;
    use crate::profile::{parse, sample};

    fn run() -> DryRun {
        let stack = |(name, text): (&str, &str)| (ConnectorName::new(name).expect("a name"), parse(text.as_bytes()).0);
        DryRun::new(Options::default(), sample().map(stack).to_vec()).expect("three names")
    }

    /// The outcome of the last event, or the fault.
    fn last(run: &mut DryRun, script: &str) -> String {
        let mut said = String::new();
        for (_, event) in parse_script(script.as_bytes()).expect("a script") {
            said = run.step(&event).map_or_else(|fault| fault.to_string(), |outcome| outcome.to_string());
        }
        said
    }

    fn numbers(run: &DryRun, stack: &str) -> Vec<(u16, bool, u32)> {
        let stack = ConnectorName::new(stack).expect("a name");
        run.sockets(&stack).map(|(_, port, peer, number)| (port, peer.is_some(), number)).collect()
    }

    #[test]
    fn sockets_are_numbered_as_they_come_and_forgotten_as_they_go() {
        let mut run = run();
        let begin = "listen SYS1.TCPIP ANY 992\nlisten SYS1.TCPIP ANY 992 2\narrive 9.9.9.9:1 10.1.1.1 992\n\
                     arrive 9.9.9.9:1 10.1.1.1 992\nconnect SYS1.TCPIP 10.1.1.1:80 9.9.9.9:2";
        assert_eq!(last(&mut run, begin), "connected");
        assert_eq!(numbers(&run, "SYS1.TCPIP"), [(80, true, 3), (992, false, 1), (992, true, 2)]);
        last(&mut run, "close 9.9.9.9:2 10.1.1.1 80\nstop SYS1.TCPIP 10.1.1.1 992\nlisten SYS1.TCPIP ANY 992");
        assert_eq!(numbers(&run, "SYS1.TCPIP"), [(992, false, 4), (992, true, 2)]);
        last(&mut run, "fail SYS1.TCPIP\njoin SYS1.TCPIP");
        assert_eq!(numbers(&run, "SYS1.TCPIP"), []);
        last(&mut run, "listen SYS1.TCPIP 10.1.1.1 992");
        assert_eq!(numbers(&run, "SYS1.TCPIP"), [(992, false, 1)], "another life counts from 1");
    }

    #[test]
    fn an_affinity_ends_when_its_time_is_over_and_not_before() {
        let mut run = run();
        let open = "listen SYS2.TCPIP 10.1.1.1 992\narrive 9.9.9.9:1 10.1.1.1 992\nclose 9.9.9.9:1 10.1.1.1 992";
        last(&mut run, open);
        let count = |run: &DryRun| {
            let distributor = run.sysplex().distributor("10.1.1.1".parse().expect("a DVIPA")).expect("it has an owner");
            distributor.affinities().count()
        };
        last(&mut run, "wait 29.999");
        assert_eq!(count(&run), 1);
        last(&mut run, "wait 0.001");
        assert_eq!(count(&run), 0);
    }

    #[test]
    fn what_is_said_of_a_stack_is_forgotten_when_it_fails() {
        let mut run = run();
        let weight = |run: &DryRun| {
            let distributor = run.sysplex().distributor("10.1.1.1".parse().expect("a DVIPA")).expect("it has an owner");
            let load = distributor.load(&ConnectorName::new("SYS2.TCPIP").expect("a name"), 992);
            (load.weight, load.health_percent)
        };
        last(&mut run, "load SYS2.TCPIP wlm=8\nload SYS2.TCPIP health=50");
        assert_eq!(weight(&run), (Some(8), 50), "what was not said again stays");
        last(&mut run, "fail SYS2.TCPIP\njoin SYS2.TCPIP\nload SYS2.TCPIP wlm=4");
        assert_eq!(weight(&run), (Some(4), 100));
    }

    #[test]
    fn an_event_that_cannot_happen_changes_nothing() {
        let mut run = run();
        last(&mut run, "listen SYS1.TCPIP ANY 992\nfail SYS3.TCPIP");
        let before = format!("{:?} {:?}", run.sysplex, run.sockets);
        for event in [
            "listen SYS3.TCPIP ANY 992",
            "listen SYS1.TCPIP 10.1.1.9 992",
            "arrive 9.9.9.9:1 10.1.1.1 992 from SYS3.TCPIP",
            "connect SYS3.TCPIP 10.1.1.1:992 9.9.9.9:1",
            "close 9.9.9.9:1 10.1.1.1 992",
            "load SYS3.TCPIP wlm=1",
            "join SYS1.TCPIP",
            "fail SYS3.TCPIP",
        ] {
            assert!(last(&mut run, event).contains(": ") || last(&mut run, event).contains("no stack"), "{event}");
            assert_eq!(format!("{:?} {:?}", run.sysplex, run.sockets), before, "{event}");
        }
    }

    #[test]
    fn events_for_everything_have_a_limit() {
        let mut run = run();
        run.effects = EFFECTS_MAX - 5;
        assert_eq!(last(&mut run, "listen SYS1.TCPIP ANY 992"), "");
        assert!(last(&mut run, "fail SYS1.TCPIP").starts_with("10.1.1.1 taken over"));
        assert!(last(&mut run, "listen SYS2.TCPIP ANY 992").contains("concern more than 1048576 sockets and DVIPAs"));
        assert_eq!(numbers(&run, "SYS2.TCPIP"), []);
    }
}
