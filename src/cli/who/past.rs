//! Reads packed history for one port: of each pack the index, who was there and what its blocks name,
//! and of the blocks only those that may be about the port.
//!
//! It begins at the last blocks before the moment asked about and goes back until all that is shown
//! was seen from its beginning, so that the answer is the one that the whole log gives.
#![forbid(unsafe_code)]

use super::hold::Hold;
use super::hold::Moment;
use super::kept::Kept;
use super::start::Base;
use super::track::Lost;
use super::track::Port;
use super::track::STRETCHES_MAX;
use super::track::Tracker;
use crate::cli::exit::Failure;
use crate::cli::log;
use crate::cli::log::Log;
use crate::cli::log::Names;
use crate::cli::log::Placed;
use crate::facility::past;
use crate::facility::past::Aside;
use crate::ident::GroupNumber;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::Target;
use crate::ident::WallMs;
use crate::record;
use crate::structure::Change;
use crate::wal::FrameInfo;
use crate::wal::StoreError;
use crate::wal::pack::Block;
use crate::wal::pack::PackFile;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) target: Target,
    pub(super) port: u16,
    pub(super) at: Option<WallMs>,
    pub(super) limit: usize,
}

/// The packs of a log, oldest first, from the first one that is read on.
pub(super) struct Past<'a> {
    log: &'a Log<'a>,
    asked: Asked,
    /// How many of the oldest packs are left out.
    skipped: usize,
    packs: Vec<Pack>,
    /// All blocks, in order: which pack, which of its blocks.
    blocks: Vec<(usize, usize)>,
    /// The last lsn before the first pack that is read.
    pub(super) begin: Lsn,
}

struct Pack {
    file: PackFile,
    detail: OnceCell<Detail>,
    marks: OnceCell<Marks>,
}

/// Who was there, as a pack tells beside its blocks.
struct Detail {
    /// Who was there before its first record, and whether that is everybody.
    roster: Vec<Aside>,
    is_complete: bool,
    asides: Vec<Aside>,
    /// The numbers that the list has in it.
    lists: BTreeSet<u32>,
}

/// What the blocks of a pack are about, by block.
struct Marks {
    /// Whether it may be about the port.
    is_about: Vec<bool>,
    /// Whether a quarantine of the list ends in it.
    is_ready: Vec<bool>,
}

/// A port followed to the end of the log.
pub(super) struct Followed {
    pub(super) tracker: Tracker,
    /// What it is there.
    pub(super) now: Port,
    /// What an operator should read.
    pub(super) warnings: Vec<String>,
}

/// What went wrong, and where the history behind it begins.
pub(super) struct Damage {
    pub(super) failure: Box<Failure>,
    /// How many of the oldest packs cannot be used; `None` if it is no pack's fault.
    pub(super) packs: Option<usize>,
}

impl From<Failure> for Damage {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), packs: None }
    }
}

impl<'a> Past<'a> {
    /// Opens the packs but the `skipped` oldest ones and reads their indexes.
    pub(super) fn open(log: &'a Log<'a>, asked: Asked, skipped: usize) -> Result<Self, Damage> {
        let manifest = &log.survey.manifest;
        let mut packs = Vec::new();
        for (number, entry) in manifest.packs.iter().enumerate().skip(skipped) {
            let file =
                PackFile::open(&*log.disk, log.dir, manifest.uuid, entry).map_err(|error| damage(number, error))?;
            packs.push(Pack { file, detail: OnceCell::new(), marks: OnceCell::new() });
        }
        let all = packs.iter().enumerate();
        let blocks = all.flat_map(|(pack, file)| (0..file.file.index().blocks.len()).map(move |block| (pack, block)));
        let blocks = blocks.collect();
        let begin = manifest.chain_before_pack(skipped).lsn;
        Ok(Self { log, asked, skipped, packs, blocks, begin })
    }

    /// Reads as much as the answer needs. `base` loads the older checkpoint, for a log whose beginning
    /// was retired.
    pub(super) fn read(&self, base: &dyn Fn() -> Option<Base>) -> Result<Followed, Damage> {
        let is_complete = match self.packs.first() {
            Some(_) => self.detail(0)?.is_complete,
            None => false,
        };
        let newest = match self.asked.at {
            None => self.blocks.len(),
            Some(at) => self.blocks.partition_point(|place| self.block(*place).wall_first <= at),
        };
        let (mut start, mut found, mut wanted) = (newest, 0, 1);
        let mut followed = loop {
            while is_complete && start > 0 && found < wanted {
                start -= 1;
                let (pack, block) = self.blocks[start];
                found += usize::from(self.marks(pack)?.is_about[block]);
            }
            if !is_complete {
                start = 0;
            }
            let followed = self.run(start, base)?;
            if start == 0 || self.is_decided(&followed.tracker) {
                break followed;
            }
            wanted = self.wanted_next(wanted, &followed.tracker);
        };
        let tracker = &mut followed.tracker;
        if !tracker.has_list {
            for pack in 0..self.packs.len() {
                tracker.has_list |= !self.detail(pack)?.lists.is_empty();
            }
        }
        tracker.first = self.blocks.first().map_or(tracker.first, |place| {
            let block = self.block(*place);
            Some(Moment { lsn: block.first, wall: Some(block.wall_first), stood_ms: 0 })
        });
        self.add_lost(tracker)?;
        Ok(followed)
    }

    /// Whether everything that is shown began after the place where reading began.
    fn is_decided(&self, tracker: &Tracker) -> bool {
        let is_seen = |hold: &Hold| hold.from.is_some_and(|from| from.wall.is_some());
        let kept = &tracker.kept;
        match self.asked.at {
            Some(_) => kept.before.as_ref().is_some_and(is_seen),
            None => kept.has_more() && kept.holds.iter().all(is_seen),
        }
    }

    /// How many blocks about the port to begin with next: as many as all that is shown may take, by what
    /// those tell that were read.
    fn wanted_next(&self, wanted: usize, tracker: &Tracker) -> usize {
        let holds = tracker.kept.holds.len().max(1);
        let times = if self.asked.at.is_some() { 4 } else { (5 * self.asked.limit).div_ceil(4 * holds) };
        wanted.saturating_mul(times.clamp(2, 64))
    }

    /// Follows the port from a block on to the end of the log.
    fn run(&self, start: usize, base: &dyn Fn() -> Option<Base>) -> Result<Followed, Damage> {
        let Asked { target, port, at, limit } = self.asked;
        let base = if start == 0 && self.begin > Lsn::ZERO { base() } else { None };
        let (names, is_complete) = self.names_before(start)?;
        let begin = if start == 0 { self.begin } else { Lsn(self.begin.0.max(1)) };
        let known = is_complete.then_some(names);
        let mut tracker = Tracker::knowing(target, port, begin, base, known, Kept::new(at, limit));
        if let Some(before) = start.checked_sub(1) {
            self.pass(&mut tracker, self.blocks[before])?;
        }
        for place in &self.blocks[start..] {
            if at.is_some() && tracker.kept.after.is_some() {
                tracker.end_here();
                break;
            }
            self.follow(&mut tracker, *place)?;
        }
        if tracker.is_done
            && let Some(last) = self.blocks.last()
        {
            self.pass(&mut tracker, *last)?;
        }
        let base = self.log.survey.manifest.packed().lsn;
        let warnings = self.log.above(base, &mut |placed| tracker.see(placed))?;
        let now = tracker.finish();
        Ok(Followed { tracker, now, warnings })
    }

    /// Who every number was before a block, and whether nobody is missing.
    fn names_before(&self, start: usize) -> Result<(Names, bool), Damage> {
        let mut names = Names::default();
        let (pack, first) = match self.blocks.get(start) {
            Some(place) => (place.0, self.block(*place).first),
            None => match self.packs.len().checked_sub(1) {
                Some(last) => (last, Lsn(u64::MAX)),
                None => return Ok((names, false)),
            },
        };
        let detail = self.detail(pack)?;
        for aside in detail.roster.iter().chain(detail.asides.iter().take_while(|aside| aside.lsn < first)) {
            names.learn(aside.lsn, &aside.event);
        }
        Ok((names, detail.is_complete))
    }

    /// Follows the port over one block, reading as little of it as is safe.
    fn follow(&self, tracker: &mut Tracker, place: (usize, usize)) -> Result<(), Damage> {
        let (pack, number) = place;
        let (detail, marks) = (self.detail(pack)?, self.marks(pack)?);
        let (file, block) = (&self.packs[pack].file, self.block(place));
        let from = detail.asides.partition_point(|aside| aside.lsn < block.first);
        let asides = detail.asides[from..].iter().take_while(|aside| aside.lsn <= block.end.lsn);
        let may_rest = tracker.is_resting() || (tracker.is_held() && asides.clone().next().is_some());
        let manifest = &self.log.survey.manifest;
        let before = manifest.history_of(file.index().before(number).lsn).map(|history| history.id);
        let begins = before != Some(self.history(block.end.lsn)?);
        if marks.is_about[number] || begins || (may_rest && marks.is_ready[number]) {
            let group = GroupNumber::of_port(self.asked.port);
            let read = file.read_block(manifest, number, &mut |frame, payload| {
                if !record::may_name(payload, group, tracker.is_resting()) {
                    tracker.pass_frame(frame);
                    return Ok(());
                }
                log::each(frame, payload, &mut |placed| {
                    tracker.see(placed);
                    Ok(())
                })
            });
            return read.map_err(|error| self.damage(pack, error));
        }
        for aside in asides {
            let history = self.history(aside.lsn)?;
            tracker.stand(history, aside.wall, aside.since.0);
            let frame = frame_of(aside, history);
            tracker.see(&Placed { frame: &frame, lsn: aside.lsn, event: &aside.event });
        }
        self.pass(tracker, place)
    }

    fn pass(&self, tracker: &mut Tracker, place: (usize, usize)) -> Result<(), Damage> {
        let block = self.block(place);
        let stood = block.stood;
        tracker.pass(self.history(block.end.lsn)?, moment_after(block), stood.wall, stood.since.0);
        Ok(())
    }

    /// Lost records that the packs tell of, wherever reading began.
    fn add_lost(&self, tracker: &mut Tracker) -> Result<(), Damage> {
        let packed = self.log.survey.manifest.packed().lsn;
        let mut all = Vec::new();
        for pack in 0..self.packs.len() {
            for aside in &self.detail(pack)?.asides {
                if let Change::Stopped { cause, .. } = &aside.event.change
                    && cause.adopts()
                {
                    let stood_ms = aside.boot.0.saturating_sub(aside.since.0);
                    let until = Moment { lsn: aside.lsn, wall: Some(aside.wall), stood_ms };
                    all.push(Lost { cause: *cause, after: self.end_of_history_before(aside.lsn)?, until });
                }
            }
        }
        all.extend(tracker.lost.iter().filter(|lost| lost.until.lsn > packed).copied());
        tracker.lost = all.split_off(all.len().saturating_sub(STRETCHES_MAX));
        Ok(())
    }

    /// The last record before the history of an lsn.
    fn end_of_history_before(&self, lsn: Lsn) -> Result<Option<Moment>, Damage> {
        let manifest = &self.log.survey.manifest;
        let Some(first) = manifest.history_of(lsn).map(|history| history.first) else { return Ok(None) };
        let place = self.blocks.partition_point(|place| self.block(*place).end.lsn < first);
        let mut moment = place.checked_sub(1).map(|before| moment_after(self.block(self.blocks[before])));
        let Some((pack, number)) = self.blocks.get(place).copied().filter(|place| self.block(*place).first < first)
        else {
            return Ok(moment);
        };
        let file = &self.packs[pack].file;
        let mut stood = number.checked_sub(1).map_or(file.index().header.stood, |last| file.index().blocks[last].stood);
        let read = file.read_block(manifest, number, &mut |frame, _| {
            if frame.first < first {
                stood = stood.after(frame.epoch, frame.wall, frame.boot);
                let stood_ms = frame.boot.0.saturating_sub(stood.since.0);
                moment = Some(Moment { lsn: frame.last(), wall: Some(frame.wall), stood_ms });
            }
            Ok(())
        });
        read.map_err(|error| self.damage(pack, error))?;
        Ok(moment)
    }

    fn detail(&self, pack: usize) -> Result<&Detail, Damage> {
        let found = &self.packs[pack];
        if let Some(detail) = found.detail.get() {
            return Ok(detail);
        }
        let detail = Detail::read(&found.file, &self.asked).map_err(|error| self.damage(pack, error))?;
        Ok(found.detail.get_or_init(|| detail))
    }

    fn marks(&self, pack: usize) -> Result<&Marks, Damage> {
        let found = &self.packs[pack];
        if let Some(marks) = found.marks.get() {
            return Ok(marks);
        }
        let lists = &self.detail(pack)?.lists;
        let marks = Marks::read(&found.file, lists, self.asked.port).map_err(|error| self.damage(pack, error))?;
        Ok(found.marks.get_or_init(|| marks))
    }

    fn block(&self, (pack, block): (usize, usize)) -> &Block {
        &self.packs[pack].file.index().blocks[block]
    }

    fn history(&self, lsn: Lsn) -> Result<HistoryId, Damage> {
        let history = self.log.survey.manifest.history_of(lsn);
        let pack = self.packs.iter().position(|pack| pack.file.entry().end.lsn >= lsn).unwrap_or(0);
        history.map(|history| history.id).ok_or_else(|| self.damage(pack, self.packs[pack].file.misfit("histories")))
    }

    /// Packs up to this one cannot be used.
    fn damage(&self, pack: usize, error: StoreError) -> Damage {
        damage(self.skipped + pack, error)
    }
}

impl Detail {
    fn read(file: &PackFile, asked: &Asked) -> Result<Self, StoreError> {
        let (mut roster, mut asides) = (Vec::new(), Vec::new());
        let is_complete = past::read_roster(file, &mut |aside| roster.push(aside.clone()))?;
        past::read_asides(file, &mut |aside| asides.push(aside.clone()))?;
        let lists: BTreeSet<u32> = roster
            .iter()
            .chain(&asides)
            .filter_map(|aside| match &aside.event.change {
                Change::Defined { list, target } | Change::Joined { list, target, .. } if *target == asked.target => {
                    Some(*list)
                }
                _ => None,
            })
            .collect();
        Ok(Self { roster, is_complete, asides, lists })
    }
}

impl Marks {
    fn read(file: &PackFile, lists: &BTreeSet<u32>, port: u16) -> Result<Self, StoreError> {
        // Those of nobody known are among the keys of any list.
        let mut about: Vec<u64> = past::port_keys(u32::MAX, port).to_vec();
        about.extend(lists.iter().flat_map(|list| past::port_keys(*list, port)));
        let ready: Vec<u64> = lists.iter().map(|list| past::ready_key(*list)).collect();
        let (mut is_about, mut is_ready) = (Vec::new(), Vec::new());
        past::read_keys(file, &mut |keys| {
            let has = |wanted: &[u64]| wanted.iter().any(|key| keys.binary_search(key).is_ok());
            is_about.push(has(&about));
            is_ready.push(has(&ready));
        })?;
        Ok(Self { is_about, is_ready })
    }
}

/// The last record of a block.
fn moment_after(block: &Block) -> Moment {
    let stood_ms = block.boot_last.0.saturating_sub(block.stood.since.0);
    Moment { lsn: block.end.lsn, wall: Some(block.stood.wall), stood_ms }
}

fn damage(pack: usize, error: StoreError) -> Damage {
    let is_damage = matches!(error, StoreError::CorruptPack { .. } | StoreError::Io { .. });
    Damage { packs: is_damage.then_some(pack + 1), failure: Box::new(error.into()) }
}

/// The frame of a record beside the blocks, as far as a reader of it asks.
fn frame_of(aside: &Aside, history: HistoryId) -> FrameInfo {
    FrameInfo {
        first: aside.lsn,
        count: 1,
        durable: Lsn::ZERO,
        epoch: 0,
        history,
        wall: aside.wall,
        boot: aside.boot,
        path: PathBuf::new(),
        segment: 0,
        offset: 0,
    }
}
