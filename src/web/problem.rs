//! Why there is no answer, as `application/problem+json` (RFC 9457): what, where, what to do.
#![forbid(unsafe_code)]

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::json;

/// Longest text of a caller that is repeated to it.
const ECHO_MAX: usize = 64;

/// Every way in which a request fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    #[error("there is no {method} here: this interface reads only")]
    Method { method: String },
    #[error("there is nothing at {path:?}")]
    UnknownPath { path: String },
    #[error("{what}: {why}")]
    BadRequest { what: String, why: String },
    #[error("the service does not host a structure {name:?}")]
    UnknownStructure { name: String },
    #[error("there is no list of {target:?}")]
    UnknownList { target: String },
    #[error("there is no connector {name:?}")]
    UnknownConnector { name: String },
    #[error("no profile of a stack {name:?} is configured")]
    UnknownStack { name: String },
    #[error("{text}")]
    UnknownName { text: String },
    #[error("this service has no profiles, and explains nothing")]
    NoReports,
    #[error("too many requests wait for an answer")]
    Overloaded,
    #[error("{max} streams of events are open already")]
    TooManyStreams { max: usize },
    #[error("the structure cannot be shown yet: {why}")]
    NotReady { why: String },
    #[error("the service ends, or its storage failed")]
    Ending,
}

impl Problem {
    pub(crate) fn bad(what: impl Into<String>, why: impl ToString) -> Self {
        Self::BadRequest { what: what.into(), why: why.to_string() }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownPath { .. }
            | Self::UnknownStructure { .. }
            | Self::UnknownList { .. }
            | Self::UnknownConnector { .. }
            | Self::UnknownStack { .. }
            | Self::UnknownName { .. }
            | Self::NoReports => StatusCode::NOT_FOUND,
            Self::Overloaded | Self::TooManyStreams { .. } | Self::NotReady { .. } | Self::Ending => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// For programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Method { .. } => "method-not-allowed",
            Self::UnknownPath { .. } => "unknown-path",
            Self::BadRequest { .. } => "bad-request",
            Self::UnknownStructure { .. } => "unknown-structure",
            Self::UnknownList { .. } => "unknown-list",
            Self::UnknownConnector { .. } => "unknown-connector",
            Self::UnknownStack { .. } => "unknown-stack",
            Self::UnknownName { .. } => "unknown-name",
            Self::NoReports => "no-reports",
            Self::Overloaded => "overloaded",
            Self::TooManyStreams { .. } => "too-many-streams",
            Self::NotReady { .. } => "not-ready",
            Self::Ending => "ending",
        }
    }

    /// The same for every problem of that code.
    const fn title(&self) -> &'static str {
        match self {
            Self::Method { .. } => "The method is not allowed here",
            Self::UnknownPath { .. } => "There is nothing at this path",
            Self::BadRequest { .. } => "The request is not understood",
            Self::UnknownStructure { .. } => "The structure is not hosted here",
            Self::UnknownList { .. } => "There is no such list",
            Self::UnknownConnector { .. } => "There is no such connector",
            Self::UnknownStack { .. } => "There is no profile of that stack",
            Self::UnknownName { .. } => "Nothing has that name",
            Self::NoReports => "There are no reports here",
            Self::Overloaded => "The service has too much to do",
            Self::TooManyStreams { .. } => "There are too many streams of events",
            Self::NotReady { .. } => "The structure cannot be shown yet",
            Self::Ending => "The service ends",
        }
    }

    const fn what_to_do(&self) -> &'static str {
        match self {
            Self::Method { .. } => "use GET; changes are made over gRPC and by the operator's verbs",
            Self::UnknownPath { .. } => "see /v1/openapi.json for every path",
            Self::BadRequest { .. } => "see /v1/openapi.json for what is allowed",
            Self::UnknownStructure { .. } => "see /v1/structures for what is hosted",
            Self::UnknownList { .. } => "see the structure's lists; a stack's first join of a DVIPA makes its list",
            Self::UnknownConnector { .. } => "see the structure's connectors",
            Self::UnknownStack { .. } => "see the structure's profiles",
            Self::UnknownName { .. } => "see the structure's lists, connectors and profiles",
            Self::NoReports => "portplex serve has them",
            Self::Overloaded => "ask again in a second, and less often",
            Self::TooManyStreams { .. } => "close a stream, or poll instead",
            Self::NotReady { .. } => "ask again in a few seconds; if it stays so, look at the service's log",
            Self::Ending => "wait until the service is back, then ask again; its log says why it ended",
        }
    }
}

/// What a caller said, in a length that may be repeated.
pub(crate) fn echo(text: &str) -> String {
    text.chars().take(ECHO_MAX).collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = json!({
            "type": format!("urn:portplex:problem:{}", self.code()),
            "title": self.title(),
            "status": status.as_u16(),
            "detail": self.to_string(),
            "what_to_do": self.what_to_do(),
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
