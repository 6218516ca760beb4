//! Rules of the z/OS Explorer pattern: a daemon on a distributed port, workers on ports of their own.
#![forbid(unsafe_code)]

use super::{Advice, EXPLORER, Placed, Rule, View, unique};
use crate::ident::Transport;
use crate::profile::diagnostic::Severity;
use crate::profile::model::Profile;
use crate::profile::model::Reservation;
use crate::profile::model::User;
use crate::profile::vipa_model::DistMethod;
use std::collections::BTreeMap;

/// Where JES Job Monitor listens (rse.env, `_RSE_JMON_PORT`).
const JOB_MONITOR_PORT: u16 = 6715;

impl<'a> View<'a> {
    pub(super) fn explorer(&self, advice: &mut Vec<Advice>) {
        self.serverwlm(advice);
        self.roundrobin(advice);
        self.daemon_without_sysplexports(advice);
        self.worker_ports_reserved(advice);
        self.job_monitor(advice);
    }

    /// Every VIPADISTRIBUTE that names the daemon's port.
    pub(super) fn of_daemon(&self) -> impl Iterator<Item = Placed<'a>> {
        let port = self.daemon_port;
        self.distributions().filter(move |placed| placed.distribution.names(port))
    }

    fn serverwlm(&self, advice: &mut Vec<Advice>) {
        let mut ports = vec![self.daemon_port];
        ports.extend(self.asked.worker_elsewhere.iter().filter(|port| **port != self.daemon_port));
        for port in ports {
            let hit = |placed: &Placed<'_>| {
                placed.distribution.method == DistMethod::ServerWlm && placed.distribution.names(port)
            };
            let profiles = unique(self.distributions().filter(hit).map(|placed| placed.subject.name));
            if profiles.is_empty() {
                continue;
            }
            advice.push(Advice {
                rule: Rule::ServerwlmDaemon,
                severity: Severity::Warning,
                profiles,
                why: format!(
                    "port {port} is distributed by SERVERWLM, but its listener hands the work to another address \
                     space: WLM's advice is about the listener and says nothing about who is busy; use BASEWLM, \
                     WEIGHTEDACTIVE or, with an odd number of systems or encrypted clients, ROUNDROBIN"
                ),
                source: EXPLORER,
            });
        }
    }

    /// Clients that try encryption first and come again without it use up two turns each time.
    fn roundrobin(&self, advice: &mut Vec<Advice>) {
        if self.asked.clients_encrypted == Some(true) {
            return;
        }
        let mut hits: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for placed in self.of_daemon().filter(|placed| placed.distribution.method == DistMethod::RoundRobin) {
            let Some(systems) = self.systems(placed.distribution) else { continue };
            if !systems.is_empty() && systems.len().is_multiple_of(2) {
                hits.entry(systems.len()).or_default().push(placed.subject.name);
            }
        }
        let unless = match self.asked.clients_encrypted {
            None => "; if all clients encrypt (--clients-encrypted yes) this is no problem",
            Some(_) => "",
        };
        for (count, names) in hits {
            advice.push(Advice {
                rule: Rule::RoundrobinEven,
                severity: Severity::Warning,
                profiles: unique(names.into_iter()),
                why: format!(
                    "port {} is distributed by ROUNDROBIN over {count} systems, an even number: a client that does \
                     not encrypt connects twice, so the first, third, … system gets the attempt that fails and all \
                     work goes to the others; encrypt, or use another method{unless}",
                    self.daemon_port
                ),
                source: EXPLORER,
            });
        }
    }

    fn daemon_without_sysplexports(&self, advice: &mut Vec<Advice>) {
        let hits = self.of_daemon().filter(|placed| !placed.definition.sysplexports);
        let mut dvipas: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for placed in hits {
            dvipas.entry(placed.definition.dvipa).or_default().push(placed.subject.name);
        }
        for (dvipa, names) in dvipas {
            advice.push(Advice {
                rule: Rule::DaemonWithoutSysplexports,
                severity: Severity::Error,
                profiles: unique(names.into_iter()),
                why: format!(
                    "port {} of {dvipa} is distributed without SYSPLEXPORTS: the daemon's workers bind ports that \
                     workers on other systems can have as well, and the client's second connection, to {dvipa} and \
                     that port, can reach the wrong system; write SYSPLEXPORTS on the first VIPADISTRIBUTE for it",
                    self.daemon_port
                ),
                source: EXPLORER,
            });
        }
    }

    /// Source ports of a SYSPLEXPORTS DVIPA never are reserved ports, so reserving some for the
    /// workers only takes them away.
    fn worker_ports_reserved(&self, advice: &mut Vec<Advice>) {
        let way_round = self.way_round();
        let in_way_round = |port| way_round.iter().any(|(first, last)| (*first..=*last).contains(&port));
        for subject in self.subjects {
            let shared =
                |placed: &Placed<'_>| placed.definition.sysplexports && self.is_target(subject, placed.distribution);
            let dvipas: Vec<_> = self.distributions().filter(shared).map(|placed| placed.definition).collect();
            if dvipas.is_empty() {
                continue;
            }
            let has_daemon = self.of_daemon().any(|placed| shared(&placed));
            let jobs = if has_daemon { subject.profile.jobs_of(self.daemon_port) } else { Vec::new() };
            let distributed = |entry: &Reservation| {
                dvipas.iter().any(|found| found.distributes(entry.first)) || entry.first == self.daemon_port
            };
            let (low, high) = subject.profile.ephemeral[Transport::Tcp.index()];
            let bound = |entry: &Reservation| dvipas.iter().any(|found| Some(found.dvipa.address()) == entry.bind);
            let hits = subject.profile.reservations.iter().filter(|entry| {
                entry.transport == Transport::Tcp
                    && entry.first <= high
                    && entry.last >= low
                    && !distributed(entry)
                    && !(entry.first..=entry.last).all(&in_way_round)
                    && (bound(entry) || of_jobs(entry, &jobs))
            });
            let ports: Vec<String> = hits.map(shown).collect();
            if ports.is_empty() {
                continue;
            }
            advice.push(Advice {
                rule: Rule::WorkerPortsReserved,
                severity: Severity::Warning,
                profiles: vec![subject.name.to_owned()],
                why: format!(
                    "{} reserved, but connections of a SYSPLEXPORTS DVIPA get their ports from the structure, which \
                     never gives a reserved one: remove the reservation; if a firewall needs known ports, narrow \
                     EPHEMERALPORTS, or give each system a disjoint _RSE_PORTRANGE and reserve all of them on all",
                    ports.join(", ")
                ),
                source: EXPLORER,
            });
        }
    }

    fn job_monitor(&self, advice: &mut Vec<Advice>) {
        let hits = self.distributions().filter(|placed| placed.distribution.names(JOB_MONITOR_PORT));
        let profiles = unique(hits.map(|placed| placed.subject.name));
        if !profiles.is_empty() {
            advice.push(Advice {
                rule: Rule::JesJobMonitor,
                severity: Severity::Warning,
                profiles,
                why: format!(
                    "port {JOB_MONITOR_PORT} (JES Job Monitor) is distributed and need not be: only the RSE of the \
                     same system talks to it; take it out of VIPADISTRIBUTE"
                ),
                source: EXPLORER,
            });
        }
    }
}

impl Profile {
    /// The jobs that a TCP port is reserved for.
    fn jobs_of(&self, port: u16) -> Vec<&str> {
        let of_port =
            |entry: &&Reservation| entry.transport == Transport::Tcp && (entry.first..=entry.last).contains(&port);
        self.reservations.iter().filter(of_port).filter_map(job_of).collect()
    }
}

fn job_of(entry: &Reservation) -> Option<&str> {
    match &entry.user {
        User::Job(name) => Some(name),
        User::Nobody | User::AuthPort => None,
    }
}

/// Whether an entry is for one of these jobs, and not for everybody.
fn of_jobs(entry: &Reservation, jobs: &[&str]) -> bool {
    let Some(name) = job_of(entry) else { return false };
    name != "*" && jobs.iter().any(|job| *job != "*" && patterns_meet(name, job))
}

fn patterns_meet(a: &str, b: &str) -> bool {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (None, None) => a == b,
        (Some(stem), None) => b.starts_with(stem),
        (None, Some(stem)) => a.starts_with(stem),
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
    }
}

fn shown(entry: &Reservation) -> String {
    let user = job_of(entry).unwrap_or("nobody");
    match entry.first == entry.last {
        true => format!("port {} is (for {user})", entry.first),
        false => format!("ports {} to {} are (for {user})", entry.first, entry.last),
    }
}
