//! What is known where the log begins. A log whose oldest segments were retired begins in the middle
//! of a life: the older checkpoint says who was there then and still was when it was made.
#![forbid(unsafe_code)]

use crate::checkpoint;
use crate::checkpoint::CheckpointError;
use crate::cli::log::Names;
use crate::facility::Machine;
use crate::ident::GroupNumber;
use crate::ident::Incarnation;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::Target;
use crate::structure::ConnectorState;
use crate::structure::Item;
use crate::wal::CheckpointEntry;
use crate::wal::constants::CHECKPOINT_DIR;
use std::collections::BTreeSet;
use std::path::Path;

/// A checkpoint, as far as one port needs it.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// The last lsn that is in it.
    pub(super) lsn: Lsn,
    /// Names of numbers that did not change hands between the beginning of the log and it.
    pub(super) steady: Names,
    /// All names when it was made.
    pub(super) names: Names,
    /// The port when it was made.
    pub(super) port: PortThen,
}

/// A port when a checkpoint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortThen {
    Free,
    Held { member: u32, grant: Lsn, mask: PortMask, is_steady: bool },
    Quarantined { connector: u32, since: Lsn },
}

impl Base {
    /// Reads a checkpoint, for a log that is read from above `begin`.
    pub(super) fn load(
        dir: &Path,
        entry: &CheckpointEntry,
        begin: Lsn,
        target: Target,
        port: u16,
    ) -> Result<Self, CheckpointError> {
        let machine = Machine::real();
        let ckpt_dir = dir.join(CHECKPOINT_DIR);
        let loaded = checkpoint::load(&*machine.disk, &*machine.checkpoints, &ckpt_dir, &entry.into())?;
        Ok(Self::of_items(|| loaded.items(), entry.lsn, begin, target, port))
    }

    pub(super) fn of_items<I: Iterator<Item = Item>>(
        items: impl Fn() -> I,
        lsn: Lsn,
        begin: Lsn,
        target: Target,
        port: u16,
    ) -> Self {
        let is_steady = |item: &Item| match item {
            Item::List { created, .. } => *created <= begin,
            Item::Connector { boot_since, state, .. } => *boot_since <= begin && *state != ConnectorState::Forgotten,
            Item::Member { joined, .. } => *joined <= begin,
            _ => false,
        };
        // An incarnation that began later is not the one that it had at the beginning.
        let as_then = |mut item: Item| {
            if let Item::Connector { incarnation, .. } = &mut item
                && incarnation.0 > begin.0
            {
                *incarnation = Incarnation(0);
            }
            item
        };
        let steady = Names::of_items(items().filter(is_steady).map(as_then));
        let names = Names::of_items(items());
        let (group, bit) = (GroupNumber::of_port(port), PortMask::of_port(port));
        let list = items().find_map(|item| match item {
            Item::List { list, target: of, .. } if of == target => Some(list),
            _ => None,
        });
        let mut members = BTreeSet::new();
        let mut then = PortThen::Free;
        for item in items() {
            match item {
                Item::Member { member, list: of, .. } if Some(of) == list => drop(members.insert(member)),
                Item::Grant { lsn, member, group: of, mask, .. }
                    if of == group && mask.contains(bit) && members.contains(&member) =>
                {
                    // An adopted grant has the lsn of a history that was lost, and is not older for it.
                    let is_steady = lsn <= begin && steady.member(member).is_some();
                    then = PortThen::Held { member, grant: lsn, mask, is_steady };
                }
                Item::Quarantine { lsn, list: of, group: in_group, mask, connector, .. }
                    if Some(of) == list && in_group == group && mask.contains(bit) =>
                {
                    then = PortThen::Quarantined { connector, since: lsn };
                }
                _ => {}
            }
        }
        Self { lsn, steady, names, port: then }
    }
}
