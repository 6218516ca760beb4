//! What comes before an attach: challenges, what stacks report, and receipts.
//!
//! Nothing here is stored: none of it survives an open (protocol.md R4). A challenge is given out
//! for a name that exists, voids the older one of that name, and works once.
#![forbid(unsafe_code)]

use super::presence::Presence;
use crate::ident::BootMs;
use crate::ident::ConnectorName;
use crate::ident::HistoryId;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::StoreUuid;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::Refusal;
use crate::structure::ReportedGrant;
use crate::structure::Standing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Most grants in one page of a report.
pub const REPORT_PAGE_MAX: usize = 1_024;
/// Most grants that all unfinished reports may have together.
const REPORTED_MAX: usize = 1 << 21;
/// An unfinished report that is older may be dropped for a younger one, ms.
const REPORT_STALE_MS: u64 = 30_000;

/// A number that an attach must carry, issued for one name (protocol.md R4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge(pub u64);

/// Proof that this store gave a position to a connector: a keyed hash of name, history and lsn.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt(pub [u8; 16]);

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({:032x})", u128::from_be_bytes(self.0))
    }
}

/// How far a stack has seen: the highest lsn of any answer it got, and in which history. Where it is
/// above what a store has, the store lost data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store.
    pub store: StoreUuid,
    /// The history.
    pub history: HistoryId,
    /// The lsn.
    pub lsn: Lsn,
    /// Given with the answer that named the lsn.
    pub receipt: Receipt,
}

/// What an attach carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Who the stack is.
    pub introduction: Introduction,
    /// The challenge issued last for this name.
    pub challenge: Challenge,
    /// How far the stack has seen; `None` if it knows nothing of any store.
    pub position: Option<Position>,
    /// Count and digest of every grant that the stack believes to hold.
    pub standing: Standing,
}

/// Makes and checks receipts.
pub(super) struct Receipts {
    key: [u8; 32],
}

impl Receipts {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    pub(super) fn give(&self, name: &ConnectorName, history: HistoryId, lsn: Lsn) -> Receipt {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&history.0.to_le_bytes());
        hasher.update(&lsn.0.to_le_bytes());
        hasher.update(name.as_str().as_bytes());
        let mut receipt = [0; 16];
        receipt.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Receipt(receipt)
    }

    pub(super) fn is_good(&self, name: &ConnectorName, position: &Position) -> bool {
        self.give(name, position.history, position.lsn) == position.receipt
    }
}

/// Challenges that were given out, and who is connected.
#[derive(Default)]
pub(super) struct Admission {
    issued: BTreeMap<ConnectorName, Issued>,
    /// Grants in all unfinished reports.
    reported: usize,
    /// The connection of the incarnation that attached, by slot.
    connected: BTreeMap<u32, (Incarnation, Presence)>,
}

struct Issued {
    challenge: Challenge,
    at: BootMs,
    reported: Vec<ReportedGrant>,
}

impl Admission {
    /// Gives a challenge out for a name that exists; the older one is void.
    pub(super) fn issue(&mut self, name: &ConnectorName, challenge: Challenge, now: BootMs) {
        self.void(name);
        self.issued.insert(name.clone(), Issued { challenge, at: now, reported: Vec::new() });
    }

    /// Whether that challenge is the one that is good for the name.
    pub(super) fn is_good(&self, name: &ConnectorName, challenge: Challenge) -> bool {
        self.issued.get(name).is_some_and(|issued| issued.challenge == challenge)
    }

    /// Ends a name's challenge with all that was reported under it.
    pub(super) fn void(&mut self, name: &ConnectorName) {
        if let Some(issued) = self.issued.remove(name) {
            self.reported -= issued.reported.len();
        }
    }

    /// Ends every challenge.
    pub(super) fn void_all(&mut self) {
        self.issued.clear();
        self.reported = 0;
    }

    /// Takes one page of a report.
    pub(super) fn report(
        &mut self,
        name: &ConnectorName,
        challenge: Challenge,
        grants: Vec<ReportedGrant>,
        now: BootMs,
    ) -> Result<(), Refusal> {
        if !self.is_good(name, challenge) {
            return Err(Refusal::ChallengeNeeded);
        }
        if grants.len() > REPORT_PAGE_MAX || !self.makes_room(name, grants.len(), now) {
            return Err(Refusal::Overloaded);
        }
        self.reported += grants.len();
        let issued = self.issued.get_mut(name).ok_or(Refusal::ChallengeNeeded)?;
        issued.reported.extend(grants);
        Ok(())
    }

    /// Whether so many more fit; unfinished reports that nobody came back for are dropped first.
    fn makes_room(&mut self, name: &ConnectorName, more: usize, now: BootMs) -> bool {
        if self.reported + more <= REPORTED_MAX {
            return true;
        }
        let is_stale = |issued: &Issued| !issued.reported.is_empty() && issued.at.plus(REPORT_STALE_MS) < now;
        let stale = self.issued.iter().filter(|(other, issued)| *other != name && is_stale(issued));
        let stale: Vec<ConnectorName> = stale.map(|(name, _)| name.clone()).collect();
        stale.iter().for_each(|name| self.void(name));
        self.reported + more <= REPORTED_MAX
    }

    /// What was reported, if it is what `standing` says. A report that is not is begun again.
    pub(super) fn take_report(&mut self, name: &ConnectorName, standing: &Standing) -> Option<Vec<ReportedGrant>> {
        let issued = self.issued.get_mut(name)?;
        let grants = std::mem::take(&mut issued.reported);
        self.reported -= grants.len();
        (Standing::of(grants.iter().copied()) == *standing).then_some(grants)
    }

    /// Puts a report back: the attach goes on in another frame.
    pub(super) fn keep_report(&mut self, name: &ConnectorName, grants: Vec<ReportedGrant>) {
        if let Some(issued) = self.issued.get_mut(name) {
            self.reported += grants.len();
            issued.reported = grants;
        }
    }

    /// From here on this is the connection of that incarnation.
    pub(super) fn connect(&mut self, actor: Actor, presence: Presence) {
        self.connected.insert(actor.slot, (actor.incarnation, presence));
    }

    /// Whether the connection of that incarnation still stands.
    pub(super) fn is_connected(&self, actor: Actor) -> bool {
        let connected = self.connected.get(&actor.slot);
        connected.is_some_and(|(incarnation, presence)| *incarnation == actor.incarnation && presence.is_alive())
    }

    /// The connector in that slot is gone.
    pub(super) fn forget(&mut self, slot: u32, name: Option<&ConnectorName>) {
        self.connected.remove(&slot);
        if let Some(name) = name {
            self.void(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ConnectorName {
        ConnectorName::new(text).expect("a name")
    }

    #[test]
    fn a_newer_challenge_voids_the_older_of_that_name_only() {
        let mut admission = Admission::default();
        admission.issue(&name("A"), Challenge(1), BootMs(0));
        admission.issue(&name("B"), Challenge(2), BootMs(0));
        admission.issue(&name("A"), Challenge(3), BootMs(0));
        assert!(!admission.is_good(&name("A"), Challenge(1)));
        assert!(admission.is_good(&name("A"), Challenge(3)));
        assert!(admission.is_good(&name("B"), Challenge(2)));
        assert!(!admission.is_good(&name("B"), Challenge(3)), "issued for another name");
        admission.void_all();
        assert!(!admission.is_good(&name("A"), Challenge(3)));
    }

    #[test]
    fn a_receipt_is_good_for_one_name_history_and_lsn_under_one_key() {
        let receipts = Receipts::new([7; 32]);
        let (history, lsn) = (HistoryId(5), Lsn(6));
        let receipt = receipts.give(&name("A"), history, lsn);
        let position = Position { store: StoreUuid(1), history, lsn, receipt };
        assert!(receipts.is_good(&name("A"), &position));
        assert!(!receipts.is_good(&name("B"), &position));
        assert!(!receipts.is_good(&name("A"), &Position { lsn: Lsn(7), ..position }));
        assert!(!receipts.is_good(&name("A"), &Position { history: HistoryId(6), ..position }));
        assert!(!Receipts::new([8; 32]).is_good(&name("A"), &position));
    }
}
