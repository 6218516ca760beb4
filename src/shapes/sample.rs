//! A small structure as items, for the tests of everything that renders items.
#![forbid(unsafe_code)]

use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::PortSet;
use crate::ident::StructureName;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::structure::Policy;
use crate::structure::PortRange;

/// Two stacks and one that is forgotten, a DVIPA and the explicit-bind pool, with whole, shared,
/// part and quarantined groups.
pub(crate) fn items() -> Vec<Item> {
    let mut ports = PortSet::empty();
    ports.insert_range(1_024, u16::MAX);
    ports.remove_range(8_443, 8_443);
    let dvipa: Dvipa = "10.1.1.1".parse().expect("valid");
    let policy = Policy { quota: 4_096, reserve: 2, ..Policy::default() };
    let list = |list, target, created, open, policy| Item::List {
        list,
        target,
        created: Lsn(created),
        open,
        defined: true,
        policy,
    };
    vec![
        Item::Head { name: StructureName::new(Some(11), Some(21)).expect("in range"), lsn: Lsn(2_097_160) },
        Item::Range { transport: Transport::Tcp, range: PortRange { first: 62_000, count: 1_024 } },
        Item::Set { set: 0, ports },
        list(0, Target::List(dvipa, Transport::Tcp), 4, true, policy),
        list(1, Target::Pool(Transport::Tcp), 5, false, Policy::default()),
        connector(0, "SYS1.TCPIP", 1, ConnectorState::Active, Some(0)),
        connector(1, "SYS2.TCPIP", 2, ConnectorState::FailedPersistent, None),
        connector(2, "SYS9.TCPIP", 3, ConnectorState::Forgotten, None),
        membership(0, 0, 0, 6),
        membership(1, 1, 0, 6),
        membership(2, 0, 1, 6),
        grant(7, 0, 700, u64::MAX),
        grant(8, 0, 701, 0x00ff),
        grant(10, 1, 701, 0xff00),
        grant(11, 1, 702, 1),
        Item::Quarantine {
            lsn: Lsn(9),
            list: 0,
            group: group(703),
            mask: PortMask(0xf0),
            connector: 2,
            boot_since: Lsn(3),
            from: BootMs(1_000),
        },
    ]
}

fn group(number: u16) -> GroupNumber {
    GroupNumber::new(number).expect("below 1,024")
}

fn connector(slot: u32, name: &str, incarnation: u64, state: ConnectorState, set: Option<u32>) -> Item {
    Item::Connector {
        connector: slot,
        name: ConnectorName::new(name).expect("valid"),
        incarnation: Incarnation(incarnation),
        state,
        identity: Identity::default(),
        boot_since: Lsn(incarnation),
        promise_ms: 0,
        enforced: false,
        sets: [set, None],
        window_lowest: 1,
    }
}

fn membership(slot: u32, connector: u32, list: u32, joined: u64) -> Item {
    Item::Member { member: slot, connector, list, joined: Lsn(joined), last_group: None }
}

fn grant(lsn: u64, member: u32, number: u16, mask: u64) -> Item {
    Item::Grant { lsn: Lsn(lsn), member, group: group(number), mask: PortMask(mask), number: 1 }
}
