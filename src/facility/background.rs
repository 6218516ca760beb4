//! The three threads beside the writer: one fills the spare segment and syncs the watermark, one
//! makes checkpoints when they are due, one packs what became history.
#![forbid(unsafe_code)]

use super::checkpointer::Checkpointer;
use super::engine::Engine;
use super::error::OpenError;
use crate::threads::Condvar;
use crate::threads::Mutex;
use crate::threads::thread;
use crate::threads::thread::JoinHandle;
use crate::wal::SpareFiller;
use crate::wal::StoreError;
use crate::wal::WatermarkFile;
use crate::wal::constants::SPARE_SLICE_SIZE;
use std::sync::Arc;
use std::time::Duration;

/// How often the spare is looked at.
const SPARE_TICK: Duration = Duration::from_millis(50);
/// How often the watermark is synced under load.
const WATERMARK_TICKS: u32 = 20;
/// How often it is tried on a full disk.
const RETRY_TICKS: u32 = 20;
/// How often it is asked whether a checkpoint is due; where a little log makes one due, as tests
/// want it; and how long after one that failed.
const CHECKPOINT_TICK: Duration = Duration::from_millis(500);
const CHECKPOINT_TICK_SHORT: Duration = Duration::from_millis(10);
const CHECKPOINT_LOG_BYTES_FEW: u64 = 1 << 20;
const CHECKPOINT_RETRY: Duration = Duration::from_secs(30);
/// How often it is asked whether history is to be packed, and how long after a failure.
const PACK_TICK: Duration = Duration::from_secs(1);
const PACK_RETRY: Duration = Duration::from_secs(60);
/// Packing rests so many times as long as it works, and never so long at once.
const PACK_REST: u64 = 3;
const PACK_REST_MAX: Duration = Duration::from_millis(500);

/// Threads that run until they are stopped.
#[derive(Debug)]
pub(crate) struct Upkeep {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits; true if it is time to stop.
    fn wait(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, time);
        }
        *stopped
    }
}

impl Upkeep {
    /// Stops the threads and waits for what they are doing.
    pub(crate) fn stop(self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// What a thread does.
type Work = Box<dyn FnOnce() + Send>;

/// Starts the threads.
pub(crate) fn start(engine: &Engine, checkpointer: &Arc<Checkpointer>) -> Result<Upkeep, OpenError> {
    let stop = Arc::new(Stop::default());
    let mut upkeep = Upkeep { stop: Arc::clone(&stop), threads: Vec::new() };
    let spare = engine.appender().spare();
    let watermark = engine.appender().watermark();
    let tend = {
        let (stop, checkpointer) = (Arc::clone(&stop), Arc::clone(checkpointer));
        move || tend_spare(&stop, &checkpointer, &spare, &watermark)
    };
    let check = {
        let (stop, checkpointer) = (Arc::clone(&stop), Arc::clone(checkpointer));
        move || make_checkpoints(&stop, &checkpointer)
    };
    let pack = {
        let checkpointer = Arc::clone(checkpointer);
        move || pack_history(&stop, &checkpointer)
    };
    let works: [(&str, Work); 3] =
        [("portplex-spare", Box::new(tend)), ("portplex-ckpt", Box::new(check)), ("portplex-pack", Box::new(pack))];
    for (name, work) in works {
        match thread::Builder::new().name(name.into()).spawn(work) {
            Ok(thread) => upkeep.threads.push(thread),
            Err(source) => {
                upkeep.stop();
                return Err(OpenError::NoThread { source });
            }
        }
    }
    Ok(upkeep)
}

/// Fills the spare ahead of need, at twice the pace of the log and at least a slice a tick: filling it
/// at once makes commits wait at the disk.
fn tend_spare(stop: &Stop, checkpointer: &Checkpointer, spare: &SpareFiller, watermark: &WatermarkFile) {
    let (mut ticks, mut next_try) = (0, 0);
    let mut logged = checkpointer.logged();
    while !stop.wait(SPARE_TICK) {
        ticks += 1;
        let slices = 1 + 2 * (checkpointer.logged() - logged) / SPARE_SLICE_SIZE as u64;
        logged = checkpointer.logged();
        if ticks >= next_try {
            for _ in 0..slices {
                match tend_once(checkpointer, spare) {
                    Ok(true) => {}
                    Ok(false) => break,
                    // A failure is not the service's: the writer refuses what it has no room for.
                    Err(_) => {
                        next_try = ticks + RETRY_TICKS;
                        break;
                    }
                }
            }
        }
        if ticks % WATERMARK_TICKS == 0 && watermark.sync().is_err() {
            return;
        }
    }
}

/// Fills the next slice of reserve or spare; whether there is more to do. When there is no room,
/// history makes some.
pub(crate) fn tend_once(checkpointer: &Checkpointer, spare: &SpareFiller) -> Result<bool, StoreError> {
    if spare.is_ready() && spare.has_reserve() {
        return Ok(false);
    }
    let done = spare.step();
    if done.as_ref().is_err_and(StoreError::is_full) {
        // What it cannot give is told by the spare.
        let _ = checkpointer.yield_history();
    }
    done
}

fn make_checkpoints(stop: &Stop, checkpointer: &Checkpointer) {
    let few = checkpointer.log_bytes_due() < CHECKPOINT_LOG_BYTES_FEW;
    let tick = if few { CHECKPOINT_TICK_SHORT } else { CHECKPOINT_TICK };
    let (mut pause, mut is_told) = (tick, false);
    while !stop.wait(pause) {
        let failed = if checkpointer.is_due() { checkpointer.run().err() } else { None };
        if let Some(error) = failed.as_ref().filter(|_| !is_told) {
            checkpointer.raise(format!("{error}; the service goes on, and tries again"));
        }
        is_told = failed.is_some();
        pause = if is_told { CHECKPOINT_RETRY } else { tick };
    }
}

/// Packs history at a low pace: a quarter of the time, and each write is small and synced, so that
/// commits find the disk free. Far behind, it does not rest.
fn pack_history(stop: &Stop, checkpointer: &Checkpointer) {
    let mut pause = PACK_TICK;
    let mut told = None;
    while !stop.wait(pause) {
        let is_behind = checkpointer.is_packing_behind();
        let mut begun = checkpointer.boot_ms();
        let packed = checkpointer.pack_next(&mut |_| {
            let rest =
                if is_behind { Duration::ZERO } else { rest_after(checkpointer.boot_ms().0.saturating_sub(begun.0)) };
            let goes_on = !stop.wait(rest);
            begun = checkpointer.boot_ms();
            goes_on
        });
        pause = match packed {
            Ok(Some(_)) => Duration::ZERO,
            Ok(None) => PACK_TICK,
            Err(StoreError::Stopped { .. }) => return,
            Err(error) => {
                // The same one is told once: it is tried again and again.
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    checkpointer.raise(format!("history could not be packed, it stays as it is: {text}"));
                    told = Some(text);
                }
                PACK_RETRY
            }
        };
    }
}

/// How long packing rests after it worked for so many ms.
fn rest_after(worked_ms: u64) -> Duration {
    Duration::from_millis((worked_ms + 1) * PACK_REST).min(PACK_REST_MAX)
}
