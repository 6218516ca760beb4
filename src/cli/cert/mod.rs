//! `portplex cert`: a small private CA, enough for a first try of mutual TLS.
//!
//! It writes new files and never over one that is there. What it makes is plain X.509: any other CA can
//! take its place.
#![forbid(unsafe_code)]

mod files;
mod make;
mod show;

use super::exit::Exit;
use super::exit::Failure;
use crate::api::access::Role;
use crate::ident::ConnectorName;
use make::Kind;
use std::path::PathBuf;

/// Where certificates are, unless it is said.
const DIR_DEFAULT: &str = "./portplex-pki";
/// Days that a CA is valid: about ten years.
const CA_DAYS: u32 = 3_650;
/// Days that any other certificate is valid.
const DAYS: u32 = 397;
/// Most days.
const DAYS_MAX: i64 = 36_500;

/// Make a small private CA and certificates for services, stacks, operators and readers.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CertArgs {
    #[command(subcommand)]
    verb: CertVerb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum CertVerb {
    /// Make the CA: ca.pem, which everybody gets, and ca.key, which nobody gets
    #[command(after_long_help = CA_EXAMPLES)]
    Ca(CaArgs),
    /// Make a service's certificate, for the names and addresses under which it is reached
    #[command(after_long_help = SERVICE_EXAMPLES)]
    Service(ServiceArgs),
    /// Make the certificate of one stack: it acts for that stack only
    #[command(after_long_help = STACK_EXAMPLES)]
    Stack(NamedArgs),
    /// Make an operator's certificate: it may do everything, and its name is in the log
    #[command(after_long_help = OPERATOR_EXAMPLES)]
    Operator(NamedArgs),
    /// Make a reader's certificate: pages, metrics, reads and watches
    #[command(after_long_help = READ_ONLY_EXAMPLES)]
    ReadOnly(NamedArgs),
    /// Say whose a certificate is, for which role and until when
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show(show::ShowArgs),
}

const CA_EXAMPLES: &str = "\
Example:
  portplex cert ca --dir portplex-pki

Whoever has ca.key can make certificates for every role. Keep it off the machines of the service and
the stacks: they need ca.pem only.";
const SERVICE_EXAMPLES: &str = "\
Example:
  portplex cert service facility.example 10.0.0.1

The first name is also that of the files. A client connects by one of these names, or the handshake
fails.";
const STACK_EXAMPLES: &str = "\
Example:
  portplex cert stack SYS1.TCPIP

The stack's machine gets ca.pem, SYS1.TCPIP.pem and SYS1.TCPIP.key.";
const OPERATOR_EXAMPLES: &str = "\
Example:
  portplex cert operator ALICE --days 30";
const READ_ONLY_EXAMPLES: &str = "\
Example:
  portplex cert read-only PROMETHEUS";
const SHOW_EXAMPLES: &str = "\
Example:
  portplex cert show portplex-pki/SYS1.TCPIP.pem";

/// Where, how long, and how it is told.
#[derive(Clone, Debug, clap::Args)]
struct Making {
    /// Directory of the CA and of what it makes
    #[arg(long, value_name = "DIR", default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct CaArgs {
    #[command(flatten)]
    making: Making,
    /// Days for which it is valid
    #[arg(long, value_name = "N", default_value_t = CA_DAYS, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
}

#[derive(Clone, Debug, clap::Args)]
struct ServiceArgs {
    /// DNS names and addresses under which the service is reached
    #[arg(value_name = "NAME", required = true, value_parser = make::parse_host)]
    names: Vec<String>,
    #[command(flatten)]
    making: Making,
    /// Days for which it is valid
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
}

#[derive(Clone, Debug, clap::Args)]
struct NamedArgs {
    /// The stack's, operator's or reader's name: 1 to 64 of A-Z 0-9 $ @ # . _ -
    #[arg(value_name = "NAME")]
    name: ConnectorName,
    #[command(flatten)]
    making: Making,
    /// Days for which it is valid
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
}

impl CertArgs {
    pub(crate) fn is_json(&self) -> bool {
        match &self.verb {
            CertVerb::Ca(args) => args.making.json,
            CertVerb::Service(args) => args.making.json,
            CertVerb::Stack(args) | CertVerb::Operator(args) | CertVerb::ReadOnly(args) => args.making.json,
            CertVerb::Show(args) => args.json,
        }
    }

    pub(crate) fn run(&self) -> Result<Exit, Failure> {
        match &self.verb {
            CertVerb::Ca(CaArgs { making, days }) => make::ca(&making.dir, *days, making.json),
            CertVerb::Service(ServiceArgs { names, making, days }) => {
                make::signed(&making.dir, &Kind::Service(names.clone()), *days, making.json)
            }
            CertVerb::Stack(args) => args.make(Role::Stack),
            CertVerb::Operator(args) => args.make(Role::Operator),
            CertVerb::ReadOnly(args) => args.make(Role::ReadOnly),
            CertVerb::Show(args) => show::run(args),
        }
    }
}

impl NamedArgs {
    fn make(&self, role: Role) -> Result<Exit, Failure> {
        let Self { name, making, days } = self;
        make::signed(&making.dir, &Kind::Client(role, name.clone()), *days, making.json)
    }
}
