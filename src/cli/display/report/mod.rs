//! The reports on profiles and on a dry run of their sysplex: D TCPIP,,SYSPLEX and Netstat.
//!
//! Headings and columns are those that the origin has (IP System Administrator's Commands). `*NA*`
//! stands where the origin has a figure that does not exist here.
#![forbid(unsafe_code)]

pub(super) mod conn;
mod dry_run;
pub(crate) mod given;
#[cfg(feature = "service")]
pub(crate) mod live;
pub(super) mod portlist;
pub(super) mod ports;
#[cfg(test)]
mod tests;
pub(super) mod vcrt;
pub(super) mod vdpt;
pub(super) mod vipadcfg;
pub(super) mod vipadyn;

use std::net::IpAddr;
use std::net::SocketAddr;

/// What does not exist here.
const NOT_HERE: &str = "*NA*";

/// A socket as the origin prints it.
fn socket_text(address: IpAddr, port: u16) -> String {
    format!("{address}..{port}")
}

/// The same of the other side; zeros for a listener.
fn foreign_text(dvipa: IpAddr, peer: Option<SocketAddr>) -> String {
    match peer {
        Some(peer) => socket_text(peer.ip(), peer.port()),
        None if dvipa.is_ipv4() => "0.0.0.0..0".to_owned(),
        None => "::..0".to_owned(),
    }
}

/// A stack's name as a heading has it: `TCPIP AT SYS1`.
fn stack_text(stack: &crate::ident::ConnectorName) -> String {
    let (system, stack) = crate::cli::state::system_and_stack(stack);
    format!("{stack} AT {system}")
}

/// What it is a table of, and what there is in it, or that there is nothing.
fn table(title: &str, rows: &str, nothing: &str) -> String {
    if rows.lines().count() > 1 { format!("{title}\n{rows}") } else { format!("{title}\n{nothing}\n") }
}

/// Rows as they are, each followed by one line of detail; the titles have none.
fn with_details(rows: &str, details: &[String]) -> String {
    let mut lines = rows.lines();
    let mut text = lines.next().map(|titles| format!("{titles}\n")).unwrap_or_default();
    for (at, row) in lines.enumerate() {
        text.push_str(row);
        text.push('\n');
        if let Some(detail) = details.get(at) {
            text.push_str(&format!("    {detail}\n"));
        }
    }
    text
}
