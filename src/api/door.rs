//! Where a service listens, and where a client finds it.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A place to listen at or to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Plain TCP. Loopback only: nothing proves who is on the other end.
    Tcp(SocketAddr),
    /// TCP with mutual TLS.
    Tls(SocketAddr),
    /// The same by a name that is looked up for every connection: for clients only.
    TlsName {
        /// A DNS name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket, by its path.
    Unix(PathBuf),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::TlsName { host, port } => write!(f, "https://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text names no door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither https://NAME:PORT nor https://ADDRESS:PORT, http://ADDRESS:PORT or unix:PATH")]
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
        let no_door = || DoorError { text: text.to_owned() };
        if let Some(place) = text.strip_prefix("https://") {
            let place = place.trim_end_matches('/');
            if let Ok(address) = place.parse() {
                return Ok(Self::Tls(address));
            }
            let (host, port) = place.rsplit_once(':').ok_or_else(no_door)?;
            let port = port.parse().map_err(|_| no_door())?;
            return if is_host(host) { Ok(Self::TlsName { host: host.to_owned(), port }) } else { Err(no_door()) };
        }
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        address.parse().map(Self::Tcp).map_err(|_| no_door())
    }
}

/// Whether a text can be a DNS name. An address that does not parse is none.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.trim_end_matches('.').split('.').all(is_label)
        && !last.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_read_as_it_is_shown() {
        for text in [
            "http://127.0.0.1:4035",
            "http://[::1]:4035",
            "https://10.0.0.1:7678",
            "https://facility.example:7678",
            "unix:/run/portplex.sock",
        ] {
            assert_eq!(text.parse::<Door>().map(|door| door.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("127.0.0.1:1".parse::<Door>().map(|door| door.to_string()).as_deref(), Ok("http://127.0.0.1:1"));
        for text in
            ["", "unix:", "https://127.0.0.1", "https://10.0.0.256:1", "https://a..b:1", "https://:1", "localhost:1"]
        {
            assert!(text.parse::<Door>().is_err(), "{text}");
        }
    }
}
