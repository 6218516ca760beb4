//! The service's side of mutual TLS: its files, and what is made of them for new connections.
//!
//! Every connection proves itself anew: there are no sessions to resume, so a new file counts for every
//! connection that begins after it was read.
#![forbid(unsafe_code)]

use super::CertificateFacts;
use super::TlsError;
use super::verifier::Naming;
use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

/// The files of a service that takes mutual TLS, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The service's certificate, then those between it and its CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CAs whose client certificates are believed.
    pub client_ca: PathBuf,
    /// Revocation lists of those CAs, if there are any.
    pub revoked: Option<PathBuf>,
}

/// What a reload read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The service's certificate that is in force now; `None`: this service has no TLS.
    pub certificate: Option<CertificateFacts>,
}

/// The certificates in force.
pub(crate) struct TlsDoor {
    files: Tls,
    now: ArcSwap<ServerConfig>,
}

impl std::fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDoor").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsDoor {
    /// Reads the files.
    pub(crate) fn open(files: Tls) -> Result<Self, TlsError> {
        let (config, _) = read(&files)?;
        Ok(Self { files, now: ArcSwap::from_pointee(config) })
    }

    /// Reads the files anew; if that fails, what was in force stays.
    pub(crate) fn reload(&self) -> Result<CertificateFacts, TlsError> {
        let (config, facts) = read(&self.files)?;
        self.now.store(Arc::new(config));
        Ok(facts)
    }

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.now.load_full())
    }
}

fn read(files: &Tls) -> Result<(ServerConfig, CertificateFacts), TlsError> {
    let Tls { certificate, key, client_ca, revoked } = files;
    let provider = provider();
    let unusable = |path: &Path, error: &dyn std::fmt::Display| TlsError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let chain = read_chain(certificate)?;
    let facts = facts(certificate, &chain)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(read_roots(client_ca)?), Arc::clone(&provider));
    let verifier = match revoked {
        Some(path) => {
            let lists =
                CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let lists = lists.map_err(|error| unreadable(path, &error))?;
            verifier.with_crls(lists).allow_unknown_revocation_status()
        }
        None => verifier,
    };
    let verifier = verifier.build().map_err(|error| unusable(client_ca, &error))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(certificate, &error))?
        .with_client_cert_verifier(Arc::new(Naming(verifier)))
        .with_single_cert(chain, read_key(key)?);
    let mut config = config.map_err(|error| unfit(certificate, key, &error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, facts))
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn unfit(certificate: &Path, key: &Path, error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::OtherKey { key: key.to_owned(), certificate: certificate.to_owned() }
        }
        error => TlsError::Unusable { path: certificate.to_owned(), reason: error.to_string() },
    }
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// What every certificate of a PEM file says, in their order; whether it is to be believed, and whether
/// its time is over, is not looked at.
///
/// # Errors
/// [`TlsError`].
pub fn look(path: &Path) -> Result<Vec<CertificateFacts>, TlsError> {
    let of = |certificate: &CertificateDer<'_>| {
        CertificateFacts::of(certificate)
            .map_err(|error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() })
    };
    read_chain(path)?.iter().map(of).collect()
}

/// The certificates of a file, one at least.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unreadable(path, &error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(chain) }
}

/// What the first certificate says; one whose time is over is of no use to anybody.
pub(super) fn facts(path: &Path, chain: &[CertificateDer<'_>]) -> Result<CertificateFacts, TlsError> {
    let first = chain.first().map_or(&[][..], |first| first.as_ref());
    let facts = CertificateFacts::of(first)
        .map_err(|error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
    match facts.untimely() {
        Some(when) => Err(TlsError::Untimely { path: path.to_owned(), when }),
        None => Ok(facts),
    }
}

pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::NoKey { path: path.to_owned() },
        error => unreadable(path, &error),
    })
}

pub(super) fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
    }
    Ok(roots)
}
