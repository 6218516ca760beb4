//! One caller: asks, waits, tells, learns; one request outstanding.
#![forbid(unsafe_code)]

use super::ask;
use super::choose;
use super::draw::Draw;
use super::holdings::Own;
use super::lines::Ask;
use super::lines::Okay;
use super::lines::Refused;
use super::lines::Unknown;
use super::ready::Progress;
use super::universe::Known;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Lines;
use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Facility;
use crate::facility::LocalFacility;
use crate::facility::Presence;
use crate::facility::Query;
use crate::facility::Reply;
use crate::facility::Rows;
use crate::structure::Answer;
use crate::structure::Item;
use crate::structure::Refusal;
use crate::structure::Request;
use crate::structure::Standing;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Requests between two ends of quarantine when one caller does both.
const REQUESTS_PER_SETTLE: u64 = 128;
/// Clocks count whole milliseconds.
const CLOCK_STEP: Duration = Duration::from_millis(2);

/// What all callers and the watcher share.
pub(crate) struct Shared<'a> {
    pub(crate) facility: &'a LocalFacility,
    pub(crate) lines: &'a Lines,
    pub(crate) callers: u32,
    /// Grants that one connector tends to hold.
    pub(crate) grants_wanted: usize,
    /// The quarantine, if the only caller ends it between requests; `None`: the facility does.
    pub(crate) settle: Option<Duration>,
    pub(crate) progress: Progress,
    pub(crate) stop: AtomicBool,
}

impl Shared<'_> {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// One caller with its connectors.
pub(crate) struct Caller<'a> {
    shared: &'a Shared<'a>,
    number: u32,
    draw: Draw,
    owns: Vec<Own>,
    asked: u64,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, number: u32, seed: u64, connectors: Vec<Known>) -> Self {
        let owns = connectors.into_iter().map(Own::new).collect();
        Self { shared, number, draw: Draw::new(seed, number), owns, asked: 0 }
    }

    /// Sends `ops` requests, fewer if another thread failed; how many it sent.
    pub(crate) fn run(mut self, ops: u64) -> Result<u64, Failure> {
        let done = self.send(ops);
        if done.is_err() {
            self.shared.stop();
        }
        done.map(|()| self.asked)
    }

    fn send(&mut self, ops: u64) -> Result<(), Failure> {
        while self.asked < ops && !self.shared.is_stopped() {
            if let Some(quarantine) = self.shared.settle
                && self.asked % REQUESTS_PER_SETTLE == REQUESTS_PER_SETTLE / 2
            {
                self.settle(quarantine)?;
            }
            let (is_operator, wanted) = (self.number == 0, self.shared.grants_wanted);
            let Some((place, request)) = choose::next(&mut self.draw, &mut self.owns, is_operator, wanted) else {
                return Ok(());
            };
            self.ask(place, &request)?;
        }
        Ok(())
    }

    /// One request from its ask to its answer.
    fn ask(&mut self, place: Option<usize>, request: &Request) -> Result<(), Failure> {
        let Shared { lines, facility, callers, .. } = *self.shared;
        let kind = ask::kind(request);
        let id = self.asked * u64::from(callers) + u64::from(self.number) + 1;
        self.asked += 1;
        let own = place.map(|place| &self.owns[place]);
        lines.json(&Ask {
            ask: kind,
            request: id,
            connector: own.map(|own| own.name.as_str()),
            incarnation: own.and_then(Own::incarnation).map(|incarnation| incarnation.0),
            what: ask::what(request, own),
        })?;
        match call(facility, request) {
            Ok(reply) => {
                if let Some(place) = place {
                    self.owns[place].answered(request, &reply.answer);
                }
                lines.json(&okay(kind, id, &reply))
            }
            Err(CallError::Refused(refusal)) => {
                if let Some(place) = place {
                    self.owns[place].refused(request, &refusal);
                }
                lines.json(&Refused { refused: kind, request: id, why: refusal.name() })?;
                match refusal {
                    // Nothing more comes of it before somebody makes room.
                    Refusal::StorageFull => {
                        let reason = facility.status()?.storage.unwrap_or_else(|| refusal.to_string());
                        Err(Failure::told(Exit::StorageFull, format!("the storage is full: {reason}")))
                    }
                    _ => Ok(()),
                }
            }
            Err(error) => {
                lines.json(&Unknown { unknown: kind, request: id, why: "storage-failed" })?;
                Err(error.into())
            }
        }
    }

    /// Ends all quarantine: waits until the youngest entry was there for its full time, then asks
    /// list by list and lets the watcher tell. Where this happens depends on the stream alone, so
    /// that the output does too.
    fn settle(&mut self, quarantine: Duration) -> Result<(), Failure> {
        std::thread::sleep(quarantine + CLOCK_STEP);
        for list in self.lists_with_quarantine()? {
            let Reply { lsn, .. } = self.shared.facility.call(Request::EndQuarantine { list })?;
            self.shared.progress.wait_for(lsn);
        }
        Ok(())
    }

    fn lists_with_quarantine(&self) -> Result<BTreeSet<u32>, Failure> {
        let (mut lists, mut from) = (BTreeSet::new(), Some(0));
        while let Some(place) = from.take() {
            if let Rows::Items { items, next } = self.shared.facility.query(Query::Items { from: place }).wait()?.rows {
                lists.extend(items.iter().filter_map(|item| match item {
                    Item::Quarantine { list, .. } => Some(*list),
                    _ => None,
                }));
                from = next;
            }
        }
        Ok(lists)
    }
}

/// Attaches with a challenge, as every stack has to; everything else is a plain request.
fn call(facility: &LocalFacility, request: &Request) -> Result<Reply, CallError> {
    let Request::Attach(introduction) = request else { return facility.call(request.clone()) };
    let challenge = facility.challenge(&introduction.name).wait()?;
    let introduction = introduction.clone();
    let attach = AttachRequest { introduction, challenge, position: None, standing: Standing::default() };
    Facility::attach(facility, attach, Presence::none()).wait()
}

fn okay(kind: &'static str, request: u64, reply: &Reply) -> Okay {
    let (mut incarnation, mut grants, mut holds) = (None, None, None);
    match &reply.answer {
        Answer::Connected(actor) => incarnation = Some(actor.incarnation.0),
        Answer::Attached { actor, grants: held, .. } => {
            incarnation = Some(actor.incarnation.0);
            holds = Some(held.iter().map(Into::into).collect());
        }
        Answer::Granted(granted) => grants = Some(granted.iter().map(Into::into).collect()),
        Answer::GrantedAndGone => grants = Some(Vec::new()),
        Answer::Done | Answer::Joined(_) => {}
    }
    Okay { ok: kind, request, lsn: reply.lsn.0, incarnation, grants, holds }
}
