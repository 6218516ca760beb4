//! SRCIP and TCPSTACKSOURCEVIPA: which source address a connection gets.

use super::clean;
use super::told;
use portplex::profile::{Code, Side};
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_most_specific_job_wins_then_the_destination_then_any_job() {
    let profile = clean(
        "VIPADYNAMIC VIPADEFINE V6 2001:db8::7 ENDVIPADYNAMIC
         SRCIP
           JOBNAME *       10.0.0.1
           JOBNAME A*      10.0.0.2
           JOBNAME ABC*    10.0.0.3
           JOBNAME ABCD    10.0.0.4
           JOBNAME S*      10.0.0.5 SERVER
           JOBNAME S1      10.0.0.6 BOTH
           JOBNAME X       V6
           JOBNAME T       TEMPADDRS
           DESTINATION 172.16.0.0/12 10.0.1.1
           DESTINATION 172.16.5.0/24 10.0.1.2
           DESTINATION 172.16.5.9    10.0.1.3
           DESTINATION 2001:db8:5::/48 V6
         ENDSRCIP",
    );
    let table = [
        ("ABCD", "172.16.5.9", Some("10.0.0.4")),
        ("abcd", "9.9.9.9", Some("10.0.0.4")),
        ("ABCX", "172.16.5.9", Some("10.0.0.3")),
        ("ABCDE", "9.9.9.9", Some("10.0.0.3")),
        ("AX", "9.9.9.9", Some("10.0.0.2")),
        ("OTHER", "172.16.5.9", Some("10.0.1.3")),
        ("OTHER", "172.16.5.8", Some("10.0.1.2")),
        ("OTHER", "172.31.255.255", Some("10.0.1.1")),
        ("OTHER", "172.32.0.0", Some("10.0.0.1")),
        ("S2", "9.9.9.9", Some("10.0.0.1")),
        ("S1", "9.9.9.9", Some("10.0.0.6")),
        ("X", "9.9.9.9", Some("10.0.0.1")),
        ("X", "2001:db8:9::1", Some("2001:db8::7")),
        ("OTHER", "2001:db8:5::1", Some("2001:db8::7")),
        ("OTHER", "2001:db8:6::1", None),
        ("T", "2001:db8:5::1", None),
    ];
    for (job, destination, expected) in table {
        assert_eq!(profile.source_address(job, address(destination)), expected.map(address), "{job} to {destination}");
    }
    assert!(matches!(
        profile.source_entry("S1", address("9.9.9.9")).map(|entry| &entry.rule),
        Some(portplex::profile::SourceRule::Job { side: Side::Both, .. })
    ));
}

#[test]
fn tcpstacksourcevipa_is_asked_behind_srcip_and_needs_sourcevipa() {
    let v6 = "VIPADYNAMIC VIPADEFINE V6 2001:db8::7 ENDVIPADYNAMIC\n";
    let text = "IPCONFIG SOURCEVIPA TCPSTACKSOURCEVIPA 10.1.1.1\nIPCONFIG6 SOURCEVIPA TCPSTACKSOURCEVIPA V6\n";
    let profile = clean(&format!("{v6}{text}SRCIP JOBNAME A 10.2.2.2 ENDSRCIP"));
    assert_eq!(profile.source_address("A", address("9.9.9.9")), Some(address("10.2.2.2")));
    assert_eq!(profile.source_address("B", address("9.9.9.9")), Some(address("10.1.1.1")));
    assert_eq!(profile.source_address("B", address("::ffff:9.9.9.9")), Some(address("10.1.1.1")));
    assert_eq!(profile.source_address("A", address("2001:db8::99")), Some(address("2001:db8::7")));
    let (off, remarks) = told(&text.replace("SOURCEVIPA TCP", "TCP"));
    assert_eq!(remarks.iter().map(|found| found.2).collect::<Vec<_>>(), [Code::Conflict, Code::Conflict]);
    assert_eq!(off.source_address("B", address("9.9.9.9")), None);
}

#[test]
fn a_block_with_an_error_counts_for_nothing_and_so_does_a_second_one() {
    let (profile, remarks) =
        told("SRCIP JOBNAME A 1.1.1.1\nJOBNAME B 1.1.1.1 JOBNAME\nTOOLONGNAME 1.1.1.1 ENDSRCIP\nPORT 80 TCP A");
    assert_eq!(remarks, [(3, 1, Code::BadValue)]);
    assert!(profile.source_ip.is_empty() && profile.reservations.len() == 1);
    for (text, column, code) in [
        ("SRCIP DESTINATION 10.0.0.0/33 1.1.1.1 ENDSRCIP", 19, Code::BadValue),
        ("SRCIP DESTINATION 10.0.0.0/8 2001:db8::1 ENDSRCIP", 30, Code::Conflict),
        ("SRCIP DESTINATION 10.0.0.0/8 TEMPADDRS ENDSRCIP", 30, Code::BadValue),
        ("SRCIP JOBNAME A 224.0.0.1 ENDSRCIP", 17, Code::BadValue),
        ("SRCIP JOBNAME A 1.1.1.1", 1, Code::Unclosed),
    ] {
        let (profile, remarks) = told(text);
        assert_eq!(remarks, [(1, column, code)], "{text}");
        assert!(profile.source_ip.is_empty(), "{text}");
    }
    let (profile, remarks) = told("SRCIP JOBNAME A 1.1.1.1 ENDSRCIP\nSRCIP JOBNAME B 1.1.1.1 ENDSRCIP\nSRCIP ENDSRCIP");
    assert_eq!(remarks, [(2, 1, Code::Duplicate), (3, 1, Code::Duplicate)]);
    assert_eq!(profile.source_ip.len(), 1, "the first one stands");
}
