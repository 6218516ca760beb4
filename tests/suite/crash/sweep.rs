//! Power cuts everywhere: at every change of a workload, and again at every change of the recovery.
//!
//! A calm run counts the changes. Then the power is cut before each of them, and every subset of
//! what was not synced is kept (all of them up to eight, random ones beyond). Every distinct image
//! must open, with the last acknowledged state or the one that was under way, twice the same; and a
//! recovery that is cut itself, at each of its own changes, must lead to the same state.

use super::judge::{FileHashes, Judge, Verdict};
use super::plan::{DIR, Plan, Progress, State, digest, machine};
use super::workload::run;
use super::{for_each_until, say, seed_or};
use portplex::disk::sim::{Loss, SimDisk};
use portplex::facility::Stepper;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// All subsets are tried of so many changes.
const EXHAUSTIVE: usize = 8;
/// How many random subsets are tried of more.
const RANDOM: u64 = 48;
/// Random subsets at the second depth.
const RANDOM_TWICE: u64 = 8;
const FAULTS_SHOWN: usize = 5;

const PLAN: Plan = Plan {
    seed: 1,
    turns: 36,
    close_at: 9,
    kill_at: 18,
    reboot_at: 27,
    checkpoint_every: 6,
    ends_closed: true,
    is_small: false,
    packs: false,
};

/// A calm run and everything that the sweeps count.
struct Sweep {
    judge: Judge,
    plan: Plan,
    states: Vec<State>,
    changes: u64,
    cuts: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Sweep {
    fn new(plan: Plan) -> Self {
        let disk = SimDisk::new();
        let calm = run(&disk, &plan, true);
        assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
        assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
        assert_eq!(calm.states.len(), plan.turns as usize + 1);
        assert!(calm.segments >= 8, "the workload rotates: {} segments", calm.segments);
        assert!(calm.checkpoints >= 4, "the workload makes checkpoints: {}", calm.checkpoints);
        let granted = calm.states.iter().filter(|state| !state.model.grants.is_empty()).count();
        let resting = calm.states.iter().filter(|state| !state.model.resting.is_empty()).count();
        assert!(granted > calm.states.len() / 2 && resting > calm.states.len() / 4, "the workload grants and releases");
        Self {
            judge: Judge::new(plan),
            plan,
            states: calm.states,
            changes: disk.changes(),
            cuts: AtomicU64::new(0),
            faults: Mutex::default(),
        }
    }

    fn fault(&self, place: &str, what: &str) {
        let mut faults = self.faults.lock().expect("no panic");
        if faults.len() < FAULTS_SHOWN {
            faults.push(format!("seed {}, {place}: {what}", self.plan.seed));
        }
    }

    fn is_enough(&self) -> bool {
        self.faults.lock().expect("no panic").len() >= FAULTS_SHOWN
    }

    /// The disk when the power goes before a change, and how far the run came.
    fn cut(&self, change: u64) -> (SimDisk, Progress) {
        let disk = SimDisk::new();
        disk.cut_at(change);
        let progress = run(&disk, &self.plan, false);
        disk.cut();
        (disk, progress)
    }

    /// The states that may be recovered.
    fn allowed(&self, progress: &Progress) -> &[State] {
        let last = (progress.acked + usize::from(progress.in_flight)).min(self.states.len() - 1);
        &self.states[progress.acked..=last]
    }

    fn check(&self, place: &str, verdict: &Verdict, progress: &Progress) -> Option<&State> {
        let allowed = self.allowed(progress);
        match verdict {
            Verdict::Opened(found) => {
                let state = allowed.iter().find(|state| state.digest == *found);
                if state.is_none() {
                    let known = self.states.iter().position(|state| state.digest == *found);
                    let acked = progress.acked;
                    self.fault(place, &format!("turn {acked} was acknowledged, and state {known:?} was recovered"));
                }
                state
            }
            Verdict::Begun if !progress.inited => None,
            Verdict::Begun => {
                self.fault(place, "init was acknowledged, and there is no store");
                None
            }
            Verdict::Bad(what) => {
                self.fault(place, what);
                None
            }
            Verdict::Refused(what) => {
                self.fault(place, &format!("a crash alone was taken for damage of: {what}"));
                None
            }
        }
    }

    /// Everything that a power cut before `change` can leave, and again in its recovery.
    fn power(&self, change: u64, hashes: &mut FileHashes) {
        let (disk, progress) = self.cut(change);
        for fault in &progress.faults {
            self.fault(&format!("cut at {change}"), fault);
        }
        for loss in losses(disk.unsynced(), change, RANDOM) {
            self.cuts.fetch_add(1, Ordering::Relaxed);
            let place = format!("cut at {change} with {loss:?}");
            let image = disk.after_power_cut(&loss);
            let (verdict, is_new) = self.judge.judge(&image, hashes);
            let state = self.check(&place, &verdict, &progress);
            if !is_new {
                continue;
            }
            if let Some(state) = state
                && let Err(fault) = self.judge.go_on(&image.fork(), state)
            {
                self.fault(&place, &fault);
            }
            self.power_again(&place, &image, &verdict, change, hashes);
        }
    }

    /// Cuts the recovery of an image at each of its changes. Everything on it is durable: whatever
    /// happens, the state is the same.
    fn power_again(&self, place: &str, image: &SimDisk, verdict: &Verdict, seed: u64, hashes: &mut FileHashes) {
        if !matches!(verdict, Verdict::Opened(_)) {
            return;
        }
        for change in 0.. {
            let disk = image.fork();
            disk.cut_at(change);
            let is_open = self.judge.open(&disk).is_ok();
            disk.cut();
            let mut tried = vec![Loss::Everything, Loss::Nothing];
            tried.extend((0..RANDOM_TWICE).map(|number| Loss::Random(mix(seed, change, number))));
            for loss in tried {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                let (again, _) = self.judge.judge(&disk.after_power_cut(&loss), hashes);
                if again != *verdict {
                    self.fault(&format!("{place}, its recovery cut at {change} with {loss:?}"), &format!("{again:?}"));
                }
            }
            if is_open {
                break;
            }
        }
    }

    /// Kills the process before `change`, and cuts the power at each change of its recovery: what
    /// the killed process wrote was visible and not durable. What an open has shown must stay.
    fn kill(&self, change: u64, hashes: &mut FileHashes) {
        let (disk, progress) = self.cut(change);
        for again in 0.. {
            let killed = disk.after_kill();
            killed.cut_at(again);
            let (machine, _) = machine(&killed, 1, 900_000);
            let opened = Stepper::open(&machine, Path::new(DIR), &self.plan.options());
            let place = format!("killed at {change}, its recovery cut at {again}");
            let shown = match opened {
                Ok(stepper) => Some(Verdict::Opened(digest(stepper.structure()))),
                Err(_) if killed.is_dead() => None,
                // Refused: only where there is no store yet.
                Err(error) => {
                    if progress.inited || !matches!(self.judge.judge(&killed, hashes).0, Verdict::Begun) {
                        self.fault(&place, &error.to_string());
                    }
                    return;
                }
            };
            killed.cut();
            if let Some(shown) = &shown {
                self.check(&place, shown, &progress);
            }
            let mut tried = vec![Loss::Everything, Loss::Nothing];
            tried.extend((0..RANDOM_TWICE).map(|number| Loss::Shorn(mix(change, again, number))));
            for loss in tried {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                let (verdict, _) = self.judge.judge(&killed.after_power_cut(&loss), hashes);
                let place = format!("{place} with {loss:?}");
                match &shown {
                    Some(shown) if *shown != verdict => {
                        self.fault(&place, &format!("{shown:?} was served and {verdict:?} came back"));
                    }
                    Some(_) => {}
                    None => drop(self.check(&place, &verdict, &progress)),
                }
            }
            if shown.is_some() {
                return;
            }
        }
    }

    fn finish(&self, what: &str) {
        let (cuts, images, opens) = (self.cuts.load(Ordering::Relaxed), self.judge.images(), self.judge.opens());
        say(&format!(
            "{what}: seed {}, {} changes, {cuts} crash states, {images} distinct images, {opens} opens",
            self.plan.seed, self.changes
        ));
        let faults = self.faults.lock().expect("no panic");
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

/// What is kept of `count` changes: every subset, or random ones if there are too many.
fn losses(count: usize, seed: u64, random: u64) -> Vec<Loss> {
    if count <= EXHAUSTIVE {
        return (0..1 << count).map(Loss::Except).collect();
    }
    let mut losses = vec![Loss::Everything, Loss::Nothing];
    losses.extend((0..random).map(|number| match number % 4 {
        0 => Loss::Shorn(mix(seed, count as u64, number)),
        _ => Loss::Random(mix(seed, count as u64, number)),
    }));
    losses
}

const fn mix(first: u64, second: u64, third: u64) -> u64 {
    first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ second.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) ^ third.rotate_left(32)
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_change_and_again_in_its_recovery() {
    let sweep = Sweep::new(Plan { seed: seed_or(PLAN.seed), ..PLAN });
    for_each_until(sweep.changes + 1, || sweep.is_enough(), |change| sweep.power(change, &mut FileHashes::default()));
    sweep.finish("power cuts");
}

#[test]
fn what_a_killed_process_wrote_survives_a_power_cut_in_its_recovery_once_it_was_shown() {
    let sweep = Sweep::new(Plan { seed: seed_or(PLAN.seed), ..PLAN });
    for_each_until(sweep.changes + 1, || sweep.is_enough(), |change| sweep.kill(change, &mut FileHashes::default()));
    sweep.finish("kills, then power cuts");
}
