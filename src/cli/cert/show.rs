//! `portplex cert show`: what certificates say.
#![forbid(unsafe_code)]

use crate::api::access;
use crate::api::access::CertificateFacts;
use crate::api::access::TlsError;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A PEM file with certificates
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object on one line
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let found = access::look(&args.file).map_err(|error| match &error {
        TlsError::Unreadable { .. } => Failure::told(Exit::StorageFailed, error.to_string()),
        _ => Failure::told(Exit::Refused, error.to_string()),
    })?;
    if args.json {
        let rows: Vec<_> = found.iter().map(row).collect();
        output::print_json(&json!({"certificates": rows}))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for facts in &found {
        let CertificateFacts { names, role, .. } = facts;
        let _ = writeln!(text, "{names}");
        let _ = match role {
            Ok((role, name)) => writeln!(text, "  as a client  {role} {name}"),
            Err(why) => writeln!(text, "  as a client  no role: {why}"),
        };
        let _ = match facts.untimely() {
            Some(when) => writeln!(text, "  NOT VALID    it {when}"),
            None => writeln!(text, "  valid until  {}", facts.until()),
        };
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

fn row(facts: &CertificateFacts) -> serde_json::Value {
    let role = facts.role.as_ref().ok();
    json!({
        "names": facts.names,
        "role": role.map(|(role, _)| role.name()),
        "name": role.map(|(_, name)| name.as_str()),
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "until": facts.until(),
        "is_valid_now": facts.untimely().is_none(),
    })
}
