//! `/healthz` and `/readyz`: when they say yes, when no, and that a disk that hangs keeps nobody waiting.

use super::{Service, eventually, introduction, joined, list};
use portplex::disk::{Access, Disk, DiskFile, Entry, LockGuard, LockMode, RealDisk};
use portplex::facility::{CallError, Facility, LocalFacility, Machine, Options};
use portplex::ident::StructureName;
use portplex::structure::{Refusal, Request};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

/// What the disk does when it is asked to sync a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Works,
    Hangs,
    Fails,
    Full,
}

#[derive(Debug, Default)]
struct Gate {
    mood: Mutex<Option<Mood>>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("whole") = Some(mood);
        self.changed.notify_all();
    }

    fn mood(&self) -> Mood {
        self.mood.lock().expect("whole").unwrap_or(Mood::Works)
    }

    /// Waits while it hangs.
    fn pass(&self) -> io::Result<()> {
        let mut mood = self.mood.lock().expect("whole");
        while *mood == Some(Mood::Hangs) {
            mood = self.changed.wait(mood).expect("whole");
        }
        if *mood == Some(Mood::Fails) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

/// The real disk behind a gate.
#[derive(Debug)]
struct Gated(Arc<Gate>);

struct GatedFile {
    file: Box<dyn DiskFile>,
    gate: Arc<Gate>,
    is_segment: bool,
}

impl fmt::Debug for GatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl Gated {
    fn wrap(&self, path: &Path, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        Ok(Box::new(GatedFile { file: file?, gate: Arc::clone(&self.0), is_segment }))
    }

    fn room(&self) -> io::Result<()> {
        if self.0.mood() == Mood::Full { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

impl Disk for Gated {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.room()?;
        self.wrap(path, RealDisk.create(path))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.wrap(path, RealDisk.open(path, access))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        RealDisk.exchange(first, second)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn LockGuard>>> {
        RealDisk.try_lock(path, mode)
    }
    fn inode(&self, path: &Path) -> io::Result<u64> {
        RealDisk.inode(path)
    }
    fn file_system(&self, path: &Path) -> io::Result<u64> {
        RealDisk.file_system(path)
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // What a file has already is written in place.
        if self.gate.mood() == Mood::Full && offset + bytes.len() as u64 > self.file.len()? {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.is_segment {
            self.gate.pass()?;
        }
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}

/// A gate that is opened when it is dropped: a test that fails meanwhile ends, too.
struct Opens(Arc<Gate>);

impl std::ops::Deref for Opens {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.set(Mood::Works);
    }
}

fn gate() -> (Machine, Opens) {
    let gate = Arc::new(Gate::default());
    let machine = Machine { disk: Arc::new(Gated(Arc::clone(&gate))), ..Machine::real() };
    (machine, Opens(gate))
}

/// The gate is dropped before the service is.
fn gated(dir: &Path) -> (Service, Opens) {
    let (machine, gate) = gate();
    // Small segments: a full disk is felt soon.
    let options = Options { segment_size: 64 << 10, queue_length: 4, ..Options::default() };
    (Service::start_on(&machine, dir, options), gate)
}

#[test]
fn a_service_at_work_is_alive_and_ready_in_text_and_in_json() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    let alive = service.get("/healthz", "");
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
    for accept in ["", "*/*", "text/plain, application/json", "text/html"] {
        let ready = service.get("/readyz", accept);
        assert_eq!((ready.status, ready.body.as_str()), (200, "ready\nEZBEPORT: ready\n"), "{accept}");
        assert_eq!((ready.header("cache-control"), ready.header("vary")), ("no-store", "accept"));
    }
    let ready = service.get("/readyz", "application/json;q=0.9, */*");
    assert_eq!((ready.status, ready.header("content-type")), (200, "application/json"));
    let told: serde_json::Value = serde_json::from_str(&ready.body).expect("JSON");
    let expected = serde_json::json!({ "ready": true, "draining": false,
        "structures": [{ "structure": "EZBEPORT", "ready": true, "reasons": [], "warnings": [] }] });
    assert_eq!(told, expected);
}

#[test]
fn a_service_that_ends_is_alive_and_not_ready() {
    let dir = tempfile::tempdir().expect("a directory");
    let service = Service::start(dir.path());
    service.meters.drain();
    let ready = service.get("/readyz", "");
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("not ready\nthe service ends and takes no new call\n"), "{}", ready.body);
    assert_eq!(service.get("/healthz", "").status, 200);
    assert_eq!(service.scrape().value("portplex_draining", &[]), Some(1.0));
}

#[test]
fn a_disk_that_hangs_is_told_by_the_metrics_and_makes_the_service_not_ready() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    service.facility.define(list(1)).expect("defined");
    let before = service.scrape();
    assert_eq!(before.of_structure("portplex_figures_complete", &[]), 1.0);
    assert_eq!(before.of_structure("portplex_sync_pending_seconds", &[]), 0.0);
    gate.set(Mood::Hangs);
    let waits = service.facility.submit(Request::Define { target: list(2) });
    eventually("the sync is at work", || service.facility.readings().sync_pending_us > 0);
    let scrape = service.scrape();
    assert_eq!(scrape.of_structure("portplex_figures_complete", &[]), 0.0);
    assert!(scrape.of_structure("portplex_sync_pending_seconds", &[]) > 0.0);
    assert!(!scrape.families.contains_key("portplex_list_ports"), "what is not known is not told");
    let frames = |scrape: &super::Exposition| scrape.of_structure("portplex_frames_total", &[]);
    assert_eq!(frames(&scrape), frames(&before), "what is not durable is not counted");
    let ready = service.get("/readyz", "");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("the writer does not answer; the sync at work has taken "), "{}", ready.body);
    assert_eq!(service.get("/healthz", "").status, 200);
    gate.set(Mood::Works);
    waits.wait().expect("defined after all");
    assert_eq!(service.get("/readyz", "").status, 200);
    let scrape = service.scrape();
    assert_eq!(scrape.of_structure("portplex_sync_pending_seconds", &[]), 0.0);
    assert_eq!(frames(&scrape), frames(&before) + 1.0);
}

#[test]
fn a_failed_write_makes_the_service_not_ready_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    gate.set(Mood::Fails);
    service.facility.define(list(1)).expect_err("the outcome is unknown");
    eventually("the writer has ended", || service.facility.is_failed());
    gate.set(Mood::Works);
    let ready = service.get("/readyz", "");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("a write or sync failed: start the service again"), "{}", ready.body);
    let scrape = service.scrape();
    assert_eq!(scrape.of_structure("portplex_failed", &[]), 1.0);
    assert_eq!(scrape.of_structure("portplex_frames_total", &[]), 0.0);
    assert_eq!(scrape.judged(), Vec::<String>::new());
}

#[test]
fn a_full_storage_is_a_warning_and_a_number_and_the_service_stays_ready() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    let (stack, member) = joined(&service.facility, introduction("A", 1, 0), list(1));
    gate.set(Mood::Full);
    // Until the tail, and the spare if it was ready, are used up.
    eventually("the storage is full", || {
        let answer = stack.acquire(member, 1, 64);
        if let Ok(granted) = answer {
            for grant in granted.value {
                let _ = stack.release(member, grant.group, grant.lsn, grant.mask);
            }
        }
        service.scrape().of_structure("portplex_storage_full", &[]) == 1.0
    });
    let ready = service.get("/readyz", "");
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("the storage is full, nothing new is granted: "), "{}", ready.body);
    assert!(service.scrape().of_structure("portplex_alarms_total", &[]) >= 1.0);
    gate.set(Mood::Works);
    eventually("there is room again", || {
        let _ = stack.acquire(member, 1, 1);
        service.scrape().of_structure("portplex_storage_full", &[]) == 0.0
    });
}

#[test]
fn who_asks_for_metrics_in_a_crowd_is_answered_or_told_to_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    gate.set(Mood::Hangs);
    let waits = service.facility.submit(Request::Define { target: list(1) });
    eventually("the sync is at work", || service.facility.readings().sync_pending_us > 0);
    let address = service.address;
    let askers: Vec<_> = (0..24).map(|_| std::thread::spawn(move || super::get(address, "/metrics", ""))).collect();
    let answers: Vec<_> = askers.into_iter().map(|asker| asker.join().expect("answered")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(answers.iter().any(|answer| answer.status == 200), "one is answered");
    assert!(!refused.is_empty(), "24 at once are too many");
    assert!(refused.iter().all(|answer| answer.header("retry-after") == "1"));
    gate.set(Mood::Works);
    waits.wait().expect("defined after all");
    assert_eq!(service.get("/metrics", "").status, 200);
}

#[test]
fn who_is_turned_away_at_a_full_queue_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    gate.set(Mood::Hangs);
    let at_work = service.facility.submit(Request::Define { target: list(1) });
    eventually("the sync is at work", || service.facility.readings().sync_pending_us > 0);
    let waiting: Vec<_> =
        (2..10).map(|number| service.facility.submit(Request::Define { target: list(number) })).collect();
    let readings = service.facility.readings();
    assert_eq!((readings.queue_length, readings.queue_length_max, readings.queue_rejected), (4, 4, 4));
    gate.set(Mood::Works);
    at_work.wait().expect("defined");
    let answers: Vec<_> = waiting.into_iter().map(|ticket| ticket.wait().map(drop)).collect();
    let overloaded = Err(CallError::Refused(Refusal::Overloaded));
    assert_eq!(answers, [vec![Ok(()); 4], vec![overloaded; 4]].concat());
    let scrape = service.scrape();
    assert_eq!(scrape.of_structure("portplex_queue_rejected_total", &[]), 4.0);
    assert_eq!(scrape.of_structure("portplex_refusals_total", &[("cause", "overloaded")]), 4.0);
    assert_eq!(scrape.of_structure("portplex_requests_total", &[("kind", "define")]), 5.0);
    assert_eq!(scrape.of_structure("portplex_commit_commands_sum", &[]), 5.0, "one commit of one, one of four");
    assert_eq!(scrape.of_structure("portplex_frames_total", &[]), 2.0);
}

#[test]
fn one_structure_whose_disk_hangs_keeps_nothing_of_another_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (machine, gate) = gate();
    let names: [StructureName; 2] = ["EZBEPORT", "EZBEPORT0121"].map(|name| name.parse().expect("a name"));
    let open = |machine: &Machine, name: StructureName| {
        let options = Options { create: true, structure: Some(name), ..Options::default() };
        Arc::new(LocalFacility::open_on(machine, &dir.path().join(name.to_string()), &options).expect("opens"))
    };
    let facilities = [open(&machine, names[0]), open(&Machine::real(), names[1])];
    facilities[1].define(list(1)).expect("defined");
    let service = Service::hosting(names.into_iter().zip(facilities).collect());
    // Dropped before the service is.
    let gate = gate;
    gate.set(Mood::Hangs);
    let waits = service.facility.submit(Request::Define { target: list(1) });
    eventually("the sync is at work", || service.facility.readings().sync_pending_us > 0);
    let scrape = service.scrape();
    assert_eq!(scrape.judged(), Vec::<String>::new());
    let complete = ["EZBEPORT", "EZBEPORT0121"]
        .map(|structure| scrape.value("portplex_figures_complete", &[("structure", structure)]).expect("told"));
    assert_eq!(complete, [0.0, 1.0]);
    assert_eq!(scrape.value("portplex_lists", &[("structure", "EZBEPORT0121")]), Some(1.0));
    let ready = service.get("/readyz", "application/json");
    let told: serde_json::Value = serde_json::from_str(&ready.body).expect("JSON");
    let of =
        |place: usize| (told["structures"][place]["structure"].as_str(), told["structures"][place]["ready"].as_bool());
    assert_eq!(ready.status, 503);
    assert_eq!([of(0), of(1)], [(Some("EZBEPORT"), Some(false)), (Some("EZBEPORT0121"), Some(true))]);
    gate.set(Mood::Works);
    waits.wait().expect("defined after all");
}

#[test]
fn a_call_whose_stack_went_is_no_longer_in_flight_though_it_is_at_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let (service, gate) = gated(dir.path());
    let remote = service.remote();
    gate.set(Mood::Hangs);
    let unanswered = remote.submit(Request::Define { target: list(1) });
    let in_flight = || service.scrape().value("portplex_stream_calls_in_flight", &[]).expect("told");
    eventually("the call is at work", || in_flight() == 1.0);
    drop((unanswered, remote));
    eventually("nobody waits for it", || in_flight() == 0.0);
    gate.set(Mood::Works);
    eventually("it is done all the same", || service.facility.status().expect("told").lists == 1);
}
