//! One file or directory of the simulated disk: what is visible, and what is durable.
#![forbid(unsafe_code)]

use super::SECTOR_SIZE;
use super::loss::Dealer;
use super::loss::Fate;
use super::loss::splitmix;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A file's bytes. `dirty` names the sectors that a sync would write: others that differ were
/// marked clean by a failed sync and never become durable unless they are written again.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) visible: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    dirty: BTreeSet<usize>,
    size_is_dirty: bool,
    has_forgotten: bool,
}

impl FileNode {
    pub(super) fn settled(bytes: Vec<u8>) -> Self {
        Self::settled_shared(&Arc::new(bytes))
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.visible.len() {
            self.set_len(end);
        }
        Arc::make_mut(&mut self.visible)[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR_SIZE..end.div_ceil(SECTOR_SIZE));
    }

    pub(super) fn set_len(&mut self, size: usize) {
        if size == self.visible.len() {
            return;
        }
        let visible = Arc::make_mut(&mut self.visible);
        visible.resize(size, 0);
        self.size_is_dirty = true;
        if !size.is_multiple_of(SECTOR_SIZE) {
            self.dirty.insert(size / SECTOR_SIZE);
        }
        let _ = self.dirty.split_off(&size.div_ceil(SECTOR_SIZE));
    }

    pub(super) fn sync(&mut self) {
        if !self.has_forgotten {
            self.settle();
            return;
        }
        let size = if self.size_is_dirty { self.visible.len() } else { self.durable.len() };
        let dirty = std::mem::take(&mut self.dirty);
        self.durable =
            Arc::new(self.mixed(size, |sector| if dirty.contains(&sector) { Fate::Kept } else { Fate::Lost }));
        self.size_is_dirty = false;
    }

    /// A failed sync: what was dirty stays visible, and no later sync writes it.
    pub(super) fn forget_dirty(&mut self) {
        self.has_forgotten = true;
        self.dirty.clear();
        self.size_is_dirty = false;
    }

    pub(super) fn settle(&mut self) {
        *self = Self::settled_shared(&self.visible);
    }

    pub(super) fn unsynced(&self) -> usize {
        self.changed_sectors().count() + usize::from(self.size_is_dirty && self.visible.len() != self.durable.len())
    }

    /// What a power cut leaves.
    pub(super) fn after_power_cut(&self, dealer: &mut Dealer) -> Self {
        if Arc::ptr_eq(&self.visible, &self.durable) {
            return Self::settled_shared(&self.durable);
        }
        let fates: BTreeMap<usize, Fate> = self.changed_sectors().map(|sector| (sector, dealer.deal())).collect();
        let mut size = self.durable.len();
        if self.size_is_dirty && self.visible.len() != size && dealer.deal() == Fate::Kept {
            size = self.visible.len();
        }
        let bytes = self.mixed(size, |sector| fates.get(&sector).copied().unwrap_or(Fate::Lost));
        Self::settled(bytes)
    }

    fn settled_shared(bytes: &Arc<Vec<u8>>) -> Self {
        Self { visible: Arc::clone(bytes), durable: Arc::clone(bytes), ..Self::default() }
    }

    /// Durable bytes with some sectors replaced by visible ones or by garbage.
    fn mixed(&self, size: usize, fate_of: impl Fn(usize) -> Fate) -> Vec<u8> {
        let mut bytes = self.durable.as_ref().clone();
        bytes.resize(size, 0);
        for (sector, chunk) in bytes.chunks_mut(SECTOR_SIZE).enumerate() {
            match fate_of(sector) {
                Fate::Lost => {}
                Fate::Kept => {
                    let source = sector_of(&self.visible, sector);
                    let count = source.len().min(chunk.len());
                    chunk[..count].copy_from_slice(&source[..count]);
                }
                Fate::Garbage(mut seed) => chunk.iter_mut().for_each(|byte| *byte = splitmix(&mut seed) as u8),
            }
        }
        bytes
    }

    /// Dirty sectors whose visible bytes differ from the durable ones.
    fn changed_sectors(&self) -> impl Iterator<Item = usize> + '_ {
        self.dirty.iter().copied().filter(|sector| self.differs(*sector))
    }

    fn differs(&self, sector: usize) -> bool {
        let visible = sector_of(&self.visible, sector);
        let durable = sector_of(&self.durable, sector);
        let common = visible.len().min(durable.len());
        visible[..common] != durable[..common] || visible[common..].iter().any(|byte| *byte != 0)
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> &[u8] {
    let start = (sector * SECTOR_SIZE).min(bytes.len());
    let end = (start + SECTOR_SIZE).min(bytes.len());
    &bytes[start..end]
}

/// A directory's entries, and the changes to them that are not durable, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) visible: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Vec<Edit>>,
}

/// One name gets another node, or none.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) name: String,
    pub(super) node: Option<u64>,
}

impl DirNode {
    /// Makes one change of one or more names; a power cut keeps or loses it as a whole.
    pub(super) fn change(&mut self, edits: Vec<Edit>) {
        edits.iter().for_each(|edit| apply(&mut self.visible, edit));
        self.pending.push(edits);
    }

    pub(super) fn sync(&mut self) {
        for edits in std::mem::take(&mut self.pending) {
            edits.iter().for_each(|edit| apply(&mut self.durable, edit));
        }
    }

    pub(super) fn settle(&mut self) {
        self.durable = self.visible.clone();
        self.pending.clear();
    }

    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    pub(super) fn unsynced(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn after_power_cut(&self, dealer: &mut Dealer) -> Self {
        let mut entries = self.durable.clone();
        for edits in &self.pending {
            if dealer.deal() == Fate::Kept {
                edits.iter().for_each(|edit| apply(&mut entries, edit));
            }
        }
        Self { visible: entries.clone(), durable: entries, pending: Vec::new() }
    }
}

fn apply(entries: &mut BTreeMap<String, u64>, edit: &Edit) {
    match edit.node {
        Some(node) => entries.insert(edit.name.clone(), node),
        None => entries.remove(&edit.name),
    };
}
