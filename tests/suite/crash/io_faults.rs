//! Every I/O call going wrong, in every way, once and for ever.
//!
//! A calm run counts the calls, reads included. Then each of them meets each fault that makes sense for
//! it: it fails, it is cut short, or it succeeds and the disk did something else. Whatever happens, no
//! answer of the service contradicts another, and the next start, and a power cut before or after it, find
//! what was acknowledged. Where the disk itself destroyed what was durable, the open names it.
//!
//! What no store on one disk can name is a loss that the disk shows nothing of: the last frame before
//! anything that proves it was durable, and whatever comes after the point at which a disk forgets all
//! writes. Then an older state opens, and only if nothing durable proves a younger one. A stack that
//! attaches knows more and stops all grants: see `attach::loss`.

use super::judge::{FileHashes, Judge, Verdict, name_of};
use super::plan::{DIR, Plan, Progress, digest, machine};
use super::workload::run;
use super::{for_each_until, say, seed_or};
use portplex::disk::sim::{Call, Fault, Loss, SimDisk};
use portplex::facility::{self, OpenError, Stepper};
use portplex::wal::{self, StoreError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const NO_SPACE: i32 = 28;
const FAULTS_SHOWN: usize = 5;

const PLAN: Plan = Plan {
    seed: 2,
    turns: 18,
    close_at: 5,
    kill_at: 10,
    reboot_at: 14,
    checkpoint_every: 4,
    ends_closed: true,
    is_small: true,
    packs: true,
};

/// Every fault, the calls that it makes sense for, and whether the disk says nothing of it.
const FAULTS: [(Fault, &[Call], bool); 11] = [
    (Fault::Errno(EIO), &[Call::Read, Call::Write, Call::Sync, Call::Change, Call::Look], false),
    (Fault::Errno(NO_SPACE), &[Call::Read, Call::Write, Call::Sync, Call::Change, Call::Look], false),
    (Fault::Errno(EINTR), &[Call::Read, Call::Write, Call::Sync, Call::Change, Call::Look], false),
    (Fault::ShortWrite { kept: 700, errno: EIO }, &[Call::Write], false),
    (Fault::ShortWrite { kept: 512, errno: NO_SPACE }, &[Call::Write], false),
    (Fault::ShortRead { kept: 100 }, &[Call::Read], false),
    (Fault::SyncMarkedClean { errno: EIO }, &[Call::Sync], false),
    (Fault::LostWrite, &[Call::Write], true),
    (Fault::MisdirectedWrite { by: 4_096 }, &[Call::Write], true),
    (Fault::ZeroedSector, &[Call::Read, Call::Write], true),
    (Fault::StaleRead, &[Call::Read], true),
];

/// One run of the sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    call: u64,
    fault: Fault,
    is_for_ever: bool,
    /// Whether the call succeeds all the same.
    is_silent: bool,
}

/// What came of all cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    pub(crate) cases: u64,
    /// How often each outcome was seen.
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) faults: Vec<String>,
}

struct Faults {
    plan: Plan,
    judge: Judge,
    /// The state of a store that nothing was asked of.
    empty: [u8; 32],
    report: Mutex<Report>,
}

/// Every call, every fault, once and for ever. `tick` is told how many cases are done, of how many.
pub(crate) fn sweep(seed: u64, tick: &(dyn Fn(u64, u64) + Sync)) -> Report {
    let plan = Plan { seed, ..PLAN };
    let disk = SimDisk::new();
    disk.keep_log();
    let calm = run(&disk, &plan, true);
    let mut report = Report { faults: calm.faults.clone(), ..Report::default() };
    report.faults.extend(calm.error.clone());
    if calm.packs == 0 || calm.backups == 0 || calm.checkpoints < 3 || calm.segments < 4 {
        report.faults.push(format!("the workload does not do all of it: {calm:?}"));
    }
    let mut cases = Vec::new();
    for (call, kind) in (0..).zip(disk.log()) {
        for (fault, kinds, is_silent) in FAULTS {
            if kinds.contains(&kind) {
                cases.extend([false, true].map(|is_for_ever| Case { call, fault, is_for_ever, is_silent }));
            }
        }
    }
    (report.calls, report.cases) = (disk.calls(), cases.len() as u64);
    let empty = calm.states.first().map(|state| state.digest).unwrap_or_default();
    let faults = Faults { plan, judge: Judge::new(plan), empty, report: Mutex::new(report) };
    let is_enough = || faults.report.lock().expect("no panic").faults.len() >= FAULTS_SHOWN;
    for_each_until(cases.len() as u64, is_enough, |number| {
        faults.fail(cases[number as usize], &mut FileHashes::default());
        tick(number + 1, cases.len() as u64);
    });
    faults.report.into_inner().expect("no panic")
}

impl Faults {
    fn fault(&self, place: &str, what: &str) {
        let mut report = self.report.lock().expect("no panic");
        if report.faults.len() < FAULTS_SHOWN {
            report.faults.push(format!("seed {}, {place}: {what}", self.plan.seed));
        }
    }

    fn count(&self, what: &str) {
        *self.report.lock().expect("no panic").outcomes.entry(what.to_owned()).or_default() += 1;
    }

    /// Whether that state was acknowledged last, or under way.
    fn is_right(&self, found: &[u8; 32], progress: &Progress) -> bool {
        let last = progress.states.get(progress.acked).map_or(self.empty, |state| state.digest);
        last == *found || (progress.in_flight && progress.unsure == Some(*found))
    }

    fn fail(&self, case: Case, hashes: &mut FileHashes) {
        let disk = SimDisk::new();
        if case.is_for_ever {
            disk.fail_from(case.call, case.fault);
        } else {
            disk.fail_at(case.call, case.fault);
        }
        let progress = run(&disk, &self.plan, true);
        let place = format!("{case:?}");
        // A disk that shows only the past is a disk that was restored: see `attach::loss`.
        let is_restored = case.fault == Fault::StaleRead && case.is_for_ever;
        if !is_restored {
            progress.faults.iter().for_each(|what| self.fault(&place, what));
        }
        if progress.damaged_copies > 0 && !case.is_silent {
            self.fault(&place, "a copy that was called good is damaged");
        }
        self.count(if progress.error.is_some() { "stopped the service" } else { "went on" });
        for loss in losses(case.call) {
            let image = disk.after_power_cut(&loss);
            let (verdict, _) = self.judge.judge(&image, hashes);
            self.check(case, &format!("{place}, then a power cut with {loss:?}"), &image, &verdict, &progress);
        }
        self.start_again(case, &place, &disk, &progress, hashes);
    }

    /// What an image gave that may have been damaged.
    fn check(&self, case: Case, place: &str, image: &SimDisk, verdict: &Verdict, progress: &Progress) {
        match verdict {
            Verdict::Opened(found) if self.is_right(found, progress) => self.count("right state"),
            Verdict::Opened(found) if case.is_silent => match self.is_unproven(image, found, progress) {
                Ok(()) => self.count("older state, nothing durable proves more"),
                Err(what) => self.fault(place, &format!("after turn {}: {what}", progress.acked)),
            },
            Verdict::Begun if !progress.inited || case.is_silent && !is_store(image) => self.count("no store yet"),
            Verdict::Refused(name) if case.is_silent => self.count(&format!("named: {name}")),
            other => self.fault(place, &format!("after turn {} came {other:?}", progress.acked)),
        }
    }

    /// A state that is neither the last one nor the one before it in doubt: it must be one that was
    /// acknowledged, and nothing on the disk may prove that there was more.
    fn is_unproven(&self, image: &SimDisk, found: &[u8; 32], progress: &Progress) -> Result<(), String> {
        let known = progress.states.iter().rposition(|state| state.digest == *found);
        let Some(state) = known.or((*found == self.empty).then_some(0)) else {
            return Err("a state was opened that never was".to_owned());
        };
        let survey = wal::survey(image, Path::new(DIR)).map_err(|error| error.to_string())?;
        let (machine, _) = machine(image, 9, 0);
        let inspected = facility::inspect(&machine, Path::new(DIR)).map_err(|error| error.to_string())?;
        let (proven, last) = (survey.durable(), inspected.structure.lsn());
        if proven > last {
            return Err(format!("the state after turn {state} ends at {last}, and {proven} is proven durable"));
        }
        Ok(())
    }

    /// The next start reads what is visible, whatever a failed sync has left in the page cache.
    /// What it then shows is durable.
    fn start_again(&self, case: Case, place: &str, disk: &SimDisk, progress: &Progress, hashes: &mut FileHashes) {
        let killed = disk.after_kill();
        let before = killed.fork();
        let (machine, _) = machine(&killed, 1, 900_000);
        let place = format!("{place}, the next start");
        let shown = match Stepper::open(&machine, Path::new(DIR), &self.plan.options()) {
            Ok(stepper) => digest(stepper.structure()),
            Err(OpenError::Store(StoreError::NotAStore { .. })) if !progress.inited => {
                if let Err(error) = facility::init(&machine, Path::new(DIR), &self.plan.options()) {
                    self.fault(&place, &format!("init was not begun again: {error}"));
                }
                return;
            }
            Err(error) => match name_of(&error) {
                Some(name) if case.is_silent && killed.image() == before.image() => {
                    return self.count(&format!("named: {name}"));
                }
                _ => return self.fault(&place, &format!("was refused: {error}")),
            },
        };
        self.check(case, &place, &before, &Verdict::Opened(shown), progress);
        for loss in losses(case.call) {
            let (verdict, _) = self.judge.judge(&killed.after_power_cut(&loss), hashes);
            // A directory entry that init could not sync is nobody's any more. What the disk forgot is
            // named when the page cache is gone.
            let is_named = case.is_silent && matches!(verdict, Verdict::Refused(_));
            if verdict != Verdict::Opened(shown) && progress.inited && !is_named {
                self.fault(&place, &format!("was served, and a power cut with {loss:?} gave {verdict:?}"));
            }
        }
    }
}

/// Whether anything on a disk says that it has a store.
fn is_store(disk: &SimDisk) -> bool {
    ["MANIFEST", "MANIFEST.bak"].iter().any(|name| disk.bytes(&Path::new(DIR).join(name)).is_some())
}

fn losses(seed: u64) -> [Loss; 4] {
    [Loss::Everything, Loss::Nothing, Loss::Random(seed), Loss::Shorn(seed)]
}

#[test]
fn whatever_a_call_does_answers_hold_and_damage_is_named() {
    let seed = seed_or(PLAN.seed);
    let report = sweep(seed, &|_, _| {});
    say(&format!("I/O faults: seed {seed}, {} calls, {} cases: {:?}", report.calls, report.cases, report.outcomes));
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    let seen = |what: &str| report.outcomes.get(what).copied().unwrap_or(0);
    assert!(seen("stopped the service") > report.calls && seen("went on") > 0, "faults stop the service, or need not");
    assert!(seen("named: log") > 0 && seen("named: MANIFEST") > 0, "damage is named: {:?}", report.outcomes);
}
