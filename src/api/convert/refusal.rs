//! Refusals: a code and its facts.
#![forbid(unsafe_code)]

use super::Malformed;
use super::name;
use super::nouns;
use super::read;
use super::within;
use crate::api::v1;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::structure::Operand;
use crate::structure::Refusal;
use v1::RefusalCode as Code;

impl From<&Refusal> for v1::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let facts = Self { message: refusal.to_string(), ..Self::default() };
        let coded = |code: Code, facts: Self| Self { code: code.into(), ..facts };
        match refusal {
            Refusal::ConnectorExists { incarnation, state } => {
                let state = nouns::state_out(*state);
                coded(Code::ConnectorExists, Self { incarnation: incarnation.0, state, ..facts })
            }
            Refusal::UnknownConnector => coded(Code::UnknownConnector, facts),
            Refusal::OtherMachine { incarnation, state, held } => {
                let state = nouns::state_out(*state);
                coded(Code::OtherMachine, Self { incarnation: incarnation.0, state, held: *held, ..facts })
            }
            Refusal::StaleIncarnation { asked, current } => {
                coded(Code::StaleIncarnation, Self { asked: asked.0, incarnation: current.0, ..facts })
            }
            Refusal::MustAttach => coded(Code::MustAttach, facts),
            Refusal::NotFailed { state } => coded(Code::NotFailed, Self { state: nouns::state_out(*state), ..facts }),
            Refusal::BootMayBeAlive => coded(Code::BootMayBeAlive, facts),
            Refusal::RequestIdReused { number } => coded(Code::RequestIdReused, Self { number: *number, ..facts }),
            Refusal::AlreadyAnswered { number, lowest } => {
                coded(Code::AlreadyAnswered, Self { number: *number, lowest: *lowest, ..facts })
            }
            Refusal::Overloaded => coded(Code::Overloaded, facts),
            Refusal::NumbersExhausted => coded(Code::NumbersExhausted, facts),
            Refusal::UnknownList { target } => coded(Code::UnknownList, Self { target: Some(target.into()), ..facts }),
            Refusal::Closed => coded(Code::Closed, facts),
            Refusal::NotJoined => coded(Code::NotJoined, facts),
            Refusal::NoAllowableSet => coded(Code::NoAllowableSet, facts),
            Refusal::Exhausted { free, held, quarantined, excluded, allowable_held, allowable_quarantined } => {
                let (free, held, quarantined, excluded) = (*free, *held, *quarantined, *excluded);
                let (allowable_held, allowable_quarantined) = (*allowable_held, *allowable_quarantined);
                let counts = Self { free, held, quarantined, excluded, allowable_held, allowable_quarantined, ..facts };
                coded(Code::Exhausted, counts)
            }
            Refusal::QuotaExceeded { held, quota } => {
                coded(Code::QuotaExceeded, Self { held: *held, quota: *quota, ..facts })
            }
            Refusal::Reserved { reserve } => coded(Code::Reserved, Self { reserve: (*reserve).into(), ..facts }),
            Refusal::PortHeld { port, grant } => {
                coded(Code::PortHeld, Self { port: (*port).into(), grant: grant.0, ..facts })
            }
            Refusal::PortQuarantined { port, since } => {
                coded(Code::PortQuarantined, Self { port: (*port).into(), since: since.0, ..facts })
            }
            Refusal::PortExcluded { port } => coded(Code::PortExcluded, Self { port: (*port).into(), ..facts }),
            Refusal::NotOwner { grant } => coded(Code::NotOwner, Self { grant: grant.0, ..facts }),
            Refusal::StaleToken { grant } => coded(Code::StaleToken, Self { grant: grant.0, ..facts }),
            Refusal::OutOfRange { what } => coded(Code::OutOfRange, Self { operand: operand_out(*what), ..facts }),
            Refusal::TooMany { what } => coded(Code::TooMany, Self { operand: operand_out(*what), ..facts }),
            Refusal::TooLarge { needed, limit } => {
                coded(Code::TooLarge, Self { needed: *needed, limit: *limit, ..facts })
            }
            Refusal::StorageFull => coded(Code::StorageFull, facts),
            Refusal::ChallengeNeeded => coded(Code::ChallengeNeeded, facts),
            Refusal::ReportNeeded => coded(Code::ReportNeeded, facts),
            Refusal::OtherStore { store } => coded(Code::OtherStore, Self { store: nouns::store_out(*store), ..facts }),
            Refusal::ReceiptBad => coded(Code::ReceiptBad, facts),
            Refusal::StillConnected { incarnation } => {
                coded(Code::StillConnected, Self { incarnation: incarnation.0, ..facts })
            }
            Refusal::GrantsStopped { cause } => {
                coded(Code::GrantsStopped, Self { cause: nouns::cause_out(*cause), ..facts })
            }
            Refusal::AdoptedPending { ports } => coded(Code::AdoptedPending, Self { ports: *ports, ..facts }),
            Refusal::TooEarly { left_ms } => coded(Code::TooEarly, Self { left_ms: *left_ms, ..facts }),
            Refusal::NotAllAttached { name, count } => {
                coded(Code::NotAllAttached, Self { name: name.as_str().to_owned(), count: *count, ..facts })
            }
        }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = Malformed;

    fn try_from(sent: v1::Refusal) -> Result<Self, Malformed> {
        let incarnation = Incarnation(sent.incarnation);
        let (grant, since) = (Lsn(sent.grant), Lsn(sent.since));
        let port = || within("refusal.port", sent.port, 0, u16::MAX);
        Ok(match Code::try_from(sent.code) {
            Ok(Code::Unspecified) | Err(_) => return Err(Malformed::unknown("refusal.code", sent.code)),
            Ok(Code::ConnectorExists) => Self::ConnectorExists { incarnation, state: nouns::state_in(sent.state)? },
            Ok(Code::UnknownConnector) => Self::UnknownConnector,
            Ok(Code::OtherMachine) => {
                Self::OtherMachine { incarnation, state: nouns::state_in(sent.state)?, held: sent.held }
            }
            Ok(Code::StaleIncarnation) => {
                Self::StaleIncarnation { asked: Incarnation(sent.asked), current: incarnation }
            }
            Ok(Code::MustAttach) => Self::MustAttach,
            Ok(Code::NotFailed) => Self::NotFailed { state: nouns::state_in(sent.state)? },
            Ok(Code::BootMayBeAlive) => Self::BootMayBeAlive,
            Ok(Code::RequestIdReused) => Self::RequestIdReused { number: sent.number },
            Ok(Code::AlreadyAnswered) => Self::AlreadyAnswered { number: sent.number, lowest: sent.lowest },
            Ok(Code::Overloaded) => Self::Overloaded,
            Ok(Code::NumbersExhausted) => Self::NumbersExhausted,
            Ok(Code::UnknownList) => Self::UnknownList { target: read("refusal.target", sent.target)? },
            Ok(Code::Closed) => Self::Closed,
            Ok(Code::NotJoined) => Self::NotJoined,
            Ok(Code::NoAllowableSet) => Self::NoAllowableSet,
            Ok(Code::Exhausted) => Self::Exhausted {
                free: sent.free,
                held: sent.held,
                quarantined: sent.quarantined,
                excluded: sent.excluded,
                allowable_held: sent.allowable_held,
                allowable_quarantined: sent.allowable_quarantined,
            },
            Ok(Code::QuotaExceeded) => Self::QuotaExceeded { held: sent.held, quota: sent.quota },
            Ok(Code::Reserved) => Self::Reserved { reserve: within("refusal.reserve", sent.reserve, 0, u16::MAX)? },
            Ok(Code::PortHeld) => Self::PortHeld { port: port()?, grant },
            Ok(Code::PortQuarantined) => Self::PortQuarantined { port: port()?, since },
            Ok(Code::PortExcluded) => Self::PortExcluded { port: port()? },
            Ok(Code::NotOwner) => Self::NotOwner { grant },
            Ok(Code::StaleToken) => Self::StaleToken { grant },
            Ok(Code::OutOfRange) => Self::OutOfRange { what: operand_in(sent.operand)? },
            Ok(Code::TooMany) => Self::TooMany { what: operand_in(sent.operand)? },
            Ok(Code::TooLarge) => Self::TooLarge { needed: sent.needed, limit: sent.limit },
            Ok(Code::StorageFull) => Self::StorageFull,
            Ok(Code::ChallengeNeeded) => Self::ChallengeNeeded,
            Ok(Code::ReportNeeded) => Self::ReportNeeded,
            Ok(Code::OtherStore) => Self::OtherStore { store: nouns::store_in(&sent.store)? },
            Ok(Code::ReceiptBad) => Self::ReceiptBad,
            Ok(Code::StillConnected) => Self::StillConnected { incarnation },
            Ok(Code::GrantsStopped) => Self::GrantsStopped { cause: nouns::cause_in(sent.cause)? },
            Ok(Code::AdoptedPending) => Self::AdoptedPending { ports: sent.ports },
            Ok(Code::TooEarly) => Self::TooEarly { left_ms: sent.left_ms },
            Ok(Code::NotAllAttached) => {
                Self::NotAllAttached { name: name("refusal.name", &sent.name)?, count: sent.count }
            }
        })
    }
}

const fn operand_out(operand: Operand) -> i32 {
    (match operand {
        Operand::Groups => v1::Operand::Groups,
        Operand::Port => v1::Operand::Port,
        Operand::Mask => v1::Operand::Mask,
        Operand::Number => v1::Operand::Number,
        Operand::Policy => v1::Operand::Policy,
        Operand::Range => v1::Operand::Range,
        Operand::Connectors => v1::Operand::Connectors,
        Operand::Lists => v1::Operand::Lists,
        Operand::Members => v1::Operand::Members,
        Operand::Sets => v1::Operand::Sets,
        Operand::Lsn => v1::Operand::Lsn,
    }) as i32
}

fn operand_in(value: i32) -> Result<Operand, Malformed> {
    Ok(match v1::Operand::try_from(value) {
        Ok(v1::Operand::Unspecified) | Err(_) => return Err(Malformed::unknown("refusal.operand", value)),
        Ok(v1::Operand::Groups) => Operand::Groups,
        Ok(v1::Operand::Port) => Operand::Port,
        Ok(v1::Operand::Mask) => Operand::Mask,
        Ok(v1::Operand::Number) => Operand::Number,
        Ok(v1::Operand::Policy) => Operand::Policy,
        Ok(v1::Operand::Range) => Operand::Range,
        Ok(v1::Operand::Connectors) => Operand::Connectors,
        Ok(v1::Operand::Lists) => Operand::Lists,
        Ok(v1::Operand::Members) => Operand::Members,
        Ok(v1::Operand::Sets) => Operand::Sets,
        Ok(v1::Operand::Lsn) => Operand::Lsn,
    })
}
