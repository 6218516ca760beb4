//! The simulated disk's whole state: nodes by inode, what is locked, what is to fail.
#![forbid(unsafe_code)]

use super::Call;
use super::Fault;
use super::loss::Loss;
use super::moment::Moment;
use super::node::DirNode;
use super::node::Edit;
use super::node::FileNode;
use crate::disk::Entry;
use crate::disk::LockMode;
use std::collections::BTreeMap;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// All nodes by inode: a copy costs little, and only what is changed afterwards is copied.
pub(super) type Nodes = BTreeMap<u64, Arc<Node>>;

#[derive(Debug)]
pub(super) struct State {
    nodes: Nodes,
    next_inode: u64,
    locks: BTreeMap<u64, Vec<LockMode>>,
    pub(super) changes: u64,
    pub(super) calls: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) is_dead: bool,
    pub(super) faults: BTreeMap<u64, Fault>,
    /// From this call on every one has this fault.
    pub(super) fails_from: Option<(u64, Fault)>,
    /// What each call was, if that is wanted.
    pub(super) log: Option<Vec<Call>>,
    /// What was there before each change, if that is wanted.
    pub(super) moments: Option<Vec<Moment>>,
    pub(super) capacity: Option<u64>,
    pub(super) lies: bool,
    pub(super) character: Character,
}

impl Node {
    /// Whether a power cut leaves it as it is.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::File(file) => file.is_settled(),
            Self::Dir(dir) => dir.is_settled(),
        }
    }

    pub(super) fn unsynced(&self) -> usize {
        match self {
            Self::File(file) => file.unsynced(),
            Self::Dir(dir) => dir.unsynced(),
        }
    }
}

/// What kind of file system it is; stays so over a power cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Character {
    pub(super) can_exchange: bool,
    pub(super) file_system: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self::of_nodes(BTreeMap::from([(ROOT, Arc::new(Node::Dir(DirNode::default())))]), ROOT + 1)
    }

    pub(super) const fn of_nodes(nodes: Nodes, next_inode: u64) -> Self {
        Self {
            nodes,
            next_inode,
            locks: BTreeMap::new(),
            changes: 0,
            calls: 0,
            cut_at: None,
            is_dead: false,
            faults: BTreeMap::new(),
            fails_from: None,
            log: None,
            moments: None,
            capacity: None,
            lies: false,
            character: Character { can_exchange: true, file_system: EXT4 },
        }
    }

    /// Counts a call; fails if the power is cut, and hands out the fault that is due.
    pub(super) fn begin(&mut self, call: Call) -> io::Result<Option<Fault>> {
        if call.is_change() && self.cut_at == Some(self.changes) {
            self.is_dead = true;
        }
        if self.is_dead {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the power is cut"));
        }
        if call.is_change() {
            if self.moments.is_some() {
                let moment = self.moment();
                self.moments.get_or_insert_default().push(moment);
            }
            self.changes += 1;
        }
        self.calls += 1;
        if let Some(log) = &mut self.log {
            log.push(call);
        }
        let number = self.calls - 1;
        let for_ever = self.fails_from.filter(|(from, _)| number >= *from).map(|(_, fault)| fault);
        Ok(self.faults.remove(&number).or(for_ever))
    }

    /// What is there now.
    pub(super) fn moment(&self) -> Moment {
        Moment::new(self.changes, self.nodes.clone(), self.next_inode, self.character)
    }

    /// Counts a call that does nothing when it fails.
    pub(super) fn begin_plain(&mut self, call: Call) -> io::Result<()> {
        match self.begin(call)? {
            None => Ok(()),
            Some(fault) => error_of(fault).map_or(Ok(()), Err),
        }
    }

    pub(super) fn file(&self, inode: u64) -> io::Result<&FileNode> {
        match self.nodes.get(&inode).map(|node| &**node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, inode: u64) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&inode).map(Arc::make_mut) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn dir_mut(&mut self, inode: u64) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&inode).map(Arc::make_mut) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir(&self, inode: u64) -> io::Result<&DirNode> {
        match self.nodes.get(&inode).map(|node| &**node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The inode of a path.
    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        let mut inode = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let entries = &self.dir(inode)?.visible;
                inode = *name.to_str().and_then(|name| entries.get(name)).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(inode)
    }

    /// The directory that holds a path, and the name in it.
    pub(super) fn place(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().map_or(Ok(ROOT), |parent| self.find(parent))?;
        self.dir(parent)?;
        Ok((parent, name.to_owned()))
    }

    pub(super) fn add(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let (parent, name) = self.place(path)?;
        if self.dir(parent)?.visible.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, Arc::new(node));
        self.dir_mut(parent)?.change(vec![Edit { name, node: Some(inode) }]);
        Ok(inode)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let (old_parent, old_name) = self.place(from)?;
        let (new_parent, new_name) = self.place(to)?;
        if let Ok(replaced) = self.find(to) {
            if replaced == inode {
                return Ok(());
            }
            if self.dir(replaced).is_ok_and(|dir| !dir.visible.is_empty()) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
        }
        let gone = Edit { name: old_name, node: None };
        let there = Edit { name: new_name, node: Some(inode) };
        if old_parent == new_parent {
            self.dir_mut(old_parent)?.change(vec![gone, there]);
        } else {
            self.dir_mut(new_parent)?.change(vec![there]);
            self.dir_mut(old_parent)?.change(vec![gone]);
        }
        Ok(())
    }

    /// Both names change at once for everybody who looks; after a power cut each by itself has the
    /// old file or the new one.
    pub(super) fn exchange(&mut self, first: &Path, second: &Path) -> io::Result<()> {
        if !self.character.can_exchange {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let nodes = [self.find(second)?, self.find(first)?];
        for (path, node) in [first, second].into_iter().zip(nodes) {
            let (parent, name) = self.place(path)?;
            self.dir_mut(parent)?.change(vec![Edit { name, node: Some(node) }]);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, is_dir: bool) -> io::Result<()> {
        let inode = self.find(path)?;
        match &*self.nodes[&inode] {
            Node::Dir(_) if !is_dir => return Err(io::ErrorKind::IsADirectory.into()),
            Node::Dir(dir) if !dir.visible.is_empty() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Node::File(_) if is_dir => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        let (parent, name) = self.place(path)?;
        self.dir_mut(parent)?.change(vec![Edit { name, node: None }]);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entries = &self.dir(self.find(path)?)?.visible;
        let entry = |(name, inode): (&String, &u64)| match &*self.nodes[inode] {
            Node::File(file) => Entry { name: name.clone(), is_dir: false, size: file.visible.len() as u64 },
            Node::Dir(_) => Entry { name: name.clone(), is_dir: true, size: 0 },
        };
        Ok(entries.iter().map(entry).collect())
    }

    pub(super) fn try_lock(&mut self, inode: u64, mode: LockMode) -> bool {
        let held = self.locks.entry(inode).or_default();
        let is_free =
            held.is_empty() || (mode == LockMode::Shared && held.iter().all(|held| *held == LockMode::Shared));
        if is_free {
            held.push(mode);
        }
        is_free
    }

    pub(super) fn unlock(&mut self, inode: u64) {
        if let Some(held) = self.locks.get_mut(&inode) {
            held.pop();
        }
    }

    /// Whether the files together may grow by `bytes`.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let used: usize = self.linked_files().iter().map(|(_, file)| file.visible.len()).sum();
        (used + bytes) as u64 <= capacity
    }

    pub(super) fn unsynced(&self) -> usize {
        self.nodes.values().map(|node| node.unsynced()).sum()
    }

    pub(super) fn after_power_cut(&self, loss: &Loss) -> Self {
        self.moment().after_power_cut(loss)
    }

    pub(super) fn after_kill(&self) -> Self {
        let mut state = Self::of_nodes(self.nodes.clone(), self.next_inode);
        state.capacity = self.capacity;
        state.character = self.character;
        state
    }

    pub(super) fn settle(&mut self) {
        for node in self.nodes.values_mut() {
            match Arc::make_mut(node) {
                Node::File(file) => file.settle(),
                Node::Dir(dir) => dir.settle(),
            }
        }
    }

    pub(super) fn image(&self) -> BTreeMap<PathBuf, Arc<Vec<u8>>> {
        self.linked_files().into_iter().map(|(path, file)| (path, Arc::clone(file.visible.bytes()))).collect()
    }

    fn linked_files(&self) -> Vec<(PathBuf, &FileNode)> {
        let mut files = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, inode)) = open.pop() {
            match &*self.nodes[&inode] {
                Node::File(file) => files.push((path, file)),
                Node::Dir(dir) => open.extend(dir.visible.iter().map(|(name, inode)| (path.join(name), *inode))),
            }
        }
        files
    }

    pub(super) fn bytes(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        let inode = self.find(path).ok()?;
        self.file(inode).ok().map(|file| Arc::clone(file.visible.bytes()))
    }

    pub(super) fn set_bytes(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let file = FileNode::settled(bytes);
        match self.find(path) {
            Ok(inode) => *self.file_mut(inode)? = file,
            Err(_) => {
                self.add(path, Node::File(file))?;
                let (parent, _) = self.place(path)?;
                self.dir_mut(parent)?.settle();
            }
        }
        Ok(())
    }

    pub(super) fn flip(&mut self, path: &Path, bit: u64) -> bool {
        let Ok(inode) = self.find(path) else { return false };
        self.file_mut(inode).is_ok_and(|file| file.flip(bit))
    }

    pub(super) fn change_inode(&mut self, path: &Path) -> bool {
        let (Ok(inode), Ok((parent, name))) = (self.find(path), self.place(path)) else { return false };
        let node = Arc::clone(&self.nodes[&inode]);
        let copy = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(copy, node);
        let Ok(dir) = self.dir_mut(parent) else { return false };
        dir.change(vec![Edit { name, node: Some(copy) }]);
        dir.settle();
        true
    }
}

/// The error of a fault that has one.
pub(super) fn error_of(fault: Fault) -> Option<io::Error> {
    match fault {
        Fault::Errno(errno) | Fault::ShortWrite { errno, .. } | Fault::SyncMarkedClean { errno } => {
            Some(io::Error::from_raw_os_error(errno))
        }
        _ => None,
    }
}

pub(super) const NO_SPACE: i32 = 28;

pub(super) const ROOT: u64 = 1;

/// The magic number of ext4.
const EXT4: u64 = 0xef53;
