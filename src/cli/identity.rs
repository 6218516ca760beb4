//! Who the stacks of this machine say they are: machine, kernel boot, process.
#![forbid(unsafe_code)]

use crate::ident::BootId;
use crate::ident::Identity;
use crate::ident::MachineId;
use crate::ident::ProcessId;

/// Why nobody can say who this is.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub(crate) struct Unidentified {
    /// What was tried.
    pub(crate) what: &'static str,
    /// What the system says.
    pub(crate) source: std::io::Error,
}

/// This machine, under this boot of its kernel, as a new process.
///
/// # Errors
/// [`Unidentified`] without a boot id or a source of randomness.
pub(crate) fn here() -> Result<Identity, Unidentified> {
    let boot = read("/proc/sys/kernel/random/boot_id");
    let boot = boot.map_err(|source| Unidentified { what: "the kernel's boot id cannot be read", source })?;
    // A container without a machine id is told apart by its host name.
    let machine = read("/etc/machine-id").or_else(|_| read("/proc/sys/kernel/hostname")).unwrap_or_default();
    Ok(Identity { machine: MachineId(number(&machine)), boot: BootId(number(&boot)), process: ProcessId(random()?) })
}

/// 64 random bits.
///
/// # Errors
/// [`Unidentified`] if the system has none.
pub(crate) fn random() -> Result<u64, Unidentified> {
    let failed = |error: getrandom::Error| Unidentified {
        what: "the system's random source failed",
        source: std::io::Error::other(error),
    };
    getrandom::u64().map_err(failed)
}

/// The text as a number: its own if it is 32 hex digits (with or without dashes), else a hash.
fn number(text: &str) -> u128 {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if digits.len() == 32 => number,
        _ => {
            let hash = *blake3::hash(text.trim().as_bytes()).as_bytes();
            let [first, ..] = *hash.as_chunks::<16>().0 else { return 0 };
            u128::from_le_bytes(first)
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the kernel's and the machine's ids, not a store's files")]
fn read(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_of_one_boot_differ_in_the_process_only() {
        let (one, two) = (here().unwrap(), here().unwrap());
        assert_eq!((one.machine, one.boot), (two.machine, two.boot));
        assert_ne!(one.process, two.process);
        assert_eq!(number("00000000-0000-0000-0000-0000000000ff\n"), 255);
        assert_ne!(number("host-a"), number("host-b"));
    }
}
