//! The gate: every request passes it before any route sees it. Who asks, and whether it may.
//!
//! It also keeps out what a web page of somebody else could make a browser on this machine do: a request
//! to change something that comes from another site, and one that was sent to plain loopback by a name.
#![forbid(unsafe_code)]

use crate::api::access::Act;
use crate::api::access::Denied;
use crate::api::access::How;
use crate::api::access::Peer;
use crate::api::access::audit;
use crate::api::access::is_grpc;
use crate::api::meters::Barred;
use crate::api::meters::ServiceMeters;
use axum::body::Body;
use http::Extensions;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;
use tower::ServiceExt;

/// Whether this connection ends: what streams on it stop at. In the extensions of every request.
#[derive(Clone, Debug)]
struct Ending(watch::Receiver<bool>);

/// Who asks.
pub(super) fn who(extensions: &Extensions) -> Result<Arc<Peer>, Status> {
    let peer = extensions.get::<Arc<Peer>>().cloned();
    peer.ok_or_else(|| Status::permission_denied("nothing says who asks"))
}

/// When the stream of a request is to end.
pub(super) fn ending(extensions: &Extensions) -> watch::Receiver<bool> {
    // A request that came by no connection of ours ends at once.
    extensions.get::<Ending>().map_or_else(|| watch::channel(true).1, |ending| ending.0.clone())
}

/// One connection's.
pub(super) struct Gate {
    routes: axum::Router,
    peer: Result<Arc<Peer>, Denied>,
    ending: Ending,
    meters: Arc<ServiceMeters>,
}

impl Gate {
    pub(super) fn new(
        routes: axum::Router,
        peer: Result<Peer, Denied>,
        ended: watch::Receiver<bool>,
        meters: Arc<ServiceMeters>,
    ) -> Self {
        Self { routes, peer: peer.map(Arc::new), ending: Ending(ended), meters }
    }

    fn check(&self, request: &Request<Incoming>) -> Result<&Arc<Peer>, Denied> {
        let peer = self.peer.as_ref().map_err(Denied::clone)?;
        let act = Act::of_call(request.method(), request.uri().path());
        let checked = peer.may(act).and_then(|()| foreign(peer, act, request));
        if let Err(denied) = &checked {
            audit::denied(denied);
        }
        checked.map(|()| peer)
    }
}

pub(super) async fn answer(gate: Arc<Gate>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    match gate.check(&request) {
        Ok(peer) => {
            let extensions = request.extensions_mut();
            extensions.insert(Arc::clone(peer));
            extensions.insert(gate.ending.clone());
            gate.routes.clone().oneshot(request.map(Body::new)).await
        }
        Err(denied) => {
            gate.meters.bar(Barred::Role);
            Ok(refusal(&denied, request.uri().path()))
        }
    }
}

/// The refusal in the words of whoever asked.
fn refusal(denied: &Denied, path: &str) -> Response<Body> {
    if is_grpc(path) {
        return Status::permission_denied(denied.to_string()).into_http();
    }
    let (kind, body) = if path == "/v1" || path.starts_with("/v1/") {
        // A problem as every other one there (RFC 9457).
        let problem = serde_json::json!({
            "type": "about:blank", "title": "Forbidden", "status": 403, "detail": denied.to_string(),
        });
        ("application/problem+json", problem.to_string())
    } else {
        ("text/plain; charset=utf-8", format!("{denied}\n"))
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// What a browser sends for a page that is not of this service.
fn foreign(peer: &Peer, act: Act, request: &Request<Incoming>) -> Result<(), Denied> {
    let denied =
        |what: &str, need: &str| Denied { who: peer.to_string(), what: what.to_owned(), need: need.to_owned() };
    let headers = request.headers();
    let is_plain = matches!(peer.how, How::Loopback(_));
    if is_plain && host_of(request).is_some_and(|host| !is_local(host)) {
        return Err(denied(
            "use another name for this address",
            "plain HTTP answers to localhost and to addresses only, so that no web page can point a name of its own at it",
        ));
    }
    // What a page can send anywhere without asking first is a POST, of any bytes to any path.
    let is_from_elsewhere = match (text(headers, "sec-fetch-site"), text(headers, "origin")) {
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => origin.split("://").nth(1) != authority_of(request),
        (None, None) => false,
    };
    if act != Act::Page && is_from_elsewhere {
        return Err(denied("change anything from a page of another site", "send it from a page of this service"));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn host_of(request: &Request<Incoming>) -> Option<&str> {
    authority_of(request).map(without_port)
}

/// Name and port to which the request was sent.
fn authority_of(request: &Request<Incoming>) -> Option<&str> {
    let given = request.uri().authority().map(http::uri::Authority::as_str);
    given.or_else(|| text(request.headers(), "host"))
}

fn without_port(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn is_local(host: &str) -> bool {
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_local_by_what_it_says_and_not_by_what_it_looks_like() {
        for host in ["127.0.0.1:7678", "[::1]:7678", "localhost", "LOCALHOST:80", "x@127.0.0.1"] {
            assert!(is_local(without_port(host)), "{host}");
        }
        for host in ["evil.example:7678", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example"]
        {
            assert!(!is_local(without_port(host)), "{host}");
        }
    }
}
