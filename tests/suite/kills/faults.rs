//! System calls that fail, injected by strace into the real binary: nothing is acknowledged after a
//! failed write or sync, and the next run finds everything that was.

use super::process::{Ended, PORTPLEX, Told, Victim};
use crate::random::Random;
use crate::requirements::{Requirement, count, has, say, seed};
use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;

/// One kind of call that fails.
#[derive(Clone, Copy, Debug)]
struct Fault {
    calls: &'static str,
    errno: &'static str,
    /// Which of them fails at most: the first ones are the open's, later ones fall anywhere.
    call_max: u64,
    /// How often it is tried.
    tries: u64,
}

const fn fault(calls: &'static str, errno: &'static str, call_max: u64, tries: u64) -> Fault {
    Fault { calls, errno, call_max, tries }
}

const RENAME: &str = "?rename,?renameat,?renameat2";
const UNLINK: &str = "?unlink,?unlinkat";
const MKDIR: &str = "?mkdir,?mkdirat";

/// The calls that fail, with what, and how often it is tried. EINTR where the kernel may give it.
const FAULTS: &[Fault] = &[
    fault("fdatasync", "EIO", 120, 7),
    fault("fdatasync", "ENOSPC", 120, 3),
    fault("fdatasync", "EINTR", 120, 2),
    fault("fsync", "EIO", 120, 7),
    fault("fsync", "ENOSPC", 60, 2),
    fault("fsync", "EINTR", 60, 2),
    fault("pwrite64", "EIO", 120, 7),
    fault("pwrite64", "ENOSPC", 120, 7),
    fault("pwrite64", "EINTR", 120, 2),
    // Lines that are told, and files of checkpoints.
    fault("write", "ENOSPC", 60, 2),
    fault("write", "EINTR", 60, 2),
    fault(RENAME, "EIO", 30, 7),
    fault(RENAME, "ENOSPC", 12, 2),
    fault("openat", "EIO", 120, 4),
    fault("openat", "ENOSPC", 120, 2),
    fault("openat", "EINTR", 60, 2),
    fault("ftruncate", "EIO", 12, 3),
    fault("ftruncate", "ENOSPC", 12, 2),
    fault("ftruncate", "EINTR", 12, 2),
    fault(UNLINK, "EIO", 12, 3),
    fault(UNLINK, "ENOSPC", 12, 2),
    fault(MKDIR, "EIO", 6, 3),
    fault(MKDIR, "ENOSPC", 6, 2),
];
/// How many are tried at the same time: most of the time goes into waiting for syncs.
const WORKERS: usize = 5;

/// What became of one injected fault.
#[derive(Debug, Default)]
struct Outcome {
    /// The call that failed, as strace shows it; `None`: there were fewer calls.
    failed: Option<String>,
    /// Lines of standard output after it, in order.
    told_after: Vec<String>,
}

#[test]
fn nothing_is_acknowledged_after_a_system_call_that_failed() {
    if !has(Requirement::Strace, "faults injected into system calls") {
        return;
    }
    let seed = seed("injected faults");
    let times = times();
    let counts: Vec<Counts> = std::thread::scope(|scope| {
        let work = move |worker: usize| {
            let faults = FAULTS.iter().zip(seed..).skip(worker).step_by(WORKERS);
            faults.map(|(fault, seed)| inject(*fault, seed, times)).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let sum = |of: &dyn Fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let (injected, final_ones, unknown) =
        (sum(&|counts| counts.injected), sum(&|counts| counts.final_ones), sum(&|counts| counts.unknown));
    say(&format!("injected faults: {injected} calls failed, {final_ones} ended the run, {unknown} outcomes unknown"));
    count("faults_injected", injected);
    assert!(unknown > 0, "somebody waited when a call failed");
}

/// What came of the tries of one fault.
#[derive(Debug, Default)]
struct Counts {
    injected: u64,
    final_ones: u64,
    unknown: u64,
}

/// How many times the usual number of tries: `PORTPLEX_FAULTS`, or 1.
fn times() -> u64 {
    let given = std::env::var("PORTPLEX_FAULTS").ok();
    given.map_or(1, |text| text.parse().expect("PORTPLEX_FAULTS is a number"))
}

fn inject(fault: Fault, seed: u64, times: u64) -> Counts {
    let Fault { calls, errno, call_max, tries } = fault;
    let mut random = Random::new(seed);
    let mut counts = Counts::default();
    for attempt in 0..tries * times {
        // A few early ones, then anywhere.
        let which = if attempt < 2 && tries > 3 { 1 + attempt * 5 } else { 1 + random.below(call_max) };
        let scratch = tempfile::tempdir().expect("a directory");
        let mut store = Told::new(scratch.path().join("store"));
        store.init("16KiB");
        let (ended, outcome) = exercise_with_fault(scratch.path(), &store, calls, errno, which, random.next());
        let context = format!("seed {seed} {calls} {errno} number {which}: {outcome:?}: {}", ended.err);
        judge(fault, &store, &ended, &outcome).unwrap_or_else(|fault| panic!("{fault}: {context}"));
        counts.injected += u64::from(outcome.failed.is_some());
        counts.final_ones += u64::from(ended.code() != Some(0));
        store.check(&ended).and_then(|()| store.verify()).unwrap_or_else(|fault| panic!("{fault}: {context}"));
        let again = ["store", "exercise", store.path(), "--seed", "3", "--ops", "60", "--quarantine", "5"];
        let ended = Victim::start(scratch.path(), &again).end();
        assert_eq!(ended.code(), Some(0), "the next run: {}: {context}", ended.err);
        store.check(&ended).unwrap_or_else(|fault| panic!("after the next run: {fault}: {context}"));
        counts.unknown += store.model.counts.unknown;
    }
    let is_usual = tries > 3 && calls != "openat";
    assert!(counts.final_ones > 0 || !is_usual, "no failed {calls} ended a run");
    counts
}

/// One caller: what it tells after a failed call is about that call.
fn exercise_with_fault(
    scratch: &Path,
    store: &Told,
    calls: &str,
    errno: &str,
    which: u64,
    seed: u64,
) -> (Ended, Outcome) {
    let trace = scratch.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-y", "-s", "12", "-o"]).arg(&trace);
    command.args(["-e", &format!("trace=write,{calls}"), "-e", &format!("inject={calls}:error={errno}:when={which}")]);
    command.args([PORTPLEX, "store", "exercise", store.path(), "--seed", &seed.to_string(), "--ops", "300"]);
    command.args(["--quarantine", "5", "--checkpoint-bytes", "16KiB"]);
    let ended = Victim::start_command(scratch, &mut command).end();
    let text = fs::read_to_string(&trace).expect("strace wrote what it saw");
    let mut outcome = Outcome::default();
    for line in text.lines() {
        if line.contains("(INJECTED)") {
            outcome.failed = Some(line.to_owned());
        } else if outcome.failed.is_some() && line.contains("write(1<") {
            outcome.told_after.push(line.to_owned());
        }
    }
    (ended, outcome)
}

fn judge(fault: Fault, store: &Told, ended: &Ended, outcome: &Outcome) -> Result<(), String> {
    let code = ended.code();
    let Some(failed) = &outcome.failed else {
        return if code == Some(0) { Ok(()) } else { Err("nothing failed and it did not end well".into()) };
    };
    // What a program needs to begin at all, or its own output: any exit but an abort or a panic.
    let is_stores = failed.contains(store.path());
    if is_stores && !matches!(code, Some(0 | 73 | 74)) || matches!(code, None | Some(101)) {
        return Err(format!("exit {code:?}"));
    }
    if fault.errno == "EINTR" && is_stores {
        return if code == Some(0) { Ok(()) } else { Err("an interrupted call was not made again".into()) };
    }
    let told: Vec<&str> = ended.out.lines().collect();
    let unknown = told.iter().position(|line| line.starts_with(r#"{"unknown""#));
    if let Some(unknown) = unknown {
        if code == Some(0) {
            return Err("an outcome is unknown and it ended well".into());
        }
        let answer = |line: &&str| line.starts_with(r#"{"ok""#) || line.starts_with(r#"{"refused""#);
        if told[unknown..].iter().any(answer) {
            return Err("answers came after an unknown outcome".into());
        }
    }
    // A frame, its sync, and MANIFEST: final. The spare and checkpoints: not the service's.
    let is_log = failed.contains(".seg>") && !failed.contains("/wal/spare");
    if is_log && code == Some(0) {
        return Err("a failed write or sync of the log is final".into());
    }
    if is_log && let Some(line) = outcome.told_after.iter().find(|line| line.contains(r#"{\"ok\""#)) {
        return Err(format!("an acknowledgement after the failed call: {line}"));
    }
    Ok(())
}
