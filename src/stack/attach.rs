//! The life of a stack: start, attach again, renew, end.
#![forbid(unsafe_code)]

use super::Adopted;
use super::Options;
use super::Stack;
use super::StackError;
use super::core::{Core, Fetch, Health, List, target};
use super::hand::{Hand, Part};
use super::leaving::Leaving;
use super::order::Order;
use crate::facility::Attached;
use crate::facility::Belief;
use crate::facility::CallError;
use crate::facility::Connection;
use crate::facility::Facility;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::Profile;
use crate::structure::Grant;
use crate::structure::Introduction;
use crate::structure::Membership;
use crate::structure::Refusal;
use crate::structure::StopCause;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Stack {
    /// Attaches (or connects if there is no such connector), sets the allowable ports, joins the
    /// list of every SYSPLEXPORTS DVIPA of the profile. What an earlier life held is taken over:
    /// read the kernel's sockets and call [`adopt`](Self::adopt).
    ///
    /// Where granting is stopped, or the storage is full, the stack may start with nothing but what
    /// it had: the rest is made up for at the next bind.
    ///
    /// # Errors
    /// [`StackError`].
    pub fn start(
        facility: Arc<dyn Facility>,
        name: ConnectorName,
        profile: Profile,
        identity: Identity,
        options: Options,
    ) -> Result<(Self, Adopted), StackError> {
        let Options { seed, promise_ms, prefetch_below, observer, position, lock } = options;
        if let Some(lock) = lock.as_ref().filter(|lock| *lock.name() != name) {
            let (path, of) = (lock.path().to_owned(), lock.name().clone());
            return Err(StackError::OtherAgentsLock { path, of, name });
        }
        let introduction = Introduction { name, identity, promise_ms, enforced: false };
        let allowable = profile.allowable(Transport::Tcp);
        let belief = Belief { position, grants: Vec::new() };
        let entered = enter(&facility, &introduction, &belief, &profile, &allowable)?;
        let Entered { connection, attached, is_complete } = entered;
        let mut core = Core {
            connection: connection.clone(),
            health: Health::Active,
            entered: is_complete,
            stopped: None,
            lists: BTreeMap::new(),
            leaving: Leaving::default(),
            outstanding: BTreeSet::new(),
            order: Order::new(&seed, &introduction.name),
            observer,
        };
        let adopted = core.settle(connection, &attached, &profile);
        let stack = Self {
            profile,
            allowable,
            introduction,
            prefetch_below,
            core: Mutex::new(core),
            arrived: Condvar::new(),
            attaching: Mutex::new(()),
            _lock: lock,
        };
        Ok((stack, adopted))
    }

    /// Attaches under the next incarnation after the facility came back. The answer settles what
    /// was outstanding and replaces what was believed. Ports in hand go on being used meanwhile.
    ///
    /// # Errors
    /// [`StackError`]; the stack is then unreachable as before, and this may be called again.
    pub fn reattach(&self, facility: Arc<dyn Facility>) -> Result<Adopted, StackError> {
        let _one_at_a_time = self.attaching.lock();
        let belief = {
            let mut core = self.core.lock();
            core.alive()?;
            core.connection.give_up();
            core.health = Health::Unreachable(CallError::Gone);
            Belief { position: Some(core.connection.position()), grants: core.reported() }
        };
        let entered = enter(&facility, &self.introduction, &belief, &self.profile, &self.allowable);
        let mut core = self.core.lock();
        match entered {
            Ok(Entered { connection, attached, is_complete }) => {
                let adopted = core.settle(connection, &attached, &self.profile);
                core.entered = is_complete;
                self.arrived.notify_all();
                Ok(adopted)
            }
            Err(StackError::ReceiptBad) => Err(core.fence(StackError::ReceiptBad)),
            Err(error) => {
                core.health = Health::Unreachable(match &error {
                    StackError::Unreachable { cause } => cause.clone(),
                    StackError::Refused(refusal) => CallError::Refused(refusal.clone()),
                    _ => CallError::Gone,
                });
                Err(error)
            }
        }
    }

    /// Makes up for what an attach could not do, if this DVIPA needs it: nothing of it is in hand.
    pub(super) fn enter_if_needed(&self, dvipa: Dvipa) -> Result<(), StackError> {
        let is_served = |core: &Core| core.lists.get(&dvipa).is_some_and(|list| list.hand.free_count() > 0);
        {
            let core = self.core.lock();
            if core.entered || is_served(&core) {
                return Ok(());
            }
        }
        let _one_at_a_time = self.attaching.lock();
        let (connection, joined) = {
            let core = self.core.lock();
            if core.entered {
                return Ok(());
            }
            core.ready()?;
            (core.connection.clone(), core.lists.keys().map(|dvipa| target(*dvipa)).collect::<Vec<_>>())
        };
        let mut memberships = Vec::new();
        let asked = ask_for_all(&connection, &self.profile, &self.allowable, &joined, &mut memberships);
        let mut core = self.core.lock();
        if !core.connection.is_same(&connection) {
            return Ok(());
        }
        for membership in &memberships {
            core.meet(membership, &self.profile);
        }
        asked.map_err(|cause| core.fail(cause))?;
        core.entered = true;
        Ok(())
    }

    /// Renews the promised lease; `sent` is the boot clock now. Returns until when it runs, `None`
    /// without a promise.
    ///
    /// # Errors
    /// [`StackError`]: the lease was not extended.
    pub fn renew(&self, sent: BootMs) -> Result<Option<BootMs>, StackError> {
        let connection = {
            let core = self.core.lock();
            core.ready()?;
            core.connection.clone()
        };
        let renewed = connection.renew(sent);
        renewed.map_err(|cause| {
            let mut core = self.core.lock();
            if core.connection.is_same(&connection) { core.fail(cause) } else { refused(cause) }
        })
    }

    /// Ends the connector and waits: everything goes to quarantine and it is forgotten. The caller
    /// vouches that no socket uses any of its ports (protocol.md R10).
    ///
    /// # Errors
    /// [`StackError`]; the outcome is then unknown until the next [`reattach`](Self::reattach).
    pub fn disconnect(&self) -> Result<(), StackError> {
        let mut core = self.core.lock();
        core.ready()?;
        let observer = core.observer.clone();
        core.drop_all(|target, Part { group, grant, mask }| {
            if let Some(observer) = &observer {
                observer.releasing(target, group, grant, mask);
            }
        });
        let done = core.connection.disconnect();
        core.connection.give_up();
        core.health = Health::Unreachable(CallError::Refused(Refusal::UnknownConnector));
        done.map(|_| ()).map_err(|cause| core.fail(cause))
    }
}

fn refused(cause: CallError) -> StackError {
    match cause {
        CallError::Refused(refusal) => StackError::Refused(refusal),
        cause => StackError::Unreachable { cause },
    }
}

/// What came of an attach.
struct Entered {
    connection: Connection,
    attached: Attached,
    /// Whether everything that the profile needs was asked for and given.
    is_complete: bool,
}

/// Attaches with all that is held, and asks for what the profile needs before anything else is asked.
fn enter(
    facility: &Arc<dyn Facility>,
    introduction: &Introduction,
    belief: &Belief,
    profile: &Profile,
    allowable: &PortSet,
) -> Result<Entered, StackError> {
    let attached = Connection::attach_or_connect(facility, introduction, belief);
    let (connection, mut attached) = attached.map_err(|cause| match (cause, &belief.position) {
        (CallError::Refused(Refusal::OtherStore { store }), Some(position)) => {
            StackError::OtherStore { found: store, known: position.store }
        }
        (CallError::Refused(Refusal::ReceiptBad), _) => StackError::ReceiptBad,
        (cause, _) => refused(cause),
    })?;
    let joined: Vec<Target> = attached.memberships.iter().map(|membership| membership.target).collect();
    let is_complete = match ask_for_all(&connection, profile, allowable, &joined, &mut attached.memberships) {
        Ok(()) => true,
        // It is attached all the same, and has what it had.
        Err(CallError::Refused(Refusal::GrantsStopped { .. } | Refusal::StorageFull | Refusal::Overloaded)) => false,
        Err(cause) => return Err(refused(cause)),
    };
    Ok(Entered { connection, attached, is_complete })
}

/// Gives the allowable ports, and joins every list that is not joined.
fn ask_for_all(
    connection: &Connection,
    profile: &Profile,
    allowable: &PortSet,
    joined: &[Target],
    memberships: &mut Vec<Membership>,
) -> Result<(), CallError> {
    connection.set_allowable(Transport::Tcp, allowable.clone())?;
    for definition in profile.sysplexports() {
        let target = target(definition.dvipa);
        if !joined.contains(&target) {
            memberships.push(connection.join(target)?.value);
        }
    }
    Ok(())
}

impl Core {
    /// Takes an attach's answer as the truth (protocol.md R7, R12): a grant known and listed stays,
    /// one known and not listed is stopped, one listed that an outstanding request of the last
    /// incarnation got is taken up; any other is an earlier life's, and not handed out before the
    /// kernel's sockets were read.
    fn settle(&mut self, connection: Connection, attached: &Attached, profile: &Profile) -> Adopted {
        let last = std::mem::replace(&mut self.connection, connection).actor().incarnation;
        let asked = std::mem::take(&mut self.outstanding);
        self.health = Health::Active;
        self.stopped = attached.stopped;
        for membership in &attached.memberships {
            self.meet(membership, profile);
        }

        let mut adopted = Adopted { granting: attached.stopped, ..Adopted::default() };
        let listed = attached.grants.iter().map(|grant| (grant.lsn, grant)).collect();
        self.stop_unlisted(&listed, &mut adopted);
        self.leaving.attached(|lsn| listed.get(&lsn).map(|grant| (grant.member, grant.mask)));
        for grant in &attached.grants {
            self.take_in(grant, last, &asked, &mut adopted);
            self.freeze(grant);
        }
        for list in self.lists.values_mut() {
            list.fetch = Fetch::None;
            list.fetch_refused = false;
        }
        self.send_releases();
        adopted
    }

    /// A grant without a request is one that the log had lost and this stack reported. Until the
    /// operator has spoken, its ports are used where they are used and handed out to nobody
    /// (protocol.md R19).
    fn freeze(&mut self, grant: &Grant) {
        let is_frozen = grant.number == 0 && self.stopped.is_some_and(StopCause::adopts);
        let Target::List(dvipa, Transport::Tcp) = grant.target else { return };
        if let Some(list) = self.lists.get_mut(&dvipa) {
            list.hand.freeze(grant.lsn, is_frozen, &mut self.order);
        }
    }

    fn meet(&mut self, membership: &Membership, profile: &Profile) {
        let Target::List(dvipa, Transport::Tcp) = membership.target else { return };
        let distributed = || {
            let mut ports = PortSet::empty();
            let distributions = profile.dvipa(dvipa).map_or(&[][..], |definition| &definition.distributions);
            for (first, last) in distributions.iter().flat_map(|distribution| &distribution.ports) {
                ports.insert_range(*first, *last);
            }
            ports
        };
        let list = self.lists.entry(dvipa).or_insert_with(|| List::new(Hand::new(membership.member, distributed())));
        list.hand.member = membership.member;
    }

    /// What is held here and not listed is another's by now, or nobody's.
    fn stop_unlisted(&mut self, listed: &BTreeMap<Lsn, &Grant>, adopted: &mut Adopted) {
        for (dvipa, list) in &mut self.lists {
            for grant in list.hand.grants() {
                let mask = listed.get(&grant).map_or(PortMask::NONE, |listed| listed.mask);
                let Some((lost, used)) = list.hand.cut(grant, mask) else { continue };
                if let Some(observer) = &self.observer {
                    observer.stopped(target(*dvipa), lost.group, lost.grant, lost.mask);
                }
                adopted.stopped.extend(used.ports(lost.group).map(|port| (*dvipa, port)));
            }
        }
    }

    fn take_in(&mut self, grant: &Grant, last: Incarnation, asked: &BTreeSet<u32>, adopted: &mut Adopted) {
        let Target::List(dvipa, Transport::Tcp) = grant.target else { return };
        let Some(list) = self.lists.get_mut(&dvipa) else { return };
        // Where data was lost, what only the log names may be another's by now (protocol.md R19), and a
        // number that was used once may have been used again.
        let in_doubt = self.stopped.is_some_and(StopCause::adopts);
        let leaving = self.leaving.mask(grant.lsn);
        let held = list.hand.mask(grant.lsn).unwrap_or_default();
        if !held.or(leaving).is_empty() {
            // Ports of it that are in no hand were given back before, and go back again.
            let mask = grant.mask.without(held).without(leaving);
            if !mask.is_empty() {
                self.leaving.add(grant.target, grant.member, Part { group: grant.group, grant: grant.lsn, mask });
            }
        } else if !in_doubt && grant.lsn.0 > last.0 && asked.contains(&grant.number) {
            self.take_up(dvipa, grant, PortMask::NONE);
        } else {
            list.hand.take_up(grant, PortMask::NONE, true, &mut self.order);
            adopted.grants.push(*grant);
        }
    }
}
