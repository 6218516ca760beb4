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
            sysplex,
            profiles,
        })
    }

    /// One event happens.
    ///
    /// # Errors
    /// [`ScriptFault`] if it cannot: it names a stack or DVIPA that is not there, a stack that is
    /// gone or there already, or a connection that nobody has. Nothing has changed then.
    pub fn step(&mut self, event: &Event) -> Result<Outcome, ScriptFault> {
        let now = self.now;
        match event {
            Event::Listen { stack, dvipa, port, ready } => {
                self.must_be_there(stack)?;
                for dvipa in self.meant(*dvipa)? {
                    self.sysplex.listen(now, stack, dvipa, *port, *ready).map_err(fault)?;
                    match ready {
                        0 => self.forget(stack, (dvipa, *port, None)),
                        _ => self.number(stack, (dvipa, *port, None)),
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
            Event::Quiesce { stack, dvipa, port, quiesced } => {
                self.must_be_there(stack)?;
                for dvipa in self.meant(*dvipa)? {
                    let done = match quiesced {
                        true => self.sysplex.quiesce(now, stack, dvipa, *port),
                        false => self.sysplex.resume(now, stack, dvipa, *port),
                    };
                    done.map_err(fault)?;
                }
                Ok(Outcome::Done)
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
