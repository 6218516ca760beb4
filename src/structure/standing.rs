//! What a stack holds, told in short, so that it can be compared before it is listed.
#![forbid(unsafe_code)]

use super::Structure;
use super::holdings::Held;
use crate::ident::GroupNumber;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use serde::{Deserialize, Serialize};

/// A grant as a stack reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReportedGrant {
    /// Its token.
    pub lsn: Lsn,
    /// The list.
    pub target: Target,
    /// The group.
    pub group: GroupNumber,
    /// Its ports.
    pub mask: PortMask,
}

/// How many grants and a digest of them, whatever their order. Equal if, and as good as only if, the
/// grants are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How many.
    pub count: u32,
    /// The sum, modulo 2^128 and little-endian, of the first 16 bytes of BLAKE3 of each grant.
    pub digest: [u8; 16],
}

/// What the structure knows of a reported grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedStatus {
    /// The reporter holds that token in that list and group.
    Known {
        /// The ports that it has, of those reported and others.
        mask: PortMask,
    },
    /// It does not.
    Unknown,
}

impl Standing {
    /// Of some grants.
    #[must_use]
    pub fn of(grants: impl Iterator<Item = ReportedGrant>) -> Self {
        let (mut count, mut sum) = (0_u32, 0_u128);
        for grant in grants {
            count = count.saturating_add(1);
            sum = sum.wrapping_add(grant.hash());
        }
        Self { count, digest: sum.to_le_bytes() }
    }
}

impl ReportedGrant {
    /// The first 16 bytes of BLAKE3 of lsn, port space, address, group and mask, in fixed widths,
    /// little-endian.
    fn hash(&self) -> u128 {
        let transport = u8::try_from(self.target.transport().index()).expect("two transports");
        let (space, address) = match self.target {
            Target::List(dvipa, _) => (transport, dvipa.to_bytes()),
            Target::Pool(_) => (2 + transport, [0; 16]),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.lsn.0.to_le_bytes()).update(&[space]).update(&address);
        hasher.update(&self.group.number().to_le_bytes()).update(&self.mask.0.to_le_bytes());
        u128::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("32 bytes"))
    }
}

impl Structure {
    /// What the connector in a slot holds, in short. Nothing, if there is none.
    #[must_use]
    pub fn standing(&self, connector: u32) -> Standing {
        Standing::of(self.held_by(connector).map(|(target, held)| ReportedGrant {
            lsn: held.lsn,
            target,
            group: held.group,
            mask: PortMask(held.mask),
        }))
    }

    /// Whether the connector in a slot holds a grant that it reported.
    #[must_use]
    pub fn reported_status(&self, connector: u32, reported: &ReportedGrant) -> ReportedStatus {
        let Some(list) = self.by_target.get(&reported.target).map(|list| &self.lists[*list]) else {
            return ReportedStatus::Unknown;
        };
        let mut grants = self.holdings.grants(list, reported.group);
        let own = |held: &&Held| held.lsn == reported.lsn && self.members[held.member].connector == connector;
        match grants.find(own) {
            Some(held) => ReportedStatus::Known { mask: PortMask(held.mask) },
            None => ReportedStatus::Unknown,
        }
    }

    fn held_by(&self, connector: u32) -> impl Iterator<Item = (Target, &Held)> {
        let members = self.connectors.get(connector).into_iter().flat_map(|known| &known.members);
        let holding = members.filter(|(_, member)| self.members[**member].held > 0);
        holding.flat_map(|(list, member)| {
            let list = &self.lists[*list];
            let own = self.holdings.grants_of(list).filter(|held| held.member == *member);
            own.map(|held| (list.target, held))
        })
    }
}
