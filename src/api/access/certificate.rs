//! What a certificate says: whose it is, for which role, and until when.
//!
//! The role and the name stand in the subject alternative names, as a URI `portplex://ROLE/NAME`:
//! `portplex://stack/SYS1.TCPIP`, `portplex://operator/ALICE`, `portplex://read-only/PROMETHEUS`. A
//! character that a URI cannot have is written `%` and two hex digits (`#` is `%23`). A certificate
//! without such a URI and with exactly one DNS name is a stack's, of that name. The common name counts
//! for nothing. Whether the certificate is to be believed is not looked at here.
#![forbid(unsafe_code)]

use super::Role;
use crate::ident::ConnectorName;
use crate::ident::NameError;
use std::fmt;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

const SCHEME: &str = "portplex://";
/// Most characters that are repeated of what a peer sent.
const ECHO_MAX: usize = 128;
/// Most names that are repeated.
const NAMES_MAX: usize = 4;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Every subject alternative name, or the subject where there is none: for people.
    pub names: String,
    /// Its role and name, as a client's certificate.
    pub role: Result<(Role, ConnectorName), NoRole>,
    /// Valid from then on, seconds since 1970-01-01 UTC.
    pub not_before: i64,
    /// Valid until then, seconds since 1970-01-01 UTC.
    pub not_after: i64,
}

/// Why a certificate gives no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRole {
    /// It is no certificate that can be read.
    #[error("it is no X.509 certificate")]
    Unreadable,
    /// It is for services.
    #[error("it is not one of a client: its extended key usage has no client authentication")]
    NotAClient,
    /// Neither URI nor DNS name.
    #[error("it has neither a URI portplex://ROLE/NAME nor a DNS name among its subject alternative names")]
    NoName,
    /// More than one.
    #[error("it has more than one name: one URI portplex://ROLE/NAME, or one DNS name")]
    ManyNames,
    /// The URI has no such role.
    #[error("{uri:?} has no role: portplex://stack/NAME, portplex://operator/NAME or portplex://read-only/NAME")]
    Role {
        /// The URI.
        uri: String,
    },
    /// Not a name that a stack or an operator can have.
    #[error("{name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: NameError,
    },
}

impl CertificateFacts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`NoRole::Unreadable`].
    pub fn of(der: &[u8]) -> Result<Self, NoRole> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| NoRole::Unreadable)?;
        let validity = certificate.validity();
        Ok(Self {
            names: shown_names(&certificate),
            role: role_of(&certificate),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// What is wrong with its time now, if something is.
    #[must_use]
    pub fn untimely(&self) -> Option<String> {
        let now = ASN1Time::now().timestamp();
        if now < self.not_before {
            return Some(format!("is not valid before {}", shown_time(self.not_before)));
        }
        (now > self.not_after).then(|| format!("has expired on {}", shown_time(self.not_after)))
    }

    /// When it ends, for people.
    #[must_use]
    pub fn until(&self) -> String {
        shown_time(self.not_after)
    }

    /// How long it is still good for, seconds; negative when it is over.
    #[must_use]
    pub fn left_s(&self) -> i64 {
        self.not_after - ASN1Time::now().timestamp()
    }
}

impl fmt::Display for CertificateFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, until {}", self.names, self.until())
    }
}

fn shown_time(seconds: i64) -> String {
    let time = ASN1Time::from_timestamp(seconds).ok().and_then(|time| time.to_rfc2822().ok());
    time.unwrap_or_else(|| format!("second {seconds} after 1970"))
}

fn names<'a>(certificate: &'a X509Certificate<'a>) -> impl Iterator<Item = &'a GeneralName<'a>> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.into_iter().flat_map(|names| names.value.general_names.iter())
}

/// What a peer sent can be anything: only printable characters of it are shown, and not many.
fn shown_names(certificate: &X509Certificate<'_>) -> String {
    let mut shown: Vec<String> = names(certificate).take(NAMES_MAX).map(|name| printable(&of_name(name))).collect();
    if shown.is_empty() {
        shown.push(printable(&certificate.subject().to_string()));
    }
    shown.join(", ")
}

fn of_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match bytes {
            [a, b, c, d] => std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string(),
            bytes => <[u8; 16]>::try_from(*bytes)
                .map_or_else(|_| "an address".to_owned(), |bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        other => other.to_string(),
    }
}

fn printable(text: &str) -> String {
    text.chars().take(ECHO_MAX).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn role_of(certificate: &X509Certificate<'_>) -> Result<(Role, ConnectorName), NoRole> {
    let usage = certificate.extended_key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.client_auth && !usage.value.any) {
        return Err(NoRole::NotAClient);
    }
    let mut uris = names(certificate).filter_map(|name| match name {
        GeneralName::URI(uri) => strip_scheme(uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => return of_uri(uri),
        (Some(_), Some(_)) => return Err(NoRole::ManyNames),
        (None, _) => {}
    }
    let mut hosts = names(certificate).filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok((Role::Stack, name_of(host.as_bytes())?)),
        (Some(_), Some(_)) => Err(NoRole::ManyNames),
        (None, _) => Err(NoRole::NoName),
    }
}

fn strip_scheme(uri: &str) -> Option<&str> {
    let scheme = uri.get(..SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| &uri[SCHEME.len()..])
}

/// What stands behind `portplex://`.
fn of_uri(uri: &str) -> Result<(Role, ConnectorName), NoRole> {
    let no_role = || NoRole::Role { uri: printable(&format!("{SCHEME}{uri}")) };
    let (role, name) = uri.split_once('/').ok_or_else(no_role)?;
    let role = role.parse().map_err(|_| no_role())?;
    Ok((role, name_of(&decoded(name).ok_or_else(no_role)?)?))
}

fn name_of(text: &[u8]) -> Result<ConnectorName, NoRole> {
    let text = String::from_utf8_lossy(text);
    ConnectorName::new(&text).map_err(|reason| NoRole::Name { name: printable(&text), reason })
}

/// Without `%` and two hex digits; `None` if a `%` has none.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_gives_role_and_name_and_nothing_else_does() {
        let of = |uri: &str| strip_scheme(uri).map(of_uri);
        let name = |text| ConnectorName::new(text).unwrap();
        assert_eq!(of("portplex://stack/SYS1.TCPIP"), Some(Ok((Role::Stack, name("SYS1.TCPIP")))));
        assert_eq!(of("PORTPLEX://operator/alice"), Some(Ok((Role::Operator, name("ALICE")))));
        assert_eq!(of("portplex://read-only/A%23B"), Some(Ok((Role::ReadOnly, name("A#B")))));
        for uri in ["portplex://boss/A", "portplex://stack", "portplex://stack/", "portplex://stack/A/B"] {
            assert!(matches!(of(uri), Some(Err(_))), "{uri}");
        }
        for uri in ["portplex://stack/A%2", "portplex://stack/A%zz", "portplex://stack/%ff"] {
            assert!(matches!(of(uri), Some(Err(_))), "{uri}");
        }
        assert_eq!(of("spiffe://stack/A"), None);
    }

    #[test]
    fn what_a_peer_sent_is_repeated_without_what_could_harm_a_terminal() {
        assert_eq!(printable("A\u{1b}[31m\nB"), "A?[31m?B");
        assert_eq!(printable(&"x".repeat(1_000)).len(), ECHO_MAX);
        assert_eq!(CertificateFacts::of(b"no certificate"), Err(NoRole::Unreadable));
    }
}
