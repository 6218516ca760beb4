//! What the exercise plays with: connectors, lists, ports. Few of each, so that they collide.
#![forbid(unsafe_code)]

use super::draw::Draw;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::facility::Facility;
use crate::facility::Query;
use crate::facility::Rows;
use crate::ident::BootId;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::ident::MachineId;
use crate::ident::PortSet;
use crate::ident::ProcessId;
use crate::ident::Target;
use crate::ident::Transport;
use crate::structure::ConnectorState;
use crate::structure::Introduction;
use crate::structure::PortRange;

/// Connectors when few callers share them.
const CONNECTORS_MIN: u32 = 8;
/// Connectors that one caller has at least.
const CONNECTORS_PER_CALLER_MIN: u32 = 2;
/// Grants that all connectors together tend to hold.
const GRANTS_WANTED: usize = 320;
/// Grants that one connector tends to hold at least.
const GRANTS_PER_CONNECTOR_MIN: usize = 3;
/// TCP ports that a stack may use.
const TCP_PORTS: (u16, u16) = (1_024, 61_999);
/// UDP ports: so few that lists run full and groups are shared.
const UDP_PORTS: (u16, u16) = (5_000, 5_999);
/// Ports that are claimed by name: so few that claims meet grants, quarantine and each other.
const CLAIMED_PORTS: (u16, u16) = (4_000, 4_255);

/// All connectors, and what the store knew of them at the start.
pub(crate) struct Universe {
    connectors: Vec<Known>,
    callers: u32,
}

/// One connector as the store knew it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) name: ConnectorName,
    /// `None`: the store has none of that name.
    pub(crate) found: Option<(Incarnation, ConnectorState)>,
}

impl Universe {
    /// Looks which connectors the store has. Those of an exercise with more callers are found too.
    pub(crate) fn find(facility: &dyn Facility, callers: u32) -> Result<Self, Failure> {
        let count = CONNECTORS_MIN.max(callers.saturating_mul(CONNECTORS_PER_CALLER_MIN));
        let mut connectors = Vec::new();
        for number in 1.. {
            let name = name(number);
            let found = find(facility, &name)?;
            if number > count && found.is_none() {
                break;
            }
            connectors.push(Known { name, found });
        }
        Ok(Self { connectors, callers })
    }

    /// Grants that one connector tends to hold: a few hundred in all.
    pub(crate) fn grants_wanted(&self) -> usize {
        (GRANTS_WANTED / self.connectors.len().max(1)).max(GRANTS_PER_CONNECTOR_MIN)
    }

    /// The connectors of one caller.
    pub(crate) fn of_caller(&self, caller: u32) -> Vec<Known> {
        self.connectors.iter().skip(caller as usize).step_by(self.callers as usize).cloned().collect()
    }
}

fn find(facility: &dyn Facility, name: &ConnectorName) -> Result<Option<(Incarnation, ConnectorState)>, Failure> {
    match facility.query(Query::Connector(name.clone())).wait()?.rows {
        Rows::Connector(found) => Ok(found.map(|status| (status.actor.incarnation, status.state))),
        rows => Err(Failure::told(Exit::Bug, format!("a connector was asked for, {rows:?} came; please report this"))),
    }
}

fn name(number: u32) -> ConnectorName {
    ConnectorName::new(&format!("SYS{number}.TCPIP")).expect("letters, digits and a dot")
}

/// By whose word an exercise cleans up.
pub(crate) fn operator() -> ConnectorName {
    ConnectorName::new("EXERCISE").expect("letters")
}

/// Who a connector says it is. One machine and boot each, for ever: an exercise never reboots, so
/// that only what is told ends a hold. No lease: a frozen process fails nobody.
pub(crate) fn introduction(name: &ConnectorName) -> Introduction {
    let digest = blake3::hash(name.as_str().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    let machine = u128::from_le_bytes(bytes);
    let identity = Identity { machine: MachineId(machine), boot: BootId(!machine), process: ProcessId(1) };
    Introduction { name: name.clone(), identity, promise_ms: 0, enforced: false }
}

/// The lists: three DVIPAs for TCP, one for UDP, the explicit-bind pool.
pub(crate) fn targets() -> Vec<Target> {
    let list = |address: &str, transport| Target::List(address.parse::<Dvipa>().expect("a unicast address"), transport);
    vec![
        list("10.1.1.1", Transport::Tcp),
        list("10.1.1.2", Transport::Tcp),
        list("2001:db8::1", Transport::Tcp),
        list("10.1.1.1", Transport::Udp),
        Target::Pool(Transport::Tcp),
    ]
}

/// An allowable set: the same for all but for a few holes.
pub(crate) fn allowable(draw: &mut Draw, transport: Transport) -> PortSet {
    let (first, last) = match transport {
        Transport::Tcp => TCP_PORTS,
        Transport::Udp => UDP_PORTS,
    };
    let mut set = PortSet::empty();
    set.insert_range(first, last);
    draw.with_holes(set, first, last)
}

/// A port to claim.
pub(crate) fn claimed_port(draw: &mut Draw, transport: Transport) -> u16 {
    let (first, last) = match transport {
        Transport::Tcp => CLAIMED_PORTS,
        Transport::Udp => UDP_PORTS,
    };
    first + u16::try_from(draw.below(u32::from(last - first) + 1)).expect("a span of ports")
}

/// An explicit-bind range, or none. The second one meets the ports of the lists.
pub(crate) fn range(draw: &mut Draw) -> Option<PortRange> {
    draw.weighted(&[
        (6, Some(PortRange { first: 62_000, count: 1_024 })),
        (2, Some(PortRange { first: 60_000, count: 512 })),
        (1, None),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_belongs_to_exactly_one_caller() {
        let connectors: Vec<Known> = (1..=8).map(|number| Known { name: name(number), found: None }).collect();
        let universe = Universe { connectors, callers: 3 };
        let mut names: Vec<String> =
            (0..3).flat_map(|caller| universe.of_caller(caller)).map(|known| known.name.to_string()).collect();
        names.sort();
        assert_eq!(names, (1..=8).map(|number| format!("SYS{number}.TCPIP")).collect::<Vec<_>>());
    }

    #[test]
    fn an_exercise_is_the_same_stack_on_every_day() {
        assert_eq!(introduction(&name(1)), introduction(&name(1)));
        assert_ne!(introduction(&name(1)).identity, introduction(&name(2)).identity);
        assert_eq!(introduction(&name(1)).promise_ms, 0);
    }
}
