//! What a person asks about: a port, a stack, a DVIPA.
#![forbid(unsafe_code)]

use crate::cli::state::DvipaFilter;
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use crate::ident::Target;
use crate::ident::Transport;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Port { of: DvipaFilter, port: u16 },
    Stack(ConnectorName),
    Dvipa(DvipaFilter),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nothing = || {
            format!(
                "{text:?} is no port, stack or DVIPA: write 10.1.1.1:5000, [2001:db8::1]:5000, ANY:5000, SYS1.TCPIP or \
                 10.1.1.1"
            )
        };
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::Dvipa(DvipaFilter::Any));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return dvipa(address).map(Self::Dvipa);
        }
        if let Some((inner, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| nothing())?;
            let of = dvipa(address.into())?;
            return match rest.strip_prefix(':') {
                Some(port) => Ok(Self::Port { of, port: port_of(port)? }),
                None if rest.is_empty() => Ok(Self::Dvipa(of)),
                None => Err(nothing()),
            };
        }
        if let Some((address, port)) = text.rsplit_once(':') {
            let of = match address.parse::<IpAddr>() {
                _ if address.eq_ignore_ascii_case("any") => DvipaFilter::Any,
                Ok(address) if address.is_ipv4() => dvipa(address)?,
                _ => return Err(nothing()),
            };
            return Ok(Self::Port { of, port: port_of(port)? });
        }
        // `10.1.1` is an address that somebody did not finish, not the name of a stack.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number {
            return Err(nothing());
        }
        ConnectorName::new(text).map(Self::Stack).map_err(|_| nothing())
    }
}

fn dvipa(address: IpAddr) -> Result<DvipaFilter, String> {
    Dvipa::new(address).map(DvipaFilter::One).map_err(|error| error.to_string())
}

fn port_of(text: &str) -> Result<u16, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_plain);
    port.ok_or_else(|| format!("{text:?} is no port: a port is a number from 0 to 65535"))
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { of: DvipaFilter::One(dvipa), port } if dvipa.address().is_ipv6() => {
                write!(f, "[{dvipa}]:{port}")
            }
            Self::Port { of, port } => write!(f, "{}:{port}", shown(*of)),
            Self::Stack(name) => name.fmt(f),
            Self::Dvipa(of) => f.write_str(&shown(*of)),
        }
    }
}

/// The address, or `ANY`.
pub(crate) fn shown(of: DvipaFilter) -> String {
    target(of, Transport::Tcp).dvipa_text()
}

/// Its list of a transport, or the explicit-bind pool.
pub(crate) const fn target(of: DvipaFilter, transport: Transport) -> Target {
    match of {
        DvipaFilter::One(dvipa) => Target::List(dvipa, transport),
        DvipaFilter::Any => Target::Pool(transport),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_about_is_known_by_its_form() {
        let read = |text: &str| text.parse::<What>().map(|what| what.to_string());
        for (text, shown) in [
            ("10.1.1.1:5000", "10.1.1.1:5000"),
            ("10.1.1.1:0", "10.1.1.1:0"),
            ("[2001:DB8::1]:65535", "[2001:db8::1]:65535"),
            ("[::ffff:10.1.1.1]:7", "10.1.1.1:7"),
            ("any:62000", "ANY:62000"),
            ("10.1.1.1", "10.1.1.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("Any", "ANY"),
            ("sys1.tcpip", "SYS1.TCPIP"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        assert!(matches!("SYS1".parse(), Ok(What::Stack(_))));
        assert!(matches!("2001:db8::1".parse(), Ok(What::Dvipa(_))));
        for bad in [
            "",
            "10.1.1",
            "10.1.1.1:",
            "10.1.1.1:65536",
            "10.1.1.1:+5",
            "10.1.1.1:x",
            "[10.1.1.1]:5",
            "[2001:db8::1]5",
            "[2001:db8::1",
            "0.0.0.0:5",
            "224.0.0.1",
            "SYS1:5000",
            "SYS 1",
            ":5000",
            "é",
        ] {
            assert!(bad.parse::<What>().is_err(), "{bad:?}");
        }
    }
}
