//! SIGKILL at any moment: nothing acknowledged is lost, nothing is held twice, every store opens.
//!
//! `PORTPLEX_KILLS` says how many kills there are (100); a fifth of them more is on one store.

mod faults;
mod model;
mod model_test;
mod place;
mod process;

pub(crate) use process::Told;
pub(crate) use process::Victim;
pub(crate) use process::run;
pub(crate) use process::run_well;

use crate::random::Random;
use crate::requirements::{count, say, seed};
use place::Place;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

const KILLS_DEFAULT: u64 = 100;
/// A store of the small kind is killed so often, then the next one is made: MANIFEST lists every
/// segment there ever was, so a store of 16 KiB segments grows slow.
const KILLS_PER_STORE: u64 = 20;
/// Of them in `store init`.
const KILLS_IN_INIT: u64 = 4;
/// What `init` makes, in its order: a kill is aimed at the moment when one of them appears.
const INIT_STEPS: &[&str] = &["LOCK", "wal", "ckpt", "wal/000000000001.seg", "MANIFEST.tmp", "MANIFEST"];
/// How many stores are hunted at the same time: most of the time goes into waiting for syncs.
const HUNTERS: u64 = 3;
/// How far a run gets at most before it is killed, in bytes of what it tells: some 100 bytes a line.
const TOLD_BYTES_MAX: u64 = 50_000;
/// How often a whole `store verify` is made beside the `store dump` after every kill.
const VERIFY_EVERY: u64 = 10;

fn kills() -> u64 {
    let given = std::env::var("PORTPLEX_KILLS").ok();
    given.map_or(KILLS_DEFAULT, |text| text.parse().expect("PORTPLEX_KILLS is a number"))
}

impl Random {
    /// Waits for a random part of `most`.
    fn pause(&mut self, most: Duration) {
        let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        std::thread::sleep(Duration::from_micros(self.below(most_us)));
    }
}

/// How long to wait for the middle of something whose length is not known: longer after a kill that
/// came before its end, shorter after one that came too late.
#[derive(Clone, Copy, Debug)]
struct Aim(Duration);

impl Aim {
    fn learn(&mut self, was_inside: bool) {
        let us = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        let next = if was_inside { us + us / 4 } else { us - us / 3 };
        self.0 = Duration::from_micros(next.clamp(100, 500_000));
    }
}

#[test]
fn what_was_acknowledged_survives_kills_at_random_moments_on_one_store() {
    let (rounds, seed) = ((kills() / 5).max(25), seed("kills on one store"));
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir().expect("a directory");
    let mut store = Told::new(scratch.path().join("store"));
    store.init("64KiB");
    let mut killed = 0;
    for round in 0..rounds {
        let callers = [1, 4, 16][random.below(3) as usize];
        let arguments = exercise(store.path(), &mut random, callers, "128KiB");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut victim = Victim::start(scratch.path(), &arguments);
        // Mostly by how far it is, so that a busy machine changes little.
        if random.below(5) > 0 {
            let bytes = random.below(TOLD_BYTES_MAX);
            victim.wait_until(|victim| victim.has_told(bytes));
        }
        random.pause(Duration::from_millis(20));
        let ended = victim.kill();
        killed += u64::from(ended.was_killed());
        let context = || format!("PORTPLEX_SEED={seed} round {round} {arguments:?}");
        assert!(ended.was_killed() || ended.code() == Some(0), "{}: {}", context(), ended.err);
        store.check(&ended).and_then(|()| store.verify()).unwrap_or_else(|fault| panic!("{}: {fault}", context()));
    }
    let (held, counts) = (store.model.held(), store.model.counts);
    say(&format!("kills on one store: {killed} of {rounds} runs killed, {held} grants held at the end, {counts:?}"));
    count("kills", killed);
    assert!(killed * 10 >= rounds * 9, "most runs end by the kill: {killed} of {rounds}");
    assert!(counts.grants > rounds, "the exercise works: {counts:?}");
    assert!(counts.settled > 0 || rounds < 200, "some kills fall between a sync and its answer: {counts:?}");
}

#[test]
fn a_kill_never_leads_to_a_refused_open() {
    let (kills, seed) = (kills(), seed("kills everywhere"));
    let hunts: Vec<Hunt> = std::thread::scope(|scope| {
        let hunters: Vec<_> = (0..HUNTERS)
            .map(|hunter| scope.spawn(move || hunt(seed.wrapping_add(hunter), kills.div_ceil(HUNTERS))))
            .collect();
        hunters.into_iter().map(|hunter| hunter.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let sum = |of: &dyn Fn(&Hunt) -> u64| hunts.iter().map(of).sum::<u64>();
    let (killed, stores) = (sum(&|hunt| hunt.killed), sum(&|hunt| hunt.stores));
    let (init, recovery) = (sum(&|hunt| hunt.init), sum(&|hunt| hunt.recovery));
    let (rotation, checkpoint) = (sum(&|hunt| hunt.rotation), sum(&|hunt| hunt.checkpoint));
    say(&format!(
        "kills everywhere: {killed} on {stores} stores; inside init {init}, recovery {recovery}, \
         rotation {rotation}, checkpoint {checkpoint}"
    ));
    count("kills", killed);
    let least = if kills >= 1_000 { 50 } else { (kills / 30).max(1) };
    for (name, count) in [("init", init), ("recovery", recovery), ("rotation", rotation), ("checkpoint", checkpoint)] {
        assert!(count >= least, "only {count} kills fell inside {name}, {least} are needed");
    }
}

/// Kills on one store after the other.
fn hunt(seed: u64, kills: u64) -> Hunt {
    let mut hunt = Hunt::new(seed);
    while hunt.killed < kills {
        let scratch = tempfile::tempdir().expect("a directory");
        hunt.stores += 1;
        let mut store = Told::new(scratch.path().join("store"));
        let mut is_complete = false;
        for _ in 0..KILLS_IN_INIT {
            if is_complete {
                std::fs::remove_dir_all(&store.dir).expect("what init made");
            }
            is_complete = hunt.kill_init(&store, scratch.path());
        }
        if !is_complete {
            store.init("16KiB");
        }
        for number in 0..KILLS_PER_STORE - KILLS_IN_INIT {
            hunt.kill_exercise(&mut store, scratch.path());
            if number % VERIFY_EVERY == 0 {
                store.verify().unwrap_or_else(|fault| panic!("{}: {fault}", hunt.context()));
            }
        }
        // Once more, to its end, close included.
        let words = ["store", "exercise", store.path(), "--seed", "1", "--ops", "50", "--quarantine", "20"];
        let ended = Victim::start(scratch.path(), &words).end();
        assert_eq!(ended.code(), Some(0), "{}: {}", hunt.context(), ended.err);
        let checked = store.check(&ended).and_then(|()| store.verify());
        checked.unwrap_or_else(|fault| panic!("{}: {fault}", hunt.context()));
    }
    hunt
}

/// The arguments of an exercise that lasts until it is killed.
fn exercise(dir: &str, random: &mut Random, callers: u32, checkpoint: &str) -> Vec<String> {
    let seed = random.next().to_string();
    let callers = callers.to_string();
    let words = [
        "store",
        "exercise",
        dir,
        "--seed",
        &seed,
        "--ops",
        "10000000",
        "--callers",
        &callers,
        "--quarantine",
        "20",
        "--checkpoint-bytes",
        checkpoint,
    ];
    words.map(str::to_owned).to_vec()
}

/// Kills at chosen places, and counts where they fell.
#[derive(Debug)]
struct Hunt {
    seed: u64,
    random: Random,
    stores: u64,
    killed: u64,
    init: u64,
    recovery: u64,
    rotation: u64,
    checkpoint: u64,
    aim_init: Aim,
    aim_recovery: Aim,
    aim_checkpoint: Aim,
}

impl Hunt {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            stores: 0,
            killed: 0,
            init: 0,
            recovery: 0,
            rotation: 0,
            checkpoint: 0,
            aim_init: Aim(Duration::from_millis(5)),
            aim_recovery: Aim(Duration::from_millis(5)),
            aim_checkpoint: Aim(Duration::from_millis(5)),
        }
    }

    fn context(&self) -> String {
        format!("PORTPLEX_SEED={} after kill {}", self.seed, self.killed)
    }

    fn count(&mut self, place: Place) {
        self.killed += 1;
        self.init += u64::from(place.init);
        self.recovery += u64::from(place.recovery);
        self.rotation += u64::from(place.rotation);
        self.checkpoint += u64::from(place.checkpoint);
    }

    /// Kills `store init`, once in this directory or after others: what is left is no store, or a
    /// whole one. Which?
    fn kill_init(&mut self, store: &Told, scratch: &Path) -> bool {
        let place = usize::try_from(self.random.below(INIT_STEPS.len() as u64)).expect("an index");
        let step = store.dir.join(INIT_STEPS[place]);
        let mut victim = Victim::start(scratch, &["store", "init", store.path(), "--segment-size", "16KiB"]);
        let locked = victim.wait_until(|victim| victim.has_locked() && step.exists());
        if self.random.below(2) == 0 {
            self.random.pause(self.aim_init.0);
        }
        let ended = victim.kill();
        let place = place::of_init(&store.dir, locked);
        self.aim_init.learn(place.init);
        if ended.was_killed() {
            self.count(place);
        } else {
            assert_eq!(ended.code(), Some(0), "{}: init again: {}", self.context(), ended.err);
        }
        let code = run(&["store", "verify", store.path()]).code();
        assert!(matches!(code, Some(0 | 66)), "{}: after a killed init verify ends with {code:?}", self.context());
        // Half of the time the next one goes on from here, otherwise it meets every step anew.
        if code == Some(66) && self.random.below(2) == 0 {
            std::fs::remove_dir_all(&store.dir).expect("what init left");
        }
        code == Some(0)
    }

    /// Kills `store exercise`: while it opens, while a checkpoint is written, or anywhere.
    fn kill_exercise(&mut self, store: &mut Told, scratch: &Path) {
        let callers = [1, 4][self.random.below(2) as usize];
        let arguments = exercise(store.path(), &mut self.random, callers, "16KiB");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let dir = store.dir.clone();
        let before = place::checkpoints(&store.dir);
        let mut victim = Victim::start(scratch, &arguments);
        let mut locked = victim.wait_until(Victim::has_locked);
        let aimed_at = self.random.below(4);
        match aimed_at {
            0 => self.random.pause(self.aim_recovery.0),
            1 => {
                victim.wait_until(|victim| victim.has_told(0) && has_new_temporary(&dir, &before));
                self.random.pause(self.aim_checkpoint.0);
            }
            _ => {
                let bytes = self.random.below(TOLD_BYTES_MAX / 2);
                victim.wait_until(|victim| victim.has_told(bytes));
                self.random.pause(Duration::from_millis(20));
            }
        }
        locked &= victim.has_locked();
        let ended = victim.kill();
        assert!(ended.was_killed(), "{}: refused or failed, {:?}: {}", self.context(), ended.status, ended.err);
        let place = place::of_exercise(&store.dir, &ended, locked, &before);
        match aimed_at {
            0 => self.aim_recovery.learn(place.recovery),
            1 => self.aim_checkpoint.learn(place.checkpoint),
            _ => {}
        }
        self.count(place);
        store.check(&ended).unwrap_or_else(|fault| panic!("{}: {arguments:?}: {fault}", self.context()));
    }
}

/// Whether a checkpoint is being written that was not there before.
fn has_new_temporary(store: &Path, before: &place::Checkpoints) -> bool {
    place::checkpoints(store).difference(before).any(|(name, _)| name.ends_with(".tmp"))
}
