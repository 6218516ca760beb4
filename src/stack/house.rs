//! What a stack does now and then, and a thread that sees to it.
#![forbid(unsafe_code)]

use super::Stack;
use super::StackError;
use super::core::{Core, Health};
use crate::ident::BootMs;
use crate::threads::Condvar;
use crate::threads::Mutex;
use crate::threads::thread;
use std::sync::Arc;
use std::time::Duration;

/// How often closed connections are looked at where none rests, ms.
const TURN_MS: u64 = 60_000;

impl Stack {
    /// Does what is due: takes up answers, lets ports go whose rest is over, renews the lease,
    /// fetches and gives back groups, leaves lists, stops at the deadline. Never waits for the
    /// facility. Returns when it is to be called again at the latest: in 100 ms, or earlier where a
    /// lease was promised.
    ///
    /// Nothing goes wrong without it but that a lease runs out, groups stay and rested ports are
    /// found only when others are used up.
    pub fn tick(&self) -> BootMs {
        let mut core = self.core.lock();
        let now = self.now();
        if let Some(until) = self.lease.over(now) {
            self.expire(&mut core, until);
        }
        self.renew_soon(&mut core, now);
        for target in core.targets() {
            core.look(target, now);
            let refill = self.refill(target);
            if core.lists.get(&target).is_some_and(|list| list.is_below_minimum(refill)) {
                self.fetch_ahead(&mut core, target);
            }
            self.give_back_surplus(&mut core, target, now);
            if let Some(list) = core.lists.get(&target) {
                list.set_watermarks(refill);
            }
        }
        self.leave_lists(&mut core);
        core.own.hand.look(now);
        let view = self.view.load();
        if core.own.is_touched() {
            core.sort_out(&view);
        }
        core.turn(now, u64::from(view.profile.time_wait_s) * 1_000);
        core.send_releases();
        now.plus(self.lease.tick_ms())
    }

    /// Takes up the answer to the last renewal, and sends the next one if it is due.
    fn renew_soon(&self, core: &mut Core, now: BootMs) {
        if let Some((sent, answer)) =
            core.renewal.as_ref().and_then(|renewal| Some((renewal.sent(), renewal.try_take()?)))
        {
            core.renewal = None;
            match answer {
                Ok(_) => self.lease.extend(sent, false),
                Err(cause) => drop(core.fail(cause)),
            }
        }
        if core.renewal.is_none()
            && matches!(core.health, Health::Active)
            && self.lease.is_renewal_due(now, core.renewed)
        {
            core.renewed = now;
            core.renewal = Some(core.connection.submit_renew(now));
        }
    }
}

impl Core {
    /// Connections that were closed are one interval older. Without one there may be some from before.
    fn turn(&mut self, now: BootMs, interval_ms: u64) {
        let every_ms = if interval_ms == 0 { TURN_MS } else { interval_ms };
        if now.0.saturating_sub(self.turned.0) >= every_ms {
            self.turned = now;
            self.lists.values().for_each(|list| list.hand.turn());
            self.own.hand.turn();
        }
    }
}

/// A thread that calls [`Stack::tick`] while the stack is there. Dropped, it stops.
#[derive(Debug)]
#[must_use = "dropped, it stops"]
pub struct Housekeeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Housekeeper {
    /// Starts it.
    ///
    /// # Errors
    /// [`StackError::NoThread`] if the machine has no thread for it.
    pub fn start(stack: &Arc<Stack>) -> Result<Self, StackError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (told, stack) = (Arc::clone(&stop), Arc::downgrade(stack));
        let name = "portplex-stack".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let (stopped, wake) = &*told;
            let mut is_over = stopped.lock();
            while !*is_over {
                let Some(stack) = stack.upgrade() else { break };
                let wait_ms = stack.tick().0.saturating_sub(stack.now().0);
                drop(stack);
                wake.wait_for(&mut is_over, Duration::from_millis(wait_ms.max(1)));
            }
        });
        let thread = thread.map_err(|error| StackError::NoThread { reason: error.to_string() })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        // The last owner of the stack may be this thread itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}
