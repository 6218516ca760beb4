//! Single calls: one request or one read each, for operators and readers.
#![forbid(unsafe_code)]

use super::Shared;
use super::gate::ending;
use super::gate::who;
use super::judge;
use super::watching;
use crate::api::Barred;
use crate::api::access::audit;
use crate::api::convert::Malformed;
use crate::api::failure::Failure;
use crate::api::v1;
use crate::facility::CallError;
use crate::facility::Query;
use crate::facility::Ticket;
use crate::ident::Lsn;
use crate::structure::Refusal;
use crate::structure::Request as Asked;
use std::future::poll_fn;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;

pub(super) struct Structures(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl v1::structures_server::Structures for Structures {
    type WatchStream = ReceiverStream<Result<v1::WatchUpdate, Status>>;

    async fn list_structures(
        &self,
        _: Request<v1::ListStructuresRequest>,
    ) -> Result<Response<v1::ListStructuresResponse>, Status> {
        Ok(Response::new(v1::ListStructuresResponse { structures: self.0.hosted.keys().cloned().collect() }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::Reply>, Status> {
        let who = who(request.extensions())?;
        let v1::SubmitRequest { structure, request } = request.into_inner();
        let ticket = || {
            let hosted = self.0.hosted(&structure)?;
            let request = judge::request(&who, request.ok_or(Malformed::missing("submit.request"))?)?;
            if matches!(request, Asked::Stack { .. }) {
                // Who has no stream has not attached on it.
                self.0.meters.bar(Barred::Stranger);
                return Err(Refusal::MustAttach.into());
            }
            let asked = audit::asked(&request);
            Ok((asked, hosted.facility.submit(request)))
        };
        let (asked, ticket) = ticket().map_err(|failure: Failure| self.0.told(failure).to_status())?;
        // From here on the request is on its way: who gives the call up gives up the answer only.
        let reply = tokio::spawn(async move {
            let answered = answer(ticket).await;
            if let Some(asked) = asked {
                audit::answered(&who, &structure, &asked, answered.as_ref().map_err(Status::message));
            }
            answered
        });
        let reply = reply.await.map_err(|_| Failure::from(CallError::Gone).to_status())??;
        Ok(Response::new((&reply).into()))
    }

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::Page>, Status> {
        let sent = request.into_inner();
        let ticket = || {
            let hosted = self.0.hosted(&sent.structure)?;
            let query: Query = sent.query.ok_or(Malformed::missing("query.query"))?.try_into()?;
            Ok((query.clone(), hosted.facility.query(query)))
        };
        let (query, ticket) = ticket().map_err(|failure: Failure| failure.to_status())?;
        let page = answer(ticket).await?;
        Ok(Response::new(v1::Page::answering(&query, &page)))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let ending = ending(request.extensions());
        let v1::WatchRequest { structure, after } = request.into_inner();
        let hosted = self.0.hosted(&structure).map_err(|failure| failure.to_status())?;
        let cannot = || Status::unimplemented("this structure's facility cannot be watched");
        let door = hosted.watch.clone().ok_or_else(cannot)?;
        let overloaded = || {
            self.0.meters.bar(Barred::Limit);
            Failure::from(Refusal::Overloaded).to_status()
        };
        let room = self.0.watchers.take(self.0.live.limits().watchers_max).ok_or_else(overloaded)?;
        let counted = self.0.meters.watcher();
        let updates = watching::start(door, after.map(Lsn), ending, (room, counted));
        Ok(Response::new(ReceiverStream::new(updates)))
    }
}

async fn answer<T>(ticket: Ticket<T>) -> Result<T, Status> {
    let answer: Result<T, CallError> = poll_fn(|context| ticket.poll_take(context)).await;
    answer.map_err(|error| Failure::from(error).to_status())
}
