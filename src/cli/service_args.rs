//! Which service a verb speaks to: a door, a structure there, and what proves who is asking.
//!
//! Every verb that can do so takes these, in the same words.
#![forbid(unsafe_code)]

use super::args::StructureArgs;
use super::exit::Exit;
use super::exit::Failure;
use crate::api::Door;
use crate::api::OperatorClient;
use crate::api::RemoteFacility;
use crate::api::RemoteOptions;
use crate::api::access::ClientTls;
use crate::ident::StructureName;
use crate::structure::Structure;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// Where a service is looked for if no flag says it.
pub(crate) const SERVICE_VARIABLE: &str = "PORTPLEX_SERVICE";

/// A running service.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServiceArgs {
    /// Ask a running service instead of reading files: http://ADDR:PORT, https://ADDR:PORT or
    /// unix:PATH [default: the environment's PORTPLEX_SERVICE]
    #[arg(long, value_name = "URL")]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) structure: StructureArgs,
    /// Certificate of the authority that the service's certificate comes from, PEM; for https
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// This caller's certificate, PEM; for https
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM; for https
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Name in the service's certificate, where it is another than the one in the URL
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
}

/// What a verb works on.
#[derive(Debug)]
pub(crate) enum Place {
    /// The files of a store that nobody has open.
    Store(PathBuf),
    /// A running service.
    Service(Box<Operator>),
}

impl ServiceArgs {
    /// What is meant: the directory that was typed, else the service that was named, else the default.
    pub(crate) fn place(&self, typed: Option<&Path>, default: Option<&str>) -> Result<Place, Failure> {
        let usage = |message: &str| Err(Failure::told(Exit::Usage, message));
        match (typed, self.url(), default) {
            (Some(_), ..) if self.is_typed() => usage("a directory or --service URL, not both"),
            (Some(_), ..) | (None, None, Some(_)) if self.structure.name().is_some() => {
                usage("a directory has one structure: --structure is for a service that has several")
            }
            (Some(dir), ..) => Ok(Place::Store(dir.to_path_buf())),
            (None, Some(_), _) => Ok(Place::Service(Box::new(self.operator()?))),
            (None, None, Some(default)) => Ok(Place::Store(default.into())),
            (None, None, None) => {
                usage("which store? Name its directory, or a running service: --service URL, or PORTPLEX_SERVICE")
            }
        }
    }

    /// Whether a service was named on the command line.
    pub(crate) fn is_typed(&self) -> bool {
        self.service.is_some()
    }

    /// The service to ask, if one was named: on the command line, or by the environment.
    pub(crate) fn url(&self) -> Option<String> {
        let by_environment = || std::env::var(SERVICE_VARIABLE).ok().filter(|url| !url.is_empty());
        self.service.clone().or_else(by_environment)
    }

    fn door(&self) -> Result<Door, Failure> {
        let missing = || {
            let message = format!("no service is named: say --service URL, or set {SERVICE_VARIABLE}");
            Failure::told(Exit::Usage, message)
        };
        let url = self.url().ok_or_else(missing)?;
        url.parse().map_err(|error| Failure::told(Exit::Usage, format!("--service: {error}")))
    }

    /// The one place where the flags become options of a client.
    pub(crate) fn options(&self) -> Result<RemoteOptions, Failure> {
        let tls = match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(certificate), Some(key)) => {
                let (ca, certificate, key) = (ca.clone(), certificate.clone(), key.clone());
                Some(ClientTls { ca, certificate, key, server_name: self.tls_server_name.clone() })
            }
            (None, None, None) => None,
            _ => {
                let message = "--tls-ca, --tls-cert and --tls-key belong together: an https door needs all of them";
                return Err(Failure::told(Exit::Usage, message));
            }
        };
        Ok(RemoteOptions { tls, ..RemoteOptions::default() })
    }

    /// Connects as a stack does: to the structure that was named, or the only one that is hosted there.
    #[allow(dead_code, reason = "for verbs that are stacks")]
    pub(crate) fn connect(&self) -> Result<RemoteFacility, Failure> {
        let structure = match self.structure.name() {
            Some(name) => name,
            None => self.operator()?.structure,
        };
        Ok(RemoteFacility::connect(&self.door()?, structure, self.options()?)?)
    }

    /// Connects for single calls of an operator.
    pub(crate) fn operator(&self) -> Result<Operator, Failure> {
        let client = OperatorClient::connect(&self.door()?, self.options()?)?;
        let structure = match self.structure.name() {
            Some(name) => name,
            None => only(&client)?,
        };
        Ok(Operator { client, structure })
    }
}

/// An operator's connection, and the structure that is meant.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) client: OperatorClient,
    pub(crate) structure: StructureName,
}

impl Operator {
    /// The whole state as of one lsn.
    pub(crate) fn state(&self) -> Result<Structure, Failure> {
        let items = self.client.snapshot(self.structure)?;
        Structure::import(items.into_iter()).map_err(|error| {
            let door = self.client.door();
            Failure::told(
                Exit::Refused,
                format!("{door}: its state is not understood: {error}; do both sides run the same release?"),
            )
        })
    }
}

impl Place {
    /// How a command line names it, for commands that are shown.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Store(dir) => dir.display().to_string(),
            Self::Service(operator) => {
                format!("--service {} --structure {}", operator.client.door(), operator.structure)
            }
        }
    }
}

/// For messages.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(dir) => write!(f, "{}", dir.display()),
            Self::Service(operator) => write!(f, "{} {}", operator.client.door(), operator.structure),
        }
    }
}

/// The only structure of a service: where there are several, one must be named.
fn only(client: &OperatorClient) -> Result<StructureName, Failure> {
    let structures = client.structures()?;
    match structures.as_slice() {
        [one] => Ok(*one),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            let there_are = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message =
                format!("{}: which structure? Say --structure NAME; hosted there: {there_are}", client.door());
            Err(Failure::told(Exit::Usage, message))
        }
    }
}
