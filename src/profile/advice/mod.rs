//! The advisor: what is legal in a profile and still a mistake.
//!
//! It sees one profile or all those of a sysplex, the environment files of the RSE daemons, and what
//! cannot be read from files and was asked. Each piece of advice has a rule, says why, and names the
//! text that says so. Pure: values in, values out.
#![forbid(unsafe_code)]

mod explorer;
mod portrange;
mod rse;
mod rse_env;
mod stacks;

pub use rse_env::RseEnv;

use super::diagnostic::Severity;
use super::model::Profile;
use super::model::Reservation;
use super::model::User;
use super::vipa_model::Destinations;
use super::vipa_model::Distribution;
use super::vipa_model::DvipaDefinition;
use crate::ident::PortSet;
use crate::ident::Transport;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One stack's profile, with the names that advice calls it by.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What advice calls the profile: its file.
    pub name: &'a str,
    /// The system that the stack runs on: ROUNDROBIN counts systems.
    pub system: &'a str,
    /// The profile.
    pub profile: &'a Profile,
}

/// What cannot be read from files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The port of the RSE daemon; where nobody said, that of the environment file, else 4035.
    pub daemon_port: Option<u16>,
    /// Whether clients encrypt: those that do not connect twice each time.
    pub clients_encrypted: Option<bool>,
    /// Further ports whose listener hands the work to another address space.
    pub worker_elsewhere: Vec<u16>,
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What kind it is: programs compare this.
    pub rule: Rule,
    /// Error: it will not work. Warning: it works badly, or for some. Note: something to check.
    pub severity: Severity,
    /// The profiles or environment files that it is about.
    pub profiles: Vec<String>,
    /// What is so, why that is bad, what to do.
    pub why: String,
    /// The text that says so.
    pub source: &'static str,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The same DVIPA with and without SYSPLEXPORTS.
    SysplexportsDiffer,
    /// A stack that takes part in distribution without DYNAMICXCF.
    NoDynamicXcf,
    /// A stack that takes part in distribution without SYSPLEXROUTING.
    NoSysplexRouting,
    /// A DVIPA that no other stack backs up.
    NoBackup,
    /// EXPLICITBINDPORTRANGE that differs: the one processed last wins.
    ExplicitBindDiffers,
    /// XCFGRPID that differs: those stacks do not see each other.
    SubplexDiffers,
    /// Fewer ports than one group for each stack.
    FewPorts,
    /// SERVERWLM where the work is done in another address space.
    ServerwlmDaemon,
    /// ROUNDROBIN over an even number of systems, and clients that connect twice.
    RoundrobinEven,
    /// The daemon's port on a DVIPA without SYSPLEXPORTS.
    DaemonWithoutSysplexports,
    /// Ports reserved for connections that get theirs from SYSPLEXPORTS.
    WorkerPortsReserved,
    /// A distributed port that is not reserved for a job.
    PortNotReserved,
    /// The port of JES Job Monitor is distributed.
    JesJobMonitor,
    /// `enable.dDVIPA` is off.
    RseDdvipaOff,
    /// `deny.nonzero.port` is off.
    RseNonzeroPort,
    /// `_RSE_PORTRANGE` with SYSPLEXPORTS.
    RsePortrange,
    /// `_RSE_PORTRANGE` of two systems overlap.
    RsePortrangeOverlap,
    /// `_RSE_PORTRANGE` is not reserved on all systems.
    RsePortrangeUnreserved,
    /// Directories that must be shared are not the same.
    RseDirectoriesShared,
    /// Directories that must be unique are the same.
    RseDirectoriesUnique,
    /// Other settings differ.
    RseSetupDiffers,
}

impl Rule {
    /// Name in kebab case, as programs see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SysplexportsDiffer => "sysplexports-differ",
            Self::NoDynamicXcf => "no-dynamicxcf",
            Self::NoSysplexRouting => "no-sysplexrouting",
            Self::NoBackup => "no-backup",
            Self::ExplicitBindDiffers => "explicit-bind-differs",
            Self::SubplexDiffers => "subplex-differs",
            Self::FewPorts => "few-ports",
            Self::ServerwlmDaemon => "serverwlm-daemon",
            Self::RoundrobinEven => "roundrobin-even",
            Self::DaemonWithoutSysplexports => "daemon-without-sysplexports",
            Self::WorkerPortsReserved => "worker-ports-reserved",
            Self::PortNotReserved => "port-not-reserved",
            Self::JesJobMonitor => "jes-job-monitor",
            Self::RseDdvipaOff => "rse-ddvipa-off",
            Self::RseNonzeroPort => "rse-nonzero-port",
            Self::RsePortrange => "rse-portrange",
            Self::RsePortrangeOverlap => "rse-portrange-overlap",
            Self::RsePortrangeUnreserved => "rse-portrange-unreserved",
            Self::RseDirectoriesShared => "rse-directories-shared",
            Self::RseDirectoriesUnique => "rse-directories-unique",
            Self::RseSetupDiffers => "rse-setup-differs",
        }
    }
}

/// Advice on the profiles of a sysplex: errors first, then by rule. Rules that compare stacks need at
/// least two profiles.
#[must_use]
pub fn advise(subjects: &[Subject<'_>], environments: &[RseEnv], asked: &Asked) -> Vec<Advice> {
    let daemon_port = asked.daemon_port.or_else(|| environments.iter().find_map(RseEnv::daemon_port));
    let reserved = subjects.iter().map(|subject| reserved_for_jobs(subject.profile)).collect();
    let view = View { subjects, reserved, environments, asked, daemon_port: daemon_port.unwrap_or(DAEMON_PORT) };
    let mut advice = Vec::new();
    view.stacks(&mut advice);
    view.explorer(&mut advice);
    view.rse(&mut advice);
    advice.sort_by(|a, b| (b.severity, a.rule, &a.profiles).cmp(&(a.severity, b.rule, &b.profiles)));
    advice
}

const DAEMON_PORT: u16 = 4035;

const EXPLORER: &str = "IBM Explorer for z/OS, \"Distributed Dynamic VIPA\"";

/// All that the rules see.
struct View<'a> {
    subjects: &'a [Subject<'a>],
    /// By subject: TCP ports that PORT or PORTRANGE reserves for a job.
    reserved: Vec<PortSet>,
    environments: &'a [RseEnv],
    asked: &'a Asked,
    daemon_port: u16,
}

/// One VIPADISTRIBUTE, and whose.
#[derive(Clone, Copy)]
struct Placed<'a> {
    subject: &'a Subject<'a>,
    definition: &'a DvipaDefinition,
    distribution: &'a Distribution,
}

impl<'a> View<'a> {
    fn definitions(&self) -> impl Iterator<Item = (&'a Subject<'a>, &'a DvipaDefinition)> {
        self.subjects.iter().flat_map(|subject| subject.profile.dvipas.iter().map(move |found| (subject, found)))
    }

    fn distributions(&self) -> impl Iterator<Item = Placed<'a>> {
        self.definitions().flat_map(|(subject, definition)| {
            let placed = move |distribution| Placed { subject, definition, distribution };
            definition.distributions.iter().map(placed)
        })
    }

    /// The systems that a distribution goes to: `None` if ALL was written and only one profile is
    /// known.
    fn systems(&self, distribution: &Distribution) -> Option<BTreeSet<String>> {
        match &distribution.destinations {
            Destinations::All if self.subjects.len() < 2 => None,
            Destinations::All => Some(self.subjects.iter().map(|subject| subject.system.to_owned()).collect()),
            Destinations::Some(_) => Some(distribution.destinations.addresses().map(|at| self.system_of(at)).collect()),
        }
    }

    /// The system whose stack has this dynamic XCF address, else the address.
    fn system_of(&self, address: IpAddr) -> String {
        let has = |subject: &&Subject<'_>| own_addresses(subject.profile).any(|own| own == address);
        self.subjects.iter().find(has).map_or_else(|| address.to_string(), |subject| subject.system.to_owned())
    }

    /// Whether a known stack has this dynamic XCF address.
    fn is_known(&self, address: IpAddr) -> bool {
        self.subjects.iter().any(|subject| own_addresses(subject.profile).any(|own| own == address))
    }

    /// Whether a stack is a target of a distribution, as far as can be known.
    fn is_target(&self, subject: &Subject<'_>, distribution: &Distribution) -> bool {
        match &distribution.destinations {
            Destinations::All => true,
            Destinations::Some(_) => {
                own_addresses(subject.profile).any(|own| distribution.destinations.addresses().any(|to| to == own))
            }
        }
    }

    /// The subjects with the TCP ports that they reserve for jobs.
    fn with_reserved(&self) -> impl Iterator<Item = (&'a Subject<'a>, &PortSet)> {
        self.subjects.iter().zip(&self.reserved)
    }

    fn names(&self) -> Vec<String> {
        self.subjects.iter().map(|subject| subject.name.to_owned()).collect()
    }
}

fn reserved_for_jobs(profile: &Profile) -> PortSet {
    let mut ports = PortSet::empty();
    let of_job = |entry: &&Reservation| entry.transport == Transport::Tcp && matches!(entry.user, User::Job(_));
    for entry in profile.reservations.iter().filter(of_job) {
        ports.insert_range(entry.first, entry.last);
    }
    ports
}

fn own_addresses(profile: &Profile) -> impl Iterator<Item = IpAddr> {
    profile.ip.dynamic_xcf.into_iter().chain(profile.ip6.dynamic_xcf.map(IpAddr::V6))
}

/// Names once each, in their order.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}
