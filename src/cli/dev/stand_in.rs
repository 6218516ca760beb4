//! Which address of 127.0.0.0/8 stands in for a DVIPA on this machine.
//!
//! The same DVIPA gets the same stand-in in every run with the same DVIPAs, so that a run finds
//! the sockets of an earlier one.
#![forbid(unsafe_code)]

use crate::ident::Dvipa;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// A stand-in for each: `10.1.1.1` becomes `127.1.1.1`. Where two would meet, and for IPv6, the
/// next free address is taken in the order of the DVIPAs.
pub(super) fn assign(dvipas: impl Iterator<Item = Dvipa>) -> BTreeMap<Dvipa, IpAddr> {
    let mut taken = BTreeSet::new();
    let mut stand_ins = BTreeMap::new();
    for dvipa in dvipas.collect::<BTreeSet<_>>() {
        let mut low = wanted(dvipa);
        while !usable(low) || !taken.insert(low) {
            low = (low + 1) & LOW_BITS;
        }
        stand_ins.insert(dvipa, IpAddr::V4(Ipv4Addr::from(LOOPBACK | low)));
    }
    stand_ins
}

const LOOPBACK: u32 = 127 << 24;
const LOW_BITS: u32 = (1 << 24) - 1;

fn wanted(dvipa: Dvipa) -> u32 {
    match dvipa.address() {
        IpAddr::V4(address) => u32::from(address) & LOW_BITS,
        IpAddr::V6(_) => {
            let [.., a, b, c] = dvipa.to_bytes();
            u32::from_be_bytes([0, a, b, c])
        }
    }
}

/// Not where everybody's own servers and resolvers are, and not an end of the network.
fn usable(low: u32) -> bool {
    low > 0xffff && low != LOW_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dvipa_has_a_stand_in_of_its_own_outside_127_0() {
        let texts =
            ["10.1.1.1", "11.1.1.1", "127.0.0.1", "10.0.0.53", "10.255.255.255", "2001:db8::1:1:101", "2001:db8::"];
        let dvipas: Vec<Dvipa> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let stand_ins = assign(dvipas.iter().copied());
        assert_eq!(stand_ins[&dvipas[0]].to_string(), "127.1.1.1");
        assert_eq!(stand_ins[&dvipas[1]].to_string(), "127.1.1.2");
        let addresses: BTreeSet<IpAddr> = stand_ins.values().copied().collect();
        assert_eq!(addresses.len(), texts.len(), "{stand_ins:?}");
        for address in addresses {
            assert!(address.is_loopback() && !address.to_string().starts_with("127.0."), "{address}");
        }
        assert_eq!(assign(dvipas.into_iter().rev()), stand_ins, "the order of the profiles does not matter");
    }
}
