//! What a state of the model is: machines, agents, messages under way, the facility, and what the
//! remote side still remembers.

use super::rules::Budget;
use super::store::NodeId;

/// One tick of every clock, ms. Two ticks are a promise with its drift, one a quarantine.
pub(super) const TICK_MS: u64 = 5_000;
pub(super) const PROMISE_MS: u64 = 9_900;
pub(super) const QUARANTINE_MS: u32 = 5_000;
/// How long the remote side may remember a connection, in ticks.
pub(super) const REMEMBERED_TICKS: u8 = 1;

/// A set of the configuration's ports, by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ports(pub(super) u8);

/// One kernel: what has sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kernel {
    pub(super) host: u8,
    pub(super) boot: u8,
}

impl Kernel {
    /// Its boot id: no two kernels have the same.
    pub(super) fn id(self) -> u128 {
        u128::from(self.host) << 8 | u128::from(self.boot)
    }
}

/// One agent process of one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Process {
    pub(super) kernel: Kernel,
    pub(super) number: u8,
}

/// What requests and answers carry (protocol.md R11, R17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Session {
    pub(super) history: u8,
    pub(super) incarnation: u64,
    pub(super) slot: u32,
    /// Slot and join of its membership, if it could join.
    pub(super) member: Option<(u32, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Grant {
    pub(super) lsn: u64,
    pub(super) ports: Ports,
    pub(super) number: u32,
}

/// What is asked under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ask {
    /// The intent is what the program wanted: a retry under another number is the same one.
    Acquire {
        intent: u8,
    },
    Release {
        lsn: u64,
        ports: Ports,
    },
}

/// An attach that is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attaching {
    pub(super) serial: u8,
    pub(super) sent: u64,
    /// The facility's history when it was sent: with another one the connection is broken.
    pub(super) history: u8,
}

/// One agent: all that its process remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Agent {
    pub(super) process: Process,
    pub(super) is_paused: bool,
    pub(super) session: Option<Session>,
    /// The incarnation that was the last to be attached.
    pub(super) last: u64,
    /// The highest lsn of any answer, and in which history.
    pub(super) position: Option<(u8, u64)>,
    pub(super) hand: Vec<Grant>,
    /// Given back, or on the way.
    pub(super) leaving: Vec<Grant>,
    pub(super) outstanding: Vec<(u32, Ask)>,
    /// The number of the next request.
    pub(super) next: u32,
    pub(super) intents: u8,
    /// The attach that is to be answered.
    pub(super) attaching: Option<Attaching>,
    /// The same of renewals.
    pub(super) renewing: Vec<(u8, u64)>,
    pub(super) serials: u8,
}

impl Agent {
    pub(super) fn new(process: Process) -> Self {
        Self {
            process,
            is_paused: false,
            session: None,
            last: 0,
            position: None,
            hand: Vec::new(),
            leaving: Vec::new(),
            outstanding: Vec::new(),
            next: 1,
            intents: 0,
            attaching: None,
            renewing: Vec::new(),
            serials: 0,
        }
    }

    /// The lowest number that is not answered.
    pub(super) fn lowest(&self) -> u32 {
        self.outstanding.iter().map(|(number, _)| *number).min().unwrap_or(self.next)
    }

    pub(super) fn serial(&mut self) -> u8 {
        self.serials += 1;
        self.serials
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) boot: u8,
    /// Since when it is suspended.
    pub(super) suspended: Option<u8>,
    /// Ports that sockets of this kernel use.
    pub(super) uses: Ports,
    /// Until when its agents, or its kernel, may go on: boot clock, ms.
    pub(super) deadline: Option<u64>,
    pub(super) processes: u8,
    pub(super) agents: Vec<Agent>,
}

/// What is under way. A message that never arrives is lost; the order is anybody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    Attach {
        from: Process,
        serial: u8,
        /// Whether it is a connect: the name was not known.
        connects: bool,
        challenge: u8,
        position: Option<(u8, u64)>,
        report: Vec<Grant>,
    },
    Request {
        from: Process,
        session: Session,
        number: u32,
        lowest: u32,
        ask: Ask,
    },
    Renew {
        from: Process,
        session: Session,
        serial: u8,
    },
    /// An operator's clean-up, as true as when it was sent.
    CleanUp {
        name: u8,
        incarnation: u64,
        boot_is_dead: bool,
    },
    Attached {
        to: Process,
        serial: u8,
        session: Session,
        lsn: u64,
        grants: Vec<Grant>,
        adopts: bool,
    },
    Answer {
        to: Process,
        session: Session,
        number: u32,
        lsn: u64,
        outcome: Outcome,
    },
    Renewed {
        to: Process,
        session: Session,
        serial: u8,
    },
}

impl Message {
    /// Whether it is an attach of that process, or the answer.
    pub(super) fn is_attach_of(&self, process: Process) -> bool {
        match self {
            Self::Attach { from, .. } => *from == process,
            Self::Attached { to, .. } => *to == process,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    Granted(Vec<Grant>),
    GrantedAndGone,
    Done,
    /// Attach first.
    MustAttach,
    Refused,
}

/// A line of opens: its id, its first lsn, and the last one kept when the next began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) id: u8,
    pub(super) first: u64,
    pub(super) end: u64,
}

/// What a backup has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Copy {
    pub(super) node: NodeId,
    pub(super) histories: Vec<Span>,
}

/// What a name's lease is, as the facility counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) incarnation: u64,
    pub(super) until: u64,
    /// When the attach was processed.
    pub(super) attached: u64,
}

/// The facility: the real structure by its node, and what the engine around it remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facility {
    pub(super) node: NodeId,
    /// What would be there after a crash.
    pub(super) durable: NodeId,
    /// The node before the last frame, where a lying disk may lose that.
    pub(super) before: NodeId,
    pub(super) histories: Vec<Span>,
    /// Ids given out: every open draws another one.
    pub(super) ids: u8,
    pub(super) open_first: u64,
    pub(super) next_lsn: u64,
    /// Its boot clock runs so far ahead of the world's, ms.
    pub(super) ahead: u64,
    pub(super) floor: (u64, u64),
    /// The challenge that is good for each name; 0: none.
    pub(super) challenges: [u8; 2],
    pub(super) issued: u8,
    pub(super) leases: [Option<Lease>; 2],
    pub(super) copy: Option<Copy>,
    /// With R13 off: what each number got.
    pub(super) made: Vec<(u64, u32, Vec<Grant>)>,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// S1: two kernels use one port.
    TwoKernels,
    /// S1: a kernel uses a port that the remote side may remember of another one.
    Remembered,
    /// S2: an acknowledged grant is gone, and nothing stopped.
    Lost,
    /// S3: a release freed a port that its holder has in hand.
    StaleRelease,
    /// S4: what was asked for once was granted twice.
    SecondGrant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: u8,
    pub(super) hosts: Vec<Host>,
    pub(super) facility: Facility,
    pub(super) network: Vec<Message>,
    /// Ports that the remote side remembers, of which kernel, and until which tick.
    pub(super) remembered: Vec<(u8, Kernel, u8)>,
    /// What was granted, by who wanted it.
    pub(super) granted: Vec<(Process, u8)>,
    /// Names that were cleaned up: then what they had may be gone.
    pub(super) cleaned: [bool; 2],
    /// Whether the disk lied, or an old copy was taken for the store.
    pub(super) betrayed: bool,
    pub(super) left: Budget,
    pub(super) violation: Option<Violation>,
}

impl World {
    /// The boot clock of every machine but a moved facility's, ms.
    pub(super) fn clock(&self) -> u64 {
        u64::from(self.now) * TICK_MS
    }

    pub(super) fn send(&mut self, message: Message) {
        if let Err(place) = self.network.binary_search(&message) {
            self.network.insert(place, message);
        }
    }

    pub(super) fn agent(&mut self, process: Process) -> Option<&mut Agent> {
        let host = &mut self.hosts[usize::from(process.kernel.host)];
        host.agents.iter_mut().find(|agent| agent.process == process)
    }

    pub(super) fn kernel(&self, host: u8) -> Kernel {
        Kernel { host, boot: self.hosts[usize::from(host)].boot }
    }

    /// Sockets begin to use ports.
    pub(super) fn use_ports(&mut self, host: u8, ports: Ports) {
        let kernel = self.kernel(host);
        let fresh = ports.0 & !self.hosts[usize::from(host)].uses.0;
        self.hosts[usize::from(host)].uses.0 |= ports.0;
        self.look_at_use(kernel, Ports(fresh));
    }

    /// A kernel uses ports from here on: no other may, and nobody may remember another's.
    pub(super) fn look_at_use(&mut self, kernel: Kernel, ports: Ports) {
        let others = self.hosts.iter().enumerate().filter(|(place, other)| {
            *place != usize::from(kernel.host) && other.suspended.is_none() && other.uses.0 & ports.0 != 0
        });
        if others.count() > 0 {
            self.violation.get_or_insert(Violation::TwoKernels);
        }
        let now = self.now;
        let is_foreign =
            |(port, of, until): &(u8, Kernel, u8)| ports.0 >> port & 1 == 1 && *of != kernel && *until > now;
        if self.remembered.iter().any(is_foreign) {
            self.violation.get_or_insert(Violation::Remembered);
        }
    }

    /// The use of ports ends: the remote side remembers it for a while.
    pub(super) fn end_use(&mut self, host: u8, ports: Ports) {
        let kernel = self.kernel(host);
        let ended = self.hosts[usize::from(host)].uses.0 & ports.0;
        self.hosts[usize::from(host)].uses.0 &= !ports.0;
        self.remember(kernel, Ports(ended));
    }

    pub(super) fn remember(&mut self, kernel: Kernel, ports: Ports) {
        for port in (0..8).filter(|port| ports.0 >> port & 1 == 1) {
            self.remembered.retain(|(other, of, _)| (*other, *of) != (port, kernel));
            self.remembered.push((port, kernel, self.now + REMEMBERED_TICKS));
        }
        self.remembered.sort_unstable();
    }

    /// Messages to processes that are dead go nowhere.
    pub(super) fn drop_undeliverable(&mut self) {
        let alive: Vec<Process> =
            self.hosts.iter().flat_map(|host| host.agents.iter().map(|agent| agent.process)).collect();
        self.network.retain(|message| match message {
            Message::Attached { to, .. } | Message::Answer { to, .. } | Message::Renewed { to, .. } => {
                alive.contains(to)
            }
            _ => true,
        });
    }
}
