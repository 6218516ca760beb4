//! The profile: TCP/IP profile text in, what it says about ports out.
//!
//! [`parse`] never fails and never panics: whatever the bytes are, there is a [`Profile`] and a
//! list of [`Diagnostic`]s with line, column and a hint. Statements that do not concern ports are
//! known by name and skipped in silence.
#![forbid(unsafe_code)]

mod diagnostic;
mod model;

pub use diagnostic::{Code, Diagnostic, Severity};
pub use model::{
    Destination, Destinations, DistMethod, Distribution, DvipaDefinition, EPHEMERAL_DEFAULT, ExplicitBind, IpConfig,
    Moveable, Part, Profile, Reservation, Role, User,
};

/// Reads a profile.
#[must_use]
pub fn parse(_text: &[u8]) -> (Profile, Vec<Diagnostic>) {
    (Profile::default(), Vec::new())
}

/// The sample sysplex: three stacks' names and profiles, one SYSPLEXPORTS DVIPA.
#[must_use]
pub fn sample() -> [(&'static str, &'static str); 3] {
    [("SYS1.TCPIP", ""), ("SYS2.TCPIP", ""), ("SYS3.TCPIP", "")]
}
