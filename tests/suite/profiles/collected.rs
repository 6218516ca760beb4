//! Profiles of many kinds, as sites have them: none of them may be told off.

use super::clean;
use super::dvipa;
use portplex::ident::Transport;
use portplex::profile::{DistMethod, Role, parse};

const COLLECTED: [(&str, &str); 14] = [
    ("one-stack", include_str!("one-stack.profile")),
    ("distributor", include_str!("distributor.profile")),
    ("backup", include_str!("backup.profile")),
    ("hot-standby", include_str!("hot-standby.profile")),
    ("ipv6", include_str!("ipv6.profile")),
    ("subplex", include_str!("subplex.profile")),
    ("explorer", include_str!("explorer.profile")),
    ("ftp-passive", include_str!("ftp-passive.profile")),
    ("telnet", include_str!("telnet.profile")),
    ("two-stages", include_str!("two-stages.profile")),
    ("weighted", include_str!("weighted.profile")),
    ("locked-down", include_str!("locked-down.profile")),
    ("old", include_str!("old.profile")),
    ("dense", include_str!("dense.profile")),
];

fn collected(name: &str) -> portplex::profile::Profile {
    let (_, text) = COLLECTED.iter().find(|(known, _)| *known == name).expect("collected");
    clean(text)
}

#[test]
fn profiles_of_all_kinds_parse_without_a_diagnostic_and_print_to_the_same() {
    for (name, text) in COLLECTED {
        let profile = clean(text);
        let printed = profile.to_string();
        let (again, diagnostics) = parse(printed.as_bytes());
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:?}\n{printed}");
        assert!(again.says_the_same(&profile), "{name}: {printed}\n{profile:#?}\n{again:#?}");
    }
}

#[test]
fn what_they_say_is_understood() {
    let ports = |name: &str| collected(name).allowable(Transport::Tcp).count();
    assert_eq!(ports("one-stack"), 64_512);
    assert_eq!(ports("hot-standby"), 64_512 - 5);
    assert_eq!(ports("subplex"), 30_000 - 384);
    assert_eq!(ports("explorer"), 10_000);
    assert_eq!(ports("ftp-passive"), 60_999 - 1_023 - 200);
    assert_eq!(collected("one-stack").reservations.len(), 10);
    assert_eq!(collected("telnet").reserved_for(Transport::Tcp, 1023, "TN3271"), Some(true));
    assert_eq!(collected("old").reservations.len(), 1);

    let subplex = collected("subplex").structure_name(Some(11)).map(|name| name.to_string());
    assert_eq!(subplex, Ok("EZBEPORT1107".to_owned()));
    let backup = collected("backup");
    let roles: Vec<_> = backup.dvipas.iter().map(|found| (found.role, found.creates)).collect();
    let expected = [
        (Role::Backup { rank: 150 }, false),
        (Role::Backup { rank: 150 }, false),
        (Role::Backup { rank: 40 }, true),
        (Role::Backup { rank: 1 }, true),
        (Role::Define, false),
    ];
    assert_eq!(roles, expected);
    let ipv6 = collected("ipv6");
    assert_eq!(ipv6.sysplexports().count(), 2, "IPv4 and IPv6");
    assert_eq!(ipv6.dvipa(dvipa("2001:db8:83::6")).map(|found| found.role), Some(Role::Backup { rank: 12 }));
    assert_eq!((ipv6.routes.len(), ipv6.ranges.len(), ipv6.source_ip.len()), (1, 1, 5));

    let weighted = collected("weighted");
    assert_eq!(weighted.ranges.iter().map(|range| range.prefix).collect::<Vec<_>>(), [26, 24]);
    assert_eq!(weighted.routes.len(), 1);
    let manager = weighted.service_manager.expect("VIPASMPARMS");
    assert_eq!((manager.port, manager.password.as_deref()), (Some(1637), Some("mNlb")), "the password keeps its case");
    let stages = collected("two-stages");
    let first = &stages.dvipas[0].distributions[0];
    assert_eq!((first.method, first.control_port), (DistMethod::TargControlled, Some(1733)));
    let locked = collected("locked-down");
    assert_eq!(locked.unreserved.len(), 3);
    assert_eq!(locked.reserved_for(Transport::Tcp, 111, "ANY"), None, "deleted again");
    let dense = collected("dense");
    assert!(dense.dvipas[0].sysplexports && dense.reservations.len() == 3);
}
