//! Where a service listens, and where a client finds it.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A place to listen at or to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// TCP. Loopback only: there is no proof yet of who is on the other end.
    Tcp(SocketAddr),
    /// A unix socket, by its path.
    Unix(PathBuf),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text names no door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither http://ADDRESS:PORT nor unix:PATH")]
pub struct DoorError {
    /// What was given.
    pub text: String,
}

impl FromStr for Door {
    type Err = DoorError;

    fn from_str(text: &str) -> Result<Self, DoorError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        address.parse().map(Self::Tcp).map_err(|_| DoorError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_read_as_it_is_shown() {
        for text in ["http://127.0.0.1:4035", "http://[::1]:4035", "unix:/run/portplex.sock"] {
            assert_eq!(text.parse::<Door>().map(|door| door.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("127.0.0.1:1".parse::<Door>().map(|door| door.to_string()).as_deref(), Ok("http://127.0.0.1:1"));
        for text in ["", "unix:", "https://127.0.0.1:1", "localhost:1"] {
            assert!(text.parse::<Door>().is_err(), "{text}");
        }
    }
}
