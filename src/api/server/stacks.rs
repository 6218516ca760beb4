//! The call that opens a stack's stream: who hosts its structure, and whether there is room.
#![forbid(unsafe_code)]

use super::Shared;
use super::calls;
use super::calls::Peer;
use super::gate::ending;
use super::gate::who;
use crate::api::Barred;
use crate::api::convert::Malformed;
use crate::api::failure::Failure;
use crate::api::limits;
use crate::api::v1;
use crate::structure::Refusal;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use v1::stack_call::What;

pub(super) struct Stacks(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl v1::stacks_server::Stacks for Stacks {
    type CallsStream = ReceiverStream<Result<v1::StackAnswer, Status>>;

    async fn calls(&self, request: Request<Streaming<v1::StackCall>>) -> Result<Response<Self::CallsStream>, Status> {
        let shared = &self.0;
        let who = who(request.extensions())?;
        let ending = ending(request.extensions());
        let limits = shared.live.limits();
        let overloaded = || {
            shared.meters.bar(Barred::Limit);
            Failure::from(Refusal::Overloaded).to_status()
        };
        let room = shared.streams.take(limits.streams_max).ok_or_else(overloaded)?;
        let mut calls = request.into_inner();
        let first = tokio::time::timeout(limits.silence_max, calls.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came in time"))??;
        let hello = match first {
            Some(v1::StackCall { what: Some(What::Hello(hello)), .. }) => hello,
            _ => return Err(Failure::from(Malformed::missing("hello")).to_status()),
        };
        let facility = Arc::clone(&shared.hosted(&hello.structure).map_err(|failure| failure.to_status())?.facility);
        let (answers, sent) = mpsc::channel(limits::ANSWERS_WAITING_MAX);
        let peer = Peer::new(facility, hello.structure, who, Arc::clone(shared), answers);
        tokio::spawn(calls::run(peer, calls, ending, room));
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}
