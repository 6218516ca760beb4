//! Random events and items of every kind, from a seed that a failure prints.

use crate::random::Random;
use portplex::ident::{
    BootId, BootMs, ConnectorName, Dvipa, GroupNumber, HistoryId, Identity, Incarnation, Lsn, MachineId, PortMask,
    PortSet, ProcessId, StructureName, Target, Transport, WallMs,
};
use portplex::record::HistoryRow;
use portplex::structure::{Change, ConnectorState, Event, Item, Policy, PortRange, Stamp, StopCause};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Random {
    /// Any number, small ones and the largest ones often.
    fn u64(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(16),
            1 => u64::MAX - self.below(3),
            _ => self.next(),
        }
    }

    fn u32(&mut self) -> u32 {
        self.u64() as u32
    }

    fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn name(&mut self) -> ConnectorName {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$@#._-";
        let length = 1 + self.below(64);
        let text =
            (0..length).map(|_| char::from(letters[self.below(letters.len() as u64) as usize])).collect::<String>();
        ConnectorName::new(&text).expect("of allowed letters")
    }

    fn some_name(&mut self) -> Option<ConnectorName> {
        self.flag().then(|| self.name())
    }

    fn stop_cause(&mut self) -> StopCause {
        [StopCause::PowerLoss, StopCause::DataLost, StopCause::Restored][self.below(3) as usize]
    }

    fn transport(&mut self) -> Transport {
        Transport::ALL[self.below(2) as usize]
    }

    fn target(&mut self) -> Target {
        let transport = self.transport();
        let address = match self.below(3) {
            0 => return Target::Pool(transport),
            1 => IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | self.below(1 << 24) as u32)),
            _ => IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | self.u128() >> 32)),
        };
        Target::List(Dvipa::new(address).expect("unicast"), transport)
    }

    fn identity(&mut self) -> Identity {
        let (machine, boot) = (MachineId(self.u128()), BootId(self.u128()));
        Identity { machine, boot, process: ProcessId(self.u64()) }
    }

    fn group(&mut self) -> GroupNumber {
        GroupNumber::new(self.below(1_024) as u16).expect("below the count")
    }

    fn mask(&mut self) -> PortMask {
        match self.below(3) {
            0 => PortMask::ALL,
            1 => PortMask(1 << self.below(64)),
            _ => PortMask(self.next().max(1)),
        }
    }

    fn ports(&mut self) -> PortSet {
        let mut words = [0; 1_024];
        words.iter_mut().for_each(|word| *word = self.u64());
        PortSet::from_words(words)
    }

    fn policy(&mut self) -> Policy {
        let (quota, reserve) = (self.u32(), self.below(1_025) as u16);
        Policy { quota, reserve, quarantine_ms: self.u32(), clean_up_ms: self.u64() }
    }

    fn range(&mut self) -> PortRange {
        let first = 1 + self.below(65_535) as u16;
        PortRange { first, count: 1 + self.below(65_536 - u64::from(first)) as u16 }
    }

    fn lsn(&mut self) -> Lsn {
        Lsn(self.u64())
    }

    fn stamp(&mut self) -> Stamp {
        let number = self.u32().max(1);
        match self.below(3) {
            0 => Stamp::None,
            1 => Stamp::Next { number },
            _ => {
                let below = self.below(u64::from(number.min(16_384))) as u16;
                Stamp::First { number, below, hash: self.u64() }
            }
        }
    }

    /// An event of any kind.
    pub(crate) fn event(&mut self) -> Event {
        let kind = self.below(20);
        Event { stamp: self.stamp(), change: self.change(kind) }
    }

    fn change(&mut self, kind: u64) -> Change {
        let (connector, list, member, set) = (self.u32(), self.u32(), self.u32(), self.u32());
        let (promise_ms, enforced) = (self.u64(), self.flag());
        match kind {
            0 => Change::Connected { connector, name: self.name(), identity: self.identity(), promise_ms, enforced },
            1 => Change::Attached { connector, identity: self.identity(), promise_ms, enforced },
            2 => Change::Disconnected { connector },
            3 => Change::Failed { connector, by: self.some_name() },
            4 => {
                let (from, boot_is_dead) = (BootMs(self.u64()), self.flag());
                Change::CleanedUp { connector, from, boot_is_dead, by: self.name() }
            }
            5 => Change::Defined { list, target: self.target() },
            6 => Change::Deleted { list },
            7 => Change::Joined { connector, list, member, target: self.target() },
            8 => Change::Left { member },
            9 => Change::Granted { member, group: self.group(), mask: self.mask() },
            10 => Change::Released { member, group: self.group(), grant: self.lsn(), mask: self.mask() },
            11 => Change::Ready { list, up_to: self.lsn() },
            12 => Change::SetStored { connector, set, ports: self.ports() },
            13 => Change::AllowableSet { connector, transport: self.transport(), set },
            14 => Change::PolicySet { list, policy: self.policy() },
            15 => {
                let (cause, connector) = (self.stop_cause(), self.flag().then(|| self.below(70_000) as u32));
                Change::Stopped { cause, connector, history: HistoryId(self.u64()), lsn: self.lsn() }
            }
            16 => Change::Revoked { member, group: self.group(), grant: self.lsn(), mask: self.mask() },
            17 => Change::Adopted { member, group: self.group(), grant: self.lsn(), mask: self.mask() },
            18 => Change::Resumed { by: self.some_name() },
            _ => {
                let range = if self.flag() { Some(self.range()) } else { None };
                Change::RangeSet { transport: self.transport(), range }
            }
        }
    }

    /// An item of any kind but the head.
    pub(crate) fn item(&mut self) -> Item {
        let (connector, list, member, number) = (self.u32(), self.u32(), self.u32(), self.u32());
        match self.below(9) {
            8 => {
                let (since, highest, from) = (self.lsn(), self.lsn(), BootMs(self.u64()));
                Item::Stop { cause: self.stop_cause(), since, from, highest, adopted: self.u32() }
            }
            0 => Item::Range { transport: self.transport(), range: self.range() },
            1 => Item::Set { set: self.u32(), ports: self.ports() },
            2 => {
                let (created, open, defined) = (self.lsn(), self.flag(), self.flag());
                Item::List { list, target: self.target(), created, open, defined, policy: self.policy() }
            }
            3 => self.connector(),
            4 => {
                let (hash, count) = (self.u64(), self.u32().max(1));
                Item::Window { connector, number: number.max(1), hash, first: self.lsn(), count }
            }
            5 => {
                let last_group = if self.flag() { Some(self.group()) } else { None };
                Item::Member { member, connector, list, joined: self.lsn(), last_group }
            }
            6 => Item::Grant { lsn: self.lsn(), member, group: self.group(), mask: self.mask(), number },
            _ => {
                let (lsn, group, mask) = (self.lsn(), self.group(), self.mask());
                let (boot_since, from) = (self.lsn(), BootMs(self.u64()));
                Item::Quarantine { lsn, list, group, mask, connector, boot_since, from }
            }
        }
    }

    fn connector(&mut self) -> Item {
        let states = [ConnectorState::Active, ConnectorState::FailedPersistent, ConnectorState::Forgotten];
        Item::Connector {
            connector: self.u32(),
            name: self.name(),
            incarnation: Incarnation(self.u64()),
            state: states[self.below(3) as usize],
            identity: self.identity(),
            boot_since: self.lsn(),
            promise_ms: self.u64(),
            enforced: self.flag(),
            sets: [None, Some(self.below(70_000) as u32)],
            window_lowest: self.u32(),
        }
    }

    /// The first item of a state.
    pub(crate) fn head(&mut self, lsn: Lsn) -> Item {
        let mut group = || if self.flag() { Some(2 + self.below(30) as u8) } else { None };
        Item::Head { name: StructureName::new(group(), group()).expect("in range"), lsn }
    }

    /// A history entry.
    pub(crate) fn history(&mut self) -> HistoryRow {
        let (id, first, boot) = (HistoryId(self.u64()), self.lsn(), BootId(self.u128()));
        let (boot_ms, wall_ms) = (BootMs(self.u64()), WallMs(self.u64()));
        HistoryRow { id, first, boot, boot_ms, wall_ms, epoch: self.u64(), end: self.lsn() }
    }
}
