//! Every limit of the service by name.
#![forbid(unsafe_code)]

use std::time::Duration;

/// Most bytes of one message, on either side.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Most bytes of what the log tells of one port: the caller chose how many holders.
pub(crate) const WHO_BYTES_MAX: usize = 64 << 20;
/// Most operations on stores as a whole at a time: backups, checkpoints, reading logs.
pub(crate) const OPERATIONS_MAX: usize = 4;
/// Most single calls at a time on one connection; more wait for those.
pub(crate) const CALLS_PER_CONNECTION_MAX: u32 = 64;
/// Most bytes of the headers of one call.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Most streams that a peer may have reset and that are not cleaned up yet.
pub(crate) const RESET_STREAMS_MAX: usize = 64;
/// Answers that wait to be written, per stream; then its calls wait too.
pub(crate) const ANSWERS_WAITING_MAX: usize = 256;
/// Most presences of one stream.
pub(crate) const PRESENCES_MAX: usize = 1_024;
/// A peer that is silent for so long is asked for a sign of life …
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// … and given up if it gives none for so long.
pub(crate) const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits for the first message on its stream.
pub(crate) const WELCOME_PATIENCE: Duration = Duration::from_secs(10);

/// How much a service takes on. Beyond any of these a caller is told so at once, or waits in its own
/// socket: the memory of the service is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections; one more is closed as soon as it is made.
    pub connections_max: usize,
    /// Most streams of stacks; one more is refused.
    pub streams_max: usize,
    /// Most calls without an answer per stream; one more is refused `Overloaded`.
    pub in_flight_max: u32,
    /// Most watchers: each has a thread of its own; one more is refused.
    pub watchers_max: usize,
    /// How long a connection may be silent at its beginning, and a stream without its first message: who
    /// says nothing takes no room from those who do.
    pub silence_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            streams_max: 4_096,
            in_flight_max: 4_096,
            watchers_max: 64,
            silence_max: Duration::from_secs(10),
        }
    }
}
