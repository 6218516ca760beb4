//! Certificates for tests: any name, any time, any CA; and a log that can be looked at.

use portplex::api::access::{ClientTls, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const DAY_S: u64 = 24 * 60 * 60;

/// A CA in a directory.
pub(crate) struct Pki {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Days from now at which a certificate begins and ends.
#[derive(Clone, Copy)]
pub(crate) struct Days(i64, i64);

pub(crate) const NOW: Days = Days(-1, 30);
pub(super) const OVER: Days = Days(-30, -1);

fn params(name: &str, Days(first, last): Days) -> CertificateParams {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let at = |days: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.saturating_add_signed(days * DAY_S as i64))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (at(first), at(last));
    params
}

impl Pki {
    pub(crate) fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).expect("a directory");
        let mut params = params("test CA", NOW);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&pair).expect("signed");
        std::fs::write(dir.join("ca.pem"), certificate.pem()).expect("written");
        Self { dir, issuer: Issuer::new(params, pair) }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Writes FILE.pem and FILE.key, over those that are there.
    fn issue(
        &self,
        file: &str,
        names: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
        days: Days,
    ) -> (PathBuf, PathBuf) {
        let mut params = params(file, days);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![purpose];
        params.serial_number = Some(serial(file));
        let pair = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&pair, &self.issuer).expect("signed");
        let (certificate, key) = (self.dir.join(format!("{file}.pem")), self.dir.join(format!("{file}.key")));
        std::fs::write(&certificate, signed.pem()).expect("written");
        std::fs::write(&key, pair.serialize_pem()).expect("written");
        (certificate, key)
    }

    /// The files of a service on 127.0.0.1 and localhost.
    pub(crate) fn service(&self, days: Days) -> Tls {
        let names = vec![
            SanType::IpAddress("127.0.0.1".parse().expect("an address")),
            SanType::DnsName("localhost".try_into().expect("a name")),
        ];
        let (certificate, key) = self.issue("service", names, ExtendedKeyUsagePurpose::ServerAuth, days);
        Tls { certificate, key, client_ca: self.ca(), revoked: None }
    }

    /// The files of a client with that URI, or, if it is none, that DNS name; with nothing if empty.
    pub(crate) fn client(&self, name: &str, days: Days) -> ClientTls {
        let names = match name {
            "" => Vec::new(),
            uri if uri.contains("://") => vec![SanType::URI(uri.try_into().expect("a URI"))],
            name => vec![SanType::DnsName(name.try_into().expect("a name"))],
        };
        let file = name.replace(['/', ':'], "_");
        let (certificate, key) = self.issue(&format!("client{file}"), names, ExtendedKeyUsagePurpose::ClientAuth, days);
        ClientTls { ca: self.ca(), certificate, key, server_name: None }
    }

    /// Writes the list of what is revoked: those clients.
    pub(crate) fn revoke(&self, clients: &[&ClientTls]) -> PathBuf {
        let now = params("", NOW).not_before;
        let of_file = |path: &Path| serial(path.file_stem().and_then(|stem| stem.to_str()).expect("a name"));
        let revoked_certs = clients.iter().map(|client| RevokedCertParams {
            serial_number: of_file(&client.certificate),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: params("", NOW).not_after,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.dir.join("revoked.pem");
        std::fs::write(&path, list.signed_by(&self.issuer).expect("signed").pem().expect("text")).expect("written");
        path
    }
}

/// The serial number of what was issued in that file.
fn serial(file: &str) -> SerialNumber {
    SerialNumber::from(blake3::hash(file.as_bytes()).as_bytes()[..8].to_vec())
}

/// Everything that is logged in this process from the first call on.
pub(super) fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO);
        let subscriber = subscriber.with_writer(move || lines.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only log of the tests");
        log
    })
}

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// The audit lines that have all of these in them.
    pub(super) fn audited(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().expect("no panic");
        let has = |line: &&String| line.contains("portplex::audit") && parts.iter().all(|part| line.contains(part));
        lines.iter().filter(has).cloned().collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A copy of a file over another.
pub(super) fn put(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("copied");
}
