//! What a request would cause, or why not: operators' requests, connections and internal ones.
#![forbid(unsafe_code)]

use super::Context;
use super::Decision;
use super::Structure;
use super::event::{Change, Event, Stamp};
use super::item::ConnectorState;
use super::refusal::{Operand, Refusal};
use super::request::{Introduction, Policy, PortRange, Request};
use super::status::Due;
use super::stop::StopCause;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Target;
use crate::ident::Transport;

/// Most connectors, forgotten ones with ports in quarantine included.
pub const CONNECTORS_MAX: u32 = 65_536;
/// Most lists.
pub const LISTS_MAX: u32 = 131_072;
/// Most memberships.
pub const MEMBERS_MAX: u32 = 1 << 22;
/// Most contents of allowable sets: one per connector and transport, and one on its way.
pub const SETS_MAX: u32 = 2 * CONNECTORS_MAX + 1;

/// Longest quarantine that a policy may set, ms.
const QUARANTINE_MS_MAX: u32 = 86_400_000;
/// Shortest quarantine that a policy may set, ms.
const QUARANTINE_MS_MIN: u32 = 1_000;

impl Structure {
    /// What a request would cause: its events are appended to `events`, to be applied under
    /// consecutive lsns.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was appended.
    pub fn decide(&self, request: &Request, context: &Context, events: &mut Vec<Event>) -> Result<Decision, Refusal> {
        let before = events.len();
        let decided = match request {
            Request::Stack { actor, number, lowest, body } => {
                let numbered = super::decide_stack::Numbered { actor: *actor, number: *number, lowest: *lowest };
                self.decide_stack(&numbered, body, context, events)
            }
            Request::Adopt { name, grants } => self.decide_adopt(name, grants, events).map(|()| Decision::NoEffect),
            _ => self.decide_unnumbered(request, context).map(|change| {
                events.extend(change.map(|change| Event { stamp: Stamp::None, change }));
                Decision::NoEffect
            }),
        };
        match decided {
            Ok(Decision::NoEffect) if events.len() > before => Ok(Decision::Effect),
            Ok(decision) => Ok(decision),
            Err(refusal) => {
                events.truncate(before);
                Err(refusal)
            }
        }
    }

    fn decide_unnumbered(&self, request: &Request, context: &Context) -> Result<Option<Change>, Refusal> {
        match request {
            Request::Define { .. } | Request::Delete { .. } | Request::SetPolicy { .. } | Request::SetRange { .. }
                if self.is_restored() =>
            {
                Err(Refusal::GrantsStopped { cause: StopCause::Restored })
            }
            Request::Define { target } => self.decide_define(*target),
            Request::Delete { target } => self.decide_delete(*target),
            Request::SetPolicy { target, policy } => self.decide_policy(*target, *policy),
            Request::SetRange { transport, range } => self.decide_range(*transport, *range),
            Request::Connect(introduction) => self.decide_connect(introduction),
            Request::Attach(introduction) => self.decide_attach(introduction),
            Request::Resume { name, incarnation, identity } => {
                self.decide_resume(name, *incarnation, identity, context)
            }
            Request::MarkFailed { name, incarnation, by } => {
                let (slot, connector) = self.newest(name, *incarnation)?;
                let failed = connector.state == ConnectorState::FailedPersistent;
                Ok((!failed).then(|| Change::Failed { connector: slot, by: by.clone() }))
            }
            Request::CleanUp { name, incarnation, by, boot_is_dead } => {
                self.decide_clean_up(name, *incarnation, by, *boot_is_dead, context)
            }
            Request::EndQuarantine { list } => match self.quarantine_due(*list, context) {
                Due::Now(up_to) => Ok(Some(Change::Ready { list: *list, up_to })),
                Due::At(_) | Due::None => Ok(None),
            },
            Request::Stop { cause, name, history, lsn } => self.decide_stop(*cause, name.as_ref(), *history, *lsn),
            Request::ResumeGrants { by, adopt_reported } => {
                self.decide_resume_grants(by.as_ref(), *adopt_reported, context)
            }
            Request::Stack { .. } | Request::Adopt { .. } => unreachable!("decided apart"),
        }
    }

    fn decide_define(&self, target: Target) -> Result<Option<Change>, Refusal> {
        let list = match self.by_target.get(&target) {
            Some(list) if self.lists[*list].open && self.lists[*list].defined => return Ok(None),
            Some(list) => *list,
            None => self.new_list(0)?,
        };
        Ok(Some(Change::Defined { list, target }))
    }

    fn decide_delete(&self, target: Target) -> Result<Option<Change>, Refusal> {
        let list = *self.by_target.get(&target).ok_or(Refusal::UnknownList { target })?;
        Ok(self.lists[list].open.then_some(Change::Deleted { list }))
    }

    fn decide_policy(&self, target: Target, policy: Policy) -> Result<Option<Change>, Refusal> {
        let list = *self.by_target.get(&target).ok_or(Refusal::UnknownList { target })?;
        if !policy.is_valid() {
            return Err(Refusal::OutOfRange { what: Operand::Policy });
        }
        Ok((self.lists[list].policy != policy).then_some(Change::PolicySet { list, policy }))
    }

    fn decide_range(&self, transport: Transport, range: Option<PortRange>) -> Result<Option<Change>, Refusal> {
        if !range.is_none_or(PortRange::is_valid) {
            return Err(Refusal::OutOfRange { what: Operand::Range });
        }
        Ok((self.ranges[transport.index()] != range).then_some(Change::RangeSet { transport, range }))
    }

    fn decide_connect(&self, introduction: &Introduction) -> Result<Option<Change>, Refusal> {
        let Introduction { name, identity, promise_ms, enforced } = introduction;
        if let Some(slot) = self.by_name.get(name) {
            let connector = &self.connectors[*slot];
            return Err(Refusal::ConnectorExists { incarnation: connector.incarnation, state: connector.state });
        }
        let connector = self.connectors.next_free();
        if connector >= CONNECTORS_MAX {
            return Err(Refusal::TooMany { what: Operand::Connectors });
        }
        let (name, identity, promise_ms, enforced) = (name.clone(), *identity, *promise_ms, *enforced);
        Ok(Some(Change::Connected { connector, name, identity, promise_ms, enforced }))
    }

    fn decide_attach(&self, introduction: &Introduction) -> Result<Option<Change>, Refusal> {
        let Introduction { name, identity, promise_ms, enforced } = introduction;
        let slot = *self.by_name.get(name).ok_or(Refusal::UnknownConnector)?;
        let known = &self.connectors[slot];
        // protocol.md R5: a new boot id elsewhere proves nothing about the boot that holds ports.
        let alive = known.state == ConnectorState::Active;
        if known.identity.machine != identity.machine && (alive || known.held > 0) {
            let (incarnation, state, held) = (known.incarnation, known.state, known.held);
            return Err(Refusal::OtherMachine { incarnation, state, held });
        }
        let (identity, promise_ms, enforced) = (*identity, *promise_ms, *enforced);
        Ok(Some(Change::Attached { connector: slot, identity, promise_ms, enforced }))
    }

    fn decide_resume(
        &self,
        name: &ConnectorName,
        incarnation: Incarnation,
        identity: &Identity,
        context: &Context,
    ) -> Result<Option<Change>, Refusal> {
        let (_, connector) = self.newest(name, incarnation)?;
        if connector.identity.machine != identity.machine {
            let (incarnation, state, held) = (connector.incarnation, connector.state, connector.held);
            return Err(Refusal::OtherMachine { incarnation, state, held });
        }
        let attached = connector.state == ConnectorState::Active && incarnation.0 >= context.open_first.0;
        if attached && connector.identity == *identity { Ok(None) } else { Err(Refusal::MustAttach) }
    }

    fn decide_clean_up(
        &self,
        name: &ConnectorName,
        incarnation: Incarnation,
        by: &ConnectorName,
        boot_is_dead: bool,
        context: &Context,
    ) -> Result<Option<Change>, Refusal> {
        let (slot, connector) = self.newest(name, incarnation)?;
        if connector.state != ConnectorState::FailedPersistent {
            return Err(Refusal::NotFailed { state: connector.state });
        }
        // A promise counts only where something enforces it that does not pause with the stack (protocol.md
        // R3), and promises of a history that was lost are not known (R18).
        let passed = connector.enforced && context.deadline.is_some_and(|deadline| deadline <= context.now);
        let passed = passed && !self.is_restored();
        if !boot_is_dead && !passed {
            return Err(Refusal::BootMayBeAlive);
        }
        let from = context.deadline.map_or(context.now, |deadline| deadline.max(context.now));
        Ok(Some(Change::CleanedUp { connector: slot, from, boot_is_dead, by: by.clone() }))
    }

    /// The connector of that name, if the incarnation named is its newest.
    fn newest(&self, name: &ConnectorName, asked: Incarnation) -> Result<(u32, &super::connector::Connector), Refusal> {
        let slot = *self.by_name.get(name).ok_or(Refusal::UnknownConnector)?;
        let connector = &self.connectors[slot];
        if connector.incarnation != asked {
            return Err(Refusal::StaleIncarnation { asked, current: connector.incarnation });
        }
        Ok((slot, connector))
    }

    /// The slot for one more list, after `before` others.
    pub(super) fn new_list(&self, before: u32) -> Result<u32, Refusal> {
        let list = self.lists.nth_free(before);
        if list >= LISTS_MAX { Err(Refusal::TooMany { what: Operand::Lists }) } else { Ok(list) }
    }
}

impl Policy {
    /// Whether every number is within its documented range.
    #[must_use]
    pub fn is_valid(self) -> bool {
        let quarantine = self.quarantine_ms;
        let quarantine_valid = quarantine == 0 || (QUARANTINE_MS_MIN..=QUARANTINE_MS_MAX).contains(&quarantine);
        quarantine_valid && self.reserve <= crate::ident::GroupNumber::COUNT
    }
}
