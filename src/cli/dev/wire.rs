//! The frames on the socket between `portplex dev` and its facility: a length, then the message.
//!
//! Private to this pair of processes, both of one build: no version, no compatibility. Many
//! requests are in flight at once; an answer names the number of what it answers. A length is
//! checked before memory is reserved, and memory grows only with bytes that arrive.

use crate::facility::AttachRequest;
use crate::facility::CallError;
use crate::facility::Challenge;
use crate::facility::Page;
use crate::facility::Query;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::ident::ConnectorName;
use crate::structure::Actor;
use crate::structure::Introduction;
use crate::structure::ReportedGrant;
use crate::structure::Request;
use bincode::Options;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Most bytes of one message: a page of 1,024 rows of 8 KiB fits.
pub(super) const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// From the parent: something to do, under a number that the answer will carry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// Unique on one connection.
    pub(super) number: u64,
    /// What to do.
    pub(super) what: What,
}

/// What a facility can be asked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// A request.
    Request(Request),
    /// A challenge for a name.
    Challenge(ConnectorName),
    /// One page of a report.
    Report(ConnectorName, Challenge, Vec<ReportedGrant>),
    /// An attach; the presence is the socket.
    Attach(Box<AttachRequest>),
    /// A connect; the presence is the socket.
    Connect(Introduction),
    /// A re-join; the presence is the socket.
    Resume(Request),
    /// A renewal, with its own number.
    Renew(Actor, u64),
    /// A read.
    Query(Query),
}

/// From the facility: the answer to the `Ask` of that number.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tell {
    /// The number of the `Ask`.
    pub(super) number: u64,
    /// The answer, of the kind that was asked.
    pub(super) what: Told,
}

/// An answer of each kind.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// To a challenge.
    Challenge(Result<Challenge, CallError>),
    /// To a page of a report.
    Report(Result<(), CallError>),
    /// To a request, an attach, a connect, a re-join.
    Reply(Result<Reply, CallError>),
    /// To a renewal.
    Renewal(Result<Renewal, CallError>),
    /// To a read.
    Page(Result<Page, CallError>),
}

/// Why no message could be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum WireError {
    /// The socket failed, or ended within a message.
    #[error("the socket between dev and its facility failed: {0}")]
    Io(#[from] io::Error),
    /// A length outside 1 to 16 MiB.
    #[error("a message of {length} bytes cannot be: 1 to {MESSAGE_BYTES_MAX} are allowed")]
    Length {
        /// The length found.
        length: u64,
    },
    /// The bytes are no message.
    #[error("a message cannot be read: {0}")]
    Malformed(bincode::Error),
}

fn options() -> impl Options {
    bincode::options().with_fixint_encoding().with_limit(u64::from(MESSAGE_BYTES_MAX))
}

/// Writes one message. `scratch` is reused from call to call.
pub(super) fn write<T: Serialize>(to: &mut impl Write, scratch: &mut Vec<u8>, message: &T) -> Result<(), WireError> {
    scratch.clear();
    options().serialize_into(&mut *scratch, message).map_err(WireError::Malformed)?;
    let length = scratch.len() as u64;
    let short = u32::try_from(length).map_err(|_| WireError::Length { length })?;
    to.write_all(&short.to_le_bytes())?;
    to.write_all(scratch)?;
    Ok(())
}

/// Reads one message; `None` at the end of the stream between two messages.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, scratch: &mut Vec<u8>) -> Result<Option<T>, WireError> {
    let mut prefix = [0; 4];
    if !fill_or_end(from, &mut prefix)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(prefix);
    if length == 0 || length > MESSAGE_BYTES_MAX {
        return Err(WireError::Length { length: u64::from(length) });
    }
    scratch.clear();
    let found = from.take(u64::from(length)).read_to_end(scratch)?;
    if found != length as usize {
        return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    options().deserialize(scratch).map(Some).map_err(WireError::Malformed)
}

/// Fills the buffer; false if the stream ended before its first byte.
fn fill_or_end(from: &mut impl Read, buffer: &mut [u8]) -> Result<bool, WireError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::Receipt;
    use crate::ident::HistoryId;
    use crate::ident::Incarnation;
    use crate::ident::Lsn;
    use crate::ident::PortSet;
    use crate::ident::StoreUuid;
    use crate::ident::Transport;
    use crate::structure::Answer;
    use crate::structure::Body;
    use crate::structure::Refusal;

    fn asks() -> Vec<Ask> {
        let actor = Actor { slot: 3, incarnation: Incarnation(9) };
        let mut ports = PortSet::empty();
        ports.insert_range(1_024, 65_535);
        let body = Body::SetAllowable { transport: Transport::Tcp, ports };
        vec![
            Ask { number: 1, what: What::Request(Request::Stack { actor, number: 1, lowest: 1, body }) },
            Ask { number: 2, what: What::Renew(actor, 77) },
            Ask { number: 3, what: What::Query(Query::Items { from: 1_024 }) },
        ]
    }

    #[test]
    fn what_was_written_is_read_and_then_the_stream_ends() {
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        for ask in asks() {
            write(&mut bytes, &mut scratch, &ask).unwrap();
        }
        let receipt = Receipt([9; 16]);
        let reply = Reply { store: StoreUuid(1), history: HistoryId(7), lsn: Lsn(8), receipt, answer: Answer::Done };
        let tell = |what| Tell { number: 4, what };
        let tells = [
            tell(Told::Reply(Ok(reply))),
            tell(Told::Reply(Err(CallError::Refused(Refusal::PortHeld { port: 4_035, grant: Lsn(5) })))),
            tell(Told::Page(Err(CallError::Gone))),
        ];
        let mut from = bytes.as_slice();
        for ask in asks() {
            assert_eq!(read::<Ask>(&mut from, &mut scratch).unwrap(), Some(ask));
        }
        assert_eq!(read::<Ask>(&mut from, &mut scratch).unwrap(), None);
        let mut bytes = Vec::new();
        for tell in &tells {
            write(&mut bytes, &mut scratch, tell).unwrap();
        }
        let mut from = bytes.as_slice();
        for tell in tells {
            assert_eq!(read::<Tell>(&mut from, &mut scratch).unwrap(), Some(tell));
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error_and_never_a_message() {
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        write(&mut bytes, &mut scratch, &asks()[1]).unwrap();
        for length in 1..bytes.len() {
            assert!(read::<Ask>(&mut &bytes[..length], &mut scratch).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_false_length_reserves_no_memory() {
        let mut scratch = Vec::new();
        for length in [0, MESSAGE_BYTES_MAX + 1, u32::MAX] {
            let bytes = length.to_le_bytes();
            assert!(matches!(read::<Ask>(&mut bytes.as_slice(), &mut scratch), Err(WireError::Length { .. })));
        }
        let bytes = MESSAGE_BYTES_MAX.to_le_bytes();
        assert!(matches!(read::<Ask>(&mut bytes.as_slice(), &mut scratch), Err(WireError::Io(_))));
        assert!(scratch.capacity() < 1 << 16, "reserved {} bytes for what never came", scratch.capacity());
    }
}
