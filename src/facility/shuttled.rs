//! The queue and the tickets under every order of events: each request gets exactly one answer, and
//! nobody waits for ever. Deadlocks are found by the model checker itself.
#![forbid(unsafe_code)]

use super::CallError;
use super::Completer;
use super::Ticket;
use super::queue::Queue;
use super::queue::Rejected;
use super::queue::Taken;
use crate::threads::Condvar;
use crate::threads::Extent;
use crate::threads::Mutex;
use crate::threads::exhaust;
use crate::threads::explore;
use crate::threads::thread;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SCHEDULES: usize = 1_500;

type Questions = Queue<(u32, Completer<u32>)>;

/// Takes until the queue is closed and empty, and answers with ten times what was asked.
fn serve(queue: &Questions) -> Vec<u32> {
    let (mut batch, mut served) = (VecDeque::new(), Vec::new());
    loop {
        match queue.take_all(&mut batch, LONG) {
            Taken::Closed => return served,
            Taken::Idle => assert!(batch.is_empty()),
            Taken::Some { .. } => assert!(!batch.is_empty(), "at least one"),
        }
        for (question, completer) in batch.drain(..) {
            served.push(question);
            completer.complete(Ok(question * 10));
        }
    }
}

fn ask(queue: &Questions, question: u32) -> Result<Ticket<u32>, Rejected<()>> {
    let (ticket, completer) = Ticket::pair();
    match queue.push((question, completer), || 0) {
        Ok(()) => Ok(ticket),
        Err(Rejected::Full(_)) => Err(Rejected::Full(())),
        Err(Rejected::Closed(_)) => Err(Rejected::Closed(())),
    }
}

#[test]
fn whoever_got_in_is_answered_once_and_in_order() {
    let world = || {
        let queue: Arc<Questions> = Arc::new(Queue::new(8));
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        let callers: Vec<_> = (0..2)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let tickets = [caller * 2 + 1, caller * 2 + 2].map(|question| ask(&queue, question).expect("room"));
                    tickets.map(Ticket::wait)
                })
            })
            .collect();
        for (caller, thread) in (0..2).zip(callers) {
            let answers = thread.join().expect("no panic");
            assert_eq!(answers, [Ok(caller * 20 + 10), Ok(caller * 20 + 20)]);
        }
        queue.close();
        let served = writer.join().expect("no panic");
        assert_eq!(served.len(), 4);
        for pair in [[1, 2], [3, 4]] {
            assert!(served.iter().filter(|question| pair.contains(question)).eq(&pair), "in the order of arrival");
        }
    };
    explore("queue", Extent { schedules: SCHEDULES, early_ends: 0 }, world);
    explore("queue, idle writer", Extent { schedules: SCHEDULES, early_ends: 2 }, world);
}

#[test]
fn one_caller_and_the_writer_in_every_order() {
    let is_all = exhaust("queue, one caller", 200_000, || {
        let queue: Arc<Questions> = Arc::new(Queue::new(8));
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        let answer = ask(&queue, 7).expect("room").wait();
        assert_eq!(answer, Ok(70));
        queue.close();
        assert_eq!(writer.join().expect("no panic"), [7]);
    });
    assert!(is_all);
}

#[test]
fn who_is_turned_away_at_a_close_knows_it_and_who_is_not_is_answered() {
    let world = || {
        let queue: Arc<Questions> = Arc::new(Queue::new(1));
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        let callers: Vec<_> = (1..3)
            .map(|question| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || ask(&queue, question).map(Ticket::wait))
            })
            .collect();
        queue.close();
        let mut answered = 0;
        for (question, caller) in (1..3).zip(callers) {
            match caller.join().expect("no panic") {
                Ok(answer) => {
                    assert_eq!(answer, Ok(question * 10), "who got in is served");
                    answered += 1;
                }
                Err(Rejected::Full(()) | Rejected::Closed(())) => {}
            }
        }
        assert_eq!(writer.join().expect("no panic").len(), answered);
    };
    explore("close", Extent { schedules: SCHEDULES, early_ends: 0 }, world);
}

#[test]
fn who_is_forgotten_by_an_abandoned_queue_hears_it() {
    let world = || {
        let queue: Arc<Questions> = Arc::new(Queue::new(8));
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        let callers: Vec<_> = (1..3)
            .map(|question| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || ask(&queue, question).map(Ticket::wait))
            })
            .collect();
        queue.abandon();
        for (question, caller) in (1..3).zip(callers) {
            let heard = caller.join().expect("no panic");
            let known = [Ok(Ok(question * 10)), Ok(Err(CallError::Gone)), Err(Rejected::Closed(()))];
            assert!(known.contains(&heard), "{heard:?}");
        }
        writer.join().expect("no panic");
        assert_eq!(queue.length().0, 0, "nothing is left behind");
    };
    explore("abandon", Extent { schedules: SCHEDULES, early_ends: 0 }, world);
}

/// A task that sleeps until it is woken.
#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    woken: Condvar,
    count: AtomicU32,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        *self.is_woken.lock() = true;
        self.woken.notify_all();
    }
}

impl Sleeper {
    fn sleep(&self) {
        let mut is_woken = self.is_woken.lock();
        while !*is_woken {
            self.woken.wait(&mut is_woken);
        }
    }
}

#[test]
fn a_task_that_polls_is_woken_by_its_answer_or_by_its_loss() {
    let world = |is_lost: bool| {
        move || {
            let (ticket, completer) = Ticket::<u32>::pair();
            let answering = thread::spawn(move || if is_lost { drop(completer) } else { completer.complete(Ok(5)) });
            let sleeper = Arc::new(Sleeper::default());
            let waker = Waker::from(Arc::clone(&sleeper));
            let answer = loop {
                match ticket.poll_take(&mut Context::from_waker(&waker)) {
                    Poll::Ready(answer) => break answer,
                    Poll::Pending => sleeper.sleep(),
                }
            };
            assert_eq!(answer, if is_lost { Err(CallError::Gone) } else { Ok(5) });
            answering.join().expect("no panic");
            assert!(sleeper.count.load(Ordering::SeqCst) <= 1, "one answer wakes once");
            assert_eq!(ticket.try_take(), None, "and is there once");
        }
    };
    assert!(exhaust("poll", 100_000, world(false)));
    assert!(exhaust("poll, lost", 100_000, world(true)));
}

#[test]
fn an_answer_is_taken_once_whoever_looks_for_it() {
    let is_all = exhaust("two lookers", 200_000, || {
        let (ticket, completer) = Ticket::<u32>::pair();
        let ticket = Arc::new(ticket);
        let looking = thread::spawn({
            let ticket = Arc::clone(&ticket);
            move || ticket.try_take()
        });
        let answering = thread::spawn(move || completer.complete(Ok(5)));
        let mine = ticket.try_take();
        let other = looking.join().expect("no panic");
        answering.join().expect("no panic");
        let late = ticket.try_take();
        let taken: Vec<_> = [mine, other, late].into_iter().flatten().collect();
        assert_eq!(taken, [Ok(5)], "by one of the three");
    });
    assert!(is_all);
}

#[test]
fn a_ticket_that_is_given_up_before_during_or_after_its_answer_harms_nobody() {
    let is_all = exhaust("given up", 200_000, || {
        let (given_up, first) = Ticket::<u32>::pair();
        let (waited_for, second) = Ticket::<u32>::pair();
        let giving_up = thread::spawn(move || drop(given_up));
        let waiting = thread::spawn(move || waited_for.wait());
        first.complete(Ok(1));
        second.complete(Ok(2));
        giving_up.join().expect("no panic");
        assert_eq!(waiting.join().expect("no panic"), Ok(2));
    });
    assert!(is_all);
}
