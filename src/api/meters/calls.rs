//! A layer around everything that is served: calls of gRPC by method and code, other requests by path
//! and status.
//!
//! A call of gRPC ends with its trailers, long after its headers: its body is looked through on the way
//! out. One that is dropped before was given up by its caller.
#![forbid(unsafe_code)]

use super::CODE_CANCELLED;
use super::CODE_UNKNOWN;
use super::ServiceMeters;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::header::CONTENT_TYPE;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::SizeHint;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower::Layer;
use tower::Service;

/// Wraps a service so that what goes through it is counted.
#[derive(Clone, Debug)]
pub struct CallsLayer(Arc<ServiceMeters>);

impl CallsLayer {
    pub(super) const fn new(meters: Arc<ServiceMeters>) -> Self {
        Self(meters)
    }
}

impl<S> Layer<S> for CallsLayer {
    type Service = CountedCalls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountedCalls { inner, meters: Arc::clone(&self.0) }
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub struct CountedCalls<S> {
    inner: S,
    meters: Arc<ServiceMeters>,
}

impl<S, B, R> Service<Request<B>> for CountedCalls<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<CountedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC));
        let meters = Arc::clone(&self.meters);
        if !is_grpc {
            let path = request.uri().path().to_owned();
            let answer = self.inner.call(request);
            return Box::pin(async move {
                let answer = answer.await?;
                meters.count_http(&path, answer.status().as_u16());
                Ok(answer.map(|body| CountedBody { body, call: None }))
            });
        }
        let mut call = Call::begin(meters, request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(code) = code_of(answer.headers()) {
                call.end(code);
            }
            Ok(answer.map(|body| CountedBody { body, call: Some(call) }))
        })
    }
}

/// What the content type of every call of gRPC begins with.
const GRPC: &[u8] = b"application/grpc";

/// A body on its way out.
#[derive(Debug)]
pub struct CountedBody<B> {
    body: B,
    call: Option<Call>,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let counted = self.get_mut();
        let frame = ready!(Pin::new(&mut counted.body).poll_frame(context));
        if let Some(call) = &mut counted.call {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        call.end(code_of(trailers).unwrap_or(CODE_UNKNOWN));
                    }
                }
                Some(Err(_)) | None => call.end(CODE_UNKNOWN),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One call of gRPC, until it ends.
#[derive(Debug)]
struct Call {
    meters: Arc<ServiceMeters>,
    method: usize,
    has_ended: bool,
}

impl Call {
    fn begin(meters: Arc<ServiceMeters>, path: &str) -> Self {
        let method = meters.method(path);
        meters.call_begins(method);
        Self { meters, method, has_ended: false }
    }

    fn end(&mut self, code: usize) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.meters.call_ends(self.method, code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(CODE_CANCELLED);
    }
}

fn code_of(headers: &HeaderMap) -> Option<usize> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
