//! Every limit of the service by name.
#![forbid(unsafe_code)]

use std::time::Duration;

/// Most bytes of one message, on either side.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Most bytes of what the log tells of one port: the caller chose how many holders.
pub(crate) const WHO_BYTES_MAX: usize = 64 << 20;
/// Most operations on stores as a whole at a time: backups, checkpoints, reading logs.
pub(crate) const OPERATIONS_MAX: usize = 4;
/// Most bytes of the headers of one call.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Most bytes of an HTTP/1 head, and of what is buffered of one HTTP/1 connection.
pub(crate) const HTTP1_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Most streams that a peer may have reset and that are not cleaned up yet.
pub(crate) const RESET_STREAMS_MAX: usize = 64;
/// Most streams that were reset here, for what the peer sent on them.
pub(crate) const FAULTY_STREAMS_MAX: usize = 256;
/// Most bytes of one HTTP/2 frame.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 << 10;
/// Most bytes that a peer may send on one stream before they are read.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// The same for all streams of one connection.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
/// Most bytes of answers that wait in one HTTP/2 stream for the peer to take them.
pub(crate) const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;
/// Answers that wait to be written, per stream; then its calls wait too.
pub(crate) const ANSWERS_WAITING_MAX: usize = 256;
/// Most presences of one stream.
pub(crate) const PRESENCES_MAX: usize = 1_024;
/// A peer that is silent for so long is asked for a sign of life …
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// … and given up if it gives none for so long.
pub(crate) const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer that was refused has to read why.
pub(crate) const PARTING_MAX: Duration = Duration::from_secs(1);
/// How long a client waits for the first message on its stream.
pub(crate) const WELCOME_PATIENCE: Duration = Duration::from_secs(10);

/// How much a service takes on. Beyond any of these a caller is told so at once, or waits in its own
/// socket: the memory of the service is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections; one more is closed as soon as it is made.
    pub connections_max: usize,
    /// Most connections of one peer: of one address (of one /64 in IPv6) at the doors with TLS, of one
    /// uid at a unix socket, where root and the service's own uid have no such limit. Plain loopback has
    /// none: all that come there are one address.
    pub connections_per_peer_max: usize,
    /// Most calls at a time on one connection; more wait for those.
    pub calls_per_connection_max: u32,
    /// Most streams of stacks; one more is refused.
    pub streams_max: usize,
    /// Most calls without an answer per stream; one more is refused `Overloaded`.
    pub in_flight_max: u32,
    /// Most watchers: each has a thread of its own; one more is refused.
    pub watchers_max: usize,
    /// Most bytes of the message of a single call, and of the body of an HTTP request.
    pub call_bytes_max: usize,
    /// Most bytes of one message on a stack's stream. The longest legal one sets allowable ports of which
    /// no two are neighbours: 262,018 bytes.
    pub stream_call_bytes_max: usize,
    /// How long a connection may be silent at its beginning, and a stream without its first message: who
    /// says nothing takes no room from those who do.
    pub silence_max: Duration,
    /// How long the handshake of TLS may take.
    pub handshake_max: Duration,
    /// How long the head of an HTTP/1 request may take, and how long the connection may rest between two.
    pub head_max: Duration,
    /// How long a peer may take none of what is to be written to it.
    pub write_max: Duration,
    /// How old a connection may become, give or take a tenth: it is then ended in order, and whoever
    /// comes again proves anew who it is. Zero: any age.
    pub connection_age_max: Duration,
    /// How long an aged connection may need for its last answers.
    pub age_grace: Duration,
    /// How often one stack may attach or connect, in a minute; after a pause as many at once. 0: no limit.
    pub attaches_per_minute: u32,
    /// The same for all stacks together.
    pub attaches_per_minute_total: u32,
    /// How many groups one stack may ask for, in a second; after a pause 1,024 at once. 0: no limit.
    pub groups_per_second: u32,
    /// The same for all stacks together.
    pub groups_per_second_total: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_peer_max: 1_024,
            calls_per_connection_max: 64,
            streams_max: 4_096,
            in_flight_max: 4_096,
            watchers_max: 64,
            call_bytes_max: 64 << 10,
            stream_call_bytes_max: 256 << 10,
            silence_max: Duration::from_secs(5),
            handshake_max: Duration::from_secs(5),
            head_max: Duration::from_secs(5),
            write_max: Duration::from_secs(30),
            connection_age_max: Duration::from_secs(24 * 60 * 60),
            age_grace: Duration::from_secs(10),
            attaches_per_minute: 600,
            attaches_per_minute_total: 0,
            groups_per_second: 0,
            groups_per_second_total: 0,
        }
    }
}
