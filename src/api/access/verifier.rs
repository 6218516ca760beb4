//! The check of a client's certificate: the library's, then whether it has a role. What the certificate
//! says of itself is kept, so that a refusal has a name in the log.
#![forbid(unsafe_code)]

use super::CertificateFacts;
use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use std::cell::RefCell;
use std::sync::Arc;
use tokio_rustls::rustls;

tokio::task_local! {
    /// What the certificate that a handshake refused says of itself: the library's error has no name in it.
    pub(crate) static WITH_NAMES: RefCell<Option<String>>;
}

/// Believes what the library believes, if the certificate has a role.
#[derive(Debug)]
pub(super) struct Naming(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Naming {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let facts = CertificateFacts::of(end_entity);
        if let Ok(facts) = &facts {
            note(facts.to_string());
        }
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        let (names, no_role) = match facts {
            Ok(CertificateFacts { role: Ok(_), .. }) => return Ok(verified),
            Ok(CertificateFacts { names, role: Err(no_role), .. }) => (names, no_role),
            Err(no_role) => (String::new(), no_role),
        };
        note(format!("{names}: {no_role}"));
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn note(names: String) {
    // Outside a handshake of ours nobody reads it.
    let _ = WITH_NAMES.try_with(|slot| slot.replace(Some(names)));
}

/// Why a handshake failed, for the service's log.
pub(crate) fn shown_refused(error: &std::io::Error, names: Option<String>) -> String {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let why = match known {
        Some(Error::NoCertificatesPresented) => "it sent no certificate".to_owned(),
        Some(Error::InvalidCertificate(why)) => match why {
            // The second: a CA of the same name, and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not signed by a CA in the client CA file".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::Revoked => "its certificate was revoked".to_owned(),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its certificate is not one of a client".to_owned()
            }
            CertificateError::ApplicationVerificationFailure => "its certificate gives it no role".to_owned(),
            other => other.to_string(),
        },
        Some(Error::AlertReceived(alert)) => format!("it broke off with {alert:?}: it does not believe this service"),
        Some(Error::InvalidMessage(_)) => "what it speaks is no TLS".to_owned(),
        _ => error.to_string(),
    };
    match names {
        Some(names) => format!("{names}: {why}"),
        None => why,
    }
}
