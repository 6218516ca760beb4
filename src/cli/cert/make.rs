//! Certificates: a CA that signs itself, and those that it signs.
#![forbid(unsafe_code)]

use super::files;
use crate::api::access;
use crate::api::access::Role;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::facility::random_u64;
use crate::ident::ConnectorName;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use serde_json::json;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// How far another machine's clock may be behind.
const CLOCKS_APART_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * 60 * 60;

/// Whose certificate.
pub(super) enum Kind {
    /// A service, by its names and addresses.
    Service(Vec<String>),
    Client(Role, ConnectorName),
}

/// A DNS name or an address.
pub(super) fn parse_host(text: &str) -> Result<String, String> {
    let is_name = |text: &str| {
        text.len() <= 253
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            })
    };
    if text.parse::<IpAddr>().is_ok() || is_name(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("neither a DNS name nor an address".to_owned())
}

/// Makes the CA.
pub(super) fn ca(dir: &Path, days: u32, json: bool) -> Result<Exit, Failure> {
    files::directory(dir)?;
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    files::none_is_there(&[&certificate, &key])?;
    // No two of them by one name: whoever meets the wrong one is told that it is unknown.
    let mut params = params(&format!("portplex CA {:08x}", random_u64() >> 32), days, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    files::write_new(&key, &pair.serialize_pem(), true)?;
    files::write_new(&certificate, &signed.pem(), false)?;
    let next = format!(
        "next: portplex cert service NAME --dir {dir}, then portplex cert stack NAME --dir {dir}\n\
         keep {key} to yourself: whoever has it can make certificates for every role",
        dir = dir.display(),
        key = key.display()
    );
    told(&certificate, &key, &next, json)
}

/// Makes a certificate that the directory's CA signs.
pub(super) fn signed(dir: &Path, kind: &Kind, days: u32, json: bool) -> Result<Exit, Failure> {
    let (name, purpose, names) = match kind {
        Kind::Service(hosts) => {
            (hosts.first().cloned().unwrap_or_default(), ExtendedKeyUsagePurpose::ServerAuth, hosts_of(hosts)?)
        }
        Kind::Client(role, name) => (name.to_string(), ExtendedKeyUsagePurpose::ClientAuth, vec![uri_of(*role, name)?]),
    };
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    files::none_is_there(&[&certificate, &key])?;
    let (ca_certificate, ca_key) = (dir.join("ca.pem"), dir.join("ca.key"));
    let ca_pem = files::read(&ca_certificate)?;
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::told(Exit::StorageFailed, format!("{}: cannot be used: {error}", path.display()))
    };
    let ca_pair = KeyPair::from_pem(&files::read(&ca_key)?).map_err(|error| unusable(&ca_key, &error))?;
    let facts = access::look(&ca_certificate).map_err(|error| unusable(&ca_certificate, &error))?;
    let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_pair).map_err(|error| unusable(&ca_certificate, &error))?;
    let mut params = params(&name, days, facts.first().map(|facts| facts.not_after));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.subject_alt_names = names;
    params.use_authority_key_identifier_extension = true;
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.signed_by(&pair, &issuer).map_err(failed)?;
    files::write_new(&key, &pair.serialize_pem(), true)?;
    files::write_new(&certificate, &signed.pem(), false)?;
    let (dir, certificate_path, key_path) = (dir.display(), certificate.display(), key.display());
    let next = match kind {
        Kind::Service(_) => format!(
            "next: portplex serve … --listen ADDRESS:PORT --tls-cert {certificate_path} --tls-key {key_path} --tls-client-ca {dir}/ca.pem"
        ),
        Kind::Client(role, _) => format!(
            "next: give {certificate_path}, {key_path} and {dir}/ca.pem to this {role}, and to nobody else the key"
        ),
    };
    told(&certificate, &key, &next, json)
}

/// A URI as `api/access/certificate.rs` reads it.
fn uri_of(role: Role, name: &ConnectorName) -> Result<SanType, Failure> {
    let name = name.as_str().replace('#', "%23");
    Ok(SanType::URI(format!("portplex://{role}/{name}").try_into().map_err(failed)?))
}

fn hosts_of(hosts: &[String]) -> Result<Vec<SanType>, Failure> {
    let of = |host: &String| match host.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => host.as_str().try_into().map(SanType::DnsName).map_err(failed),
    };
    hosts.iter().map(of).collect()
}

/// Valid for so many days, but not beyond the CA's own end.
fn params(name: &str, days: u32, end_s: Option<i64>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let now = u64::try_from(now).unwrap_or(0);
    let end = now + u64::from(days) * DAY_S;
    let end = end_s.and_then(|end_s| u64::try_from(end_s).ok()).map_or(end, |ca_end| end.min(ca_end));
    let begin = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = begin + Duration::from_secs(now.saturating_sub(CLOCKS_APART_S));
    params.not_after = begin + Duration::from_secs(end);
    params
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::told(Exit::StorageFailed, format!("the certificate cannot be made: {error}"))
}

fn told(certificate: &Path, key: &Path, next: &str, json: bool) -> Result<Exit, Failure> {
    let facts = access::look(certificate).map_err(|error| Failure::told(Exit::Bug, error.to_string()))?;
    let until = facts.first().map(access::CertificateFacts::until).unwrap_or_default();
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    if json {
        output::print_json(&json!({"certificate": certificate, "key": key, "until": until}))?;
    } else {
        output::print(&format!("{certificate}: valid until {until}\n{key}: its private key\n{next}"))?;
    }
    Ok(Exit::Done)
}
