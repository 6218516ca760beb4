//! Every key: its section, what it is for, how it is set and shown, whether a reload takes it.
#![forbid(unsafe_code)]

use super::did_you_mean;
use super::nearest;
use super::settings::Config;
use super::settings::StructureConfig;
use super::value::Setting;
use super::value::Value;
use crate::api::Door;
use crate::api::access::UidMap;
use crate::cli::size;
use std::time::Duration;

/// A key of `T`.
pub(super) struct Key<T> {
    /// Its section; empty above all sections.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// What it is for, in lines of a comment.
    pub(super) about: &'static str,
    /// Whether a running service takes it over.
    pub(super) reload: bool,
    set: fn(&mut T, &Value) -> Result<(), String>,
    pub(super) copy: fn(&mut T, &T),
    pub(super) show: fn(&T) -> String,
}

macro_rules! key {
    ($section:literal, $name:literal, $($field:ident).+, $about:expr) => {
        key!($section, $name, $($field).+, $about, reload: false)
    };
    ($section:literal, $name:literal, $($field:ident).+, $about:expr, reload: $reload:expr) => {
        Key {
            section: $section,
            name: $name,
            about: $about,
            reload: $reload,
            set: |to, value| {
                to.$($field).+ = Setting::read(value)?;
                Ok(())
            },
            copy: |to, of| to.$($field).+.clone_from(&of.$($field).+),
            show: |of| of.$($field).+.show(),
        }
    };
}

/// A limit of `api::Limits`: a new one there is one line here.
macro_rules! limit {
    ($name:ident, $about:expr) => {
        Key {
            section: "limits",
            name: stringify!($name),
            about: $about,
            reload: true,
            set: |to, value| {
                to.limits.$name = Setting::read(value)?;
                Ok(())
            },
            copy: |to, of| to.limits.$name = of.limits.$name,
            show: |of| of.limits.$name.show(),
        }
    };
}

/// What is set once for the service.
pub(super) const SERVICE: &[Key<Config>] = &[
    key!(
        "",
        "listen",
        listen,
        "Where it listens: \"http://ADDRESS:PORT\" (loopback only), \"https://ADDRESS:PORT\" (mutual TLS: see\n[tls]), \"unix:PATH\". Port 0 is one that is free."
    ),
    key!(
        "",
        "init",
        init,
        "Make a store where a directory has none. Off, so that an unmounted volume is never a new store."
    ),
    key!(
        "",
        "lease",
        lease,
        "The lease that stacks are asked to promise, unless they are told another; \"0s\" for none.",
        reload: true
    ),
    key!("log", "level", log_level, "off, error, warn, info, debug or trace.", reload: true),
    key!("log", "format", log_format, "text or json: one line per event, on standard error."),
    key!(
        "tls",
        "certificate",
        tls_certificate,
        "The service's certificate, PEM, with those between it and its CA. An https door needs it."
    ),
    key!("tls", "key", tls_key, "Its private key, PEM."),
    key!("tls", "client_ca", tls_client_ca, "The CAs whose client certificates are believed, PEM."),
    key!("tls", "revoked", tls_revoked, "Revocation lists of those CAs, PEM."),
    key!(
        "access",
        "uids",
        uids,
        "Who may use the unix sockets beside root and the service's own uid, which are operators:\n\"1000=operator\", \"1001=stack:SYS1.TCPIP\", \"1002=read-only\"."
    ),
    key!("access", "loopback", loopback, "What plain TCP on loopback may do: stack, operator or read-only."),
    limit!(connections_max, "Most connections; one more is closed as soon as it is made."),
    limit!(connections_per_peer_max, "Most connections of one address (at https doors) or uid (at unix sockets)."),
    limit!(calls_per_connection_max, "Most calls at a time on one connection; more wait for those."),
    limit!(streams_max, "Most streams of stacks; one more is refused."),
    limit!(in_flight_max, "Most calls without an answer per stream; one more is refused Overloaded."),
    limit!(watchers_max, "Most watchers; one more is refused."),
    limit!(call_bytes_max, "Most bytes of a single call or HTTP body: 4,096 and more."),
    limit!(stream_call_bytes_max, "Most bytes of one message on a stack's stream; the longest legal one has 262,018."),
    limit!(silence_max, "How long a connection may be silent at its beginning."),
    limit!(handshake_max, "How long the handshake of TLS may take."),
    limit!(head_max, "How long the head of an HTTP/1 request may take, and a connection rest between two."),
    limit!(write_max, "How long a peer may take none of what is to be written to it."),
    limit!(connection_age_max, "How old a connection may become before it has to come again; \"0s\" for any age."),
    limit!(age_grace, "How long an aged connection may need for its last answers."),
    limit!(attaches_per_minute, "How often one stack may attach in a minute; 0 for no limit."),
    limit!(attaches_per_minute_total, "The same for all stacks together."),
    limit!(groups_per_second, "How many groups one stack may ask for in a second; 0 for no limit."),
    limit!(groups_per_second_total, "The same for all stacks together."),
];

/// What is set for all structures, and may be set for each.
pub(super) const STRUCTURE: &[Key<StructureConfig>] = &[
    key!(
        "store",
        "queue_length",
        queue_length,
        "Most requests that may wait; one more is refused Overloaded. 1 to 65,536.",
        reload: true
    ),
    key!(
        "store",
        "segment_size",
        segment_size,
        "Size of the log's files in a new store: 16KiB to 1GiB, a multiple of 4KiB."
    ),
    key!(
        "store",
        "quarantine",
        quarantine,
        "How long a released port is held back from other stacks, where a list's policy\nsays nothing: 1s to 24h."
    ),
    key!("store", "checkpoint_log", checkpoint_log, "A checkpoint is made after so much log …", reload: true),
    key!("store", "checkpoint_interval", checkpoint_interval, "… or after so long with changes.", reload: true),
    key!(
        "store",
        "history_log",
        history_log,
        "Log that no recovery needs any more is packed once so much of it waits: 1MiB and more.",
        reload: true
    ),
    key!("store", "history_age", history_age, "How long the log is kept for `portplex who`, …", reload: true),
    key!("store", "history_size", history_size, "… and how much of it; whichever limit is met first.", reload: true),
    key!(
        "store",
        "history_full",
        history_full,
        "On a full disk history may go before its time (yield) or must not (keep).",
        reload: true
    ),
    key!(
        "store",
        "after_power_loss",
        after_power_loss,
        "When the machine went down and the last frame may be lost: wait until every stack\nhas attached again, or serve at once."
    ),
    key!(
        "store",
        "allow_network_fs",
        allow_network_fs,
        "Serve from a network file system too: neither its locks nor its syncs are to be\nrelied on."
    ),
    key!("policy", "quota", policy_quota, "Most ports that one stack may hold in a list; 0 for no limit.", reload: true),
    key!(
        "policy",
        "reserve",
        policy_reserve,
        "Free groups of 64 ports that a stack which already holds one may not take: 0 to 1,024.",
        reload: true
    ),
    key!(
        "policy",
        "quarantine",
        policy_quarantine,
        "Quarantine of that list: 1s to 24h; \"0s\" for store.quarantine.",
        reload: true
    ),
];

/// What makes a structure that structure.
pub(super) const PLACE: &[Key<StructureConfig>] = &[
    key!(
        "structure",
        "name",
        name,
        "Its name: EZBEPORT, EZBEPORTvv, EZBEPORT01tt or EZBEPORTvvtt. Empty: whatever the store\nholds; a new one is EZBEPORT."
    ),
    key!("structure", "data", data, "The directory of its store."),
    key!("structure", "optional", optional, "Whether the service starts without it if it cannot be opened."),
    key!(
        "structure",
        "profiles",
        profiles,
        "Profiles of its stacks, for /v1 alone: \"FILE\", or \"SYS1.TCPIP=FILE\" of the stack with that name.",
        reload: true
    ),
];

/// Such as `limits.connections_max`.
pub(super) fn full<T>(key: &Key<T>) -> String {
    if key.section.is_empty() { key.name.to_owned() } else { format!("{}.{}", key.section, key.name) }
}

/// How a structure's own table names a key of all structures: `quarantine`, `policy_quota`.
fn own<T>(key: &Key<T>) -> String {
    if key.section == "policy" { full(key).replace('.', "_") } else { key.name.to_owned() }
}

/// Every key by its full name.
pub(super) fn all() -> impl Iterator<Item = String> {
    SERVICE.iter().map(full).chain(STRUCTURE.iter().chain(PLACE).map(full))
}

/// Sets a key of the service, or one for all structures.
pub(super) fn set(config: &mut Config, name: &str, value: &Value) -> Result<(), String> {
    let wrong = |error| format!("{name}: {error}");
    if let Some(key) = SERVICE.iter().find(|key| full(key) == name) {
        return (key.set)(config, value).map_err(wrong);
    }
    if let Some(key) = STRUCTURE.iter().chain(PLACE).find(|key| full(key) == name) {
        return (key.set)(&mut config.common, value).map_err(wrong);
    }
    Err(format!("{name} is no key{}", did_you_mean(&nearest(name, all()))))
}

/// Sets a key of one structure.
pub(super) fn set_structure(structure: &mut StructureConfig, name: &str, value: &Value) -> Result<(), String> {
    let keys = || PLACE.iter().map(|key| (key.name.to_owned(), key)).chain(STRUCTURE.iter().map(|key| (own(key), key)));
    match keys().find(|(own, _)| own == name) {
        Some((_, key)) => (key.set)(structure, value).map_err(|error| format!("{name}: {error}")),
        None => {
            let near = nearest(name, keys().map(|(own, _)| own));
            Err(format!("{name} is no key of a structure{}", did_you_mean(&near)))
        }
    }
}

/// What one key cannot say alone.
pub(super) fn check(config: &Config) -> Result<(), String> {
    let limits = &config.limits;
    let counts = [
        ("limits.connections_max", limits.connections_max, 1),
        ("limits.connections_per_peer_max", limits.connections_per_peer_max, 1),
        ("limits.calls_per_connection_max", limits.calls_per_connection_max as usize, 1),
        ("limits.streams_max", limits.streams_max, 1),
        ("limits.in_flight_max", limits.in_flight_max as usize, 1),
        ("limits.call_bytes_max", limits.call_bytes_max, 4_096),
        ("limits.stream_call_bytes_max", limits.stream_call_bytes_max, 4_096),
    ];
    if let Some((name, count, least)) = counts.iter().find(|(_, count, least)| count < least) {
        return Err(format!("{name} is {count}: nobody could work with less than {least}"));
    }
    for row in &config.uids {
        UidMap::none().allow_row(row).map_err(|error| format!("access.uids: {error}"))?;
    }
    let files = [&config.tls_certificate, &config.tls_key, &config.tls_client_ca];
    let given = files.iter().filter(|file| file.is_some()).count();
    if given != 0 && given != files.len() {
        return Err(
            "tls.certificate, tls.key and tls.client_ca (--tls-cert, --tls-key, --tls-client-ca) belong together"
                .to_owned(),
        );
    }
    for door in &config.listen {
        match door {
            Door::Tls(_) if given == 0 => {
                return Err(format!(
                    "{door} needs certificates: tls.certificate, tls.key and tls.client_ca; `portplex cert` makes some"
                ));
            }
            Door::TlsName { .. } => return Err(format!("{door}: a service listens at an address, not at a name")),
            _ => {}
        }
    }
    if config.listen.is_empty() {
        return Err("listen is empty: nobody could call".to_owned());
    }
    let second = Duration::from_secs(1);
    for structure in &config.structures {
        let of = structure.data.display();
        size::parse_segment_size(&structure.segment_size.0.to_string())
            .map_err(|error| format!("{of}: segment_size: {error}"))?;
        if structure.queue_length == 0 || structure.queue_length > crate::facility::QUEUE_LENGTH_MAX {
            return Err(format!("{of}: queue_length is 1 to {}", crate::facility::QUEUE_LENGTH_MAX));
        }
        if structure.quarantine < second || structure.quarantine > 86_400 * second {
            return Err(format!("{of}: quarantine is 1s to 24h"));
        }
        if structure.history_log.0 < 1 << 20 {
            return Err(format!("{of}: history_log is 1MiB and more: smaller packs are many files for nothing"));
        }
        if !structure.policy().is_valid() {
            return Err(format!("{of}: a policy has a quarantine of 0s or 1s to 24h, and a reserve of 0 to 1,024"));
        }
    }
    let mut places: Vec<_> = config.structures.iter().map(|structure| &structure.data).collect();
    places.sort();
    if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{}: two structures are to be in one directory; each has its own", twice[0].display()));
    }
    let mut names: Vec<_> =
        config.structures.iter().filter_map(|structure| structure.name).map(|name| name.to_string()).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{}: two structures have this name", twice[0]));
    }
    Ok(())
}
