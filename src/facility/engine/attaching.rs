//! An attach: who may, what its position proves, what of its grants the log lost (protocol.md R4 to
//! R7, R19).
#![forbid(unsafe_code)]

use super::Engine;
use super::deciding::Decided;
use crate::facility::CallError;
use crate::facility::admission::AttachRequest;
use crate::facility::admission::Challenge;
use crate::facility::admission::Position;
use crate::facility::histories::Seen;
use crate::facility::options::BATCH_RECORDS_MAX;
use crate::facility::presence::Presence;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Lsn;
use crate::structure::Answer;
use crate::structure::ConnectorView;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::ReportedStatus;
use crate::structure::Request;
use crate::structure::StopCause;
use crate::wal::StoreError;

/// How many lost grants are first tried in one request.
const ADOPT_GRANTS_MAX: usize = 512;

impl Engine {
    /// Gives a challenge out; the older one of that name is void.
    pub(super) fn challenge(&mut self, name: &ConnectorName, now: BootMs) -> Result<Challenge, CallError> {
        if self.structure.connector(name).is_none() {
            return Err(Refusal::UnknownConnector.into());
        }
        let challenge = Challenge(self.random.next_u64());
        self.admission.issue(name, challenge, now);
        Ok(challenge)
    }

    pub(super) fn connect(
        &mut self,
        introduction: &Introduction,
        presence: &Presence,
        now: BootMs,
    ) -> Result<Decided, StoreError> {
        let decided = self.decide(&Request::Connect(introduction.clone()), now)?;
        self.note_presence(&decided, presence);
        Ok(decided)
    }

    pub(super) fn resume(&mut self, resume: &Request, presence: &Presence, now: BootMs) -> Result<Decided, StoreError> {
        let decided = self.decide(resume, now)?;
        self.note_presence(&decided, presence);
        Ok(decided)
    }

    /// An attach. The challenge is used up, whatever comes of it, unless the stack is to report first
    /// or the frame is full.
    pub(super) fn attach(
        &mut self,
        attach: &AttachRequest,
        presence: &Presence,
        now: BootMs,
    ) -> Result<Decided, StoreError> {
        let name = &attach.introduction.name;
        let known = match self.may_attach(attach) {
            Ok(known) => known,
            Err(refusal) => return Ok(Decided::refused(refusal)),
        };
        let decided = match self.attach_known(attach, &known, now) {
            Ok(decided) => decided,
            Err(Halt::Told(error)) => Decided::Answer(Err(*error)),
            Err(Halt::DoesNotFit) => Decided::DoesNotFit,
            Err(Halt::Failed(error)) => return Err(*error),
        };
        match &decided {
            Decided::DoesNotFit | Decided::Answer(Err(CallError::Refused(Refusal::ReportNeeded))) => {}
            Decided::Answer(_) => self.admission.void(name),
        }
        self.note_presence(&decided, presence);
        Ok(decided)
    }

    /// What can be said without using the challenge up.
    fn may_attach(&self, attach: &AttachRequest) -> Result<ConnectorView, Refusal> {
        let AttachRequest { introduction, challenge, position, .. } = attach;
        if position.is_some_and(|position| position.store != self.store) {
            return Err(Refusal::OtherStore { store: self.store });
        }
        let known = self.structure.connector(&introduction.name).ok_or(Refusal::UnknownConnector)?;
        if self.admission.is_good(&introduction.name, *challenge) { Ok(known) } else { Err(Refusal::ChallengeNeeded) }
    }

    fn attach_known(&mut self, attach: &AttachRequest, known: &ConnectorView, now: BootMs) -> Result<Decided, Halt> {
        let AttachRequest { introduction, position, .. } = attach;
        let is_other_process = known.identity.process != introduction.identity.process;
        if is_other_process && self.admission.is_connected(known.actor) {
            return Err(Refusal::StillConnected { incarnation: known.actor.incarnation }.into());
        }
        let request = Request::Attach(introduction.clone());
        // Whoever would be refused must not stop the facility first.
        let context = self.context_to_read(now);
        self.events.clear();
        self.structure.decide(&request, &context, &mut self.events)?;
        let seen = position.as_ref().map(|position| self.judge(&introduction.name, position)).transpose()?;
        if let (Some(Seen::Lost { .. }), Some(position)) = (seen, position) {
            self.stop_for(&introduction.name, position, now)?;
        }
        let is_same_kernel = (known.identity.machine, known.identity.boot)
            == (introduction.identity.machine, introduction.identity.boot);
        let is_wanted = if is_same_kernel {
            attach.standing != self.structure.standing(known.actor.slot)
        } else {
            matches!(seen, Some(Seen::Lost { .. })) && attach.standing.count > 0
        };
        if is_wanted {
            let report = self.admission.take_report(&introduction.name, &attach.standing);
            let report = report.ok_or(Refusal::ReportNeeded)?;
            // The kernel started again in the part that was lost, and what the stack holds is of now:
            // its old grants go to quarantine first, and what it reports is taken from there.
            let ended = if is_same_kernel { Ok(()) } else { passed(self.decide(&request, now)?) };
            let done = ended.and_then(|()| self.take_in(&introduction.name, known.actor.slot, &report, seen, now));
            if matches!(done, Err(Halt::DoesNotFit)) {
                self.admission.keep_report(&introduction.name, report);
            }
            done?;
        }
        Ok(self.decide(&request, now)?)
    }

    fn judge(&mut self, name: &ConnectorName, position: &Position) -> Result<Seen, Halt> {
        if !self.receipts.is_good(name, position) {
            let Position { history, lsn, .. } = position;
            self.alarms.raise(format!(
                "{name} names lsn {lsn} of history {history}, which this store never gave it: only {name} is fenced"
            ));
            return Err(Refusal::ReceiptBad.into());
        }
        let suspect_since = self.structure.stop().map(|stop| stop.since);
        Ok(self.histories.judge(position, self.appender.durable(), suspect_since))
    }

    /// A stack proves that data was lost: nothing is granted until an operator decides.
    fn stop_for(&mut self, name: &ConnectorName, position: &Position, now: BootMs) -> Result<(), Halt> {
        let Position { history, lsn, .. } = *position;
        let stop = Request::Stop { cause: StopCause::DataLost, name: Some(name.clone()), history, lsn };
        passed(self.decide(&stop, now)?)
    }

    /// Takes in what a stack holds and this store lost. What it reports and this store ended is gone:
    /// the answer does not list it.
    fn take_in(
        &mut self,
        name: &ConnectorName,
        slot: u32,
        report: &[ReportedGrant],
        seen: Option<Seen>,
        now: BootMs,
    ) -> Result<(), Halt> {
        let durable = self.appender.durable();
        let is_lost = |grant: &&ReportedGrant| {
            let was_kept = match seen {
                Some(Seen::Kept) => true,
                Some(Seen::Lost { common }) => grant.lsn <= common && self.histories.has(grant.lsn, durable),
                None => self.histories.has(grant.lsn, durable),
            };
            !was_kept && matches!(self.structure.reported_status(slot, grant), ReportedStatus::Unknown)
        };
        let lost: Vec<ReportedGrant> = report.iter().filter(is_lost).copied().collect();
        if let (Some(grant), None) = (lost.first(), seen) {
            let Lsn(token) = grant.lsn;
            self.alarms.raise(format!(
                "{name} reports grant {token}, which this store never gave, and no position that proves it: only \
                 {name} is fenced"
            ));
            return Err(Refusal::ReceiptBad.into());
        }
        self.adopt(name, &lost, now)
    }

    /// As many requests as it takes: each must fit into a frame.
    fn adopt(&mut self, name: &ConnectorName, lost: &[ReportedGrant], now: BootMs) -> Result<(), Halt> {
        let (mut rest, mut size) = (lost, ADOPT_GRANTS_MAX);
        while !rest.is_empty() {
            if self.count as usize >= BATCH_RECORDS_MAX {
                return Err(Halt::DoesNotFit);
            }
            let chunk = &rest[..size.min(rest.len())];
            let adopt = Request::Adopt { name: name.clone(), grants: chunk.to_vec() };
            match passed(self.decide(&adopt, now)?) {
                Ok(()) => rest = &rest[chunk.len()..],
                Err(Halt::Told(error)) if is_too_large(&error) && chunk.len() > 1 => size = chunk.len() / 2,
                Err(halt) => return Err(halt),
            }
        }
        Ok(())
    }

    fn note_presence(&mut self, decided: &Decided, presence: &Presence) {
        if let Decided::Answer(Ok(reply)) = decided
            && let Answer::Connected(actor) | Answer::Attached { actor, .. } = reply.answer
        {
            self.admission.connect(actor, presence.clone());
        }
    }
}

/// Why an attach ends before its event.
enum Halt {
    /// What the caller is told.
    Told(Box<CallError>),
    /// It needs the next frame.
    DoesNotFit,
    /// The storage failed.
    Failed(Box<StoreError>),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Told(Box::new(refusal.into()))
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(Box::new(error))
    }
}

fn is_too_large(error: &CallError) -> bool {
    matches!(error, CallError::Refused(Refusal::TooLarge { .. }))
}

/// An internal step on the way: done, or what the caller is told instead.
fn passed(decided: Decided) -> Result<(), Halt> {
    match decided {
        Decided::Answer(Ok(_)) => Ok(()),
        Decided::Answer(Err(error)) => Err(Halt::Told(Box::new(error))),
        Decided::DoesNotFit => Err(Halt::DoesNotFit),
    }
}
