//! Rules that compare stacks: what must be the same on all, or at least be there.
#![forbid(unsafe_code)]

use super::{Advice, Rule, Subject, View, unique};
use crate::ident::Dvipa;
use crate::ident::PORTS_PER_GROUP;
use crate::ident::Transport;
use crate::profile::diagnostic::Severity;
use crate::profile::model::ExplicitBind;
use crate::profile::vipa_model::Role;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

impl View<'_> {
    pub(super) fn stacks(&self, advice: &mut Vec<Advice>) {
        self.sysplex_awareness(advice);
        self.few_ports(advice);
        self.ports_not_reserved(advice);
        if self.subjects.len() > 1 {
            self.sysplexports_differ(advice);
            self.no_backup(advice);
            self.explicit_bind_differs(advice);
            self.subplex_differs(advice);
        }
    }

    fn sysplexports_differ(&self, advice: &mut Vec<Advice>) {
        let mut stacks: BTreeMap<Dvipa, [Vec<&str>; 2]> = BTreeMap::new();
        for (subject, definition) in self.definitions().filter(|(_, found)| !found.distributions.is_empty()) {
            stacks.entry(definition.dvipa).or_default()[usize::from(definition.sysplexports)].push(subject.name);
        }
        for (dvipa, [without, with]) in stacks.iter().filter(|(_, lists)| lists.iter().all(|list| !list.is_empty())) {
            advice.push(Advice {
                rule: Rule::SysplexportsDiffer,
                severity: Severity::Error,
                profiles: unique(without.iter().chain(with).copied()),
                why: format!(
                    "{dvipa} is distributed with SYSPLEXPORTS by {} and without it by {}: the latter choose source \
                     ports of the DVIPA without asking anybody, and two connections can get the same 4-tuple; write \
                     SYSPLEXPORTS on the first VIPADISTRIBUTE for {dvipa} in every profile",
                    with.join(", "),
                    without.join(", ")
                ),
                source: "z/OS Communications Server IP Configuration Guide, \"SYSPLEXPORTS\"",
            });
        }
    }

    /// Every stack that distributes or is a target needs DYNAMICXCF and SYSPLEXROUTING.
    fn sysplex_awareness(&self, advice: &mut Vec<Advice>) {
        let versions: BTreeSet<bool> =
            self.distributions().map(|placed| placed.definition.dvipa.address().is_ipv4()).collect();
        for subject in self.subjects {
            let profile = subject.profile;
            for is_ipv4 in versions.iter().rev().filter(|is_ipv4| self.takes_part(subject, **is_ipv4)) {
                let (missing, statement) = match is_ipv4 {
                    true => (profile.ip.dynamic_xcf.is_none(), "IPCONFIG"),
                    false => (profile.ip6.dynamic_xcf.is_none(), "IPCONFIG6"),
                };
                if missing {
                    advice.push(Advice {
                        rule: Rule::NoDynamicXcf,
                        severity: Severity::Error,
                        profiles: vec![subject.name.to_owned()],
                        why: format!(
                            "{statement} has no DYNAMICXCF: without it the stack can neither distribute connections \
                             nor be a target of them; add DYNAMICXCF with an address of this stack"
                        ),
                        source: "IBM Explorer for z/OS, \"Distributed Dynamic VIPA\"; z/OS Communications Server IP \
                                 Configuration Guide, \"Dynamic XCF\"",
                    });
                }
            }
            if versions.iter().any(|is_ipv4| self.takes_part(subject, *is_ipv4)) && !profile.ip.sysplex_routing {
                advice.push(Advice {
                    rule: Rule::NoSysplexRouting,
                    severity: Severity::Warning,
                    profiles: vec![subject.name.to_owned()],
                    why: "IPCONFIG has no SYSPLEXROUTING: the stack is not aware of the sysplex, and its WLM weights \
                          and health are not known to the distributor; add SYSPLEXROUTING"
                        .to_owned(),
                    source: "IBM Explorer for z/OS, \"Distributed Dynamic VIPA\"",
                });
            }
        }
    }

    /// Whether a stack takes part in the distribution of one IP version: it has such a DVIPA, or is a
    /// target, or may be one, because it has no address that could be named and one is named that no
    /// known stack has.
    fn takes_part(&self, subject: &Subject<'_>, is_ipv4: bool) -> bool {
        let has = subject.profile.dvipas.iter().any(|found| found.dvipa.address().is_ipv4() == is_ipv4);
        let mut of_version =
            self.distributions().filter(|placed| placed.definition.dvipa.address().is_ipv4() == is_ipv4);
        has || of_version.any(|placed| {
            let mut to = placed.distribution.destinations.addresses();
            self.is_target(subject, placed.distribution) || to.any(|address| !self.is_known(address))
        })
    }

    fn no_backup(&self, advice: &mut Vec<Advice>) {
        let is_backup = |role| matches!(role, Role::Backup { .. });
        let backed_up: BTreeSet<Dvipa> =
            self.definitions().filter(|(_, found)| is_backup(found.role)).map(|(_, found)| found.dvipa).collect();
        for (subject, found) in self.definitions() {
            if found.role != Role::Define || backed_up.contains(&found.dvipa) {
                continue;
            }
            advice.push(Advice {
                rule: Rule::NoBackup,
                severity: Severity::Warning,
                profiles: vec![subject.name.to_owned()],
                why: format!(
                    "no stack has {0} as VIPABACKUP: when {1} fails the DVIPA is gone, and its targets give their \
                     ports back; add VIPABACKUP for {0} to another profile",
                    found.dvipa, subject.system
                ),
                source: "z/OS Communications Server SNA Network Implementation Guide, \"Failure of a TCP/IP stack\"",
            });
        }
    }

    fn explicit_bind_differs(&self, advice: &mut Vec<Advice>) {
        let shown = |range: ExplicitBind| match range {
            ExplicitBind::Range(range) => format!("{} {}", range.first, range.count),
            ExplicitBind::No | ExplicitBind::Unspecified => "none".to_owned(),
        };
        let ranges: Vec<String> = self.subjects.iter().map(|subject| shown(subject.profile.explicit_bind)).collect();
        if ranges.iter().all(|range| *range == ranges[0]) {
            return;
        }
        let each: Vec<String> =
            self.subjects.iter().zip(&ranges).map(|(subject, range)| format!("{}: {range}", subject.name)).collect();
        advice.push(Advice {
            rule: Rule::ExplicitBindDiffers,
            severity: Severity::Warning,
            profiles: self.names(),
            why: format!(
                "EXPLICITBINDPORTRANGE is not the same everywhere ({}): the one processed last anywhere in the \
                 sysplex is in force on all stacks; write the same range into every profile",
                each.join("; ")
            ),
            source: "z/OS Communications Server IP Configuration Guide, \"GLOBALCONFIG EXPLICITBINDPORTRANGE\"",
        });
    }

    fn subplex_differs(&self, advice: &mut Vec<Advice>) {
        let mut groups: BTreeMap<Option<u8>, Vec<&str>> = BTreeMap::new();
        let mut dvipas: BTreeMap<Option<u8>, BTreeSet<Dvipa>> = BTreeMap::new();
        for subject in self.subjects {
            let group = subject.profile.tcp_group;
            groups.entry(group).or_default().push(subject.name);
            dvipas.entry(group).or_default().extend(subject.profile.dvipas.iter().map(|found| found.dvipa));
        }
        if groups.len() < 2 {
            return;
        }
        let sets: Vec<&BTreeSet<Dvipa>> = dvipas.values().collect();
        let shared = sets
            .iter()
            .enumerate()
            .find_map(|(at, set)| sets[..at].iter().find_map(|other| set.intersection(other).next().copied()));
        let shown = |group: &Option<u8>| group.map_or_else(|| "none".to_owned(), |group| format!("{group:02}"));
        let each: Vec<String> =
            groups.iter().map(|(group, names)| format!("{}: {}", shown(group), names.join(", "))).collect();
        let (severity, consequence) = match shared {
            Some(dvipa) => (Severity::Error, format!("both sides have {dvipa}, with ports from different structures")),
            None => (Severity::Warning, "no DVIPA can move or be distributed between them".to_owned()),
        };
        advice.push(Advice {
            rule: Rule::SubplexDiffers,
            severity,
            profiles: self.names(),
            why: format!(
                "XCFGRPID is not the same everywhere ({}): stacks of different subplexes do not see each other; \
                 {consequence}; write one XCFGRPID, or check each subplex by itself",
                each.join("; ")
            ),
            source: "z/OS Communications Server IP Configuration Guide, \"Sysplex subplexing\"",
        });
    }

    /// Each stack takes whole groups: with fewer ports than that some stack gets none.
    fn few_ports(&self, advice: &mut Vec<Advice>) {
        let stacks = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
        let least = stacks.saturating_mul(u32::from(PORTS_PER_GROUP));
        let shared = self.definitions().any(|(_, found)| found.sysplexports);
        for subject in self.subjects.iter().filter(|_| shared) {
            let count = subject.profile.allowable(Transport::Tcp).count();
            if count < least {
                advice.push(few(
                    subject.name,
                    format!(
                        "EPHEMERALPORTS without reserved ports leaves {count} TCP ports, and {stacks} x \
                         {PORTS_PER_GROUP} = {least} are needed for one group on each stack; widen EPHEMERALPORTS or \
                         reserve less"
                    ),
                ));
            }
        }
        for subject in self.subjects {
            let ExplicitBind::Range(range) = subject.profile.explicit_bind else { continue };
            if u32::from(range.count) < least {
                let why = format!(
                    "EXPLICITBINDPORTRANGE {} {} has fewer than {stacks} x {PORTS_PER_GROUP} = {least} ports, one \
                     group for each stack; 128 for each are recommended",
                    range.first, range.count
                );
                advice.push(few(subject.name, why));
            }
        }
    }

    /// A distributed port that is not reserved for its job can go to anybody on a target.
    fn ports_not_reserved(&self, advice: &mut Vec<Advice>) {
        let mut missing: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for placed in self.distributions() {
            let first_ports = placed.distribution.ports.iter().flat_map(|(first, last)| *first..=*last);
            for port in first_ports.take(PORTS_LOOKED_AT) {
                let open = self.with_reserved().filter(|(subject, reserved)| {
                    !reserved.contains(port) && self.is_target(subject, placed.distribution)
                });
                missing.entry(port).or_default().extend(open.map(|(subject, _)| subject.name));
            }
        }
        let mut together: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (port, names) in missing.into_iter().filter(|(_, names)| !names.is_empty()) {
            together.entry(names.into_iter().map(str::to_owned).collect()).or_default().push(port.to_string());
        }
        for (profiles, ports) in together {
            advice.push(Advice {
                rule: Rule::PortNotReserved,
                severity: Severity::Warning,
                profiles,
                why: format!(
                    "distributed and not reserved for a job by PORT: {}; any program can take such a port, or get it \
                     as a source port, before the server does; add PORT, the port, TCP and the job name",
                    ports.join(", ")
                ),
                source: "z/OS Communications Server IP Configuration Reference, \"PORT statement\"",
            });
        }
    }
}

fn few(name: &str, why: String) -> Advice {
    let profiles = vec![name.to_owned()];
    Advice { rule: Rule::FewPorts, severity: Severity::Warning, profiles, why, source: SIZING }
}

const SIZING: &str = "z/OS Communications Server IP Diagnosis Guide, \"Steps for determining an optimal range for \
                      EXPLICITBINDPORTRANGE\"";

/// Ports of one statement that are looked at.
const PORTS_LOOKED_AT: usize = 1_024;
