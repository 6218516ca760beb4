//! The lines that `store exercise` writes: a contract with harnesses, key by key.
#![forbid(unsafe_code)]

use crate::cli::row::Mask;
use crate::cli::row::PortRanges;
use crate::ident::Target;
use crate::structure::Grant;
use serde::{Serialize, Serializer};

/// What is asked, before it is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ask<'a> {
    pub(crate) ask: &'static str,
    pub(crate) request: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connector: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incarnation: Option<u64>,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// The rest of an ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum What {
    Nothing {},
    List {
        transport: &'static str,
        dvipa: String,
    },
    Acquire {
        transport: &'static str,
        dvipa: String,
        /// At least 1, at most this.
        groups: u16,
    },
    Claim {
        transport: &'static str,
        dvipa: String,
        port: u16,
    },
    Release {
        transport: &'static str,
        dvipa: String,
        group: u16,
        grant: u64,
        mask: Mask,
    },
    Allowable {
        transport: &'static str,
        ports: PortRanges,
    },
    Policy {
        transport: &'static str,
        dvipa: String,
        quota: u32,
        reserve: u16,
        quarantine_ms: u32,
        clean_up_ms: u64,
    },
    /// `null` takes the range away.
    Range {
        transport: &'static str,
        first: Option<u16>,
        last: Option<u16>,
    },
}

impl What {
    pub(crate) fn list(target: Target) -> Self {
        Self::List { transport: target.transport().name(), dvipa: target.dvipa_text() }
    }
}

/// An acknowledgement, after it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Okay {
    pub(crate) ok: &'static str,
    pub(crate) request: u64,
    /// The highest lsn that the request caused.
    pub(crate) lsn: u64,
    /// Of connect and attach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incarnation: Option<u64>,
    /// Of acquire and claim: what was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grants: Option<Vec<Granted>>,
    /// Of attach: what the connector holds, old grants all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<Vec<Holds>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Granted {
    pub(crate) lsn: u64,
    pub(crate) group: u16,
    pub(crate) mask: Mask,
}

impl From<&Grant> for Granted {
    fn from(grant: &Grant) -> Self {
        Self { lsn: grant.lsn.0, group: grant.group.number(), mask: Mask(grant.mask) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holds {
    pub(crate) lsn: u64,
    pub(crate) transport: &'static str,
    pub(crate) dvipa: String,
    pub(crate) group: u16,
    pub(crate) mask: Mask,
}

impl From<&Grant> for Holds {
    fn from(grant: &Grant) -> Self {
        let Granted { lsn, group, mask } = grant.into();
        Self { lsn, transport: grant.target.transport().name(), dvipa: grant.target.dvipa_text(), group, mask }
    }
}

/// A refusal: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    pub(crate) refused: &'static str,
    pub(crate) request: u64,
    /// The refusal's name in kebab case.
    pub(crate) why: &'static str,
}

/// The storage failed while this request was in flight: it may or may not have had an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unknown {
    pub(crate) unknown: &'static str,
    pub(crate) request: u64,
    pub(crate) why: &'static str,
}

/// Every port of that list whose hold ended at or below lsn `ready` is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ready {
    pub(crate) ready: u64,
    pub(crate) transport: &'static str,
    pub(crate) dvipa: String,
    pub(crate) lsn: u64,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    summary: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Counts {
    operations: u64,
    syncs: u64,
    grants: u64,
    #[serde(serialize_with = "thousandths")]
    grants_per_sync: (u64, u64),
}

impl Summary {
    pub(crate) fn new(operations: u64, syncs: u64, grants: u64) -> Self {
        Self { summary: Counts { operations, syncs, grants, grants_per_sync: (grants, syncs) } }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio for people, rounded to a thousandth")]
fn thousandths<S: Serializer>((grants, syncs): &(u64, u64), serializer: S) -> Result<S::Ok, S::Error> {
    let ratio = *grants as f64 / (*syncs).max(1) as f64;
    serializer.serialize_f64((ratio * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::PortMask;

    fn line(value: &impl Serialize) -> String {
        serde_json::to_string(value).expect("plain data")
    }

    #[test]
    fn the_lines_are_letter_by_letter_those_of_the_contract() {
        let what = What::Acquire { transport: "tcp", dvipa: "10.1.1.1".into(), groups: 2 };
        let ask = Ask { ask: "acquire", request: 7, connector: Some("SYS1.TCPIP"), incarnation: Some(2), what };
        assert_eq!(
            line(&ask),
            r#"{"ask":"acquire","request":7,"connector":"SYS1.TCPIP","incarnation":2,"transport":"tcp","dvipa":"10.1.1.1","groups":2}"#
        );
        let grants = vec![Granted { lsn: 912, group: 700, mask: Mask(PortMask::ALL) }];
        let okay = Okay { ok: "acquire", request: 7, lsn: 913, incarnation: None, grants: Some(grants), holds: None };
        assert_eq!(
            line(&okay),
            r#"{"ok":"acquire","request":7,"lsn":913,"grants":[{"lsn":912,"group":700,"mask":"0xffffffffffffffff"}]}"#
        );
        let refused = Refused { refused: "acquire", request: 7, why: "exhausted" };
        assert_eq!(line(&refused), r#"{"refused":"acquire","request":7,"why":"exhausted"}"#);
        let unknown = Unknown { unknown: "acquire", request: 7, why: "storage-failed" };
        assert_eq!(line(&unknown), r#"{"unknown":"acquire","request":7,"why":"storage-failed"}"#);
        let ready = Ready { ready: 912, transport: "tcp", dvipa: "10.1.1.1".into(), lsn: 990 };
        assert_eq!(line(&ready), r#"{"ready":912,"transport":"tcp","dvipa":"10.1.1.1","lsn":990}"#);
        assert_eq!(
            line(&Summary::new(10, 3, 4)),
            r#"{"summary":{"operations":10,"syncs":3,"grants":4,"grants_per_sync":1.333}}"#
        );
        assert!(line(&Summary::new(0, 0, 0)).ends_with(r#""grants_per_sync":0.0}}"#));
        let connect = Ask {
            ask: "connect",
            request: 1,
            connector: Some("SYS1.TCPIP"),
            incarnation: None,
            what: What::Nothing {},
        };
        assert_eq!(line(&connect), r#"{"ask":"connect","request":1,"connector":"SYS1.TCPIP"}"#);
    }
}
