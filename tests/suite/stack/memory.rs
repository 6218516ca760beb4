//! A facility that is nothing but a structure in memory, and that fails when it is told to.

use super::Mutex;
use portplex::facility::{AttachRequest, CallError, Challenge, Clock, Completer, Facility, Page, Presence, Query};
use portplex::facility::{Receipt, Renewal, Reply, Rows, Ticket};
use portplex::ident::{
    BootId, BootMs, ConnectorName, HistoryId, Lsn, StoreUuid, StructureName, Target, Transport, WallMs,
};
use portplex::structure::{
    Actor, Body, ClockFloor, Context, Decision, Due, Introduction, Item, PortOwner, PortRange, Refusal, ReportedGrant,
    Request, Standing, StopCause, Structure,
};
use std::fmt;
use std::sync::Arc;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As it should.
    Well,
    /// Requests are lost: nothing is done.
    Lost,
    /// Answers are lost: everything is done.
    Deaf,
    /// Answers are held back until [`Memory::let_go`].
    Holding,
    /// Requests are turned down as too many.
    Overloaded,
    /// Renewals are answered with another number.
    WrongNumber,
    /// Whatever is new is turned down for want of room.
    Full,
    /// Renewals, acquires and claims are answered [`SLOW_MS`] later.
    Slow,
}

/// How long a slow answer takes.
pub(super) const SLOW_MS: u64 = 4_000;

/// The structure and what is around it; copies are other connections to it.
#[derive(Clone)]
pub(super) struct Memory(Arc<Mutex<Core>>);

struct Core {
    structure: Structure,
    mode: Mode,
    history: u64,
    /// The last lsn of each history before the present one, oldest first.
    ends: Vec<(u64, Lsn)>,
    store: u128,
    is_receipt_good: bool,
    /// What a stack reports before it attaches again; `None`: it was not asked.
    reported: Option<Vec<ReportedGrant>>,
    open_first: Lsn,
    now: u64,
    random: u64,
    held: Vec<(Completer<Reply>, Reply)>,
    seen: Vec<Request>,
}

/// The facility's time as a clock.
struct Hands(Memory);

impl Clock for Hands {
    fn boot_ms(&self) -> BootMs {
        BootMs(self.0.0.lock().now)
    }

    fn wall_ms(&self) -> WallMs {
        WallMs(0)
    }

    fn boot_id(&self) -> BootId {
        BootId(1)
    }
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hands")
    }
}

pub(super) const QUARANTINE_MS: u32 = 1_000;

impl Memory {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Core {
            structure: Structure::new(StructureName::default()),
            mode: Mode::Well,
            history: 1,
            ends: Vec::new(),
            store: 1,
            is_receipt_good: true,
            reported: None,
            open_first: Lsn(1),
            now: 1_000_000,
            random: seed,
            held: Vec::new(),
            seen: Vec::new(),
        })))
    }

    pub(super) fn door(&self) -> Arc<dyn Facility> {
        Arc::new(self.clone())
    }

    /// The clock that stacks read: it stands still but for [`pass`](Self::pass).
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(Hands(self.clone()))
    }

    pub(super) fn set(&self, mode: Mode) {
        self.0.lock().mode = mode;
    }

    pub(super) fn mode(&self) -> Mode {
        self.0.lock().mode
    }

    /// Opens anew, as after a crash: all incarnations must attach, and what was held back is lost.
    pub(super) fn reopen(&self) {
        let mut core = self.0.lock();
        core.held.clear();
        let end = (core.history, core.structure.lsn());
        core.ends.push(end);
        core.history += 1;
        core.mode = Mode::Well;
        core.open_first = core.structure.lsn().next();
    }

    /// The state now, to be lost or restored later.
    pub(super) fn snapshot(&self) -> Vec<Item> {
        self.0.lock().structure.items().collect()
    }

    /// Puts a state of the present history back and opens anew: what came after it is lost.
    pub(super) fn lose(&self, snapshot: &[Item]) {
        let structure = Structure::import(snapshot.iter().cloned()).expect("it was exported");
        self.0.lock().structure = structure;
        self.reopen();
    }

    /// As if another store were served.
    pub(super) fn set_store(&self, store: u128) {
        self.0.lock().store = store;
    }

    /// As if the present history were another one, with the same incarnations: numbers that come out of
    /// a restored state are not unique.
    pub(super) fn set_history(&self, history: u64) {
        self.0.lock().history = history;
    }

    /// As if no position that a stack names had been given by this store.
    pub(super) fn distrust(&self) {
        self.0.lock().is_receipt_good = false;
    }

    /// Gives the answers that were held back.
    pub(super) fn let_go(&self) {
        let held = std::mem::take(&mut self.0.lock().held);
        for (completer, reply) in held {
            completer.complete(Ok(reply));
        }
    }

    /// Lets time pass and ends what quarantine is over.
    pub(super) fn pass(&self, ms: u64) {
        let mut core = self.0.lock();
        core.now += ms;
        for list in 0..16 {
            let context = core.context();
            if let Due::Now(_) = core.structure.quarantine_due(list, &context) {
                core.execute(&Request::EndQuarantine { list }).expect("it is due");
            }
        }
    }

    /// Requests since the last call.
    pub(super) fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().seen)
    }

    /// Hands a request in past the mode.
    pub(super) fn operate(&self, request: &Request) -> Result<Reply, Refusal> {
        self.0.lock().execute(request)
    }

    pub(super) fn owner(&self, target: Target, port: u16) -> Option<ConnectorName> {
        match self.0.lock().structure.owner(target, port) {
            PortOwner::Held { connector, .. } => Some(connector),
            _ => None,
        }
    }

    /// Whether a port is in quarantine.
    /// The explicit-bind range in force for TCP.
    pub(super) fn range(&self) -> Option<PortRange> {
        self.snapshot().into_iter().find_map(|item| match item {
            Item::Range { transport: Transport::Tcp, range } => Some(range),
            _ => None,
        })
    }

    /// Ports that any stack holds in any list.
    pub(super) fn held(&self) -> u32 {
        let of_grant = |item: Item| if let Item::Grant { mask, .. } = item { mask.count() } else { 0 };
        self.snapshot().into_iter().map(of_grant).sum()
    }

    pub(super) fn is_resting(&self, target: Target, port: u16) -> bool {
        matches!(self.0.lock().structure.owner(target, port), PortOwner::Quarantined { .. })
    }

    pub(super) fn audit(&self) {
        self.0.lock().structure.audit().expect("every invariant holds");
    }
}

impl Core {
    fn context(&mut self) -> Context {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Context {
            now: BootMs(self.now),
            random: self.random,
            open_first: self.open_first,
            floor: ClockFloor::default(),
            quarantine_ms: QUARANTINE_MS,
            deadline: None,
        }
    }

    fn execute(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let (context, mut events) = (self.context(), Vec::new());
        let decision = self.structure.decide(request, &context, &mut events)?;
        let first = self.structure.lsn().next();
        for event in &events {
            self.structure.apply(self.structure.lsn().next(), BootMs(self.now), event);
        }
        let count = u32::try_from(events.len()).expect("few events");
        let answer = self.structure.answer(request, &decision, first, count);
        let lsn = match decision {
            Decision::Repeat { first, count } => Lsn(first.0 + u64::from(count) - 1),
            _ => self.structure.lsn(),
        };
        let (store, history, receipt) = (StoreUuid(self.store), HistoryId(self.history), Receipt::default());
        Ok(Reply { store, history, lsn, receipt, answer })
    }

    /// What comes before an attach: is this the store, did it lose anything, what is held.
    fn admit(&mut self, attach: &AttachRequest) -> Result<(), Refusal> {
        let name = attach.introduction.name.clone();
        if let Some(position) = attach.position {
            if position.store.0 != self.store {
                return Err(Refusal::OtherStore { store: StoreUuid(self.store) });
            }
            if !self.is_receipt_good {
                return Err(Refusal::ReceiptBad);
            }
            let end = self.ends.iter().find(|(history, _)| *history == position.history.0);
            if end.map_or(self.structure.lsn(), |(_, end)| *end) < position.lsn {
                let (cause, history, lsn) = (StopCause::DataLost, position.history, position.lsn);
                self.execute(&Request::Stop { cause, name: Some(name.clone()), history, lsn })?;
            }
        }
        let slot = self.structure.connector(&name).ok_or(Refusal::UnknownConnector)?.actor.slot;
        if self.structure.standing(slot) == attach.standing {
            return Ok(());
        }
        let Some(reported) = self.reported.take() else {
            self.reported = Some(Vec::new());
            return Err(Refusal::ReportNeeded);
        };
        assert_eq!(Standing::of(reported.iter().copied()), attach.standing, "the report is what was announced");
        self.execute(&Request::Adopt { name, grants: reported }).map(|_| ())
    }

    /// Whether it would take room.
    fn is_new(request: &Request) -> bool {
        let stack = |body: &Body| {
            matches!(body, Body::Join { .. } | Body::SetAllowable { .. } | Body::Acquire { .. } | Body::Claim { .. })
        };
        matches!(request, Request::Stack { body, .. } if stack(body))
    }
}

impl Facility for Memory {
    fn submit(&self, request: Request) -> Ticket<Reply> {
        let mut core = self.0.lock();
        core.seen.push(request.clone());
        match core.mode {
            Mode::Lost => Ticket::ready(Err(CallError::Gone)),
            Mode::Overloaded => Ticket::ready(Err(CallError::Refused(Refusal::Overloaded))),
            Mode::Full if Core::is_new(&request) => Ticket::ready(Err(CallError::Refused(Refusal::StorageFull))),
            Mode::Deaf => {
                let _ = core.execute(&request);
                Ticket::ready(Err(CallError::Gone))
            }
            Mode::Holding => {
                let (ticket, completer) = Ticket::pair();
                match core.execute(&request) {
                    Ok(reply) => core.held.push((completer, reply)),
                    Err(refusal) => completer.complete(Err(refusal.into())),
                }
                ticket
            }
            Mode::Well | Mode::WrongNumber | Mode::Full | Mode::Slow => {
                if core.mode == Mode::Slow && Core::is_new(&request) {
                    core.now += SLOW_MS;
                }
                Ticket::ready(core.execute(&request).map_err(CallError::from))
            }
        }
    }

    fn challenge(&self, name: &ConnectorName) -> Ticket<Challenge> {
        let core = self.0.lock();
        Ticket::ready(match core.mode {
            Mode::Lost | Mode::Deaf => Err(CallError::Gone),
            Mode::Overloaded => Err(Refusal::Overloaded.into()),
            _ if core.structure.connector(name).is_none() => Err(Refusal::UnknownConnector.into()),
            _ => Ok(Challenge(1)),
        })
    }

    fn report(&self, _name: &ConnectorName, _challenge: Challenge, grants: Vec<ReportedGrant>) -> Ticket<()> {
        if let Some(reported) = self.0.lock().reported.as_mut() {
            reported.extend(grants);
        }
        Ticket::ready(Ok(()))
    }

    fn attach(&self, attach: AttachRequest, _presence: Presence) -> Ticket<Reply> {
        let admitted = match self.mode() {
            Mode::Lost | Mode::Overloaded => Ok(()),
            _ => self.0.lock().admit(&attach),
        };
        match admitted {
            Ok(()) => self.submit(Request::Attach(attach.introduction)),
            Err(refusal) => Ticket::ready(Err(refusal.into())),
        }
    }

    fn connect(&self, introduction: Introduction, _presence: Presence) -> Ticket<Reply> {
        self.submit(Request::Connect(introduction))
    }

    fn renew(&self, _actor: Actor, number: u64) -> Ticket<Renewal> {
        if self.mode() == Mode::Slow {
            self.0.lock().now += SLOW_MS;
        }
        Ticket::ready(match self.mode() {
            Mode::Lost | Mode::Deaf => Err(CallError::Gone),
            mode => Ok(Renewal { number: number + u64::from(mode == Mode::WrongNumber), promise_ms: 30_000 }),
        })
    }

    fn query(&self, query: Query) -> Ticket<Page> {
        let core = self.0.lock();
        Ticket::ready(match query {
            Query::Owner { target, port } if core.mode == Mode::Well => Ok(Page {
                history: HistoryId(core.history),
                lsn: core.structure.lsn(),
                rows: Rows::Owner(core.structure.owner(target, port)),
            }),
            _ => Err(CallError::Gone),
        })
    }
}
