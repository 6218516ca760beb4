//! A place for one answer: waited for, looked at, or polled by what is asynchronous above this door.
#![forbid(unsafe_code)]

use super::CallError;
use crate::threads::Condvar;
use crate::threads::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The right to one answer. Thousands may be outstanding from one thread. Dropping it gives up the
/// answer, never the request.
#[derive(Debug)]
pub struct Ticket<T>(Arc<Slot<T>>);

/// The duty to give one answer. Dropped without one, the waiter hears [`CallError::Gone`].
#[derive(Debug)]
pub struct Completer<T>(Option<Arc<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    answer: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
enum State<T> {
    /// Who polled last, if anybody did, is woken by the answer.
    Open(Option<Waker>),
    Ready(Result<T, CallError>),
    Taken,
}

impl<T> Ticket<T> {
    /// A ticket and its counterpart.
    #[must_use]
    pub fn pair() -> (Self, Completer<T>) {
        let slot = Arc::new(Slot { answer: Mutex::new(State::Open(None)), arrived: Condvar::new() });
        (Self(Arc::clone(&slot)), Completer(Some(slot)))
    }

    /// A ticket that is answered already.
    #[must_use]
    pub fn ready(answer: Result<T, CallError>) -> Self {
        let (ticket, completer) = Self::pair();
        completer.complete(answer);
        ticket
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// As the request's own; [`CallError::Gone`] if the answer was taken before.
    pub fn wait(self) -> Result<T, CallError> {
        #[cfg(any(test, feature = "sim"))]
        while matches!(*self.0.answer.lock(), State::Open(_)) && super::pump::turn() {}
        let mut state = self.0.answer.lock();
        while matches!(*state, State::Open(_)) {
            self.0.arrived.wait(&mut state);
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => answer,
            State::Open(_) | State::Taken => Err(CallError::Gone),
        }
    }

    /// The answer if it is there; at most once.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<T, CallError>> {
        let mut state = self.0.answer.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => Some(answer),
            State::Open(waker) => {
                *state = State::Open(waker);
                None
            }
            State::Taken => None,
        }
    }

    /// The answer if it is there; else the task is woken when it comes, the one that polled last. Taken
    /// before, it is [`CallError::Gone`].
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<T, CallError>> {
        let mut state = self.0.answer.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => Poll::Ready(answer),
            State::Open(waker) => {
                let is_same = waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
                *state = State::Open(if is_same { waker } else { Some(context.waker().clone()) });
                Poll::Pending
            }
            State::Taken => Poll::Ready(Err(CallError::Gone)),
        }
    }
}

impl<T> Completer<T> {
    /// Gives the answer.
    pub fn complete(mut self, answer: Result<T, CallError>) {
        if let Some(slot) = self.0.take() {
            give(&slot, answer);
        }
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            give(&slot, Err(CallError::Gone));
        }
    }
}

fn give<T>(slot: &Slot<T>, answer: Result<T, CallError>) {
    let before = std::mem::replace(&mut *slot.answer.lock(), State::Ready(answer));
    slot.arrived.notify_one();
    if let State::Open(Some(waker)) = before {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[test]
    fn each_request_gets_exactly_one_answer() {
        let (ticket, completer) = Ticket::pair();
        assert_eq!(ticket.try_take(), None);
        completer.complete(Ok(7));
        assert_eq!(ticket.try_take(), Some(Ok(7)));
        assert_eq!(ticket.try_take(), None);
        assert_eq!(ticket.wait(), Err(CallError::Gone));

        let (ticket, completer) = Ticket::<u8>::pair();
        drop(completer);
        assert_eq!(ticket.wait(), Err(CallError::Gone));
        assert_eq!(Ticket::ready(Ok(1)).wait(), Ok(1));
    }

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_polled_last_is_woken_once_by_the_answer_or_by_its_loss() {
        let (early, late) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let poll = |ticket: &Ticket<u8>, woken: &Arc<Woken>| {
            ticket.poll_take(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
        };
        let (ticket, completer) = Ticket::pair();
        assert!(poll(&ticket, &early).is_pending());
        assert!(poll(&ticket, &late).is_pending());
        assert!(poll(&ticket, &late).is_pending());
        assert_eq!(ticket.try_take(), None);
        completer.complete(Ok(7));
        assert_eq!((early.0.load(Ordering::SeqCst), late.0.load(Ordering::SeqCst)), (0, 1));
        assert_eq!(poll(&ticket, &late), Poll::Ready(Ok(7)));
        assert_eq!(poll(&ticket, &late), Poll::Ready(Err(CallError::Gone)));

        let (ticket, completer) = Ticket::pair();
        assert!(poll(&ticket, &early).is_pending());
        drop(completer);
        assert_eq!(early.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&ticket, &early), Poll::Ready(Err(CallError::Gone)));
    }
}
