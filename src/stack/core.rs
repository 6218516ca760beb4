//! What is behind a stack's lock: the connection, the hands, and what is outstanding.
#![forbid(unsafe_code)]

use super::Observer;
use super::StackError;
use super::State;
use super::Usage;
use super::hand::{Hand, Part};
use super::lease::Lease;
use super::leaving::Leaving;
use super::order::Order;
use super::own::Own;
use crate::facility::CallError;
use crate::facility::Connection;
use crate::facility::Pending;
use crate::facility::PendingRenewal;
use crate::ident::BootMs;
use crate::ident::Dvipa;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Grant;
use crate::structure::Member;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::StopCause;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A stack's state.
pub(super) struct Core {
    pub(super) connection: Connection,
    pub(super) health: Health,
    /// Whether the allowable ports were given and every list joined since the last attach, or the
    /// last data set: a restored store, or a full one, lets a stack attach and no more.
    pub(super) entered: bool,
    /// The explicit-bind range of a data set that was processed and not made the active one yet.
    pub(super) range_to_set: bool,
    /// Why nothing is granted, as the facility last said.
    pub(super) stopped: Option<StopCause>,
    pub(super) lists: BTreeMap<Target, List>,
    pub(super) own: Own,
    pub(super) leaving: Leaving,
    /// Numbers of acquires and claims of this incarnation whose answer was not taken up.
    pub(super) outstanding: BTreeSet<u32>,
    pub(super) order: Order,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) lease: Arc<Lease>,
    /// When the last renewal, or attach, was sent, and the one that has no answer yet.
    pub(super) renewed: BootMs,
    pub(super) renewal: Option<PendingRenewal>,
    /// When connections that were closed were last counted as one interval older.
    pub(super) turned: BootMs,
}

/// Whether requests can be made.
#[derive(Clone, Debug)]
pub(super) enum Health {
    Active,
    Unreachable(CallError),
    /// The lease ran out at this time.
    Expired(BootMs),
    /// Over, and what every caller hears.
    Fenced(StackError),
}

/// One list as this stack sees it.
pub(super) struct List {
    pub(super) member: Member,
    pub(super) hand: Hand,
    pub(super) fetch: Fetch,
    /// A group fetched ahead was refused: none is fetched again before one was got.
    pub(super) fetch_refused: bool,
    /// How many acquires that somebody waited for have failed, and how the last one did.
    pub(super) failures: u64,
    pub(super) failure: Option<StackError>,
    /// Groups to ask for at once, and when the last were got.
    pub(super) at_once: u16,
    pub(super) fetched: Option<BootMs>,
    /// Since when more is free than is needed.
    pub(super) surplus: Option<BootMs>,
    /// Its last distribution went: nothing is handed out, and it is left when nothing is held.
    pub(super) is_left: bool,
    pub(super) leave: Option<Pending<()>>,
}

/// The one acquire that may be outstanding.
pub(super) enum Fetch {
    None,
    /// In the background.
    Ahead(Pending<Vec<Grant>>),
    /// Somebody waits for it.
    Awaited,
}

/// The list of a DVIPA: TCP, as the origin has it.
pub(super) fn target(dvipa: Dvipa) -> Target {
    Target::List(dvipa, Transport::Tcp)
}

impl List {
    pub(super) fn new(member: Member, hand: Hand) -> Self {
        Self {
            member,
            hand,
            fetch: Fetch::None,
            fetch_refused: false,
            failures: 0,
            failure: None,
            at_once: 1,
            fetched: None,
            surplus: None,
            is_left: false,
            leave: None,
        }
    }
}

impl Core {
    pub(super) fn state(&self) -> State {
        match (&self.health, self.stopped) {
            (Health::Active, None) => State::Active,
            (Health::Active, Some(cause)) => State::Stopped(cause),
            (Health::Unreachable(_), _) => State::Unreachable,
            (Health::Expired(_), _) => State::Expired,
            (Health::Fenced(_), _) => State::Fenced,
        }
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        let of_list = |(target, list): (&Target, &List)| {
            let counts = list.hand.counts();
            Usage {
                target: *target,
                grants: counts.grants,
                ports: counts.ports,
                in_use: counts.in_use,
                free: counts.free,
                resting: counts.resting,
                unadopted: counts.unadopted,
                is_left: list.is_left,
            }
        };
        self.lists.iter().map(of_list).collect()
    }

    /// The error of a stack that is over.
    pub(super) fn alive(&self) -> Result<(), StackError> {
        match &self.health {
            Health::Fenced(error) => Err(error.clone()),
            Health::Expired(until) => Err(StackError::LeaseOver { until: *until }),
            Health::Active | Health::Unreachable(_) => Ok(()),
        }
    }

    /// The error of a request that cannot be made now.
    pub(super) fn ready(&self) -> Result<(), StackError> {
        match &self.health {
            Health::Unreachable(cause) => Err(self.unreachable(cause.clone())),
            _ => self.alive(),
        }
    }

    pub(super) fn unreachable(&self, cause: CallError) -> StackError {
        StackError::Unreachable { cause, until: self.lease.until() }
    }

    /// Everything that the facility may have as this stack's, as far as it knows: what is in hand,
    /// and what is on its way back.
    pub(super) fn reported(&self) -> Vec<ReportedGrant> {
        let in_hand = self.lists.iter().flat_map(|(target, list)| list.hand.reported(*target));
        let mut all: BTreeMap<(Target, Lsn), ReportedGrant> = BTreeMap::new();
        for reported in in_hand.chain(self.leaving.reported()) {
            let known = all.entry((reported.target, reported.lsn)).or_insert(reported);
            known.mask = known.mask.or(reported.mask);
        }
        all.into_values().collect()
    }

    /// Takes up what came since the last look at this list, from the facility and from those who had
    /// its ports; never waits.
    pub(super) fn look(&mut self, target: Target, now: BootMs) {
        self.send_releases();
        let Some(list) = self.lists.get_mut(&target) else { return };
        list.hand.look(now);
        let Fetch::Ahead(pending) = &mut list.fetch else { return };
        let number = pending.number();
        let Some(answer) = pending.try_take() else { return };
        list.fetch = Fetch::None;
        if let Err(error) = self.granted(target, number, answer.map(|answered| answered.value), now) {
            // One that was too much for the facility is asked for again with the next need.
            let refused = matches!(&error, StackError::Refused(why) if *why != Refusal::Overloaded);
            if let Some(list) = self.lists.get_mut(&target).filter(|_| refused) {
                list.fetch_refused = true;
            }
        }
    }

    /// Sends what goes back, looks at the answers that are there.
    pub(super) fn send_releases(&mut self) {
        if !matches!(self.health, Health::Active) {
            return;
        }
        if let Err(cause) = self.leaving.send(&self.connection) {
            self.fail(cause);
        }
    }

    /// Takes up the answer to an acquire of this incarnation.
    pub(super) fn granted(
        &mut self,
        target: Target,
        number: u32,
        answer: Result<Vec<Grant>, CallError>,
        now: BootMs,
    ) -> Result<(), StackError> {
        let grants = answer.map_err(|cause| {
            if matches!(cause, CallError::Refused(_)) {
                self.outstanding.remove(&number);
            }
            self.fail(cause)
        })?;
        // protocol.md R11: a grant for a request that is not outstanding is nobody's.
        if !self.outstanding.remove(&number) {
            return Ok(());
        }
        self.stopped = None;
        if let Some(list) = self.lists.get_mut(&target) {
            list.got(now);
        }
        for grant in &grants {
            self.take_up(grant, PortMask::NONE);
        }
        Ok(())
    }

    /// Takes up a grant that this life asked for.
    pub(super) fn take_up(&mut self, grant: &Grant, used: PortMask) {
        if let Some(observer) = &self.observer {
            observer.granted(grant);
        }
        self.put_in_hand(grant, used, false);
        if let Some(list) = self.lists.get_mut(&grant.target) {
            list.fetch_refused = false;
        }
    }

    /// Puts a grant into the hand. The stack's own ports make way, but for those in use.
    pub(super) fn put_in_hand(&mut self, grant: &Grant, used: PortMask, unread: bool) {
        let Some(list) = self.lists.get_mut(&grant.target) else { return };
        let own = self.own.make_way(grant.group, grant.mask);
        if !own.is_empty() {
            list.hand.bar_more(grant.group, own);
        }
        list.hand.take_up(grant, used, unread);
    }

    /// Gives ports back: they are out of every hand already.
    pub(super) fn give_back(&mut self, target: Target, parts: &[Part]) {
        let Some(list) = self.lists.get(&target) else { return };
        for part in parts {
            if let Some(observer) = &self.observer {
                observer.releasing(target, part.group, part.grant, part.mask);
            }
            self.leaving.add(target, list.member, *part);
        }
        self.send_releases();
    }

    /// What a failed call means for this stack, and for its caller.
    pub(super) fn fail(&mut self, cause: CallError) -> StackError {
        match cause {
            CallError::Refused(Refusal::StaleIncarnation { .. }) => self.fence(StackError::Fenced),
            CallError::Refused(refusal @ Refusal::GrantsStopped { cause }) => {
                self.stopped = Some(cause);
                StackError::Refused(refusal)
            }
            CallError::Refused(refusal) if !needs_attach(&refusal) => StackError::Refused(refusal),
            cause => {
                if matches!(self.health, Health::Active | Health::Unreachable(_)) {
                    self.health = Health::Unreachable(cause.clone());
                }
                self.unreachable(cause)
            }
        }
    }

    /// This life is over: everything held is another's, or nobody's.
    pub(super) fn fence(&mut self, error: StackError) -> StackError {
        self.health = Health::Fenced(error.clone());
        self.connection.give_up();
        let observer = self.observer.clone();
        self.drop_all(|target, Part { group, grant, mask }| {
            if let Some(observer) = &observer {
                observer.stopped(target, group, grant, mask);
            }
        });
        error
    }

    /// Forgets everything held, without a release.
    pub(super) fn drop_all(&mut self, tell: impl Fn(Target, Part)) {
        self.leaving.clear();
        self.outstanding.clear();
        for (target, list) in &mut self.lists {
            list.fetch = Fetch::None;
            list.hand.give_up_all().into_iter().for_each(|part| tell(*target, part));
        }
    }
}

/// Refusals after which only an attach helps.
fn needs_attach(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::MustAttach | Refusal::NumbersExhausted | Refusal::UnknownConnector)
}
