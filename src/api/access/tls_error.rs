//! What can be wrong with certificates and keys in files.
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// Why certificates are not used. `docs/operations.md` has a row for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read, or is no PEM.
    #[error("{}: cannot be read as PEM: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no certificate in it.
    #[error("{}: there is no certificate in it (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no private key in it.
    #[error("{}: there is no private key in it (-----BEGIN PRIVATE KEY-----)", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not of one pair.
    #[error("{} is not the key of the certificate in {}", key.display(), certificate.display())]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The certificate's time is over, or not yet there.
    #[error("{}: the certificate {when}: make a new one, or look at this machine's clock", path.display())]
    Untimely {
        /// The file.
        path: PathBuf,
        /// What is wrong, and when.
        when: String,
    },
    /// The library takes none of it.
    #[error("{}: cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
