//! One thread in front of a store that has one writer: all that waits goes into one transaction.

use crate::work::{Caller, Peer};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Most steps of one transaction.
const BATCH_MAX: usize = 1_024;

/// One durable step.
#[derive(Clone, Copy)]
pub enum Step {
    Take { dvipa: u16, holder: u32 },
    Give { dvipa: u16, group: u16, holder: u32 },
}

/// A store with one writer.
pub trait Store: Send {
    /// Makes the steps durable together. Returns the group of each, taken or given back.
    fn commit(&mut self, steps: &[Step]) -> Vec<u16>;

    /// How many groups are held.
    fn held(&mut self) -> u64;
}

enum Asked {
    Step(Step, SyncSender<u16>),
    Held(SyncSender<u64>),
}

struct Batched(Sender<Asked>);

struct Waiting {
    number: u32,
    ask: Sender<Asked>,
    answer: (SyncSender<u16>, Receiver<u16>),
}

/// Puts the thread in front.
pub fn start<S: Store + 'static>(store: S) -> Result<Box<dyn Peer>, String> {
    let (ask, asked) = channel();
    thread::spawn(move || write(store, &asked));
    Ok(Box::new(Batched(ask)))
}

fn write(mut store: impl Store, asked: &Receiver<Asked>) {
    let (mut steps, mut answers) = (Vec::new(), Vec::new());
    while let Ok(first) = asked.recv() {
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Asked::Step(step, answer) => {
                    steps.push(step);
                    answers.push(answer);
                }
                Asked::Held(answer) => answer.send(store.held()).expect("the caller waits"),
            }
            next = if steps.len() < BATCH_MAX { asked.try_recv().ok() } else { None };
        }
        if steps.is_empty() {
            continue;
        }
        let groups = store.commit(&steps);
        assert_eq!(groups.len(), steps.len());
        for (answer, group) in answers.drain(..).zip(groups) {
            answer.send(group).expect("the caller waits");
        }
        steps.clear();
    }
}

impl Peer for Batched {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        Box::new(Waiting { number, ask: self.0.clone(), answer: sync_channel(1) })
    }

    fn held(&self) -> u64 {
        let (answer, held) = sync_channel(1);
        self.0.send(Asked::Held(answer)).expect("the writer works");
        held.recv().expect("the writer works")
    }
}

impl Waiting {
    fn ask(&self, step: Step) -> u16 {
        self.ask.send(Asked::Step(step, self.answer.0.clone())).expect("the writer works");
        self.answer.1.recv().expect("the writer works")
    }
}

impl Caller for Waiting {
    fn take(&mut self, dvipa: u16) -> u16 {
        self.ask(Step::Take { dvipa, holder: self.number })
    }

    fn give(&mut self, dvipa: u16, group: u16) {
        self.ask(Step::Give { dvipa, group, holder: self.number });
    }
}
