//! Which uid may come in at a unix socket, and as what.
#![forbid(unsafe_code)]

use super::Denied;
use super::How;
use super::Peer;
use super::Role;
use super::RoleError;
use crate::ident::ConnectorName;
use crate::ident::NameError;
use std::collections::BTreeMap;
use std::str::FromStr;

/// What one uid may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its role.
    pub role: Role,
    /// The stack that it acts for, or the operator's name; `None`: any, or whatever a request says.
    pub name: Option<ConnectorName>,
}

/// Uids of this machine that may use the unix sockets; all others are refused by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidMap(BTreeMap<u32, Allowed>);

impl Default for UidMap {
    /// Root and the uid of this process, as operators.
    fn default() -> Self {
        Self::none().allow(0, Role::Operator, None).allow(own_uid(), Role::Operator, None)
    }
}

impl UidMap {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// One more uid; the last word counts.
    #[must_use]
    pub fn allow(mut self, uid: u32, role: Role, name: Option<ConnectorName>) -> Self {
        self.0.insert(uid, Allowed { role, name });
        self
    }

    /// One more uid by a text: `1000=operator`, `1001=stack:SYS1.TCPIP`, `1002=read-only`.
    ///
    /// # Errors
    /// [`UidRowError`].
    pub fn allow_row(self, row: &str) -> Result<Self, UidRowError> {
        let UidRow { uid, role, name } = row.parse()?;
        Ok(self.allow(uid, role, name))
    }

    /// Whether other uids than root and this process's own may come in.
    #[must_use]
    pub fn has_others(&self) -> bool {
        let own = own_uid();
        self.0.keys().any(|uid| *uid != 0 && *uid != own)
    }

    /// Who a uid is here.
    pub(crate) fn peer(&self, uid: u32) -> Result<Peer, Denied> {
        let how = How::Unix { uid };
        match self.0.get(&uid) {
            Some(Allowed { role, name }) => Ok(Peer { role: *role, name: name.clone(), how }),
            None => Err(Denied {
                who: format!("uid {uid}"),
                what: "use this socket".to_owned(),
                need: "no role is given to it; the service's uid map does that".to_owned(),
            }),
        }
    }
}

/// One row of a uid map as a text: `1000=operator`, `1001=stack:SYS1.TCPIP`, `1002=read-only`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UidRow {
    uid: u32,
    role: Role,
    name: Option<ConnectorName>,
}

/// Why a text is no row of a uid map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UidRowError {
    /// Not of the form UID=ROLE.
    #[error("{text:?} is not UID=ROLE or UID=ROLE:NAME, such as 1001=stack:SYS1.TCPIP")]
    Form {
        /// What was given.
        text: String,
    },
    /// No such role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// No such name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FromStr for UidRow {
    type Err = UidRowError;

    fn from_str(text: &str) -> Result<Self, UidRowError> {
        let form = || UidRowError::Form { text: text.to_owned() };
        let (uid, rest) = text.split_once('=').ok_or_else(form)?;
        let uid = uid.trim().parse().map_err(|_| form())?;
        let (role, name) = match rest.split_once(':') {
            Some((role, name)) => (role, Some(ConnectorName::new(name.trim())?)),
            None => (rest, None),
        };
        Ok(Self { uid, role: role.trim().parse()?, name })
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_and_the_last_word_counts() {
        let map = UidMap::none().allow_row("1001=stack:sys1.tcpip").unwrap().allow_row("1002 = read-only").unwrap();
        let peer = map.peer(1_001).unwrap();
        assert_eq!((peer.role, peer.name.unwrap().as_str()), (Role::Stack, "SYS1.TCPIP"));
        assert_eq!(map.peer(1_002).unwrap().role, Role::ReadOnly);
        assert!(map.has_others());
        let map = map.allow_row("1002=operator").unwrap();
        assert_eq!(map.peer(1_002).unwrap().role, Role::Operator);
        assert!(!UidMap::default().has_others());
        for text in ["", "1=", "x=stack", "1:stack", "1=boss", "1=stack:a b", "-1=stack"] {
            assert!(text.parse::<UidRow>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_uid_without_a_row_is_refused_by_name() {
        let denied = UidMap::default().peer(u32::MAX).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "uid 4294967295 may not use this socket: no role is given to it; the service's uid map does that"
        );
    }
}
