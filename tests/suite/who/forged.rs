//! A packed history without the log that it stands for: one stack that changes its allowable set again
//! and again, which takes 8 KiB each time, and now and then claims a port and gives it back.

use portplex::ident::{BootId, BootMs, ConnectorName, Identity, Lsn, MachineId, PortSet, StructureName};
use portplex::ident::{Target, Transport, WallMs};
use portplex::record;
use portplex::structure::Structure;
use portplex::structure::{Actor, Answer, Body, ClockFloor, Context, Grant, Introduction, Member, Request};
use portplex::wal::pack::ForgedFrame;

/// The port that is claimed.
pub(super) const PORT: u16 = 5_001;
/// Sets between a claim and its release.
const SETS: u16 = 100;

/// What happens next, and what it has come to.
pub(super) struct History {
    structure: Structure,
    context: Context,
    left: u32,
    sets: u16,
    number: u32,
    actor: Option<Actor>,
    member: Option<Member>,
    grant: Option<Grant>,
}

impl History {
    /// Of so many frames.
    pub(super) fn new(frames: u32) -> Self {
        let context = Context {
            now: BootMs(1_000),
            random: 7,
            open_first: Lsn(1),
            floor: ClockFloor::default(),
            quarantine_ms: 1_000,
            deadline: None,
        };
        let structure = Structure::new(StructureName::default());
        Self { structure, context, left: frames, sets: 0, number: 0, actor: None, member: None, grant: None }
    }

    /// The next frame's payload.
    pub(super) fn next(&mut self, first: Lsn, payload: &mut Vec<u8>) -> Option<ForgedFrame> {
        self.left = self.left.checked_sub(1)?;
        self.context.now.0 += 10;
        let request = self.request();
        let mut events = Vec::new();
        let decision = self.structure.decide(&request, &self.context, &mut events).expect("allowed");
        let mut lsn = first;
        for event in &events {
            self.structure.apply(lsn, self.context.now, event);
            record::encode(event, payload);
            lsn = lsn.next();
        }
        let count = u32::try_from(events.len()).expect("few");
        match self.structure.answer(&request, &decision, first, count) {
            Answer::Connected(actor) => self.actor = Some(actor),
            Answer::Joined(joined) => self.member = Some(joined.member),
            Answer::Granted(grants) => self.grant = grants.first().copied(),
            _ => {}
        }
        Some(ForgedFrame { count, wall: WallMs(1_700_000_000_000 + self.context.now.0), boot: self.context.now })
    }

    fn request(&mut self) -> Request {
        let target = Target::List("10.1.1.1".parse().expect("an address"), Transport::Tcp);
        let Some(actor) = self.actor else {
            let name = ConnectorName::new("SYS1").expect("a name");
            let identity = Identity { machine: MachineId(1), boot: BootId(1), ..Identity::default() };
            return Request::Connect(Introduction { name, identity, promise_ms: 0, enforced: false });
        };
        self.number += 1;
        let body = match (self.member, self.grant) {
            _ if self.sets % SETS != SETS - 1 => {
                self.sets = (self.sets + 1) % 10_000;
                let mut ports = PortSet::empty();
                ports.insert_range(PORT, 20_000 + self.sets);
                Body::SetAllowable { transport: Transport::Tcp, ports }
            }
            (None, _) => Body::Join { target },
            (Some(member), None) => {
                self.sets += 1;
                Body::Claim { member, port: PORT }
            }
            (Some(_), Some(Grant { lsn, member, group, mask, .. })) => {
                self.sets += 1;
                self.grant = None;
                Body::Release { member, group, grant: lsn, mask }
            }
        };
        Request::Stack { actor, number: self.number, lowest: self.number, body }
    }
}
