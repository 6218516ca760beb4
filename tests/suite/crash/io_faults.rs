//! Every I/O call failing once: what was acknowledged stays, and nothing is after a failed sync.
//!
//! A calm run counts the calls, reads included. Then each of them fails in each way. The service
//! stops there, as it must; the next start, and a power cut before or after it, find what was
//! acknowledged.

use super::judge::{FileHashes, Judge, Verdict};
use super::plan::{DIR, Plan, Progress, State, digest, machine};
use super::workload::run;
use super::{for_each_until, say, seed_or};
use portplex::disk::sim::{Fault, Loss, SimDisk};
use portplex::facility::{self, CallError, Command, OpenError, Query, Stepper, Ticket};
use portplex::ident::{Dvipa, Target, Transport};
use portplex::structure::Request;
use portplex::wal::StoreError;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const EIO: i32 = 5;
const NO_SPACE: i32 = 28;
const FAULTS: [Fault; 5] = [
    Fault::Errno(EIO),
    Fault::Errno(NO_SPACE),
    Fault::ShortWrite { kept: 700, errno: EIO },
    Fault::ShortWrite { kept: 512, errno: NO_SPACE },
    Fault::SyncMarkedClean { errno: EIO },
];
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
};

struct Faults {
    plan: Plan,
    judge: Judge,
    states: Vec<State>,
    stopped: AtomicU64,
    went_on: AtomicU64,
    found: Mutex<Vec<String>>,
}

impl Faults {
    fn fault(&self, place: &str, what: &str) {
        let mut found = self.found.lock().expect("no panic");
        if found.len() < FAULTS_SHOWN {
            found.push(format!("seed {}, {place}: {what}", self.plan.seed));
        }
    }

    fn is_allowed(&self, found: &[u8; 32], progress: &Progress) -> bool {
        // One that went on may have answered "storage full" where the calm run granted.
        let states = if progress.error.is_none() { &progress.states } else { &self.states };
        let last = (progress.acked + usize::from(progress.in_flight)).min(states.len() - 1);
        states[progress.acked..=last].iter().any(|state| state.digest == *found)
    }

    fn fail(&self, call: u64, fault: Fault, hashes: &mut FileHashes) {
        let disk = SimDisk::new();
        disk.fail_at(call, fault);
        let progress = run(&disk, &self.plan, true);
        let place = format!("call {call} with {fault:?}");
        progress.faults.iter().for_each(|what| self.fault(&place, what));
        match &progress.error {
            Some(_) => self.stopped.fetch_add(1, Ordering::Relaxed),
            None => self.went_on.fetch_add(1, Ordering::Relaxed),
        };
        for loss in losses(call) {
            let (verdict, _) = self.judge.judge(&disk.after_power_cut(&loss), hashes);
            let place = format!("{place}, then a power cut with {loss:?}");
            match &verdict {
                Verdict::Opened(found) if self.is_allowed(found, &progress) => {}
                Verdict::Begun if !progress.inited => {}
                other => self.fault(&place, &format!("after turn {} came {other:?}", progress.acked)),
            }
        }
        self.start_again(&place, call, &disk, &progress, hashes);
    }

    /// The next start reads what is visible, whatever a failed sync has left in the page cache.
    /// What it then shows is durable.
    fn start_again(&self, place: &str, call: u64, disk: &SimDisk, progress: &Progress, hashes: &mut FileHashes) {
        let killed = disk.after_kill();
        let (machine, _) = machine(&killed, 1, 900_000);
        let shown = match Stepper::open(&machine, Path::new(DIR), &self.plan.options()) {
            Ok(stepper) => digest(stepper.structure()),
            Err(OpenError::Store(StoreError::NotAStore { .. })) if !progress.inited => {
                if let Err(error) = facility::init(&machine, Path::new(DIR), &self.plan.options()) {
                    self.fault(place, &format!("init was not begun again: {error}"));
                }
                return;
            }
            Err(error) => return self.fault(place, &format!("the next start was refused: {error}")),
        };
        if !self.is_allowed(&shown, progress) {
            self.fault(place, &format!("after turn {} the next start shows another state", progress.acked));
        }
        for loss in losses(call) {
            let (verdict, _) = self.judge.judge(&killed.after_power_cut(&loss), hashes);
            // A directory entry that init could not sync is nobody's any more.
            if verdict != Verdict::Opened(shown) && progress.inited {
                self.fault(
                    place,
                    &format!("the next start was served, and a power cut with {loss:?} gave {verdict:?}"),
                );
            }
        }
    }
}

fn losses(seed: u64) -> [Loss; 4] {
    [Loss::Everything, Loss::Nothing, Loss::Random(seed), Loss::Shorn(seed)]
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_acknowledged_after_a_failed_call() {
    let plan = Plan { seed: seed_or(PLAN.seed), ..PLAN };
    let disk = SimDisk::new();
    let calm = run(&disk, &plan, true);
    assert_eq!(calm.error, None, "seed {}: the calm run is calm", plan.seed);
    assert!(calm.faults.is_empty(), "seed {}: {:#?}", plan.seed, calm.faults);
    let calls = disk.calls();
    let faults = Faults {
        plan,
        judge: Judge::new(plan),
        states: calm.states,
        stopped: AtomicU64::new(0),
        went_on: AtomicU64::new(0),
        found: Mutex::default(),
    };
    let ways = FAULTS.len() as u64;
    let is_enough = || faults.found.lock().expect("no panic").len() >= FAULTS_SHOWN;
    for_each_until(calls * ways, is_enough, |number| {
        faults.fail(number / ways, FAULTS[(number % ways) as usize], &mut FileHashes::default());
    });
    let (stopped, went_on) = (faults.stopped.into_inner(), faults.went_on.into_inner());
    say(&format!(
        "I/O faults: seed {}, {calls} calls in {ways} ways: {stopped} stopped the service, {went_on} did not, {} images",
        plan.seed,
        faults.judge.images()
    ));
    let found = faults.found.into_inner().expect("no panic");
    assert!(found.is_empty(), "{found:#?}");
    assert!(stopped > calls && went_on > 0, "faults stop the service, and those beside the writer do not");
}

/// The watermark is synced beside the log, by another thread too: whoever notices, nobody goes on.
#[test]
fn nothing_is_acknowledged_after_a_sync_of_the_watermark_failed() {
    let disk = SimDisk::new();
    let (machine, _) = machine(&disk, 1, 10_000);
    let (dir, options) = (Path::new(DIR), PLAN.options());
    facility::init(&machine, dir, &options).expect("made");
    let mut stepper = Stepper::open(&machine, dir, &options).expect("opened");
    stepper.turn(vec![define(1)]).expect("stored");
    disk.fail_at(disk.calls(), Fault::SyncMarkedClean { errno: EIO });
    stepper.sync_watermark().expect_err("the sync failed");
    stepper.turn(vec![define(2)]).expect_err("the disk is not to be trusted");
    drop(stepper);
    let stepper = Stepper::open(&machine, dir, &options).expect("opened again");
    assert_eq!(stepper.structure().lists().count(), 1, "what was acknowledged is there, and nothing else");
}

/// Nobody hears anything of a batch before its sync: what refuses and what is read may be in it.
#[test]
fn everybody_in_a_batch_waits_for_its_sync_who_reads_or_is_refused_too() {
    let disk = SimDisk::new();
    let (machine, _) = machine(&disk, 1, 10_000);
    let (dir, options) = (Path::new(DIR), PLAN.options());
    facility::init(&machine, dir, &options).expect("made");
    let mut stepper = Stepper::open(&machine, dir, &options).expect("opened");
    stepper.turn(vec![define(1)]).expect("stored");
    while stepper.fill_spare().expect("there is room") {}
    let ((stored, first), (refused, second), (read, third)) = (Ticket::pair(), Ticket::pair(), Ticket::pair());
    let batch = [
        Command::Request(define(2), first),
        Command::Request(Request::Delete { target: list(9) }, second),
        Command::Query(Query::Items { from: 0 }, third),
    ];
    // The write, then the sync.
    disk.fail_at(disk.calls() + 1, Fault::SyncMarkedClean { errno: EIO });
    stepper.work(batch).expect_err("the sync failed");
    let is_unknown = |error: Option<CallError>| matches!(error, Some(CallError::StorageFailed { .. }));
    assert!(is_unknown(stored.wait().err()), "nobody knows whether it is stored");
    assert!(is_unknown(refused.wait().err()), "a refusal is an answer too");
    assert!(is_unknown(read.wait().err()), "a read would have shown the list");
}

fn list(last: u8) -> Target {
    Target::List(Dvipa::new(IpAddr::from([10, 1, 1, last])).expect("an address"), Transport::Tcp)
}

fn define(last: u8) -> Request {
    Request::Define { target: list(last) }
}
