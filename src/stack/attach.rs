//! The life of a stack: start, attach again, end.
#![forbid(unsafe_code)]

use super::Adopted;
use super::Options;
use super::Stack;
use super::StackError;
use super::core::{Core, Health, target};
use super::hand::Part;
use super::lease::Lease;
use super::leaving::Leaving;
use super::order::Order;
use super::own::Own;
use super::view::View;
use crate::facility::Attached;
use crate::facility::Belief;
use crate::facility::CallError;
use crate::facility::Connection;
use crate::facility::Facility;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::PortSet;
use crate::ident::Target;
use crate::ident::Transport;
use crate::profile::ExplicitBind;
use crate::profile::Profile;
use crate::structure::Introduction;
use crate::structure::Membership;
use crate::structure::Refusal;
use crate::threads::Condvar;
use crate::threads::Mutex;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Stack {
    /// Attaches (or connects if there is no such connector), sets the allowable ports, makes the
    /// profile's EXPLICITBINDPORTRANGE the active one, joins the list of every SYSPLEXPORTS DVIPA of
    /// the profile. What an earlier life held is taken over: read the kernel's sockets and call
    /// [`adopt`](Self::adopt).
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
        let Options { seed, promise_ms, refill, refill_of, deny_nonzero_port, observer, position, lock, clock } =
            options;
        if let Some(lock) = lock.as_ref().filter(|lock| *lock.name() != name) {
            let (path, of) = (lock.path().to_owned(), lock.name().clone());
            return Err(StackError::OtherAgentsLock { path, of, name });
        }
        let introduction = Introduction { name, identity, promise_ms, enforced: false };
        let profile = Arc::new(profile);
        let needs = Needs::of(&profile, true);
        let belief = Belief { position, grants: Vec::new() };
        let sent = clock.boot_ms();
        let lease = Arc::new(Lease::new(promise_ms));
        let entered = enter(&facility, &introduction, &belief, &needs)?;
        let Entered { connection, attached, is_complete } = entered;
        lease.extend(sent, true);
        let order = Order::new(&seed, &introduction.name);
        let mut core = Core {
            connection: connection.clone(),
            health: Health::Active,
            entered: is_complete,
            range_to_set: !is_complete && needs.range.is_some(),
            stopped: None,
            lists: BTreeMap::new(),
            own: Own::new(order.branch(0)),
            leaving: Leaving::default(),
            outstanding: BTreeSet::new(),
            order,
            observer,
            lease: Arc::clone(&lease),
            renewed: sent,
            renewal: None,
            turned: sent,
        };
        let view = View::new(Arc::clone(&profile), &core);
        let adopted = core.settle(connection, &attached, &view);
        let stack = Self {
            view: ArcSwap::from_pointee(view),
            lease,
            introduction,
            refill,
            refill_of,
            deny_nonzero_port,
            clock,
            core: Mutex::new(core),
            arrived: Condvar::new(),
            attaching: Mutex::new(()),
            _lock: lock,
        };
        stack.show(&mut stack.core.lock(), profile);
        Ok((stack, adopted))
    }

    /// Attaches under the next incarnation after the facility came back, or the lease ran out. The
    /// answer settles what was outstanding and replaces what was believed. Ports in hand go on being
    /// used meanwhile.
    ///
    /// # Errors
    /// [`StackError`]; the stack is then unreachable as before, and this may be called again.
    pub fn reattach(&self, facility: Arc<dyn Facility>) -> Result<Adopted, StackError> {
        let _one_at_a_time = self.attaching.lock();
        let (belief, range_to_set) = {
            let mut core = self.core.lock();
            if let Health::Fenced(error) = &core.health {
                return Err(error.clone());
            }
            core.connection.give_up();
            if !matches!(core.health, Health::Expired(_)) {
                core.health = Health::Unreachable(CallError::Gone);
            }
            (Belief { position: Some(core.connection.position()), grants: core.reported() }, core.range_to_set)
        };
        let view = self.view.load_full();
        let sent = self.now();
        let entered = enter(&facility, &self.introduction, &belief, &Needs::of(&view.profile, range_to_set));
        let mut core = self.core.lock();
        match entered {
            Ok(Entered { connection, attached, is_complete }) => {
                self.lease.extend(sent, true);
                core.renewed = sent;
                core.renewal = None;
                let adopted = core.settle(connection, &attached, &view);
                core.entered = is_complete;
                core.range_to_set &= !is_complete;
                self.show(&mut core, Arc::clone(&view.profile));
                self.arrived.notify_all();
                Ok(adopted)
            }
            Err(StackError::ReceiptBad) => Err(core.fence(StackError::ReceiptBad)),
            Err(error) => {
                if matches!(core.health, Health::Unreachable(_)) {
                    core.health = Health::Unreachable(match &error {
                        StackError::Unreachable { cause, .. } => cause.clone(),
                        StackError::Refused(refusal) => CallError::Refused(refusal.clone()),
                        _ => CallError::Gone,
                    });
                }
                Err(error)
            }
        }
    }

    /// Makes up for what an attach or a data set could not do, if this list needs it: nothing of it
    /// is in hand.
    pub(super) fn enter_if_needed(&self, target: Target) -> Result<(), StackError> {
        let is_served = |core: &Core| core.lists.get(&target).is_some_and(|list| list.hand.ports.free_count() > 0);
        {
            let core = self.core.lock();
            if core.entered || is_served(&core) {
                return Ok(());
            }
        }
        let _one_at_a_time = self.attaching.lock();
        self.enter_now()
    }

    /// Asks for all that the profile needs and is not there. With `attaching` held.
    pub(super) fn enter_now(&self) -> Result<(), StackError> {
        let view = self.view.load_full();
        let (connection, joined, range_to_set) = {
            let core = self.core.lock();
            if core.entered {
                return Ok(());
            }
            core.ready()?;
            (core.connection.clone(), core.joined(), core.range_to_set)
        };
        let mut memberships = Vec::new();
        let asked = Needs::of(&view.profile, range_to_set).ask(&connection, &joined, &mut memberships);
        let mut core = self.core.lock();
        if !core.connection.is_same(&connection) {
            return Ok(());
        }
        for membership in &memberships {
            core.meet(membership, &view);
        }
        if !memberships.is_empty() {
            self.show(&mut core, Arc::clone(&view.profile));
        }
        asked.map_err(|cause| core.fail(cause))?;
        core.entered = true;
        core.range_to_set = false;
        Ok(())
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

/// What a profile needs of the structure.
pub(super) struct Needs {
    allowable: PortSet,
    /// The range to be made the active one.
    range: Option<crate::structure::PortRange>,
    lists: Vec<Target>,
}

impl Needs {
    /// `range`: whether the profile's explicit-bind range is to be made the active one, because it
    /// was processed just now: the one processed last anywhere counts.
    fn of(profile: &Profile, range: bool) -> Self {
        let mut lists: Vec<Target> = profile.sysplexports().map(|definition| target(definition.dvipa)).collect();
        let mut active = None;
        if let ExplicitBind::Range(configured) = profile.explicit_bind {
            lists.push(Target::Pool(Transport::Tcp));
            active = range.then_some(configured);
        }
        Self { allowable: profile.allowable(Transport::Tcp), range: active, lists }
    }

    /// Whether the profile needs this list.
    pub(super) fn has(profile: &Profile, target: Target) -> bool {
        Self::of(profile, false).lists.contains(&target)
    }

    /// Gives the allowable ports, and joins every list that is not joined.
    fn ask(
        &self,
        connection: &Connection,
        joined: &[Target],
        memberships: &mut Vec<Membership>,
    ) -> Result<(), CallError> {
        connection.set_allowable(Transport::Tcp, self.allowable.clone())?;
        if let Some(range) = self.range {
            connection.set_range(Transport::Tcp, range)?;
        }
        for target in self.lists.iter().filter(|target| !joined.contains(target)) {
            memberships.push(connection.join(*target)?.value);
        }
        Ok(())
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
    needs: &Needs,
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
    let is_complete = match needs.ask(&connection, &joined, &mut attached.memberships) {
        Ok(()) => true,
        // It is attached all the same, and has what it had.
        Err(CallError::Refused(Refusal::GrantsStopped { .. } | Refusal::StorageFull | Refusal::Overloaded)) => false,
        Err(cause) => return Err(refused(cause)),
    };
    Ok(Entered { connection, attached, is_complete })
}

fn refused(cause: CallError) -> StackError {
    match cause {
        CallError::Refused(refusal) => StackError::Refused(refusal),
        cause => StackError::Unreachable { cause, until: None },
    }
}
