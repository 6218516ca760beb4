//! What the kernel knows of this process: memory, processor time, file descriptors, its start.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "kernel variables, not files of the store")]

use super::exposition::Exposition;
use super::families::Family;

/// In how many parts Linux divides a second in what it tells programs; fixed by its interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// What of it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Process {
    resident_bytes: Option<u64>,
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
}

/// Adds what can be read. Opens files of the kernel: not for a thread that must not wait.
pub(super) fn add(exposition: &mut Exposition) {
    let [status, stat, machine] = ["/proc/self/status", "/proc/self/stat", "/proc/stat"]
        .map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let process = Process::read(&status, &stat, &machine);
    if let Some(bytes) = process.resident_bytes {
        exposition.whole(Family::ProcessResident, &[], bytes);
    }
    if let Some(seconds) = process.cpu_seconds {
        exposition.real(Family::ProcessCpu, &[], seconds);
    }
    if let Some(seconds) = process.start_seconds {
        exposition.real(Family::ProcessStart, &[], seconds);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        exposition.whole(Family::ProcessFiles, &[], files.count() as u64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        exposition.whole(Family::ProcessFilesMax, &[], most);
    }
}

impl Process {
    fn read(status: &str, stat: &str, machine: &str) -> Self {
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident_kib = resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        // The name, in brackets, may have blanks in it; the third value follows it.
        let values: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |place: usize| values.get(place - 3)?.parse::<f64>().ok();
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "));
        let booted = booted.and_then(|text| text.trim().parse::<f64>().ok());
        Self {
            resident_bytes: resident_kib.map(|kib| kib * 1_024),
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            start_seconds: booted.zip(ticks(22)).map(|(booted, ticks)| booted + ticks / TICKS_PER_SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read_also_for_a_name_with_blanks_and_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1000 2000 18446744073709551615";
        let read = Process::read("Name:\tx\nVmRSS:\t    2048 kB\n", stat, "cpu 1 2\nbtime 1700000000\n");
        let expected =
            Process { resident_bytes: Some(2 << 20), cpu_seconds: Some(3.0), start_seconds: Some(1_700_000_123.45) };
        assert_eq!(read, expected);
        assert_eq!(Process::read("", "", ""), Process::default());
    }
}
