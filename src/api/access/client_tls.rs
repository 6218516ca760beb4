//! The client's side of mutual TLS: its files, and words for what goes wrong.
#![forbid(unsafe_code)]

use super::TlsError;
use super::tls;
use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::client::Resumption;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;

/// The files of a client of an `https://` door, all PEM. They are read anew for every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The CAs whose services are believed.
    pub ca: PathBuf,
    /// This client's certificate, then those between it and its CA.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The name or address that the service's certificate must have; `None`: that of the door.
    pub server_name: Option<String>,
}

/// A client's proof, read and ready.
pub(crate) struct Proof {
    pub(crate) connector: TlsConnector,
}

impl ClientTls {
    /// Reads the files.
    pub(crate) fn read(&self) -> Result<Proof, TlsError> {
        let Self { ca, certificate, key, .. } = self;
        let chain = tls::read_chain(certificate)?;
        tls::facts(certificate, &chain)?;
        let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions();
        let config = config.map_err(|error| tls::unfit(certificate, key, &error))?;
        let config =
            config.with_root_certificates(tls::read_roots(ca)?).with_client_auth_cert(chain, tls::read_key(key)?);
        let mut config = config.map_err(|error| tls::unfit(certificate, key, &error))?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Proof { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// What a failure of TLS means here, and which file to look at; `None`: it is none.
    pub(crate) fn explain(&self, error: &std::io::Error) -> Option<String> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let (ca, certificate) = (self.ca.display(), self.certificate.display());
        Some(match error {
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateExpired => format!(
                    "the service says that the time of this client's certificate is over: look at {certificate}, and at both clocks"
                ),
                // The second: a CA of the same name, and another key.
                AlertDescription::UnknownCA | AlertDescription::DecryptError => format!(
                    "the service does not know the CA of this client's certificate: look at {certificate}, and at the service's client CA file"
                ),
                AlertDescription::AccessDenied => format!(
                    "the service finds no role in this client's certificate: look at {certificate}, it needs a URI portplex://ROLE/NAME or one DNS name"
                ),
                AlertDescription::CertificateRequired => "the service wants a certificate and got none".to_owned(),
                AlertDescription::CertificateRevoked => {
                    format!("the service says that this client's certificate was revoked: look at {certificate}")
                }
                AlertDescription::UnsupportedCertificate => {
                    format!("the service says that this certificate is not one of a client: look at {certificate}")
                }
                other => {
                    format!("the service does not take this client's certificate ({other:?}): look at {certificate}")
                }
            },
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "the service's certificate has expired: renew it there and reload the service".to_owned()
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "the service's certificate is not valid yet: look at both clocks".to_owned()
                }
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!(
                        "the service's certificate is not signed by a CA in {ca}: is this the right service and the right file?"
                    )
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    format!(
                        "the service's certificate is for another name: {why}; connect by that name, or give it as the server name"
                    )
                }
                other => format!("the service's certificate cannot be believed: {other}"),
            },
            rustls::Error::InvalidMessage(_) => {
                "what answers there does not speak TLS: is it an http:// door?".to_owned()
            }
            other => other.to_string(),
        })
    }
}
