//! The facility's clocks and its source of randomness, as values that tests replace.
//!
//! Decisions use the clock that runs through suspend (CLOCK_BOOTTIME); wall time is written down
//! for people and never compared.
#![forbid(unsafe_code)]

use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::WallMs;
use std::fmt;

/// Time as the facility sees it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The clock that runs through suspend.
    fn boot_ms(&self) -> BootMs;
    /// For people.
    fn wall_ms(&self) -> WallMs;
    /// Which boot of the kernel this is.
    fn boot_id(&self) -> BootId;
    /// For durations only, µs from any beginning: nothing is ever decided by it.
    fn measured_us(&self) -> u64 {
        self.boot_ms().0.saturating_mul(1_000)
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
}

impl SystemClock {
    /// Reads the kernel's boot id, once.
    #[must_use]
    pub fn new() -> Self {
        Self { boot: kernel_boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn boot_ms(&self) -> BootMs {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootMs(to_ms(time))
    }

    fn wall_ms(&self) -> WallMs {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        WallMs(to_ms(time))
    }

    fn boot_id(&self) -> BootId {
        self.boot
    }

    fn measured_us(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000
    }
}

/// `/proc/sys/kernel/random/boot_id` as a number. Where it cannot be read a random one is drawn:
/// quarantine and leases then start again in full, which is the safe side.
#[must_use]
pub fn kernel_boot_id() -> BootId {
    #[allow(clippy::disallowed_methods, reason = "a kernel variable, not a file of the store")]
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(id) if digits.len() == 32 => BootId(id),
        _ => BootId(u128::from(random_u64()) << 64 | u128::from(random_u64())),
    }
}

fn to_ms(time: rustix::time::Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// One random number of the operating system.
///
/// # Panics
/// If the operating system has no source of randomness: nothing here may be guessable.
#[must_use]
pub fn random_u64() -> u64 {
    getrandom::u64().expect("the operating system gives random numbers")
}

/// A stream of random numbers: seeded by the operating system, or by a test.
#[derive(Debug)]
pub struct RandomStream(blake3::OutputReader);

impl RandomStream {
    /// A stream that nobody can guess, or with a seed the same one each time.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        let mut key = [0; 32];
        match seed {
            Some(seed) => key[..8].copy_from_slice(&seed.to_le_bytes()),
            None => key.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random_u64().to_le_bytes())),
        }
        Self(blake3::Hasher::new_keyed(&key).finalize_xof())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The next 128 bits.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_stream_repeats_and_an_unseeded_one_does_not() {
        let draw = |seed| {
            let mut stream = RandomStream::new(seed);
            [stream.next_u64(), stream.next_u64()]
        };
        assert_eq!(draw(Some(7)), draw(Some(7)));
        assert_ne!(draw(Some(7)), draw(Some(8)));
        assert_ne!(draw(None), draw(None));
    }
}
