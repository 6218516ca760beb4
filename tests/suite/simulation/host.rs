//! The facility's machine: the real writer's work on a simulated disk, that is killed, loses power in
//! the middle of a write, meets a failing or full disk, and comes back.

use super::clock::{BootClock, Time};
use crate::random::Random;
use portplex::checkpoint::FlatStore;
use portplex::disk::Disk;
use portplex::disk::sim::{Fault, Loss, SimDisk};
use portplex::facility::{self, CallError, Clock, Command, Machine, Options, Reply, Stepper, Ticket};
use portplex::structure::{Request, Structure};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long every port rests, ms.
pub(crate) const QUARANTINE_MS: u64 = 2_000;
/// The errno of a disk that fails.
const EIO: i32 = 5;

pub(crate) struct Host {
    time: Time,
    dice: Random,
    seed: u64,
    disk: SimDisk,
    dir: PathBuf,
    /// The disk as it was once: a backup.
    backup: Option<SimDisk>,
    boot: u128,
    clock: Arc<BootClock>,
    stepper: Option<Stepper>,
    up_at: u64,
    /// A fault waits on the disk: an open may meet it.
    is_armed: bool,
    is_full: bool,
    pub(crate) crashes: u64,
    pub(crate) power_losses: u64,
    pub(crate) restores: u64,
    /// An older state was put back, and no operator has let granting go on since.
    pub(crate) is_in_doubt: bool,
    /// Nothing is done before: the machine is suspended, its boot clock goes on.
    asleep_until: u64,
    pub(crate) opens: u64,
    pub(crate) fault: Option<String>,
}

impl Host {
    pub(crate) fn new(time: &Time, seed: u64) -> Self {
        let disk = SimDisk::new();
        let mut host = Self {
            time: time.clone(),
            dice: Random::new(seed ^ 0xfac1),
            seed,
            disk,
            dir: PathBuf::from("/store"),
            backup: None,
            boot: 0x1000,
            clock: clock(time, 0x1000, seed),
            stepper: None,
            up_at: 0,
            is_armed: false,
            is_full: false,
            crashes: 0,
            power_losses: 0,
            restores: 0,
            is_in_doubt: false,
            asleep_until: 0,
            opens: 0,
            fault: None,
        };
        facility::init(&host.machine(), &host.dir, &host.options()).expect("an empty disk takes a store");
        host.open();
        host
    }

    fn machine(&self) -> Machine {
        Machine {
            disk: Arc::new(self.disk.clone()) as Arc<dyn Disk>,
            checkpoints: Arc::new(FlatStore),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        }
    }

    fn options(&self) -> Options {
        Options {
            segment_size: 16 << 10,
            quarantine: Duration::from_millis(QUARANTINE_MS),
            history_bytes: 60 << 10,
            pack_log_bytes: 32 << 10,
            seed: Some(self.seed ^ self.opens << 40),
            ..Options::default()
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.stepper.is_some()
    }

    pub(crate) fn structure(&self) -> Option<&Structure> {
        self.stepper.as_ref().map(Stepper::structure)
    }

    fn open(&mut self) {
        self.opens += 1;
        match Stepper::open(&self.machine(), &self.dir, &self.options()) {
            Ok(stepper) => {
                if let Err(faults) = stepper.structure().audit() {
                    self.fault = Some(format!("audit after open {}: {faults:?}", self.opens));
                }
                self.stepper = Some(stepper);
            }
            Err(_) if self.is_armed => self.down(),
            Err(error) => self.fault = Some(format!("P4: open {} is refused: {error}", self.opens)),
        }
    }

    /// Does what waits. Whether everybody was answered.
    pub(crate) fn turn(&mut self, batch: Vec<Command>) -> bool {
        if self.time.now() < self.asleep_until {
            return false;
        }
        if self.stepper.is_none() {
            if self.time.now() >= self.up_at {
                self.open();
            }
            return false;
        }
        let Some(stepper) = &mut self.stepper else { return false };
        let is_due = stepper.next_due().is_some_and(|due| due <= self.clock.boot_ms());
        if batch.is_empty() && !is_due {
            return true;
        }
        let mut done = stepper.work(batch).is_ok();
        // A full disk is met by whoever needs room: the spare is tried again later.
        done &= stepper.fill_spare().is_ok() || (self.is_full && !self.disk.is_dead());
        if self.dice.below(25) == 0 {
            done &= stepper.sync_watermark().is_ok();
        }
        if self.dice.below(60) == 0 {
            let _ = stepper.checkpoint();
            let _ = stepper.pack();
        }
        if !done || self.disk.is_dead() {
            self.down();
            return false;
        }
        true
    }

    /// The process is gone, and with it or not the power.
    fn down(&mut self) {
        self.stepper = None;
        self.crashes += 1;
        self.up_at = self.time.now() + 5 + self.dice.below(1_500);
        self.is_armed = false;
        let was_full = std::mem::take(&mut self.is_full);
        if self.dice.below(2) == 0 {
            let loss = match self.dice.below(4) {
                0 => Loss::Everything,
                1 => Loss::Shorn(self.dice.next()),
                _ => Loss::Random(self.dice.next()),
            };
            self.disk = self.disk.after_power_cut(&loss);
            self.power_losses += 1;
            self.boot += 1;
            self.clock = clock(&self.time, self.boot, self.dice.next());
        } else {
            self.disk = self.disk.after_kill();
        }
        if was_full {
            self.disk.set_capacity(None);
        }
    }

    /// Something happens to it.
    pub(crate) fn strike(&mut self) {
        match self.dice.below(6) {
            5 => self.asleep_until = self.time.now() + self.dice.below(5_000),
            0 if self.stepper.is_some() => self.down(),
            1 => {
                let after = self.dice.below(12);
                self.disk.cut_at(self.disk.changes() + after);
                self.is_armed = true;
            }
            2 => {
                let call = self.disk.calls() + self.dice.below(20);
                let fault = match self.dice.below(3) {
                    0 => Fault::Errno(EIO),
                    1 => Fault::ShortWrite { kept: self.dice.index(3_000), errno: EIO },
                    _ => Fault::SyncMarkedClean { errno: EIO },
                };
                self.disk.fail_at(call, fault);
                self.is_armed = true;
            }
            3 => {
                let used: usize = self.disk.image().values().map(|bytes| bytes.len()).sum();
                let room = self.dice.below(20_000);
                self.disk.set_capacity(Some(used as u64 + room));
                self.is_full = true;
            }
            _ => self.heal(),
        }
    }

    /// The store is lost, and an operator puts the backup back, and says so; or there is none yet and
    /// one is made. A copy that is put back and not declared is outside of what is promised (R20).
    pub(crate) fn restore(&mut self) {
        let Some(backup) = self.backup.take() else {
            if !self.is_armed && !self.is_full && self.stepper.is_some() {
                self.backup = Some(self.disk.fork());
            }
            return;
        };
        self.stepper = None;
        self.disk = backup;
        (self.is_armed, self.is_full, self.is_in_doubt) = (false, false, true);
        (self.crashes, self.restores) = (self.crashes + 1, self.restores + 1);
        self.up_at = self.time.now() + self.dice.below(3_000);
        let to = PathBuf::from(format!("/store{}", self.restores));
        if let Err(error) = facility::restore(&self.machine(), &self.dir, &to, &self.options()) {
            self.fault = Some(format!("I8: a backup cannot be put back: {error}"));
        }
        self.dir = to;
    }

    /// What an operator asks on the machine itself: there is nothing between.
    pub(crate) fn ask(&mut self, request: Request) -> Option<Result<Reply, CallError>> {
        let (ticket, completer) = Ticket::pair();
        if self.turn(vec![Command::Request(request, completer)]) { ticket.try_take() } else { None }
    }

    /// The disk is well again and has room.
    pub(crate) fn heal(&mut self) {
        self.asleep_until = 0;
        self.disk.set_capacity(None);
        self.is_full = false;
    }

    /// What waited on the disk is gone: the process starts once more without it.
    pub(crate) fn disarm(&mut self) {
        self.heal();
        if self.is_armed {
            self.stepper = None;
            self.disk = self.disk.after_kill();
            self.is_armed = false;
            self.crashes += 1;
            self.up_at = self.time.now();
        }
    }
}

fn clock(time: &Time, boot: u128, dice: u64) -> Arc<BootClock> {
    Arc::new(BootClock { time: time.clone(), boot, booted: time.now(), speed: dice % 1_001 })
}
