//! Lets a simulation turn its world while somebody waits for an answer on its only thread.
//!
//! [`Ticket::wait`](super::Ticket::wait) blocks; a world of one thread would stand still for ever. So
//! a thread may set what it does while it waits. Only with feature `sim`.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

type Work = Rc<dyn Fn()>;

thread_local! {
    static WORK: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// What this thread does, again and again, while it waits for an answer. Waits inside `work` do the
/// same. Dropped, the thread waits as any other.
#[must_use = "dropped, waits block again"]
#[derive(Debug)]
pub struct Pumping(());

impl Pumping {
    /// Sets it for this thread, instead of what was set before.
    pub fn set(work: impl Fn() + 'static) -> Self {
        WORK.with(|set| *set.borrow_mut() = Some(Rc::new(work)));
        Self(())
    }
}

impl Drop for Pumping {
    fn drop(&mut self) {
        let before = WORK.with(|set| set.borrow_mut().take());
        drop(before);
    }
}

/// Does it once; `false` if this thread has nothing to do.
pub(super) fn turn() -> bool {
    let work = WORK.with(|set| set.borrow().clone());
    work.is_some_and(|work| {
        work();
        true
    })
}
