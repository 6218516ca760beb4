//! Which request comes next: weights that keep a few hundred grants held and let everything happen.
#![forbid(unsafe_code)]

use super::draw::Draw;
use super::holdings::Life;
use super::holdings::Own;
use super::universe;
use crate::ident::Target;
use crate::structure::Actor;
use crate::structure::Body;
use crate::structure::Grant;
use crate::structure::Membership;
use crate::structure::Policy;
use crate::structure::Request;

/// Lists that one connector tends to be a member of.
const LISTS_WANTED: usize = 3;
/// How often in a hundred caller 0 sends an operator's request.
const OPERATOR_PERCENT: u32 = 4;

/// A request, and the place of the connector that it is about; `None`: an operator's.
pub(crate) type Chosen = (Option<usize>, Request);

/// Chooses the next request of a caller; `None`: every connector belongs to somebody else.
/// `grants_wanted` is what one connector tends to hold.
pub(crate) fn next(draw: &mut Draw, owns: &mut [Own], is_operator: bool, grants_wanted: usize) -> Option<Chosen> {
    // What an earlier run left is attached and the rest connected before anything else.
    let unmet = |own: &Own| matches!(own.life, Life::Absent | Life::Found(_));
    let usable: Vec<usize> = (0..owns.len()).filter(|place| owns[*place].life != Life::Foreign).collect();
    let place = match owns.iter().position(unmet) {
        Some(place) => place,
        None if is_operator && draw.chance(OPERATOR_PERCENT) => return Some((None, operators(draw))),
        None => *draw.pick(&usable)?,
    };
    let own = &mut owns[place];
    let request = match own.life {
        Life::Absent => Request::Connect(universe::introduction(&own.name)),
        Life::Found(_) => Request::Attach(universe::introduction(&own.name)),
        Life::Failed(incarnation) if draw.chance(50) => {
            Request::CleanUp { name: own.name.clone(), incarnation, by: universe::operator(), boot_is_dead: true }
        }
        Life::Failed(_) => Request::Attach(universe::introduction(&own.name)),
        Life::Active(actor) => attached(draw, own, actor, grants_wanted),
        Life::Foreign => return None,
    };
    Some((Some(place), request))
}

#[derive(Clone, Copy)]
enum Kind {
    Acquire,
    Claim,
    Release,
    Stale,
    Join,
    Leave,
    Allowable,
    Attach,
    Disconnect,
    Fail,
}

fn attached(draw: &mut Draw, own: &mut Own, actor: Actor, grants_wanted: usize) -> Request {
    if let Some(transport) = own.transport_without_set() {
        let ports = universe::allowable(draw, transport);
        return own.request(actor, Body::SetAllowable { transport, ports });
    }
    let targets: Vec<Target> = universe::targets().into_iter().filter(|target| !own.is_member(*target)).collect();
    let joined = !own.memberships.is_empty();
    let weight = |condition: bool, weight: u32| if condition { weight } else { 0 };
    let has_room = own.grants.len() < grants_wanted;
    let kind = draw.weighted(&[
        (weight(joined, if has_room { 400 } else { 60 }), Kind::Acquire),
        (weight(joined, if has_room { 120 } else { 60 }), Kind::Claim),
        (weight(!own.grants.is_empty(), if has_room { 180 } else { 450 }), Kind::Release),
        (weight(own.gone.is_some(), 10), Kind::Stale),
        (weight(!targets.is_empty(), if own.memberships.len() < LISTS_WANTED { 200 } else { 10 }), Kind::Join),
        (weight(joined, 10), Kind::Leave),
        (20, Kind::Allowable),
        (8, Kind::Attach),
        (4, Kind::Disconnect),
        (6, Kind::Fail),
    ]);
    let body = match kind {
        Kind::Acquire => acquire(draw, own),
        Kind::Claim => claim(draw, own),
        Kind::Release => draw.pick(&own.grants).copied().map(|grant| release(draw, &grant)),
        Kind::Stale => own.gone.map(|grant| release(draw, &grant)),
        Kind::Join => draw.pick(&targets).map(|target| Body::Join { target: *target }),
        Kind::Leave => draw.pick(&own.memberships).map(|membership| Body::Leave { member: membership.member }),
        Kind::Allowable => {
            let transport = draw.weighted(&crate::ident::Transport::ALL.map(|transport| (1, transport)));
            Some(Body::SetAllowable { transport, ports: universe::allowable(draw, transport) })
        }
        Kind::Disconnect => Some(Body::Disconnect),
        Kind::Attach => return Request::Attach(universe::introduction(&own.name)),
        Kind::Fail => return Request::MarkFailed { name: own.name.clone(), incarnation: actor.incarnation, by: None },
    };
    own.request(actor, body.expect("a kind without an object has no weight"))
}

fn acquire(draw: &mut Draw, own: &Own) -> Option<Body> {
    let Membership { member, .. } = *draw.pick(&own.memberships)?;
    let at_most = draw.weighted(&[(8, 1), (4, 2), (2, 4), (1, 12)]);
    Some(Body::Acquire { member, at_least: 1, at_most })
}

/// Mostly a port of the crowded range, sometimes one of a group in hand: that is held.
fn claim(draw: &mut Draw, own: &Own) -> Option<Body> {
    let Membership { member, target } = *draw.pick(&own.memberships)?;
    let held = draw.pick(&own.grants).filter(|grant| grant.member == member).map(|grant| grant.group.port_first());
    let port = match held {
        Some(port) if draw.chance(10) => port,
        _ => universe::claimed_port(draw, target.transport()),
    };
    Some(Body::Claim { member, port: port.max(1) })
}

/// The whole grant, or some of its ports.
fn release(draw: &mut Draw, grant: &Grant) -> Body {
    let mask = if draw.chance(30) { crate::ident::PortMask(draw.part(grant.mask.0)) } else { grant.mask };
    Body::Release { member: grant.member, group: grant.group, grant: grant.lsn, mask }
}

fn operators(draw: &mut Draw) -> Request {
    let targets = universe::targets();
    let target = *draw.pick(&targets).expect("there are lists");
    // The quarantine stays what the command line says: a harness counts on it.
    let policy = Policy {
        quota: draw.weighted(&[(3, 0), (2, 2_048), (1, 640)]),
        reserve: draw.weighted(&[(3, 0), (1, 4)]),
        ..Policy::default()
    };
    match draw.below(12) {
        0..=6 => Request::Define { target },
        7 => Request::Delete { target },
        8..=9 => Request::SetPolicy { target, policy },
        _ => Request::SetRange { transport: crate::ident::Transport::Tcp, range: universe::range(draw) },
    }
}
