//! Order rules and operands: what loses what, and by which of IBM's messages it is told.

use super::clean;
use super::dvipa;
use super::told;
use portplex::ident::Transport;
use portplex::profile::{Code, DistMethod, Profile, RANGES_MAX, Severity, Tier, parse};

/// Each diagnostic as (line, code, IBM's number).
fn cited(text: &str) -> (Profile, Vec<(u32, Code, Option<&'static str>)>) {
    let (profile, diagnostics) = parse(text.as_bytes());
    (profile, diagnostics.iter().map(|d| (d.line, d.code, d.ibm)).collect())
}

fn block(statement: &str) -> String {
    format!(
        "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\n{statement}\nVIPADISTRIBUTE 10.1.1.1 PORT 99 DESTIP ALL\n\
         ENDVIPADYNAMIC\n"
    )
}

/// Whether the statement behind a faulty one still counts.
fn goes_on(profile: &Profile) -> bool {
    profile.dvipas[0].distributes(99)
}

#[test]
fn wrong_operands_of_hotstandby_lose_that_statement_and_a_stray_word_the_rest_of_the_block() {
    let hot = "VIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 80 DESTIP";
    let many: String = (2..=33).map(|n| format!(" 9.1.1.{n} BACKUP")).collect();
    let statement_only = [
        (format!("{hot} ALL"), "EZZ0165I"),
        (format!("{hot} 9.1.1.1 9.1.1.2"), "EZZ0826I"),
        (format!("{hot} 9.1.1.1 PREFERRED 9.1.1.2"), "EZZ0826I"),
        (format!("{hot} 9.1.1.1 PREFERRED"), "EZZ0827I"),
        (format!("{hot} 9.1.1.1 BACKUP 9.1.1.2 BACKUP"), "EZZ0827I"),
        (format!("{hot} 9.1.1.1 PREFERRED 9.1.1.2 PREFERRED 9.1.1.3 BACKUP"), "EZZ0827I"),
        (format!("{hot} 9.1.1.1 PREFERRED{many}"), "EZZ0829I"),
        (format!("{hot} 9.1.1.1 PREFERRED 9.1.1.1 BACKUP"), "EZZ0830I"),
    ];
    for (statement, number) in statement_only {
        let (profile, remarks) = cited(&block(&statement));
        assert_eq!(remarks, [(3, Code::Conflict, Some(number))], "{statement}");
        assert!(goes_on(&profile) && !profile.dvipas[0].distributes(80), "{statement}");
    }
    let ends_block = [
        "VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP 9.1.1.1 PREFERRED 9.1.1.2 BACKUP",
        "VIPADISTRIBUTE DISTMETHOD ROUNDROBIN AUTOSWITCHBACK 10.1.1.1 PORT 80 DESTIP ALL",
        "VIPADISTRIBUTE NOHEALTHSWITCH 10.1.1.1 PORT 80 DESTIP ALL",
    ];
    for statement in ends_block {
        let (profile, remarks) = cited(&block(statement));
        assert_eq!(remarks, [(3, Code::Conflict, Some("EZZ0831I"))], "{statement}");
        assert!(!goes_on(&profile), "{statement}");
    }
    let exactly = format!("{hot} 9.1.1.1 PREFERRED{}", many.replace(" 9.1.1.33 BACKUP", ""));
    let (profile, remarks) = cited(&block(&exactly));
    assert_eq!(remarks, [], "31 backups are fine");
    assert!(profile.dvipas[0].distributes(80));
}

#[test]
fn parameters_of_a_method_need_that_method() {
    for (statement, method) in [
        ("VIPADISTRIBUTE DISTMETHOD SERVERWLM PROCTYPE CP 1 10.1.1.1 PORT 80 DESTIP ALL", "BASEWLM"),
        ("VIPADISTRIBUTE PROCXCOST ZIIP 3 10.1.1.1 PORT 80 DESTIP ALL", "SERVERWLM"),
        ("VIPADISTRIBUTE DISTM HOTSTANDBY ILWEIGHTING 1 10.1.1.1 PORT 80 DESTIP ALL", "SERVERWLM"),
    ] {
        let (profile, diagnostics) = parse(block(statement).as_bytes());
        assert_eq!(diagnostics.len(), 1, "{statement}");
        assert!(diagnostics[0].message.contains(method) && diagnostics[0].ibm.is_none(), "{}", diagnostics[0]);
        assert!(!goes_on(&profile), "{statement}");
    }
    for (statement, code) in [
        ("VIPADISTRIBUTE DISTMETHOD SERVERWLM ILWEIGHTING 4 10.1.1.1 DESTIP ALL", Code::OutOfRange),
        ("VIPADISTRIBUTE DISTMETHOD SERVERWLM PROCXCOST ZIIP 0 10.1.1.1 DESTIP ALL", Code::OutOfRange),
        ("VIPADISTRIBUTE DISTMETHOD SERVERWLM PROCXCOST CP 1 10.1.1.1 DESTIP ALL", Code::BadValue),
        ("VIPADISTRIBUTE PROCTYPE CP 101 10.1.1.1 DESTIP ALL", Code::OutOfRange),
        ("VIPADISTRIBUTE DISTM WEIGHTEDA 10.1.1.1 DESTIP 9.1.1.1 WEIGHT 100", Code::OutOfRange),
        ("VIPADISTRIBUTE DISTM HOTSTANDBY 10.1.1.1 DESTIP 9.1.1.1 BACKUP 255", Code::OutOfRange),
        ("VIPADISTRIBUTE TIER2 G GRE 10.1.1.1 PORT 80 DESTIP ALL", Code::Conflict),
        ("VIPADISTRIBUTE TIER1 G GRE CONTROLPORT 0 10.1.1.1 PORT 80 DESTIP ALL", Code::OutOfRange),
    ] {
        let (profile, remarks) = cited(&block(statement));
        assert_eq!(remarks, [(3, code, None)], "{statement}");
        assert!(!goes_on(&profile), "{statement}");
    }
    let (profile, remarks) = cited(&block("VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP 9.1.1.1 WEIGHT 9"));
    assert_eq!(remarks, [(3, Code::Conflict, None)], "a warning");
    assert!(goes_on(&profile) && profile.dvipas[0].distributes(80));
}

#[test]
fn what_cannot_go_together_loses_the_statement() {
    let cases = [
        ("VIPADISTRIBUTE TIER1 G GRE 10.1.1.1 DESTIP 9.1.1.1", Some("EZZ0783I")),
        ("VIPADISTRIBUTE TIER1 G ENCAP 10.1.1.1 DESTIP 9.1.1.1", Some("EZZ0783I")),
        ("VIPADISTRIBUTE DISTM TARGC 10.1.1.1 PORT 80 DESTIP 9.1.1.1", None),
        ("VIPADISTRIBUTE DISTM SERVERWLM TIER1 G GRE 10.1.1.1 PORT 80 DESTIP 9.1.1.1", None),
        ("VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP 2001:db8::1", None),
    ];
    for (statement, number) in cases {
        let (profile, remarks) = cited(&block(statement));
        assert_eq!(remarks, [(3, Code::Conflict, number)], "{statement}");
        assert!(goes_on(&profile), "{statement}");
        assert_eq!(profile.dvipas[0].distributions.len(), 1, "{statement}");
    }
    let (profile, remarks) = cited(&block(&format!("VIPADISTRIBUTE 10.1.1.1 PORT{} DESTIP ALL", " 80".repeat(1_025))));
    assert_eq!(remarks, [(3, Code::TooMany, None)]);
    assert!(goes_on(&profile) && !profile.dvipas[0].distributes(80));
    let (profile, diagnostics) =
        parse(block(&format!("VIPADIST 10.1.1.1 PORT{} DESTIP ALL", " 80".repeat(65))).as_bytes());
    assert_eq!(
        diagnostics.iter().map(|d| (d.code, d.severity)).collect::<Vec<_>>(),
        [(Code::TooMany, Severity::Warning)]
    );
    assert!(profile.dvipas[0].distributes(80));
}

#[test]
fn definitions_have_their_own_rules() {
    let (profile, remarks) = cited(
        "IPCONFIG6 DYNAMICXCF 2001:db8::9\nVIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1 10.1.1.9 10.1.1.2\n\
         VIPADEFINE V6 2001:db8::9/64\nVIPADEFINE V7 2001:db8::7\nVIPADEFINE V7 2001:db8::8\nENDVIPADYNAMIC\n\
         IPCONFIG DYNAMICXCF 10.1.1.9 255.255.255.0 1",
    );
    let expected = [
        (3, Code::Duplicate, Some("EZZ8307I")),
        (4, Code::Duplicate, Some("EZZ8307I")),
        (6, Code::Duplicate, Some("EZZ9654I")),
    ];
    assert_eq!(remarks, expected);
    let kept: Vec<_> = profile.dvipas.iter().map(|found| found.dvipa).collect();
    assert_eq!(kept, ["10.1.1.1", "10.1.1.2", "2001:db8::7"].map(dvipa), "the others of the list stand");

    for (statement, code) in [
        ("VIPADEFINE TIER1 CPCSCOPE 255.255.255.0 10.1.1.2", Code::Conflict),
        ("VIPADEFINE MOVEABLE WHENIDLE V6 2001:db8::1", Code::Conflict),
        ("VIPADEFINE SERVICEMGR V6 2001:db8::1", Code::Conflict),
        ("VIPADEFINE V6 2001:db8::1/129", Code::BadValue),
        ("VIPADEFINE V6 ::ffff:10.1.1.1", Code::BadValue),
        ("VIPADEFINE OPTLOCAL 2001:db8::1", Code::BadValue),
        ("VIPADEFINE NAMEOFSEVENTEENCH 2001:db8::1", Code::BadValue),
        ("VIPARANGE MOVEABLE SOMEHOW 255.0.0.0 10.0.0.0", Code::BadValue),
        ("VIPARANGE V6 2001:db8::", Code::BadValue),
        ("VIPARANGE 255.0.255.0 10.0.0.0", Code::BadValue),
        ("VIPARANGE 255.0.0.0 10.0.0.0 SAF NINELETTR", Code::BadValue),
        ("VIPAROUTE 10.0.0.1 2001:db8::1", Code::Conflict),
        ("VIPASMPARMS", Code::Missing),
        ("VIPASMPARMS SMMCAST 10.0.0.1", Code::BadValue),
        ("VIPASMPARMS SMPORT 0", Code::OutOfRange),
    ] {
        let (profile, remarks) = cited(&block(statement));
        assert_eq!(remarks, [(3, code, None)], "{statement}");
        assert!(!goes_on(&profile), "{statement}");
    }
    for statement in ["VIPARANGE DELETE 255.0.0.0 10.0.0.0", "VIPAROUTE DELETE 9.1.1.1 9.2.2.2"] {
        let (profile, remarks) = cited(&block(statement));
        assert_eq!(remarks, [(3, Code::UnknownDistribution, None)], "{statement}");
        assert!(goes_on(&profile));
    }
    let ranges: String =
        (0..=RANGES_MAX).map(|n| format!("VIPARANGE 255.255.255.255 10.{}.{}.1\n", n / 256, n % 256)).collect();
    let (profile, remarks) = cited(&format!("VIPADYNAMIC\n{ranges}ENDVIPADYNAMIC"));
    assert_eq!((profile.ranges.len(), remarks.len(), remarks[0].1), (RANGES_MAX, 1, Code::TooMany));
}

#[test]
fn port_options_have_an_order_and_some_exclude_each_other() {
    let profile = clean("PORT 80 TCP WEB NOAUTOLOG NODELAYACKS SHAREPORTWLM BIND 10.1.1.1 SAF web1 NOSMC");
    let entry = &profile.reservations[0];
    assert!(entry.options.no_autolog && entry.shared && entry.options.shared_by_wlm);
    assert_eq!((entry.options.delay_acks, entry.options.smc), (Some(false), Some(false)));
    assert_eq!(entry.options.saf.as_deref(), Some("WEB1"));

    let table: [(&str, Code, Option<&str>); 7] = [
        ("PORT 80 TCP WEB SAF WEB1 NOAUTOLOG", Code::OutOfOrder, None),
        ("PORT 80 TCP WEB DELAYACKS NODELAYACKS", Code::Conflict, Some("EZZ0356I")),
        ("PORT 80 TCP WEB SMC NOSMC", Code::Conflict, Some("EZZ0356I")),
        ("PORT 80 TCP RESERVED NOAUTOLOG", Code::Conflict, None),
        ("PORTRANGE 80 1 TCP AUTHPORT SAF X", Code::Conflict, None),
        ("PORTRANGE 80 1 TCP WEB SHAREPORT", Code::UnexpectedToken, None),
        ("PORTRANGE 80 1 TCP WEB BIND 1.1.1.1", Code::UnexpectedToken, None),
    ];
    for (text, code, number) in table {
        let (profile, remarks) = cited(text);
        assert_eq!(remarks, [(1, code, number)], "{text}");
        assert_eq!(profile.reservations.len(), 1, "{text}: a warning, the port is reserved");
    }
    let (profile, remarks) = cited("PORT 80 TCP WEB SAF 9X\n81 TCP WEB");
    assert_eq!(remarks, [(1, Code::BadValue, None)]);
    assert_eq!(profile.reservations.len(), 1);
}

#[test]
fn a_port_range_that_meets_an_earlier_port_is_ignored_as_a_whole_and_a_later_port_alone() {
    let (profile, remarks) =
        cited("PORT 2005 TCP A\nPORTRANGE 2000 10 TCP B\n3000 10 TCP B\nPORT 3009 TCP C 3010 TCP C");
    assert_eq!(remarks, [(2, Code::Conflict, Some("EZZ0326I")), (4, Code::Conflict, Some("EZZ0326I"))]);
    let kept: Vec<_> = profile.reservations.iter().map(|entry| (entry.first, entry.last)).collect();
    assert_eq!(kept, [(2005, 2005), (3000, 3009), (3010, 3010)]);
    assert!(profile.allowable(Transport::Tcp).contains(2004));
    let (profile, remarks) = cited("PORTRANGE 2000 10 TCP B\nPORTRANGE 2000 10 TCP B\nPORTRANGE 65000 600 TCP C");
    assert_eq!(remarks, [(2, Code::Conflict, Some("EZZ0326I")), (3, Code::OutOfRange, None)]);
    assert_eq!(profile.reservations[1].last, 65_535, "cut off");
}

#[test]
fn unreserved_ports_are_guarded_by_entries_that_agree() {
    let (profile, remarks) = cited(
        "PORT\nUNRSV TCP JOB1 SAF R1\nUNRSV TCP * DENY\nUNRSV TCP JOB2 WHENBIND\nUNRSV TCP JOB3 DENY\n\
         UNRSV UDP JOB1 WHENLISTEN\nUNRSV UDP *\n80 TCP WEB\nUNRSV SCTP *",
    );
    let expected = [
        (4, Code::Conflict, Some("EZZ0147I")),
        (5, Code::Conflict, Some("EZZ0146I")),
        (6, Code::Conflict, None),
        (9, Code::BadValue, None),
    ];
    assert_eq!(remarks, expected);
    let kept: Vec<_> = profile.unreserved.iter().map(|e| (e.transport, e.job.as_str(), e.deny, e.when_bind)).collect();
    let expected = [
        (Transport::Tcp, "*", true, false),
        (Transport::Tcp, "JOB1", false, false),
        (Transport::Udp, "*", false, true),
    ];
    assert_eq!(kept, expected);
    assert_eq!(profile.allowable(Transport::Tcp).count(), 64_512, "they change nothing about assigned ports");
}

#[test]
fn ipconfig6_has_interfaces_where_ipconfig_has_addresses() {
    let profile = clean(
        "IPCONFIG6 SOURCEVIPA DYNAMICXCF 2001:db8::1/64 INTFID ::1:2 SOURCEVIPAINTERFACE vs1 TCPSTACKSOURCEVIPA D6",
    );
    assert_eq!((profile.ip6.xcf_prefix, profile.ip6.source_vipa), (64, true));
    assert_eq!(profile.ip6.source_vipa_interface.as_deref(), Some("VS1"));
    for (text, column, code) in [
        ("IPCONFIG6 DYNAMICXCF 10.1.1.1", 22, Code::BadValue),
        ("IPCONFIG6 INTFID X-1", 18, Code::BadValue),
        ("IPCONFIG6 TCPSTACKSOURCEVIPA 10.1.1.1", 30, Code::BadValue),
        ("IPCONFIG TCPSTACKSOURCEVIPA 2001:db8::1", 29, Code::BadValue),
        ("IPCONFIG TCPSTACKSOURCEVIPA 224.0.0.1", 29, Code::BadValue),
        ("IPCONFIG6 WHATEVER", 11, Code::UnknownParameter),
        ("IPCONFIG6 TCPSTACKSOURCEVIPA D6", 32, Code::Conflict),
    ] {
        let (profile, remarks) = told(text);
        assert_eq!(remarks, [(1, column, code)], "{text}");
        assert_eq!(profile, Profile::default(), "{text}");
    }
}

#[test]
fn a_message_carries_ibms_number_for_people_and_programs() {
    let (_, diagnostics) = parse(block("VIPADISTRIBUTE DISTM HOTSTANDBY 10.1.1.1 DESTIP ALL").as_bytes());
    assert!(diagnostics[0].text().ends_with("(EZZ0165I)"), "{}", diagnostics[0].text());
    assert!(diagnostics[0].to_string().contains("(EZZ0165I) [conflict]; "), "{}", diagnostics[0]);
}

#[test]
fn tiers_belong_to_definition_and_distribution() {
    let profile = clean(
        "VIPADYNAMIC VIPADEFINE TIER2 CPCSCOPE 255.255.255.0 10.1.1.1
         VIPADISTRIBUTE TIER2 GRP DISTMETHOD ROUNDROBIN 10.1.1.1 DESTIP ALL ENDVIPADYNAMIC",
    );
    let definition = &profile.dvipas[0];
    assert_eq!((definition.tier, definition.cpc_scope), (Some(Tier::Two), true));
    assert_eq!(definition.distributions[0].tier, Some((Tier::Two, "GRP".to_owned())));
    assert_eq!(definition.distributions[0].method, DistMethod::RoundRobin);
}
