//! What the kernel says about TCP sockets: `/proc/net/tcp` and `/proc/net/tcp6`.
//!
//! Three questions: which ports are somebody else's before we begin, which ports of an address
//! have a socket right now (an adopted group without any may be given back), and whose socket it
//! was that a bind met. Layout: Linux, Documentation/networking/proc_net_tcp.rst.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One row of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Its own address, IPv4-mapped ones as IPv4.
    pub(crate) address: IpAddr,
    /// Its own port.
    pub(crate) port: u16,
    /// 0 when no process has it open any more: it is being wound up.
    pub(crate) inode: u64,
}

/// Whose socket stands in the way of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// One that this process has open.
    Ours,
    /// One that no process has open any more.
    Closing,
    /// Another process's.
    Foreign,
    /// None: it has gone in the meantime.
    Nobody,
}

/// All TCP sockets of both families.
///
/// # Errors
/// What reading the tables says. A kernel without IPv6 has only one of them.
pub(crate) fn sockets() -> io::Result<Vec<Socket>> {
    let mut found = read_table("/proc/net/tcp")?;
    match read_table("/proc/net/tcp6") {
        Ok(more) => found.extend(more),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Ports on which a bind to `address` would meet a socket: those of the address itself and those
/// of sockets bound to every address.
pub(crate) fn ports_in_use(sockets: &[Socket], address: IpAddr) -> BTreeSet<u16> {
    sockets.iter().filter(|socket| meets(socket, address)).map(|socket| socket.port).collect()
}

/// Whose socket a bind to (`address`, `port`) meets now.
///
/// # Errors
/// As [`sockets`].
pub(crate) fn blocker(address: IpAddr, port: u16) -> io::Result<Blocker> {
    let met: Vec<_> = sockets()?.into_iter().filter(|s| s.port == port && meets(s, address)).collect();
    Ok(judge(&met, &own_inodes()?))
}

fn judge(met: &[Socket], own: &BTreeSet<u64>) -> Blocker {
    if met.iter().any(|socket| own.contains(&socket.inode)) {
        Blocker::Ours
    } else if met.iter().any(|socket| socket.inode != 0) {
        Blocker::Foreign
    } else if met.is_empty() {
        Blocker::Nobody
    } else {
        Blocker::Closing
    }
}

fn meets(socket: &Socket, address: IpAddr) -> bool {
    socket.port != 0 && (socket.address == address || socket.address.is_unspecified())
}

#[allow(clippy::disallowed_methods, reason = "the kernel's tables, not a store's files")]
fn read_table(path: &str) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for line in BufReader::new(File::open(path)?).lines().skip(1) {
        found.extend(parse(&line?));
    }
    Ok(found)
}

/// Inodes of the sockets that this process has open.
fn own_inodes() -> io::Result<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        // A descriptor may be closed between the listing and the look at it.
        let Ok(link) = entry.and_then(|entry| std::fs::read_link(entry.path())) else { continue };
        let name = link.to_string_lossy();
        let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.and_then(|digits| digits.parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// One row; `None` for what is no row.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = fields.nth(7)?.parse().ok()?;
    Some(Socket { address: parse_address(address)?, port, inode })
}

/// The kernel prints each 32-bit word of the address in the machine's own byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut octets = [0; 16];
            for (index, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

    #[test]
    fn rows_of_both_families_are_read() {
        assert_eq!(parse(HEAD), None);
        assert_eq!(parse(""), None);
        let row = "   0: 0101017F:0FC3 0100007F:D431 01 00000000:00000000 00:00000000 00000000  0 0 164 1 0000000077c2182 100 0";
        let expected = Socket { address: "127.1.1.1".parse().unwrap(), port: 4_035, inode: 164 };
        assert_eq!(parse(row), Some(expected));
        let row = "  10: 00000000000000000000000000000000:07E8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 99 1 0 100 0";
        assert_eq!(parse(row), Some(Socket { address: "::".parse().unwrap(), port: 2_024, inode: 99 }));
        let row = "  11: 0000000000000000FFFF00000101017F:1F90 0000000000000000FFFF00000100007F:1770 06 00000000:00000000 03:000017A6 00000000 0 0 0 3 0";
        assert_eq!(parse(row), Some(Socket { address: "127.1.1.1".parse().unwrap(), port: 8_080, inode: 0 }));
        assert_eq!(parse_address("B80D0120000000000000000001000000"), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(parse_address("7F"), None);
        assert_eq!(parse_address("7F0000é"), None);
    }

    #[test]
    fn only_sockets_that_a_bind_would_meet_count() {
        let at = |address: &str, port| Socket { address: address.parse().unwrap(), port, inode: 1 };
        let table = [at("127.1.1.1", 9), at("0.0.0.0", 8), at("::", 7), at("127.0.0.1", 6), at("10.1.1.1", 5)];
        let met: Vec<u16> = ports_in_use(&table, "127.1.1.1".parse().unwrap()).into_iter().collect();
        assert_eq!(met, [7, 8, 9]);
    }

    #[test]
    fn a_blocker_is_ours_only_if_this_process_has_it_open() {
        let socket = |inode| Socket { address: "127.1.1.1".parse().unwrap(), port: 9, inode };
        let own = BTreeSet::from([17, 18]);
        assert_eq!(judge(&[], &own), Blocker::Nobody);
        assert_eq!(judge(&[socket(0)], &own), Blocker::Closing);
        assert_eq!(judge(&[socket(0), socket(16)], &own), Blocker::Foreign);
        assert_eq!(judge(&[socket(16), socket(18)], &own), Blocker::Ours);
    }

    #[test]
    fn a_listener_of_this_process_is_seen_as_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(blocker(at.ip(), at.port()).unwrap(), Blocker::Ours);
        assert!(ports_in_use(&sockets().unwrap(), at.ip()).contains(&at.port()));
    }
}
