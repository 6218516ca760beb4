//! A place for one answer, waited for or polled.
#![forbid(unsafe_code)]

use super::CallError;
use parking_lot::Condvar;
use parking_lot::Mutex;
use std::sync::Arc;

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
    Open,
    Ready(Result<T, CallError>),
    Taken,
}

impl<T> Ticket<T> {
    /// A ticket and its counterpart.
    #[must_use]
    pub fn pair() -> (Self, Completer<T>) {
        let slot = Arc::new(Slot { answer: Mutex::new(State::Open), arrived: Condvar::new() });
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
        let mut state = self.0.answer.lock();
        while matches!(*state, State::Open) {
            self.0.arrived.wait(&mut state);
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => answer,
            State::Open | State::Taken => Err(CallError::Gone),
        }
    }

    /// The answer if it is there; at most once.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<T, CallError>> {
        let mut state = self.0.answer.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => Some(answer),
            State::Open => {
                *state = State::Open;
                None
            }
            State::Taken => None,
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
    *slot.answer.lock() = State::Ready(answer);
    slot.arrived.notify_one();
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
