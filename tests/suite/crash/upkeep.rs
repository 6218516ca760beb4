//! What happens to a workload's store beside its requests: a machine that starts again, and the work of
//! the threads beside the writer.

use super::plan::{QUARANTINE_MS, digest, machine};
use super::workload::World;
use portplex::disk::sim::SimDisk;
use portplex::facility::{self, Clock, Stepper};
use std::path::Path;

impl World {
    /// The machine goes down in order and starts again: everything written is durable, and every
    /// quarantine that was not over starts again.
    pub(super) fn reboot(&mut self) {
        let Some(disk) = self.place.sim.clone() else { return };
        disk.settle();
        let now = self.place.clock.boot_ms().0;
        (self.place.machine, self.place.clock) = machine(&disk, 2, 500);
        for rest in &mut self.model.resting {
            rest.until = if rest.until > now { 500 + QUARANTINE_MS } else { 0 };
        }
    }

    /// What the threads beside the writer do. Their failures are not the writer's, except that of
    /// the watermark.
    pub(super) fn upkeep(&mut self, turn: u32, stepper: &Stepper) -> Result<(), String> {
        if turn % 4 == 1 {
            while matches!(stepper.fill_spare(), Ok(true)) {}
        }
        if turn % 5 == 2 {
            stepper.sync_watermark().map_err(|error| error.to_string())?;
        }
        if turn % self.plan.checkpoint_every == self.plan.checkpoint_every - 1 && stepper.checkpoint().is_ok() {
            self.progress.checkpoints += 1;
        }
        if self.plan.packs && turn % 3 == 1 && matches!(stepper.pack(), Ok(Some(_))) {
            self.progress.packs += 1;
        }
        if self.plan.packs && turn % 7 == 5 {
            self.back_up(turn, stepper);
        }
        if self.place.sim.as_ref().is_some_and(SimDisk::is_dead) { Err("the power is cut".into()) } else { Ok(()) }
    }

    /// Copies the store beside the writer. A copy that is called good holds what was acknowledged.
    fn back_up(&mut self, turn: u32, stepper: &Stepper) {
        let to = Path::new("/").join(format!("backup{turn}"));
        if stepper.backup(&to).is_err() {
            return;
        }
        self.progress.backups += 1;
        // What an open would read of it: nothing of this is a call of the workload that could fail.
        let Some(disk) = self.place.sim.as_ref().map(SimDisk::after_kill) else { return };
        let (machine, _) = machine(&disk, 1, 0);
        match facility::inspect(&machine, &to) {
            Ok(inspected) if digest(&inspected.structure) == digest(stepper.structure()) => {}
            Ok(_) => self.progress.faults.push(format!("before turn {turn}: a copy has another state")),
            Err(_) => self.progress.damaged_copies += 1,
        }
    }
}
