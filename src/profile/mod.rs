//! The profile: TCP/IP profile text in, what it says about ports out.
//!
//! [`parse`] never fails and never panics: whatever the bytes are, there is a [`Profile`] and a
//! list of [`Diagnostic`]s with line, column and a hint. Statements that do not concern ports are
//! known by name and skipped in silence.
#![forbid(unsafe_code)]

mod config;
mod diagnostic;
mod distribute;
mod model;
mod parse;
mod ports;
mod sample;
mod source;
mod token;
mod vipa;

pub use diagnostic::{Code, DIAGNOSTICS_MAX, Diagnostic, Severity};
pub use distribute::DISTRIBUTIONS_MAX;
pub use model::{
    Destination, Destinations, DistMethod, Distribution, DvipaDefinition, EPHEMERAL_DEFAULT, ExplicitBind, IpConfig,
    Moveable, Part, Profile, Reservation, Role, User,
};
pub use ports::RESERVATIONS_MAX;
pub use sample::sample;
pub use source::LENGTH_MAX;
pub use vipa::DVIPAS_MAX;

/// Reads a profile: what it says, and what its reader should know, in the order of the text. A
/// statement with an [`Severity::Error`] does not count, or not in full.
#[must_use]
pub fn parse(text: &[u8]) -> (Profile, Vec<Diagnostic>) {
    let mut remarks = diagnostic::Remarks::default();
    let text = source::decode(text, &mut remarks);
    let (profile, remarks) = parse::Parser::new(&text, remarks).run();
    (profile, remarks.finish())
}
