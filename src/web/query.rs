//! What stands behind the question mark, and names in paths: taken apart strictly. What is not known
//! is an error, so that a misspelt filter never shows everything.
#![forbid(unsafe_code)]

use super::ROWS_DEFAULT;
use super::ROWS_MAX;
use super::problem::Problem;
use super::problem::echo;
use crate::ident::Dvipa;
use crate::ident::DvipaError;
use crate::ident::Target;
use crate::ident::Transport;
use axum::extract::Query;
use std::collections::BTreeMap;

/// The pairs of a query, each name once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs(BTreeMap<String, String>);

/// Where a page of rows begins, and how many rows it has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageAsked {
    pub(crate) from: u32,
    pub(crate) limit: u32,
}

impl Pairs {
    /// Takes a query apart; only `known` names may be in it.
    pub(crate) fn parse(uri: &axum::http::Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::bad("query", error.body_text()))?;
        let mut taken = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let there_are = if known.is_empty() {
                    "this path takes none".to_owned()
                } else {
                    format!("known are {}", known.join(", "))
                };
                return Err(Problem::bad(format!("query parameter {:?}", echo(&name)), there_are));
            }
            if taken.contains_key(&name) {
                return Err(Problem::bad(format!("query parameter {name}"), "it is given twice"));
            }
            taken.insert(name, value);
        }
        Ok(Self(taken))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str, from: u32, to: u32) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // Digits only: `parse` alone takes a sign too.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (from..=to).contains(&number) => Ok(Some(number)),
            _ => Err(Problem::bad(
                format!("query parameter {name}"),
                format!("{:?} is no whole number from {from} to {to}", echo(text)),
            )),
        }
    }

    pub(crate) fn page(&self) -> Result<PageAsked, Problem> {
        let from = self.number("from", 0, u32::MAX)?.unwrap_or(0);
        let limit = self.number("limit", 1, ROWS_MAX)?.unwrap_or(ROWS_DEFAULT);
        Ok(PageAsked { from, limit })
    }
}

/// `10.1.1.1` and `tcp`; `ANY` is the explicit-bind pool. `None`: an address that no host can own, so
/// that there is no list of it.
pub(crate) fn target(dvipa: &str, transport: &str) -> Result<Option<Target>, Problem> {
    let transport = match transport {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        other => return Err(Problem::bad("transport", format!("{:?} is neither tcp nor udp", echo(other)))),
    };
    if dvipa == "ANY" {
        return Ok(Some(Target::Pool(transport)));
    }
    match dvipa.parse::<Dvipa>() {
        Ok(dvipa) => Ok(Some(Target::List(dvipa, transport))),
        Err(DvipaError::NotUnicast { .. }) => Ok(None),
        Err(_) => Err(Problem::bad("dvipa", format!("{:?} is no IPv4 or IPv6 address, and not ANY", echo(dvipa)))),
    }
}

/// The list that a path names.
pub(crate) fn list(dvipa: &str, transport: &str) -> Result<Target, Problem> {
    target(dvipa, transport)?.ok_or_else(|| Problem::UnknownList { target: format!("{}/{transport}", echo(dvipa)) })
}

/// 0 to 65,535.
pub(crate) fn port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(Problem::bad("port", format!("{:?} is no whole number from 0 to 65535", echo(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<PageAsked, Problem> {
        Pairs::parse(&uri.parse().expect("a path"), &["from", "limit"])?.page()
    }

    #[test]
    fn a_page_is_asked_for_within_its_limits_and_with_known_names_only() {
        assert_eq!(parse("/x"), Ok(PageAsked { from: 0, limit: 100 }));
        assert_eq!(parse("/x?limit=1024&from=4294967295"), Ok(PageAsked { from: u32::MAX, limit: 1_024 }));
        for bad in [
            "/x?limit=0",
            "/x?limit=1025",
            "/x?limit=+5",
            "/x?limit=%2B5",
            "/x?limit=",
            "/x?from=-1",
            "/x?from=4294967296",
            "/x?limt=5",
            "/x?limit=5&limit=6",
            "/x?limit=%ff",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_named_by_address_and_transport() {
        assert_eq!(target("ANY", "udp"), Ok(Some(Target::Pool(Transport::Udp))));
        assert_eq!(target("0.0.0.0", "tcp"), Ok(None));
        assert_eq!(target("::ffff:10.1.1.1", "tcp"), target("10.1.1.1", "tcp"));
        for (dvipa, transport) in [("any", "tcp"), ("10.1.1.1", "TCP"), ("10.1.1", "tcp")] {
            assert!(target(dvipa, transport).is_err(), "{dvipa}/{transport}");
        }
        assert_eq!(port("65535"), Ok(65_535));
        assert!(port("65536").is_err() && port("+1").is_err() && port("").is_err());
    }
}
