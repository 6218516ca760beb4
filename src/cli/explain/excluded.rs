//! Which statements keep a port out of a stack's masks.
#![forbid(unsafe_code)]

use super::explanation::Cause;
use super::profiles::Named;
use crate::ident::Transport;
use crate::profile::ExplicitBind;
use crate::profile::Reservation;
use crate::profile::User;

/// Every statement of a profile that keeps `port` from being one of its stack's source ports: none
/// if it is allowable.
pub(super) fn exclusions(named: &Named, transport: Transport, port: u16) -> Vec<Cause> {
    let name = &named.name;
    let mut causes = Vec::new();
    if port == 0 {
        let text = format!("{name} never gets port 0: in a bind it stands for any port");
        causes.push(Cause::new("port-0", text));
    }
    let (first, last) = named.profile.ephemeral[transport.index()];
    if port != 0 && !(first..=last).contains(&port) {
        let source = named.source_at("EPHEMERALPORTS", named.profile.ephemeral_at[transport.index()]);
        let text = format!("{name} excludes it: EPHEMERALPORTS {first} {last} leaves it out ({})", source.place());
        causes.push(Cause::new("ephemeralports", text).from(source));
    }
    for reservation in reservations(named, transport, port) {
        let (code, statement) = kind(reservation);
        let source = named.source(statement, reservation.data_set, reservation.line);
        let text = format!("{name} excludes it: {} ({})", shown(reservation), source.place());
        causes.push(Cause::new(code, text).from(source));
    }
    if let (Transport::Tcp, ExplicitBind::Range(range)) = (transport, named.profile.explicit_bind)
        && (range.first..=range.first.saturating_add(range.count - 1)).contains(&port)
    {
        let source = named.source_at("EXPLICITBINDPORTRANGE", named.profile.explicit_bind_at);
        let (first, count, place) = (range.first, range.count, source.place());
        let text =
            format!("{name} excludes it: EXPLICITBINDPORTRANGE {first} {count} keeps it for bind(ANY, 0) ({place})");
        causes.push(Cause::new("explicitbindportrange", text).from(source));
    }
    causes
}

/// The PORT and PORTRANGE entries that reserve a port.
pub(super) fn reservations(named: &Named, transport: Transport, port: u16) -> impl Iterator<Item = &Reservation> {
    let of_port =
        move |entry: &&Reservation| entry.transport == transport && (entry.first..=entry.last).contains(&port);
    named.profile.reservations.iter().filter(of_port)
}

/// Its code and its statement.
pub(super) const fn kind(entry: &Reservation) -> (&'static str, &'static str) {
    if entry.from_range { ("portrange", "PORTRANGE") } else { ("port", "PORT") }
}

/// An entry in one line, as it was written.
pub(super) fn shown(entry: &Reservation) -> String {
    let transport = entry.transport.name().to_uppercase();
    let user = match &entry.user {
        User::Nobody => "RESERVED",
        User::AuthPort => "AUTHPORT",
        User::Job(job) => job,
    };
    match entry.from_range {
        true => format!("PORTRANGE {} {} {transport} {user}", entry.first, entry.last - entry.first + 1),
        false => format!("PORT {} {transport} {user}", entry.first),
    }
}

#[cfg(test)]
mod tests {
    use super::super::profiles::of_text;
    use super::*;

    const TEXT: &str = "GLOBALCONFIG EXPLICITBINDPORTRANGE 5000 10
TCPCONFIG EPHEMERALPORTS 4000 6000
UDPCONFIG
  EPHEMERALPORTS 7000 7999
PORT
  4035 TCP RSED
  4035 UDP RESERVED
PORTRANGE 4100 3 TCP AUTHPORT
  5005 1 TCP DB2*";

    #[test]
    fn every_statement_that_excludes_a_port_is_named_with_its_line() {
        let named = of_text("SYS1", TEXT);
        let told = |transport, port| {
            let causes = exclusions(&named, transport, port);
            causes.into_iter().map(|cause| cause.text).collect::<Vec<_>>()
        };
        let tcp = |port| told(Transport::Tcp, port);
        assert_eq!(tcp(4035), ["SYS1 excludes it: PORT 4035 TCP RSED (SYS1.profile:6)"]);
        assert_eq!(tcp(4102), ["SYS1 excludes it: PORTRANGE 4100 3 TCP AUTHPORT (SYS1.profile:8)"]);
        assert_eq!(
            tcp(5005),
            [
                "SYS1 excludes it: PORTRANGE 5005 1 TCP DB2* (SYS1.profile:9)",
                "SYS1 excludes it: EXPLICITBINDPORTRANGE 5000 10 keeps it for bind(ANY, 0) (SYS1.profile:1)",
            ]
        );
        assert_eq!(tcp(3999), ["SYS1 excludes it: EPHEMERALPORTS 4000 6000 leaves it out (SYS1.profile:2)"]);
        assert_eq!(tcp(0), ["SYS1 never gets port 0: in a bind it stands for any port"]);
        assert_eq!(
            told(Transport::Udp, 4035),
            [
                "SYS1 excludes it: EPHEMERALPORTS 7000 7999 leaves it out (SYS1.profile:4)",
                "SYS1 excludes it: PORT 4035 UDP RESERVED (SYS1.profile:7)",
            ]
        );
        let plain = of_text("SYS2", "");
        assert_eq!(
            exclusions(&plain, Transport::Tcp, 80)[0].text,
            "SYS2 excludes it: EPHEMERALPORTS 1024 65535 leaves it out (SYS2.profile, by default)"
        );
    }

    #[test]
    fn a_port_without_an_exclusion_is_allowable_and_no_other_one() {
        for named in [of_text("SYS1", TEXT), of_text("SYS2", "")] {
            for transport in Transport::ALL {
                let allowable = named.profile.allowable(transport);
                for port in 0..=u16::MAX {
                    let excluded = !exclusions(&named, transport, port).is_empty();
                    assert_eq!(excluded, !allowable.contains(port), "{} {transport} {port}", named.name);
                }
            }
        }
    }
}
