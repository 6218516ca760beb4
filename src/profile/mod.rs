//! The profile: TCP/IP profile text in, what it says about ports out.
//!
//! [`parse`] never fails and never panics: whatever the bytes are, there is a [`Profile`] and a
//! list of [`Diagnostic`]s with line, column and a hint. Statements that do not concern ports are
//! known by name and skipped in silence. [`Profile::obey`] applies a further data set to the
//! profile of a running stack, each statement by its own merge rule; a profile prints
//! (`Display`) as text that parses to the same profile; [`advise`] says what is legal and still a
//! mistake, across all profiles of a sysplex.
#![forbid(unsafe_code)]

mod advice;
mod book;
mod config;
mod diagnostic;
mod distribute;
mod model;
mod parse;
mod ports;
mod print;
mod routes;
mod sample;
mod source;
mod sources;
mod srcip;
mod statements;
#[cfg(test)]
mod steps;
mod token;
mod undistribute;
mod vipa;
mod vipa_model;

pub use advice::{Advice, Asked, RseEnv, Rule, Subject, advise};
pub use book::RESERVATIONS_MAX;
pub use diagnostic::{Code, DIAGNOSTICS_MAX, Diagnostic, Severity};
pub use distribute::DISTRIBUTIONS_MAX;
pub use model::{
    EPHEMERAL_DEFAULT, ExplicitBind, Ip6Config, IpConfig, Mention, PortOptions, Profile, Reservation, Unreserved, User,
};
pub use routes::RANGES_MAX;
pub use sample::sample;
pub use source::LENGTH_MAX;
pub use sources::{Side, Source, SourceIp, SourceRule};
pub use undistribute::PARTIAL_DELETES_MAX;
pub use vipa::DVIPAS_MAX;
pub use vipa_model::{
    Destination, Destinations, DistMethod, Distribution, DvipaDefinition, Forwarding, Moveable, Part, Role,
    ServiceManager, Tier, Tuning, VipaRange, VipaRoute,
};

/// Reads a profile: what it says, and what its reader should know, in the order of the text. A
/// statement with an [`Severity::Error`] does not count, or not in full.
#[must_use]
pub fn parse(text: &[u8]) -> (Profile, Vec<Diagnostic>) {
    let (profile, diagnostics, _) = read(text, Profile::default(), 0);
    (profile, diagnostics)
}

impl Profile {
    /// Applies a data set as VARY TCPIP,,OBEYFILE does, and says what its reader should know. What
    /// the data set does not name stays. By statement:
    ///
    /// - VIPADEFINE and VIPABACKUP add a DVIPA or bring it up to date with its distribution kept; a
    ///   backup can become the owner, not the other way round, and mask and interface need
    ///   VIPADELETE first. VIPADISTRIBUTE adds or, with DELETE, takes away whole statements, some of
    ///   their ports, or some of their targets.
    /// - SYSPLEXPORTS cannot be switched while a DVIPA is distributed, and deletions count when the
    ///   data set ends: to switch it takes one data set that deletes and a second one that defines.
    /// - VIPARANGE, VIPAROUTE, PORT, PORTRANGE and PORT UNRSV add entries, replace the same ones, and
    ///   are deleted by name. SRCIP replaces the whole block.
    /// - IPCONFIG, IPCONFIG6, GLOBALCONFIG, TCPCONFIG, UDPCONFIG and VIPASMPARMS change the parameters
    ///   that are named; XCFGRPID cannot change while the stack runs.
    #[must_use]
    pub fn obey(&self, text: &[u8]) -> (Self, Vec<Diagnostic>) {
        let (profile, diagnostics, _) = read(text, self.clone(), self.data_sets.saturating_add(1));
        (profile, diagnostics)
    }
}

fn read(text: &[u8], base: Profile, data_set: u16) -> (Profile, Vec<Diagnostic>, u64) {
    let mut remarks = diagnostic::Remarks::default();
    let text = source::decode(text, &mut remarks);
    let (profile, remarks, steps) = parse::Parser::new(&text, remarks, base, data_set).run();
    (profile, remarks.finish(), steps)
}
