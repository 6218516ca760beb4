//! Addresses in canonical form, and what a request can be about.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A dynamic virtual IP address in canonical form: an IPv4-mapped IPv6 address is its IPv4
/// address, so that one address has one port space however it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "IpAddr", into = "IpAddr")]
pub struct Dvipa(IpAddr);

impl From<Dvipa> for IpAddr {
    fn from(dvipa: Dvipa) -> Self {
        dvipa.0
    }
}

impl TryFrom<IpAddr> for Dvipa {
    type Error = DvipaError;

    fn try_from(address: IpAddr) -> Result<Self, DvipaError> {
        Self::new(address)
    }
}

/// Why an address cannot be a DVIPA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DvipaError {
    /// Not an IPv4 or IPv6 address at all.
    #[error("{text:?} is not an IPv4 or IPv6 address")]
    NotAnAddress {
        /// What was given.
        text: String,
    },
    /// Unspecified, multicast or broadcast: no host can own it.
    #[error("{address} cannot be a DVIPA: it is unspecified, multicast or broadcast")]
    NotUnicast {
        /// The address.
        address: IpAddr,
    },
}

impl Dvipa {
    /// Brings an address into canonical form.
    ///
    /// # Errors
    /// [`DvipaError::NotUnicast`] for unspecified, multicast and broadcast addresses.
    pub fn new(address: IpAddr) -> Result<Self, DvipaError> {
        let address = address.to_canonical();
        let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(DvipaError::NotUnicast { address });
        }
        Ok(Self(address))
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.0
    }

    /// The 16 bytes that are stored: IPv6 as it is, IPv4 as the mapped address.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, DvipaError> {
        Self::new(IpAddr::V6(Ipv6Addr::from(bytes)))
    }
}

impl FromStr for Dvipa {
    type Err = DvipaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(address) => Self::new(address),
            Err(_) => Err(DvipaError::NotAnAddress { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Dvipa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which port space of an address. UDP is our extension; the origin coordinates TCP only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Both, in stored order.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// 0 for TCP, 1 for UDP: the stored number and the place in per-transport arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Transport {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|t| text.eq_ignore_ascii_case(t.name())).ok_or(())
    }
}

/// What a list is for: one DVIPA's ports, or the explicit-bind pool that serves `bind(ANY, 0)`
/// (GLOBALCONFIG EXPLICITBINDPORTRANGE, IP Configuration Reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// One DVIPA's list of one transport.
    List(Dvipa, Transport),
    /// The explicit-bind pool of one transport.
    Pool(Transport),
}

impl Target {
    /// The transport whose port space this is.
    #[must_use]
    pub const fn transport(self) -> Transport {
        match self {
            Self::List(_, transport) | Self::Pool(transport) => transport,
        }
    }

    /// The DVIPA, or `ANY` for the pool: what JSON and displays show.
    #[must_use]
    pub fn dvipa_text(self) -> String {
        match self {
            Self::List(dvipa, _) => dvipa.to_string(),
            Self::Pool(_) => "ANY".to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dvipa_text(), self.transport())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_one_dvipa() {
        let plain: Dvipa = "10.1.1.1".parse().expect("valid");
        assert_eq!("::ffff:10.1.1.1".parse(), Ok(plain));
        assert_eq!("::ffff:a01:101".parse(), Ok(plain));
        assert_eq!(Dvipa::from_bytes(plain.to_bytes()), Ok(plain));
        let long: Dvipa = "2001:db8:0:0:0:0:0:1".parse().expect("valid");
        assert_eq!("2001:DB8::1".parse(), Ok(long));
        assert_eq!(Dvipa::from_bytes(long.to_bytes()), Ok(long));
        for bad in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "10.1.1", "10.1.1.1 ", ""] {
            assert!(bad.parse::<Dvipa>().is_err(), "{bad:?}");
        }
    }
}
