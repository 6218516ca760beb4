//! What was on the disk at one moment, and everything that a power cut there could leave.
//!
//! A moment shares its nodes with the disk and with other moments: keeping one before every change
//! of a run costs little, and no run is repeated to see another of its crashes. Images are compared
//! by sums that need no image: see [`Cuts`].
#![forbid(unsafe_code)]

use super::SimDisk;
use super::content::fold;
use super::content::sector_sum;
use super::loss::Dealer;
use super::loss::Loss;
use super::state::Character;
use super::state::Node;
use super::state::Nodes;
use super::state::ROOT;
use super::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole disk, visible and durable, before a change.
#[derive(Clone, Debug)]
pub struct Moment {
    change: u64,
    nodes: Nodes,
    next_inode: u64,
    character: Character,
}

impl Moment {
    pub(super) const fn new(change: u64, nodes: Nodes, next_inode: u64, character: Character) -> Self {
        Self { change, nodes, next_inode, character }
    }

    /// How many changes were made before.
    #[must_use]
    pub const fn change(&self) -> u64 {
        self.change
    }

    /// As [`SimDisk::unsynced`].
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.nodes.values().map(|node| node.unsynced()).sum()
    }

    /// As [`SimDisk::after_power_cut`].
    #[must_use]
    pub fn cut(&self, loss: &Loss) -> SimDisk {
        SimDisk::from_state(self.after_power_cut(loss))
    }

    /// As [`SimDisk::after_kill`].
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        let mut state = State::of_nodes(self.nodes.clone(), self.next_inode);
        state.character = self.character;
        SimDisk::from_state(state)
    }

    pub(super) fn after_power_cut(&self, loss: &Loss) -> State {
        let mut dealer = Dealer::new(*loss);
        let mut cut = |node: &Arc<Node>| match &**node {
            _ if node.is_settled() => Arc::clone(node),
            Node::File(file) => Arc::new(Node::File(file.after_power_cut(&mut dealer))),
            Node::Dir(dir) => Arc::new(Node::Dir(dir.after_power_cut(&mut dealer))),
        };
        let nodes: Nodes = self.nodes.iter().map(|(inode, node)| (*inode, cut(node))).collect();
        let mut state = State::of_nodes(linked(nodes), self.next_inode);
        state.character = self.character;
        state
    }
}

/// Without nodes that no directory names any more.
fn linked(mut nodes: Nodes) -> Nodes {
    let mut linked = BTreeMap::new();
    let mut open = vec![ROOT];
    while let Some(inode) = open.pop() {
        if let Some(node) = nodes.remove(&inode) {
            if let Node::Dir(dir) = &*node {
                open.extend(dir.visible.values());
            }
            linked.insert(inode, node);
        }
    }
    linked
}

/// The sums of all images that a power cut at one moment can leave: equal images have equal sums,
/// and different ones different sums but for a chance of about 2^-100.
///
/// An image is all names and bytes, and the inode number of one file, which a lock may name.
#[derive(Debug)]
pub struct Cuts<'a> {
    nodes: Vec<CutNode<'a>>,
    by_inode: BTreeMap<u64, usize>,
    locked: &'a str,
}

/// One node, and which bits of a mask are its own.
#[derive(Debug)]
struct CutNode<'a> {
    node: &'a Node,
    shift: u32,
    bits: u32,
    /// Of a file: the sum for each choice, as far as it was asked for.
    sums: Vec<Option<u128>>,
}

/// Most bits of one node of which sums are kept.
const KEPT_BITS: u32 = 8;

impl<'a> Cuts<'a> {
    /// Of a moment with at most 63 changes that are not synced. `locked` is the name of the file
    /// whose inode number counts.
    #[must_use]
    pub fn new(moment: &'a Moment, locked: &'a str) -> Self {
        let (mut nodes, mut by_inode, mut shift) = (Vec::with_capacity(moment.nodes.len()), BTreeMap::new(), 0);
        for (inode, node) in &moment.nodes {
            let bits = u32::try_from(node.unsynced()).expect("few changes");
            by_inode.insert(*inode, nodes.len());
            let sums = vec![None; 1 << bits.min(KEPT_BITS)];
            nodes.push(CutNode { node, shift, bits, sums });
            shift += bits;
        }
        assert!(shift < 64, "{shift} changes are not synced: too many for a mask");
        Self { nodes, by_inode, locked }
    }

    /// The sum of the image that keeps the changes of which a bit is set.
    pub fn sum(&mut self, kept: u64) -> u128 {
        let mut sum = 0;
        let mut open = vec![(ROOT, K)];
        while let Some((inode, path)) = open.pop() {
            let node = &mut self.nodes[self.by_inode[&inode]];
            let mask = kept >> node.shift & ((1 << node.bits) - 1);
            let part = match node.node {
                Node::File(file) if node.bits <= KEPT_BITS => {
                    *node.sums[mask as usize].get_or_insert_with(|| file.cut_sum(mask))
                }
                Node::File(file) => file.cut_sum(mask),
                Node::Dir(dir) => {
                    let mut push = |name: &String, inode: u64| {
                        let locked = if name == self.locked { inode } else { 0 };
                        open.push((inode, fold(path ^ locked, sector_sum(1, name.as_bytes()) as u64 | 1)));
                    };
                    if dir.is_settled() {
                        dir.visible.iter().for_each(|(name, inode)| push(name, *inode));
                    } else {
                        let entries = dir.cut(&mut Dealer::new(Loss::Except(mask)));
                        entries.iter().for_each(|(name, inode)| push(name, *inode));
                    }
                    1
                }
            };
            sum = u128::wrapping_add(sum, placed(path, part));
        }
        sum
    }
}

/// The part of a node at a place.
fn placed(path: u64, part: u128) -> u128 {
    let (low, high) = (part as u64, (part >> 64) as u64);
    let first = fold(low ^ path, high ^ K);
    let second = fold(high.rotate_left(17) ^ path.rotate_left(31), low ^ K.rotate_left(7));
    u128::from(first) << 64 | u128::from(second)
}

const K: u64 = 0xa076_1d64_78bd_642f;
