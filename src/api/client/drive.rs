//! The task behind a client: makes the stream, reads it until it breaks, makes it again.
#![forbid(unsafe_code)]

use super::RemoteError;
use super::dial;
use super::fault_of;
use super::line::Line;
use super::line::Stream;
use crate::api::limits;
use crate::api::v1;
use crate::facility::random_u64;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use v1::stack_answer::What as Told;
use v1::stack_call::What;
use v1::stacks_client::StacksClient;

/// The first pause before the stream is made again; each further one is twice as long …
const PAUSE_MS_MIN: u64 = 20;
/// … up to this.
const PAUSE_MS_MAX: u64 = 2_000;
/// How often it is looked for presences that ended.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// Works until it is aborted.
pub(super) async fn drive(line: Arc<Line>) {
    let mut pause_ms = PAUSE_MS_MIN;
    loop {
        match converse(&line).await {
            Ended::NoStream(fault) => line.close(fault, true),
            Ended::NeverStood(fault) => line.close(fault, false),
            Ended::Broke(fault) => {
                pause_ms = PAUSE_MS_MIN;
                line.close(fault, false);
            }
        }
        // Half of it to all of it: many clients of one service do not come back in step.
        tokio::time::sleep(Duration::from_millis(pause_ms / 2 + random_u64() % (pause_ms / 2 + 1))).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

enum Ended {
    /// None was made.
    NoStream(RemoteError),
    /// No call was ever answered on it: the pauses go on growing.
    NeverStood(RemoteError),
    Broke(RemoteError),
}

async fn converse(line: &Line) -> Ended {
    let begun = tokio::time::timeout(limits::WELCOME_PATIENCE, begin(line)).await;
    let mut answers = match begun.unwrap_or_else(|_| Err(line.unreachable("no welcome within 10 s"))) {
        Ok((stream, answers)) => {
            line.open(stream);
            answers
        }
        Err(fault) => return Ended::NoStream(fault),
    };
    let mut ended: fn(RemoteError) -> Ended = Ended::NeverStood;
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            _ = sweep.tick() => {
                line.sweep();
                continue;
            }
        };
        match answer {
            Ok(Some(answer)) => {
                ended = Ended::Broke;
                if let Err(malformed) = line.take(answer) {
                    return ended(line.unreachable(malformed));
                }
            }
            Ok(None) => return ended(line.unreachable("the service ended the stream")),
            Err(status) => return ended(fault_of(line, &status)),
        }
    }
}

/// Makes the stream: hello and welcome, then word of everybody who was connected on the one before.
async fn begin(line: &Line) -> Result<(Stream, Streaming<v1::StackAnswer>), RemoteError> {
    let dialled = dial::dial(&line.door, line.tls.as_ref()).await?;
    let said = begin_on(line, dialled.channel.clone()).await;
    // A certificate that the service refused is heard of only after the handshake, as a broken stream.
    said.map_err(|fault| dialled.explain(&line.door, line.tls.as_ref()).unwrap_or(fault))
}

async fn begin_on(line: &Line, channel: Channel) -> Result<(Stream, Streaming<v1::StackAnswer>), RemoteError> {
    let (calls, outgoing) = mpsc::unbounded_channel();
    let hello = v1::Hello { structure: line.structure.to_string(), release: env!("CARGO_PKG_VERSION").to_owned() };
    // The receiver is in hand.
    let _ = calls.send(v1::StackCall { call: 0, what: Some(What::Hello(hello)) });
    let mut client = StacksClient::new(channel.clone())
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
    let begun = client.calls(UnboundedReceiverStream::new(outgoing)).await;
    let mut answers = begun.map_err(|status| fault_of(line, &status))?.into_inner();
    let Told::Welcome(welcome) = next(line, &mut answers).await? else {
        return Err(line.unreachable("its first message is no welcome"));
    };
    let mut last = 0;
    for resume in line.resumes() {
        last += 1;
        let _ = calls.send(v1::StackCall { call: last, what: Some(What::Resume(resume)) });
        // Refused, its stack must attach, and is told so when it asks for something.
        while let Told::Part(_) = next(line, &mut answers).await? {}
    }
    let in_flight_max = welcome.in_flight_max.max(1) as usize;
    Ok((Stream { calls, channel, in_flight_max, lease_ms: welcome.lease_ms, last }, answers))
}

async fn next(line: &Line, answers: &mut Streaming<v1::StackAnswer>) -> Result<Told, RemoteError> {
    let answer = answers.message().await.map_err(|status| fault_of(line, &status))?;
    answer.and_then(|answer| answer.what).ok_or_else(|| line.unreachable("the service ended the stream"))
}
