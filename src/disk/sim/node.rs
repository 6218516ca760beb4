//! One file or directory of the simulated disk: what is visible, and what is durable.
#![forbid(unsafe_code)]

use super::SECTOR_SIZE;
use super::content::Content;
use super::loss::Dealer;
use super::loss::Fate;
use super::loss::splitmix;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A file's bytes. `dirty` names the sectors that a sync would write: others that differ were
/// marked clean by a failed sync, or lost by the disk, and never become durable unless they are
/// written again.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) visible: Content,
    durable: Content,
    /// What was durable before the last sync that changed something.
    former: Option<Content>,
    dirty: BTreeSet<usize>,
    size_is_dirty: bool,
    has_forgotten: bool,
}

impl FileNode {
    pub(super) fn settled(bytes: Vec<u8>) -> Self {
        Self::settled_content(Content::new(bytes))
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.visible.len() {
            self.set_len(end);
        }
        self.visible.write(bytes, offset);
        self.dirty.extend(offset / SECTOR_SIZE..end.div_ceil(SECTOR_SIZE));
    }

    /// A write that is visible and never reaches the disk.
    pub(super) fn write_lost(&mut self, bytes: &[u8], offset: usize) {
        self.write(bytes, offset);
        self.forget(offset, bytes.len());
    }

    /// A write that reaches the disk `by` bytes further on, or back if the file ends before.
    pub(super) fn write_elsewhere(&mut self, bytes: &[u8], offset: usize, by: usize) {
        self.write_lost(bytes, offset);
        let fits = |place: &usize| place + bytes.len() <= self.durable.len();
        let places = [offset.checked_add(by), offset.checked_sub(by)];
        if let Some(place) = places.into_iter().flatten().find(fits) {
            self.durable.write(bytes, place);
        }
    }

    /// A write whose first sector reaches the disk as zeros.
    pub(super) fn write_zeroed(&mut self, bytes: &[u8], offset: usize) {
        self.write(bytes, offset);
        self.forget(offset, bytes.len().min(1));
        zero(&mut self.durable, offset / SECTOR_SIZE);
    }

    /// A sector that has become zeros.
    pub(super) fn zero_sector(&mut self, offset: usize) {
        zero(&mut self.visible, offset / SECTOR_SIZE);
        zero(&mut self.durable, offset / SECTOR_SIZE);
    }

    /// Flips a bit, durably; `false` if there is no such bit.
    pub(super) fn flip(&mut self, bit: u64) -> bool {
        let place = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let Some(byte) = self.visible.bytes().get(place) else { return false };
        let flipped = byte ^ 1 << (bit % 8);
        self.visible.write(&[flipped], place);
        self.settle();
        true
    }

    /// What a read shows that comes from before the last sync.
    pub(super) fn former(&self) -> &Content {
        self.former.as_ref().unwrap_or(&self.visible)
    }

    fn forget(&mut self, offset: usize, size: usize) {
        for sector in offset / SECTOR_SIZE..(offset + size).div_ceil(SECTOR_SIZE) {
            self.dirty.remove(&sector);
        }
        self.has_forgotten = true;
    }

    pub(super) fn set_len(&mut self, size: usize) {
        if size == self.visible.len() {
            return;
        }
        self.visible.resize(size);
        self.size_is_dirty = true;
        if !size.is_multiple_of(SECTOR_SIZE) {
            self.dirty.insert(size / SECTOR_SIZE);
        }
        let _ = self.dirty.split_off(&size.div_ceil(SECTOR_SIZE));
    }

    pub(super) fn sync(&mut self) {
        let before = self.durable.clone();
        if self.has_forgotten {
            let size = if self.size_is_dirty { self.visible.len() } else { self.durable.len() };
            let dirty = std::mem::take(&mut self.dirty);
            self.durable = self.mixed(size, dirty.into_iter().map(|sector| (sector, Fate::Kept)));
            self.size_is_dirty = false;
        } else {
            self.settle();
        }
        if !self.durable.is_same(&before) {
            self.former = Some(before);
        }
    }

    /// A failed sync: what was dirty stays visible, and no later sync writes it.
    pub(super) fn forget_dirty(&mut self) {
        self.has_forgotten = true;
        self.dirty.clear();
        self.size_is_dirty = false;
    }

    /// What is clean is read from the disk again.
    pub(super) fn drop_cache(&mut self) {
        if self.has_forgotten && self.dirty.is_empty() && !self.size_is_dirty {
            self.visible = self.durable.clone();
        }
    }

    pub(super) fn settle(&mut self) {
        let former = self.former.take();
        *self = Self { former, ..Self::settled_content(self.visible.clone()) };
    }

    pub(super) fn unsynced(&self) -> usize {
        self.changed_sectors().count() + usize::from(self.size_may_change())
    }

    /// Whether a power cut leaves it as it is.
    pub(super) fn is_settled(&self) -> bool {
        self.visible.is_same(&self.durable)
    }

    fn size_may_change(&self) -> bool {
        self.size_is_dirty && self.visible.len() != self.durable.len()
    }

    /// What a power cut leaves.
    pub(super) fn after_power_cut(&self, dealer: &mut Dealer) -> Self {
        if self.is_settled() {
            return Self { former: self.former.clone(), ..Self::settled_content(self.durable.clone()) };
        }
        let fates: Vec<(usize, Fate)> = self.changed_sectors().map(|sector| (sector, dealer.deal())).collect();
        let mut size = self.durable.len();
        if self.size_may_change() && dealer.deal() == Fate::Kept {
            size = self.visible.len();
        }
        Self { former: self.former.clone(), ..Self::settled_content(self.mixed(size, fates)) }
    }

    /// The sum of what a read would show.
    pub(super) fn visible_sum(&self) -> u128 {
        sized(self.visible.sum(), self.visible.len())
    }

    /// The sum of what a power cut leaves that keeps the changes of which a bit is set.
    pub(super) fn cut_sum(&self, kept: u64) -> u128 {
        if self.size_may_change() {
            let mut dealer = Dealer::new(super::Loss::Except(kept));
            return self.after_power_cut(&mut dealer).visible_sum();
        }
        let changed = self.changed_sectors().enumerate().filter(|(bit, _)| kept >> bit & 1 == 1);
        let sum = changed.fold(self.durable.sum(), |sum, (_, sector)| {
            // Sizes agree in this sector, or the durable end cuts both.
            let new = if self.visible.sector(sector).len() == self.durable.sector(sector).len() {
                self.visible.sum_of(sector)
            } else {
                self.mixed(self.durable.len(), [(sector, Fate::Kept)]).sum_of(sector)
            };
            sum.wrapping_sub(self.durable.sum_of(sector)).wrapping_add(new)
        });
        sized(sum, self.durable.len())
    }

    fn settled_content(content: Content) -> Self {
        Self { visible: content.clone(), durable: content, ..Self::default() }
    }

    /// Durable bytes with some sectors replaced by visible ones or by garbage.
    fn mixed(&self, size: usize, fates: impl IntoIterator<Item = (usize, Fate)>) -> Content {
        let mut mixed = self.durable.clone();
        if size != mixed.len() {
            mixed.resize(size);
        }
        for (sector, fate) in fates {
            let room = mixed.sector(sector).len();
            match fate {
                Fate::Lost => {}
                Fate::Kept => {
                    let source = self.visible.sector(sector);
                    mixed.write(&source[..source.len().min(room)], sector * SECTOR_SIZE);
                }
                Fate::Garbage(mut seed) => {
                    let garbage: Vec<u8> = (0..room).map(|_| splitmix(&mut seed) as u8).collect();
                    mixed.write(&garbage, sector * SECTOR_SIZE);
                }
            }
        }
        mixed
    }

    /// Dirty sectors whose visible bytes differ from the durable ones.
    fn changed_sectors(&self) -> impl Iterator<Item = usize> + '_ {
        self.dirty.iter().copied().filter(|sector| self.differs(*sector))
    }

    fn differs(&self, sector: usize) -> bool {
        let (visible, durable) = (self.visible.sector(sector), self.durable.sector(sector));
        let common = visible.len().min(durable.len());
        visible[..common] != durable[..common] || visible[common..].iter().any(|byte| *byte != 0)
    }
}

fn zero(content: &mut Content, sector: usize) {
    let size = content.sector(sector).len();
    content.write(&[0; SECTOR_SIZE][..size], sector * SECTOR_SIZE);
}

/// A sum of bytes with their number.
const fn sized(sum: u128, size: usize) -> u128 {
    sum.wrapping_add((size as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
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

    /// Whether nothing but syncs has happened to it since it was durable.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.visible == self.durable
    }

    /// The entries that a power cut leaves.
    pub(super) fn cut(&self, dealer: &mut Dealer) -> BTreeMap<String, u64> {
        let mut entries = self.durable.clone();
        for edits in &self.pending {
            if dealer.deal() == Fate::Kept {
                edits.iter().for_each(|edit| apply(&mut entries, edit));
            }
        }
        entries
    }

    pub(super) fn after_power_cut(&self, dealer: &mut Dealer) -> Self {
        let entries = self.cut(dealer);
        Self { visible: entries.clone(), durable: entries, pending: Vec::new() }
    }
}

fn apply(entries: &mut BTreeMap<String, u64>, edit: &Edit) {
    match edit.node {
        Some(node) => entries.insert(edit.name.clone(), node),
        None => entries.remove(&edit.name),
    };
}
