//! Profiles: real text in, ports and diagnostics out, and never a panic.

mod advice;
mod collected;
mod obey;
mod print;
mod rse;
mod rules;
mod sources;
mod verbs;

use crate::random::Random;
use portplex::ident::Dvipa;
use portplex::ident::Transport;
use portplex::profile::{
    Code, Destinations, Diagnostic, DistMethod, ExplicitBind, LENGTH_MAX, Moveable, Part, Profile, Role, Severity,
    User, parse, sample,
};
use portplex::structure::PortRange;

pub(crate) fn dvipa(text: &str) -> Dvipa {
    text.parse().expect("a DVIPA")
}

/// The profile of a text without any diagnostic.
pub(crate) fn clean(text: &str) -> Profile {
    let (profile, diagnostics) = parse(text.as_bytes());
    assert!(diagnostics.is_empty(), "{}", shown(&diagnostics));
    profile
}

/// The profile of a text, and its diagnostics as (line, column, code).
pub(crate) fn told(text: &str) -> (Profile, Vec<(u32, u32, Code)>) {
    let (profile, diagnostics) = parse(text.as_bytes());
    let brief = diagnostics.iter().map(|d| (d.line, d.column, d.code)).collect();
    (profile, brief)
}

pub(crate) fn shown(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| format!("{d}\n")).collect()
}

#[test]
fn the_sample_sysplex_has_one_sysplexports_dvipa_and_no_diagnostic() {
    let profiles = sample().map(|(name, text)| (name, clean(text)));
    for (name, profile) in &profiles {
        let shared: Vec<_> = profile.sysplexports().map(|definition| definition.dvipa).collect();
        assert_eq!(shared, [dvipa("10.1.1.1")], "{name}");
        let definition = profile.dvipa(dvipa("10.1.1.1")).expect("defined");
        assert!(definition.distributes(4035) && !definition.distributes(4036), "{name}");
        assert_eq!(definition.distributions.len(), 2, "{name}");
        assert_eq!(profile.structure_name(None).map(|name| name.to_string()), Ok("EZBEPORT".to_owned()));
        assert_eq!(profile.reserved_for(Transport::Tcp, 8109, "dbgmgr1"), Some(true), "{name}");
        assert_eq!(profile.reserved_for(Transport::Tcp, 8109, "OTHER"), Some(false), "{name}");
        assert_eq!(profile.reserved_for(Transport::Tcp, 8112, "DBGMGR1"), None, "{name}");
    }
    let roles = profiles.each_ref().map(|(_, profile)| profile.dvipas[0].role);
    assert_eq!(roles, [Role::Define, Role::Backup { rank: 200 }, Role::Backup { rank: 100 }]);

    let [first, second, third] = profiles.map(|(_, profile)| profile.allowable(Transport::Tcp));
    assert_eq!(first.count(), 64_512 - 512 - 4 - 4 - 200 - 100, "PORT above 1023, PORTRANGE, the explicit-bind range");
    assert_ne!(first, second);
    assert_ne!(second, third);
    assert!(first.contains(3000) && !second.contains(3000) && !third.contains(3000));
    assert!(!first.contains(61_511) && first.contains(61_512) && first.contains(65_535));
}

#[test]
fn every_statement_acted_on_reaches_the_profile() {
    let profile = clean(
        "GLOBALCONFIG XCFGRPID 21 EXPLICITBINDPORTRANGE 5000 1024 SYSPLEXMONITOR RECOVERY TIMERSECS 60
         IPCONFIG ARPTO 1200 DATAGRAMFWD FWDMULTIPATH PERPACKET TCPSTACKSOURCEVIPA 10.1.1.1 SOURCEVIPA
                  DYNAMICXCF 9.1.1.1 255.255.255.0 1 SYSPLEXROUTING TTL 64
         TCPCONFIG TCPSENDBUFRSIZE 65535 EPHEMERALPORTS 2000 60000 TIMEWAITINTERVAL 30 SENDGARBAGE FALSE
         UDPCONFIG EPHEMERALPORTS 3000 4000 UDPQUEUELIMIT
         VIPADYNAMIC
           VIPADEFINE TIER2 CPCSCOPE MOVEABLE WHENIDLE SERVICEMGR 255.255.255.192 10.1.1.1 10.1.1.2
           VIPABACKUP 254 10.1.1.3
           VIPABACKUP MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.4
           VIPADEFINE DVIPA6 2001:db8::1/64
           VIPARANGE DEFINE MOVEABLE NONDISRUPTIVE 255.255.255.0 10.9.0.0 SAF RES
           VIPAROUTE DEFINE 9.1.1.1 10.2.2.2
           VIPASMPARMS SMMCAST 224.0.1.2 SMPORT 1000
           VIPADISTRIBUTE DISTMETHOD HOTSTANDBY AUTOSWITCHBACK OPTLOCAL 4 SYSPLEXPORTS TIMEDAFFINITY 9999 10.1.1.1
             PORT 4035 5000-5009 DESTIP 9.1.1.1 PREFERRED 9.1.1.2 BACKUP 254
           VIPADISTRIBUTE DEFINE DISTM WEIGHTEDA OPTLOCAL 10.1.1.2 DESTIP 9.1.1.1 WEIGHT 99 9.1.1.2
           VIPADIST SYSPLEXP dvipa6 PORT 80 DESTIP 2001:db8:1::1 2001:db8:1::2
         ENDVIPADYNAMIC",
    );
    assert_eq!(profile.tcp_group, Some(21));
    assert_eq!(profile.structure_name(Some(11)).map(|name| name.to_string()), Ok("EZBEPORT1121".to_owned()));
    assert!(profile.structure_name(Some(32)).is_err());
    assert_eq!(profile.explicit_bind, ExplicitBind::Range(PortRange { first: 5000, count: 1024 }));
    assert_eq!((profile.ephemeral, profile.time_wait_s), ([(2000, 60_000), (3000, 4000)], 30));
    assert!(profile.ip.sysplex_routing && profile.ip.source_vipa);
    assert_eq!(profile.ip.dynamic_xcf, Some([9, 1, 1, 1].into()));
    assert_eq!(profile.ip.tcp_stack_source_vipa, Some(dvipa("10.1.1.1")));
    assert_eq!(profile.allowable(Transport::Tcp).ranges(), [(2000, 4999), (6024, 60_000)]);
    assert_eq!(profile.allowable(Transport::Udp).ranges(), [(3000, 4000)]);

    let brief: Vec<_> =
        profile.dvipas.iter().map(|d| (d.dvipa.to_string(), d.role, d.moveable, d.sysplexports)).collect();
    let expected = [
        ("10.1.1.1", Role::Define, Moveable::WhenIdle, true),
        ("10.1.1.2", Role::Define, Moveable::WhenIdle, false),
        ("10.1.1.3", Role::Backup { rank: 254 }, Moveable::Immediate, false),
        ("10.1.1.4", Role::Backup { rank: 1 }, Moveable::Immediate, false),
        ("2001:db8::1", Role::Define, Moveable::Immediate, true),
    ];
    assert_eq!(brief, expected.map(|(address, role, moveable, on)| (address.to_owned(), role, moveable, on)));
    assert_eq!(profile.dvipas[4].interface.as_deref(), Some("DVIPA6"));

    let hot = &profile.dvipas[0].distributions[0];
    assert_eq!((hot.method, hot.optlocal, hot.timed_affinity_s), (DistMethod::HotStandby, Some(4), 9_999));
    assert_eq!(hot.ports, [(4035, 4035), (5000, 5009)]);
    let parts = |destinations: &Destinations| match destinations {
        Destinations::All => Vec::new(),
        Destinations::Some(targets) => targets.iter().map(|target| target.part).collect(),
    };
    assert_eq!(parts(&hot.destinations), [Part::Preferred, Part::Backup(254)]);
    let weighted = &profile.dvipas[1].distributions[0];
    assert_eq!((weighted.method, weighted.optlocal), (DistMethod::WeightedActive, Some(1)));
    assert_eq!(parts(&weighted.destinations), [Part::Weight(99), Part::Weight(10)]);
    assert!(weighted.ports.is_empty());
}

#[test]
fn defaults_are_those_of_the_origin() {
    let profile = clean("");
    assert_eq!(profile.allowable(Transport::Tcp).ranges(), [(1024, 65_535)]);
    assert_eq!(profile.allowable(Transport::Udp).ranges(), [(1024, 65_535)]);
    assert_eq!((profile.time_wait_s, profile.tcp_group, profile.explicit_bind), (60, None, ExplicitBind::Unspecified));
}

#[test]
fn blanks_comments_case_and_line_ends_mean_nothing() {
    let spread = clean(
        "vipadynamic ; the block\n VipaDefine\n\n255.255.255.0 ; mask\n\t10.1.1.1\nvipadistribute sysplexports\n\
         10.1.1.1\nport\n4035 ;RSE\n destip\nall\nendvipadynamic\nport 4035\ntcp\nrsed\n",
    );
    let dense = clean(
        "VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1 VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL \
         ENDVIPADYNAMIC PORT 4035 TCP RSED",
    );
    assert_eq!(spread.allowable(Transport::Tcp), dense.allowable(Transport::Tcp));
    assert!(spread.dvipas[0].sysplexports && dense.dvipas[0].sysplexports);
    assert_eq!(spread.dvipas[0].distributions[0].ports, dense.dvipas[0].distributions[0].ports);
    assert_eq!(spread.reservations[0].user, User::Job("RSED".to_owned()));
}

#[test]
fn sysplexports_counts_on_the_first_vipadistribute_only() {
    let head = "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1 10.1.1.2\n";
    let (profile, remarks) = told(&format!(
        "{head}VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP ALL\n\
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL\n\
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.2 PORT 80 DESTIP ALL\n\
         VIPADISTRIBUTE 10.1.1.2 PORT 81 DESTIP ALL\nENDVIPADYNAMIC"
    ));
    assert_eq!(remarks, [(4, 16, Code::LateSysplexPorts)]);
    let on: Vec<_> = profile.dvipas.iter().map(|d| (d.sysplexports, d.distributions.len())).collect();
    assert_eq!(on, [(false, 2), (true, 2)]);

    let (profile, remarks) = told(&format!(
        "{head}VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL\n\
         VIPADISTRIBUTE DELETE 10.1.1.1 PORT 80 DESTIP ALL\n\
         VIPADISTRIBUTE DELETE 10.1.1.1 PORT 80 DESTIP ALL\n\
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL\nENDVIPADYNAMIC"
    ));
    assert_eq!(remarks, [(5, 1, Code::UnknownDistribution)], "on it was, and on it stays");
    assert!(profile.dvipas[0].sysplexports);

    let profile = clean(&format!(
        "{head}VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP ALL VIPADELETE 10.1.1.1 VIPABACKUP 3 10.1.1.1\n\
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL ENDVIPADYNAMIC"
    ));
    let last = profile.dvipa(dvipa("10.1.1.1")).expect("defined again");
    assert!(last.sysplexports && last.role == Role::Backup { rank: 3 });
}

#[test]
fn a_syntax_error_ends_the_block_and_nothing_else() {
    let block = |fault: &str| {
        format!(
            "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\n{fault}\nVIPADEFINE 255.255.255.0 10.1.1.2\n\
             ENDVIPADYNAMIC\nPORT 4035 TCP RSED\n"
        )
    };
    let faults = [
        ("VIPADEFINE 255.255.255.0 10.1.1.300", 26, Code::BadValue),
        ("VIPADEFINE 255.0.255.0 10.1.1.3", 12, Code::BadValue),
        ("VIPADEFINE MOVEABLE SOMETIMES 255.255.255.0 10.1.1.3", 21, Code::BadValue),
        ("VIPADEFINE 255.255.255.0 224.0.0.1", 26, Code::BadValue),
        ("VIPABACKUP 255 10.1.1.3", 12, Code::OutOfRange),
        ("VIPABACKUP 0 10.1.1.3", 12, Code::OutOfRange),
        ("WHATEVER 10.1.1.3", 1, Code::UnexpectedToken),
        ("PORT 23 TCP TN3270", 1, Code::UnexpectedToken),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 4035 DESTIP 9.1.1.1 PREFERRED", 50, Code::Conflict),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 4035 DESTIP 9.1.1.999", 42, Code::BadValue),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 0 DESTIP ALL", 30, Code::OutOfRange),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 65536 DESTIP ALL", 30, Code::OutOfRange),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 20-10 DESTIP ALL", 30, Code::OutOfRange),
        ("VIPADISTRIBUTE 10.1.1.1 PORT DESTIP ALL", 30, Code::BadValue),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 80", 1, Code::Missing),
        ("VIPADISTRIBUTE TIMEDAFFINITY 10000 10.1.1.1 DESTIP ALL", 30, Code::OutOfRange),
        ("VIPADISTRIBUTE DISTMETHOD FASTEST 10.1.1.1 DESTIP ALL", 27, Code::BadValue),
        ("VIPADISTRIBUTE OPTLOCAL 17 10.1.1.1 DESTIP ALL", 25, Code::OutOfRange),
    ];
    for (fault, column, code) in faults {
        let (profile, remarks) = told(&block(fault));
        let line = if code == Code::Missing { 4 } else { 3 };
        assert_eq!(remarks, [(line, column, code)], "{fault}");
        let stand: Vec<_> = profile.dvipas.iter().map(|d| (d.dvipa, d.distributions.len())).collect();
        assert_eq!(stand, [(dvipa("10.1.1.1"), 0)], "{fault}");
        assert_eq!(profile.reservations.len(), 1, "{fault}: what follows the block counts");
    }
}

#[test]
fn what_is_well_formed_but_cannot_be_loses_only_itself() {
    let (profile, remarks) = told(
        "VIPADYNAMIC
  VIPADEFINE 255.255.255.0 10.1.1.1 10.1.1.1 10.1.1.2
  VIPABACKUP 10.1.1.2
  VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.9 PORT 80 DESTIP ALL
  VIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 80 DESTIP ALL
  VIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 80 DESTIP 9.1.1.1 PREFERRED
  VIPADELETE 10.1.1.8
  VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL
ENDVIPADYNAMIC",
    );
    let expected = [
        (2, 37, Code::Duplicate),
        (3, 14, Code::Duplicate),
        (4, 31, Code::UnknownDvipa),
        (5, 3, Code::Conflict),
        (6, 3, Code::Conflict),
        (7, 14, Code::UnknownDvipa),
    ];
    assert_eq!(remarks, expected);
    assert_eq!(profile.dvipas.len(), 2);
    assert!(profile.dvipas[0].sysplexports);
}

#[test]
fn a_block_without_end_takes_the_rest_and_says_so() {
    let (profile, remarks) = told("VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\nPORT 4035 TCP RSED\n");
    assert_eq!(remarks, [(1, 1, Code::Unclosed), (3, 1, Code::UnexpectedToken)]);
    assert_eq!((profile.dvipas.len(), profile.reservations.len()), (1, 0));
    assert_eq!(told("PORT 23 TCP X\nAUTOLOG 5\nFTPD").1, [(2, 1, Code::Unclosed)]);
}

#[test]
fn statements_that_are_not_ours_are_skipped_in_silence_and_unknown_ones_with_one_word() {
    let profile = clean(
        "AUTOLOG 5\n FTPD JOBNAME FTPD1 PARMSTRING 'PORT 21'\nENDAUTOLOG\nTELNETPARMS\n PORT 23\nENDTELNETPARMS
         HOME 9.1.1.1 LINK1\nSMFCONFIG TYPE119 TCPINIT\nPORT 4035 TCP RSED\nDELETE PORT 4035 TCP RSED
         INTERFACE OSA DEFINE IPAQENET PORTNAME P IPADDR 1.2.3.4/8\nSTART OSA PORT 80 TCP WEB\nIPCONFIG6 SOURCEVIPA",
    );
    let ports: Vec<_> = profile.reservations.iter().map(|r| r.first).collect();
    assert_eq!(ports, [80]);

    let (profile, remarks) = told("FROBNICATE THE 17 THINGS\n  AND MORE\n\nPORT 80 TCP WEB\nINCLUDE USER.PORTS\n");
    assert_eq!(remarks, [(1, 1, Code::UnknownStatement), (5, 1, Code::Include)]);
    assert_eq!(profile.reservations.len(), 1);

    let (profile, remarks) = told("TCPCONFIG FROB 7 NICATE EPHEMERALPORTS 2000 3000\nIPCONFIG FROB");
    assert_eq!(remarks, [(1, 11, Code::UnknownParameter), (2, 10, Code::UnknownParameter)]);
    assert_eq!(profile.ephemeral[0], (2000, 3000));
}

#[test]
fn a_bad_reservation_is_lost_alone() {
    let (profile, remarks) = told(
        "PORT
  20 TCP OMVS
  21 TPC FTPD
  0 TCP ZERO
  22 TCP TOOLONGNAME 23 TCP TN
  24 TCP TELNET NOAUTOLOG DELAYACKS SHAREPORT BIND 10.1.1.1 SAF RES 25 UDP A*
  UNRSV TCP * DENY WHENBIND
  26 TCP *
PORTRANGE
  2000 10 TCP A
  2005 10 TCP B
  26 1 TCP B
  26 1 UDP B
  65000 1000 TCP C
  3000 0 TCP D
PORT 2009 TCP E
     26 TCP F",
    );
    let expected = [
        (3, 6, Code::BadValue),
        (4, 3, Code::OutOfRange),
        (5, 10, Code::BadValue),
        (11, 3, Code::Conflict),
        (12, 3, Code::Conflict),
        (14, 3, Code::OutOfRange),
        (15, 8, Code::OutOfRange),
        (16, 6, Code::Conflict),
    ];
    assert_eq!(remarks, expected);
    let kept: Vec<_> = profile.reservations.iter().map(|r| (r.first, r.last, r.transport.name())).collect();
    let tcp = "tcp";
    let expected = [
        (20, 20, tcp),
        (23, 23, tcp),
        (24, 24, tcp),
        (25, 25, "udp"),
        (26, 26, tcp),
        (2000, 2009, tcp),
        (26, 26, "udp"),
        (65_000, 65_535, tcp),
        (26, 26, tcp),
    ];
    assert_eq!(kept, expected);
    let shared = &profile.reservations[2];
    assert!(
        shared.shared && shared.bind == Some([10, 1, 1, 1].into()) && shared.user == User::Job("TELNET".to_owned())
    );
    assert_eq!(profile.reserved_for(Transport::Tcp, 26, "ANYBODY"), Some(true));
    assert_eq!(profile.reserved_for(Transport::Tcp, 24, "ANYBODY"), Some(false));
}

#[test]
fn bad_values_leave_the_defaults() {
    let texts = [
        ("TCPCONFIG EPHEMERALPORTS 1023 2000", 26, Code::OutOfRange),
        ("TCPCONFIG EPHEMERALPORTS 3000 2000", 31, Code::OutOfRange),
        ("TCPCONFIG EPHEMERALPORTS LOW 2000", 26, Code::BadValue),
        ("UDPCONFIG EPHEMERALPORTS 2000 99999", 31, Code::OutOfRange),
        ("TCPCONFIG EPHEMERALPORTS", 25, Code::Missing),
        ("GLOBALCONFIG XCFGRPID 1", 23, Code::OutOfRange),
        ("GLOBALCONFIG XCFGRPID 32", 23, Code::OutOfRange),
        ("GLOBALCONFIG XCFGRPID &GRP.", 23, Code::BadValue),
        ("GLOBALCONFIG EXPLICITBINDPORTRANGE 65535 2", 14, Code::OutOfRange),
        ("IPCONFIG DYNAMICXCF 9.1.1.1 33 1", 29, Code::BadValue),
        ("IPCONFIG TCPSTACKSOURCEVIPA 10.1.1.1", 37, Code::Conflict),
    ];
    for (text, column, code) in texts {
        let (profile, remarks) = told(text);
        assert_eq!(remarks, [(1, column, code)], "{text}");
        assert_eq!(profile, Profile::default(), "{text}");
    }
}

#[test]
fn odd_bytes_are_told_and_read_past() {
    let (profile, diagnostics) = parse(b"\xef\xbb\xbfPORT\r\n80 TCP\0WEB ; \xe9t\xe9\r\n");
    let codes: Vec<_> = diagnostics.iter().map(|d| (d.line, d.code)).collect();
    let expected = [(1, Code::ByteOrderMark), (1, Code::CarriageReturn), (2, Code::Nul), (2, Code::NotUtf8)];
    assert_eq!(codes, expected);
    assert_eq!(profile.reservations.len(), 1);
    assert!(diagnostics.iter().all(|d| d.severity < Severity::Error));

    let (profile, diagnostics) = parse(&vec![b'x'; LENGTH_MAX + 1]);
    assert_eq!(diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::TooLong]);
    assert_eq!(profile, Profile::default());
    let (_, diagnostics) = parse(b"PORT 1 TCP A\n2 TCP \xc3\xa9 ; \xff");
    let brief: Vec<_> = diagnostics.iter().map(|d| (d.line, d.column, d.code)).collect();
    assert_eq!(brief, [(2, 7, Code::BadValue), (2, 11, Code::NotUtf8)]);
}

#[test]
fn no_shuffled_text_makes_the_parser_panic() {
    let seed = std::env::var("PORTPLEX_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    println!("PORTPLEX_SEED={seed}");
    let mut source = Random::new(seed);
    let mut random = move |length: usize| source.index(length);
    let all: String = sample().map(|(_, text)| text).concat();
    let extra =
        ["65535", "0", "4294967296", "-", "10.1.1.1", "::1/129", "*", "VIPADELETE", "DELETE", "WEIGHT", "é", ";"];
    let words: Vec<&str> = all.split_whitespace().chain(extra).collect();
    for _ in 0..4_000 {
        let mut text = String::new();
        for _ in 0..random(60) {
            text.push_str(words[random(words.len())]);
            text.push(if random(4) == 0 { '\n' } else { ' ' });
        }
        let mut bytes = text.into_bytes();
        for _ in 0..random(4) {
            let at = random(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(random(256)).expect("a byte");
            }
        }
        let (profile, diagnostics) = parse(&bytes);
        let allowable = profile.allowable(Transport::Tcp);
        assert!(!allowable.contains(1023) && allowable.count() <= 64_512);
        assert!(diagnostics.iter().all(|d| d.line > 0 && d.column > 0 && !d.message.is_empty()));
        assert!(profile.dvipas.iter().all(|d| !d.sysplexports || !d.distributions.is_empty()));
    }
}
