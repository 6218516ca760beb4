//! The distributor: which stack gets a connection that arrives for a DVIPA.
//!
//! One stack of a sysplex owns a DVIPA and hands what arrives on to the others (Sysplex Distributor,
//! z/OS Communications Server IP Configuration Guide). Here are its rules, as values: time, ready
//! counts and weights come in as arguments, a [`Decision`] comes out, nothing is sent.
//!
//! A new connection goes, in this order, to
//! 1. the stack that has it already: an established connection never changes its stack;
//! 2. for a distributed port: the stack of the client's timed affinity, else the stack it comes from
//!    (OPTLOCAL), else the one that the distribution method picks among the targets that are ready;
//! 3. the stack whose program listens on the port. With SYSPLEXPORTS there is one such stack at
//!    most, because nobody else can have bound that port: the second connection of z/OS Explorer
//!    finds its way so;
//! 4. nobody: it is dropped, and the client times out, as the SYSPLEXPORTS text has it, also if a
//!    stack holds the port. A reset instead is an option that the origin lacks.
//!
//! An operator's words count beside the rules: QUIESCE and RESUME for servers of one stack
//! ([`Scope`]), DEACTIVATE and REACTIVATE for a DVIPA on one stack.
//!
//! [`Distributor`] is what the owner knows of one DVIPA, [`Target`] what each stack knows of its own
//! part; [`Succession`] says who the owner is. [`Sysplex`] puts them together. The targets' books
//! are the truth and the owner's a copy of them: a new owner learns every listener and connection
//! again from the stacks themselves, so nothing that began to listen during a takeover is missed.
//! A [`DryRun`] lets the [`Event`]s of a script happen in a [`Sysplex`] of profiles.
//!
//! ```
//! use portplex::distributor::{Flow, Options, Syn, Sysplex};
//! use portplex::ident::{BootMs, ConnectorName};
//! use portplex::profile::{parse, sample};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (now, dvipa) = (BootMs(0), "10.1.1.1".parse()?);
//! let mut sysplex = Sysplex::new(Options::default());
//! for (stack, text) in sample() {
//!     let stack = ConnectorName::new(stack)?;
//!     sysplex.join(now, stack.clone(), &parse(text.as_bytes()).0)?;
//!     sysplex.listen(now, &stack, dvipa, 4035, 1)?;
//! }
//!
//! // The daemon's port is distributed, and a thread's port leads to the stack where it listens.
//! let peer = "203.0.113.7:50000".parse()?;
//! let first = sysplex.arrive(now, &Syn { flow: Flow { peer, dvipa, port: 4035 }, from: None });
//! assert_eq!(first.to_string(), "SYS1.TCPIP basewlm");
//! let second = Syn { flow: Flow { peer, dvipa, port: 23_937 }, from: None };
//! assert_eq!(sysplex.arrive(now, &second).to_string(), "drop no-listener");
//! sysplex.listen(now, &ConnectorName::new("SYS1.TCPIP")?, dvipa, 23_937, 1)?;
//! assert_eq!(sysplex.arrive(now, &second).to_string(), "SYS1.TCPIP listener");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod affinity;
mod audit;
mod choose;
mod claim;
mod connections;
mod decision;
mod dry_run;
mod error;
mod event;
mod learn;
mod notice;
mod operator;
mod owner;
mod ports;
mod route;
mod rule;
mod script;
mod server;
mod succession;
mod sysplex;
mod takeover;
mod target;

pub use claim::Claim;
pub use decision::{Cause, Decision, Flow, NoListener, Syn, Why};
pub use dry_run::{DryRun, EFFECTS_MAX, Outcome};
pub use error::{AuditError, SysplexError};
pub use event::{Event, ScriptError, ScriptFault};
pub use learn::{Collision, Heard};
pub use notice::{AffinityHeld, Change, Notice, Report};
pub use owner::{Distributor, Options, PortRow};
pub use rule::{Load, Rule, Standby};
pub use script::{EVENTS_MAX, SCRIPT_LENGTH_MAX, parse_script};
pub use server::{JobName, JobNameError, Scope, Server};
pub use succession::{Move, Status, Succession};
pub use sysplex::{Standing, Sysplex};
pub use target::Target;
