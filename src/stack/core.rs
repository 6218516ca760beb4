//! What is behind a stack's lock: the connection, the hands, and what is outstanding.
#![forbid(unsafe_code)]

use super::Observer;
use super::StackError;
use super::State;
use super::Usage;
use super::hand::{Hand, Part};
use super::leaving::Leaving;
use super::order::Order;
use crate::facility::CallError;
use crate::facility::Connection;
use crate::facility::Pending;
use crate::ident::Dvipa;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::Grant;
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
    /// Whether the allowable ports were given and every list joined since the last attach: a
    /// restored store, or a full one, lets a stack attach and no more.
    pub(super) entered: bool,
    /// Why nothing is granted, as the facility last said.
    pub(super) stopped: Option<StopCause>,
    pub(super) lists: BTreeMap<Dvipa, List>,
    pub(super) leaving: Leaving,
    /// Numbers of acquires and claims of this incarnation whose answer was not taken up.
    pub(super) outstanding: BTreeSet<u32>,
    pub(super) order: Order,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// Whether requests can be made.
#[derive(Clone, Debug)]
pub(super) enum Health {
    Active,
    Unreachable(CallError),
    /// Over, and what every caller hears.
    Fenced(StackError),
}

/// One DVIPA's list as this stack sees it.
pub(super) struct List {
    pub(super) hand: Hand,
    pub(super) fetch: Fetch,
    /// A group fetched ahead was refused: none is fetched again before one was got.
    pub(super) fetch_refused: bool,
    /// How many acquires that somebody waited for have failed, and how the last one did.
    pub(super) failures: u64,
    pub(super) failure: Option<StackError>,
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
    pub(super) fn new(hand: Hand) -> Self {
        Self { hand, fetch: Fetch::None, fetch_refused: false, failures: 0, failure: None }
    }
}

impl Core {
    pub(super) fn state(&self) -> State {
        match (&self.health, self.stopped) {
            (Health::Active, None) => State::Active,
            (Health::Active, Some(cause)) => State::Stopped(cause),
            (Health::Unreachable(_), _) => State::Unreachable,
            (Health::Fenced(_), _) => State::Fenced,
        }
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        let of_list = |(dvipa, list): (&Dvipa, &List)| {
            let [grants, ports, in_use, unadopted] = list.hand.counts();
            Usage { dvipa: *dvipa, grants, ports, in_use, unadopted }
        };
        self.lists.iter().map(of_list).collect()
    }

    /// The error of a stack that is over.
    pub(super) fn alive(&self) -> Result<(), StackError> {
        if let Health::Fenced(error) = &self.health { Err(error.clone()) } else { Ok(()) }
    }

    /// Everything that the facility may have as this stack's, as far as it knows: what is in hand,
    /// and what is on its way back.
    pub(super) fn reported(&self) -> Vec<ReportedGrant> {
        let in_hand = self.lists.iter().flat_map(|(dvipa, list)| list.hand.reported(target(*dvipa)));
        let mut all: BTreeMap<(Target, Lsn), ReportedGrant> = BTreeMap::new();
        for reported in in_hand.chain(self.leaving.reported()) {
            let known = all.entry((reported.target, reported.lsn)).or_insert(reported);
            known.mask = known.mask.or(reported.mask);
        }
        all.into_values().collect()
    }

    /// The error of a request that cannot be made now.
    pub(super) fn ready(&self) -> Result<(), StackError> {
        match &self.health {
            Health::Active => Ok(()),
            Health::Unreachable(cause) => Err(StackError::Unreachable { cause: cause.clone() }),
            Health::Fenced(error) => Err(error.clone()),
        }
    }

    /// Takes up what the facility has answered since the last look at this DVIPA; never waits.
    pub(super) fn look(&mut self, dvipa: Dvipa) {
        self.send_releases();
        let Some(list) = self.lists.get_mut(&dvipa) else { return };
        let Fetch::Ahead(pending) = &mut list.fetch else { return };
        let number = pending.number();
        let Some(answer) = pending.try_take() else { return };
        list.fetch = Fetch::None;
        if let Err(error) = self.granted(dvipa, number, answer.map(|answered| answered.value)) {
            let refused = matches!(error, StackError::Refused(_));
            if let Some(list) = self.lists.get_mut(&dvipa).filter(|_| refused) {
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
        dvipa: Dvipa,
        number: u32,
        answer: Result<Vec<Grant>, CallError>,
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
        for grant in &grants {
            self.take_up(dvipa, grant, PortMask::NONE);
        }
        Ok(())
    }

    /// Takes up a grant that this life asked for.
    pub(super) fn take_up(&mut self, dvipa: Dvipa, grant: &Grant, used: PortMask) {
        if let Some(list) = self.lists.get_mut(&dvipa) {
            if let Some(observer) = &self.observer {
                observer.granted(grant);
            }
            list.hand.take_up(grant, used, false, &mut self.order);
            list.fetch_refused = false;
        }
    }

    /// Gives ports back: they are out of every hand already.
    pub(super) fn give_back(&mut self, dvipa: Dvipa, parts: &[Part]) {
        let Some(list) = self.lists.get(&dvipa) else { return };
        for part in parts {
            if let Some(observer) = &self.observer {
                observer.releasing(target(dvipa), part.group, part.grant, part.mask);
            }
            self.leaving.add(target(dvipa), list.hand.member, *part);
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
                if !matches!(self.health, Health::Fenced(_)) {
                    self.health = Health::Unreachable(cause.clone());
                }
                StackError::Unreachable { cause }
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
        for (dvipa, list) in &mut self.lists {
            list.fetch = Fetch::None;
            list.hand.give_up_all().into_iter().for_each(|part| tell(target(*dvipa), part));
        }
    }
}

/// Refusals after which only an attach helps.
fn needs_attach(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::MustAttach | Refusal::NumbersExhausted | Refusal::UnknownConnector)
}
