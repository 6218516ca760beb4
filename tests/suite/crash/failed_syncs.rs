//! Single failed syncs of which more is asked than of the sweep: who hears what.

use super::plan::{DIR, Plan, machine};
use portplex::disk::sim::{Fault, SimDisk};
use portplex::facility::{self, CallError, Command, Query, Stepper, Ticket};
use portplex::ident::{Dvipa, Target, Transport};
use portplex::structure::Request;
use std::net::IpAddr;
use std::path::Path;

const EIO: i32 = 5;

const PLAN: Plan = Plan {
    seed: 2,
    turns: 0,
    close_at: u32::MAX,
    kill_at: u32::MAX,
    reboot_at: u32::MAX,
    checkpoint_every: u32::MAX,
    ends_closed: true,
    is_small: true,
    packs: false,
};

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
