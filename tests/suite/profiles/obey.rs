//! Data sets that are obeyed: each statement by its merge rule, and SYSPLEXPORTS in two steps.

use super::clean;
use super::dvipa;
use portplex::ident::Transport;
use portplex::profile::{Code, Destinations, Moveable, Profile, Role, SourceRule, User};

/// The profile after a data set, and its diagnostics as (line, column, code).
fn obeyed(profile: &Profile, text: &str) -> (Profile, Vec<(u32, u32, Code)>) {
    let (profile, diagnostics) = profile.obey(text.as_bytes());
    (profile, diagnostics.iter().map(|d| (d.line, d.column, d.code)).collect())
}

fn quietly(profile: &Profile, text: &str) -> Profile {
    let (profile, told) = obeyed(profile, text);
    assert_eq!(told, [], "{text}");
    profile
}

const DISTRIBUTED: &str = "VIPADYNAMIC\nVIPADEFINE 255.255.255.0 10.1.1.1\n\
                           VIPADISTRIBUTE 10.1.1.1 PORT 20 21 DESTIP ALL\nENDVIPADYNAMIC\n";
/// The two data sets of the origin's text on SYSPLEXPORTS, in other words.
const DELETES: &str = "VIPADYNAMIC\nVIPADISTRIBUTE DELETE\n10.1.1.1 PORT 20 21\nDESTIP ALL\nENDVIPADYNAMIC\n;\n";
const DEFINES: &str =
    "VIPADYNAMIC\nVIPADISTRIBUTE DEFINE SYSPLEXPORTS\n10.1.1.1 PORT 20 21\nDESTIP ALL\n;\nENDVIPADYNAMIC\n";

fn on(profile: &Profile) -> bool {
    profile.dvipa(dvipa("10.1.1.1")).expect("defined").sysplexports
}

#[test]
fn sysplexports_comes_by_two_data_sets_that_delete_and_define() {
    let running = clean(DISTRIBUTED);
    assert!(!on(&running));
    let deleted = quietly(&running, DELETES);
    assert!(deleted.dvipas[0].distributions.is_empty(), "the DVIPA stays, its distribution goes");
    let defined = quietly(&deleted, DEFINES);
    assert!(on(&defined) && defined.dvipas[0].distributions.len() == 1);
    assert_eq!((defined.data_sets, defined.dvipas[0].distributions[0].data_set), (2, 2));
}

#[test]
fn both_in_one_data_set_leave_it_off_and_say_why() {
    let running = clean(DISTRIBUTED);
    let both = format!("{DELETES}{DEFINES}");
    let (after, told) = obeyed(&running, &both);
    assert_eq!(told, [(8, 23, Code::LateSysplexPorts)]);
    assert!(!on(&after) && after.dvipas[0].distributions.len() == 1, "it is distributed as before");
    let (_, diagnostics) = running.obey(both.as_bytes());
    assert!(diagnostics[0].message.contains("its deletion counts when the data set ends"), "{}", diagnostics[0]);
    assert!(diagnostics[0].hint.contains("into a second one"), "{}", diagnostics[0]);

    let one_block = both.replace("ENDVIPADYNAMIC\n;\nVIPADYNAMIC\n", "");
    assert!(!on(&obeyed(&running, &one_block).0), "in one block either");
}

#[test]
fn sysplexports_is_the_dvipas_and_no_statement_of_a_data_set_switches_it() {
    let running = clean(DISTRIBUTED);
    let (after, told) =
        obeyed(&running, "VIPADYNAMIC VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL ENDVIPADYNAMIC");
    assert_eq!(told, [(1, 28, Code::LateSysplexPorts)]);
    assert!(!on(&after) && after.dvipas[0].distributions.len() == 2);

    let shared = clean(&DISTRIBUTED.replace("VIPADISTRIBUTE", "VIPADISTRIBUTE SYSPLEXPORTS"));
    let more = quietly(&shared, "VIPADYNAMIC VIPADISTRIBUTE 10.1.1.1 PORT 80 DESTIP ALL ENDVIPADYNAMIC");
    assert!(on(&more), "a statement without the word takes nothing away");
    let fewer = quietly(&more, DELETES);
    assert!(on(&fewer), "one distribution is left");
    let (again, told) = obeyed(&shared, &format!("{DELETES}{}", DEFINES.replace(" SYSPLEXPORTS", "")));
    assert_eq!(told, [(8, 1, Code::LateSysplexPorts)], "a warning");
    assert!(on(&again));
    let gone = quietly(&quietly(&shared, DELETES), &DEFINES.replace(" SYSPLEXPORTS", ""));
    assert!(!on(&gone), "off after all distribution was deleted");
}

#[test]
fn the_stack_leaves_the_list_when_the_last_distribution_goes() {
    let shared = clean(&DISTRIBUTED.replace("VIPADISTRIBUTE", "VIPADISTRIBUTE SYSPLEXPORTS"));
    let gone = quietly(&shared, DELETES);
    assert_eq!((shared.sysplexports().count(), gone.sysplexports().count()), (1, 0));
    assert!(gone.dvipa(dvipa("10.1.1.1")).is_some(), "the DVIPA itself stays");
    let never = clean("VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1 ENDVIPADYNAMIC");
    assert!(on(&quietly(&never, DEFINES)), "a DVIPA that was never distributed is free to start with it");
    let fresh = quietly(&shared, "VIPADYNAMIC VIPADELETE 10.1.1.1 VIPADEFINE 255.0.0.0 10.1.1.1 ENDVIPADYNAMIC");
    assert!(!on(&fresh) && fresh.dvipas[0].distributions.is_empty() && fresh.dvipas[0].prefix == Some(8));
}

#[test]
fn definitions_are_brought_up_to_date_with_their_distribution() {
    let backup = clean(
        "VIPADYNAMIC VIPABACKUP 9 10.1.1.1 VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 80 DESTIP ALL
         VIPABACKUP 9 10.1.1.2 VIPADEFINE V6 2001:db8::1/64 ENDVIPADYNAMIC",
    );
    let owner = quietly(
        &backup,
        "VIPADYNAMIC VIPADEFINE MOVEABLE WHENIDLE 255.255.255.0 10.1.1.1 VIPABACKUP 200 10.1.1.2 ENDVIPADYNAMIC",
    );
    let first = &owner.dvipas[0];
    assert_eq!((first.role, first.moveable, first.data_set), (Role::Define, Moveable::WhenIdle, 1));
    assert!(first.sysplexports && first.distributions.len() == 1);
    assert_eq!(owner.dvipas[1].role, Role::Backup { rank: 200 });
    assert_eq!(owner.dvipas.len(), 3);

    let (same, told) = obeyed(
        &owner,
        "VIPADYNAMIC\nVIPABACKUP 10.1.1.1\nVIPADEFINE 255.0.0.0 10.1.1.1\nVIPADEFINE V7 2001:db8::1/64\nENDVIPADYNAMIC",
    );
    let expected = [(2, 12, Code::NotWhileRunning), (3, 22, Code::NotWhileRunning), (4, 15, Code::NotWhileRunning)];
    assert_eq!(told, expected);
    assert!(same.says_the_same(&owner));
}

#[test]
fn parts_of_a_distribution_can_be_deleted() {
    let running = clean(
        "VIPADYNAMIC VIPADEFINE 255.255.255.0 10.1.1.1
         VIPADISTRIBUTE DISTMETHOD WEIGHTEDACTIVE 10.1.1.1 PORT 80 90-99 DESTIP 9.1.1.1 9.1.1.2 WEIGHT 7 9.1.1.3
         VIPADISTRIBUTE DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 70 DESTIP 9.1.1.1 PREFERRED 9.1.1.2 BACKUP
         ENDVIPADYNAMIC",
    );
    let delete = |what: &str| obeyed(&running, &format!("VIPADYNAMIC VIPADISTRIBUTE DELETE {what} ENDVIPADYNAMIC"));
    let ports = |profile: &Profile| {
        let all = profile.dvipas[0].distributions.iter();
        all.map(|found| (found.ports.clone(), found.destinations.addresses().count())).collect::<Vec<_>>()
    };
    let (after, told) = delete("10.1.1.1 PORT 92 93 DESTIP 9.1.1.1 9.1.1.2 9.1.1.3");
    assert_eq!(told, []);
    assert_eq!(ports(&after), [(vec![(80, 80), (90, 91), (94, 99)], 3), (vec![(70, 70)], 2)]);
    let (after, told) = delete("10.1.1.1 PORT 80 DESTIP 9.1.1.2");
    assert_eq!(told, []);
    assert_eq!(ports(&after), [(vec![(90, 99)], 3), (vec![(80, 80)], 2), (vec![(70, 70)], 2)]);
    for nothing in [
        "PORT 81 DESTIP 9.1.1.1",
        "PORT 80 DESTIP ALL",
        "PORT 80 DESTIP 9.9.9.9",
        "DESTIP 9.1.1.1",
        "PORT 70 DESTIP 9.1.1.1",
    ] {
        let (after, told) = delete(&format!("10.1.1.1 {nothing}"));
        assert_eq!(told, [(1, 13, Code::UnknownDistribution)], "{nothing}");
        assert!(after.says_the_same(&running));
    }
    let (after, _) = delete("10.1.1.1 PORT 70 DESTIP 9.1.1.2 9.1.1.1");
    assert_eq!(ports(&after).len(), 1, "all targets of HOTSTANDBY, without the words");
    assert_eq!(after.dvipas[0].distributions.iter().filter(|found| found.destinations == Destinations::All).count(), 0);
}

#[test]
fn reservations_are_added_replaced_and_deleted() {
    let running = clean("PORT 80 TCP WEB 443 TCP WEB UNRSV TCP * DENY\nPORTRANGE 2000 10 TCP POOL");
    let users = |profile: &Profile| {
        let name = |user: &User| if let User::Job(name) = user { name.clone() } else { format!("{user:?}") };
        profile.reservations.iter().map(|entry| (entry.first, name(&entry.user), entry.data_set)).collect::<Vec<_>>()
    };
    let after = quietly(
        &running,
        "PORT 8080 TCP WEB 80 TCP WEB SHAREPORT\nPORTRANGE 2000 10 TCP POOL NOAUTOLOG\nDELETE PORT 443 TCP WEB NOAUTOLOG\n\
         DELETE PORT UNRSV TCP * DENY",
    );
    let expected = [(80, "WEB", 1), (2000, "POOL", 1), (8080, "WEB", 1)];
    assert_eq!(users(&after), expected.map(|(port, user, set)| (port, user.to_owned(), set)));
    assert!(after.reservations[0].shared && after.reservations[1].options.no_autolog && after.unreserved.is_empty());
    assert_eq!(after.reserved_for(Transport::Tcp, 443, "WEB"), None);

    let (same, told) = obeyed(
        &running,
        "PORTRANGE 2005 10 TCP OTHER\nPORT 2001 TCP OTHER\nPORTRANGE 80 1 TCP WEB\nDELETE PORT 80 TCP OTHER\n\
         DELETE PORTRANGE 2000 9 TCP POOL\nDELETE INTERFACE X",
    );
    let expected = [
        (1, 11, Code::Conflict),
        (2, 6, Code::Conflict),
        (3, 11, Code::Conflict),
        (4, 13, Code::UnknownReservation),
        (5, 18, Code::UnknownReservation),
        (6, 8, Code::UnexpectedToken),
    ];
    assert_eq!(told, expected);
    assert!(same.says_the_same(&running));
    let free = quietly(&running, "DELETE PORTRANGE 2000 10 TCP POOL PORTRANGE 2005 10 TCP OTHER");
    assert_eq!(free.reserved_for(Transport::Tcp, 2000, "POOL"), None);
    assert_eq!(free.reserved_for(Transport::Tcp, 2014, "OTHER"), Some(true));
}

#[test]
fn settings_change_where_they_are_named() {
    let running = clean(
        "GLOBALCONFIG XCFGRPID 21 EXPLICITBINDPORTRANGE 5000 64\nTCPCONFIG EPHEMERALPORTS 2000 9000 TIMEWAITINTERVAL 30
         IPCONFIG SYSPLEXROUTING SOURCEVIPA TCPSTACKSOURCEVIPA 10.1.1.1\nSRCIP JOBNAME A 1.1.1.1 JOBNAME B 1.1.1.1 ENDSRCIP",
    );
    assert!(quietly(&running, "").says_the_same(&running), "nothing said, nothing changed");
    let after = quietly(
        &running,
        "GLOBALCONFIG XCFGRPID 21 NOEXPLICITBINDPORTRANGE\nTCPCONFIG EPHEMERALPORTS 3000 4000\nIPCONFIG NOTCPSTACKSOURCEVIPA
         SRCIP JOBNAME C 2.2.2.2 ENDSRCIP",
    );
    assert_eq!((after.time_wait_s, after.tcp_group, after.ip.sysplex_routing), (30, Some(21), true));
    assert_eq!(after.allowable(Transport::Tcp).ranges(), [(3000, 4000)]);
    assert_eq!(after.ip.tcp_stack_source_vipa, None);
    assert!(
        matches!(&after.source_ip[..], [one] if matches!(&one.rule, SourceRule::Job { pattern, .. } if pattern == "C"))
    );
    assert!(quietly(&after, "SRCIP ENDSRCIP").source_ip.is_empty(), "an empty block takes all entries away");

    let (same, told) = obeyed(&running, "GLOBALCONFIG XCFGRPID 22\nSRCIP JOBNAME A 1.1.1.1 WHAT ENDSRCIP");
    assert_eq!(told, [(1, 23, Code::NotWhileRunning), (2, 25, Code::UnexpectedToken)]);
    assert!(same.says_the_same(&running), "a block with an error changes nothing");
}

#[test]
fn a_smaller_set_of_ports_is_what_the_data_sets_come_to() {
    let running = clean("TCPCONFIG EPHEMERALPORTS 2000 2999");
    let after = quietly(&quietly(&running, "PORTRANGE 2000 100 TCP A"), "PORT 2999 TCP B");
    assert_eq!(after.allowable(Transport::Tcp).ranges(), [(2100, 2998)]);
    assert_eq!(after.data_sets, 2);
}
