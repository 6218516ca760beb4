//! How many ports a profile allows, and which statements take how many away.
#![forbid(unsafe_code)]

use super::explanation::Cause;
use super::profiles::Named;
use crate::cli::size::counted;
use crate::ident::PortSet;
use crate::ident::Transport;
use crate::profile::ExplicitBind;

/// What a profile says of SYSPLEXPORTS and of TCP ports.
pub(super) fn of_profile(named: &Named) -> Vec<Cause> {
    let mut causes = Vec::new();
    if named.profile.sysplexports().next().is_none() {
        let text = format!("No DVIPA of {} has SYSPLEXPORTS: its stack never connects to the structure.", named.file());
        causes.push(Cause::new("no-sysplexports", text));
    }
    for definition in named.profile.sysplexports() {
        let found = definition.distributions.first();
        let (data_set, line) = found.map_or((definition.data_set, definition.line), |d| (d.data_set, d.line));
        let source = named.source("VIPADISTRIBUTE", data_set, line);
        let text = format!("Its profile gives {} SYSPLEXPORTS ({}).", definition.dvipa, source.place());
        causes.push(Cause::new("sysplexports", text).from(source));
    }
    causes.extend(of_transport(named, Transport::Tcp));
    causes
}

/// EPHEMERALPORTS, and what PORT, PORTRANGE and EXPLICITBINDPORTRANGE take of it.
pub(super) fn of_transport(named: &Named, transport: Transport) -> Vec<Cause> {
    let allowed = named.profile.allowable(transport).count();
    let (first, last) = named.profile.ephemeral[transport.index()];
    let source = named.source_at("EPHEMERALPORTS", named.profile.ephemeral_at[transport.index()]);
    let mut taken = Vec::new();
    let (mut reserved, mut entries) = (PortSet::empty(), 0);
    for entry in named.profile.reservations.iter().filter(|entry| entry.transport == transport) {
        let (from, to) = (entry.first.max(first), entry.last.min(last));
        if from <= to {
            reserved.insert_range(from, to);
            entries += 1;
        }
    }
    if entries > 0 {
        let count = counted(reserved.count(), "port");
        taken.push(format!(
            "PORT and PORTRANGE take {count} in {}",
            if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
        ));
    }
    if let (Transport::Tcp, ExplicitBind::Range(range)) = (transport, named.profile.explicit_bind) {
        taken.push(format!("EXPLICITBINDPORTRANGE {} {} keeps its own", range.first, range.count));
    }
    let less = if taken.is_empty() { "nothing is taken from it".to_owned() } else { taken.join(", ") };
    let text = format!(
        "Its profile allows {} {} ports: EPHEMERALPORTS {first} {last} ({}), {less}.",
        allowed,
        transport.name().to_uppercase(),
        source.place()
    );
    vec![Cause::new("allowable", text).from(source)]
}
