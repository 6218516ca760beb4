//! The advisor on `rse.env`: what is read from it, and each of its rules.

use super::clean;
use portplex::profile::{Advice, Asked, Profile, RseEnv, Rule, Severity, Subject, advise};

const GOOD: &str = "_RSE_JAVAOPTS=\"-Denable.dDVIPA=true -Ddeny.nonzero.port=true -Ddaemon.log=/logs/$SYS -Duser.log=/u/$SYS\"\n\
                    CGI_ISPWORK=/var/rse/$SYS\n";

fn stack(n: u8, sysplexports: &str, more: &str) -> String {
    let role = if n == 1 { "VIPADEFINE 255.255.255.0" } else { "VIPABACKUP" };
    format!(
        "IPCONFIG SYSPLEXROUTING DYNAMICXCF 9.1.1.{n} 255.255.255.0 1 VIPADYNAMIC {role} 10.1.1.1\n\
         VIPADIST {sysplexports} 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC PORT 4035 TCP RSED\n{more}"
    )
}

fn with(profiles: &[String], environments: &[&str]) -> Vec<Advice> {
    let profiles: Vec<Profile> = profiles.iter().map(|text| clean(text)).collect();
    let names = ["S1", "S2", "S3"];
    let subjects: Vec<Subject<'_>> =
        profiles.iter().zip(names).map(|(profile, name)| Subject { name, system: name, profile }).collect();
    let environments: Vec<RseEnv> =
        environments.iter().zip(["E1", "E2", "E3"]).map(|(text, name)| RseEnv::parse(name, text.as_bytes())).collect();
    advise(&subjects, &environments, &Asked::default())
}

fn found(environments: &[&str]) -> Vec<(Rule, Severity, String)> {
    brief(&with(&[stack(1, "SYSPLEXPORTS", ""), stack(2, "SYSPLEXPORTS", "")], environments))
}

fn brief(advice: &[Advice]) -> Vec<(Rule, Severity, String)> {
    advice.iter().map(|advice| (advice.rule, advice.severity, advice.profiles.join(" "))).collect()
}

#[test]
fn the_file_is_read_as_a_shell_would() {
    let env = RseEnv::parse(
        "E",
        b"# _RSE_RSED_PORT=1\n  export _RSE_RSED_PORT=4999 # ours\n_RSE_PORTRANGE='8108-8118'\nnot a line\n=x\n\
          _RSE_JAVAOPTS=\"\"\n_RSE_JAVAOPTS=\"$_RSE_JAVAOPTS -Xms1m -Denable.dDVIPA=TRUE\"\n\
          #_RSE_JAVAOPTS=\"-Ddeny.nonzero.port=true\"\ndeny.nonzero.port=false\nTMPDIR=/tmp\nTMPDIR=/var/tmp\n\xff=\xfe",
    );
    assert_eq!(env.daemon_port(), Some(4999));
    assert_eq!(env.port_range(), Some(Some((8108, 8117))), "the upper end is exclusive");
    assert!(env.is_on("enable.dDVIPA") && !env.is_on("deny.nonzero.port"));
    assert_eq!(env.get("TMPDIR"), Some("/var/tmp"));
    for bad in ["_RSE_PORTRANGE=8108", "_RSE_PORTRANGE=8118-8108", "_RSE_PORTRANGE=1-70000", "_RSE_PORTRANGE=0-9"] {
        assert_eq!(RseEnv::parse("E", bad.as_bytes()).port_range(), Some(None), "{bad}");
    }
    assert_eq!(RseEnv::parse("E", b"_RSE_PORTRANGE=\n").port_range(), None);
}

#[test]
fn good_files_get_no_advice_and_files_without_distribution_neither() {
    assert_eq!(found(&[GOOD]), []);
    assert_eq!(found(&[GOOD, GOOD]), []);
    assert_eq!(with(&["PORT 4035 TCP RSED".to_owned()], &["A=1"]), []);
}

#[test]
fn the_switches_must_be_on() {
    let off = GOOD.replace("enable.dDVIPA=true", "enable.dDVIPA=false");
    assert_eq!(found(&[&off]), [(Rule::RseDdvipaOff, Severity::Error, "E1".to_owned())]);
    let off = GOOD.replace("-Ddeny.nonzero.port=true", "");
    let expected = [
        (Rule::RseNonzeroPort, Severity::Warning, "E1".to_owned()),
        (Rule::RseSetupDiffers, Severity::Warning, "E1 E2".to_owned()),
    ];
    assert_eq!(found(&[&off, GOOD]), expected);
}

#[test]
fn a_port_range_is_at_odds_with_sysplexports_and_the_way_round_is_offered() {
    let (first, second) = (format!("{GOOD}_RSE_PORTRANGE=8100-8110"), format!("{GOOD}_RSE_PORTRANGE=8110-8120"));
    let bare = with(&[stack(1, "SYSPLEXPORTS", "")], &[&first]);
    assert_eq!((bare[0].rule, bare[0].severity), (Rule::RsePortrange, Severity::Error));
    assert!(bare[0].why.contains("EPHEMERALPORTS") && bare[0].why.contains("reserve all of them"), "{}", bare[0].why);
    assert_eq!(bare[1].rule, Rule::RsePortrangeUnreserved);

    let reserved = "PORTRANGE 8100 20 TCP RSED*\n";
    let both = |sysplexports| [stack(1, sysplexports, reserved), stack(2, sysplexports, reserved)];
    let way = with(&both("SYSPLEXPORTS"), &[&first, &second]);
    assert_eq!(brief(&way), [(Rule::RsePortrange, Severity::Note, "E1 E2".to_owned())], "the way round is complete");
    let open = with(&[stack(1, "SYSPLEXPORTS", reserved), stack(2, "SYSPLEXPORTS", "")], &[&first, &second]);
    assert!(open.iter().any(|advice| advice.rule == Rule::RsePortrange && advice.severity == Severity::Error));
    assert!(open.iter().any(|advice| advice.rule == Rule::RsePortrangeUnreserved && advice.profiles == ["E1", "S2"]));
    let overlapping = with(&both("SYSPLEXPORTS"), &[&first, &first]);
    assert_eq!(overlapping[0].severity, Severity::Error);
    assert!(
        overlapping.iter().any(|advice| advice.rule == Rule::RsePortrangeOverlap && advice.profiles == ["E1", "E2"])
    );
    let unreadable = format!("{GOOD}_RSE_PORTRANGE=8110");
    assert!(with(&both(""), &[&unreadable]).iter().any(|advice| advice.rule == Rule::RsePortrange));
    let without = with(&both(""), &[&first, &second]);
    assert!(!without.iter().any(|advice| advice.rule == Rule::RsePortrange), "{without:#?}");
}

#[test]
fn the_daemons_port_is_read_from_the_file() {
    let moved = stack(1, "", "").replace("4035", "4999");
    assert_eq!(with(std::slice::from_ref(&moved), &[GOOD]), [], "4035 is not distributed");
    let advice = with(&[moved], &[&format!("{GOOD}_RSE_RSED_PORT=4999")]);
    assert_eq!(advice[0].rule, Rule::DaemonWithoutSysplexports);
}

#[test]
fn some_directories_are_shared_and_some_must_not_be() {
    let home = format!("{GOOD}RSE_HOME=/usr/lpp/other");
    assert_eq!(found(&[GOOD, &home]), [(Rule::RseDirectoriesShared, Severity::Warning, "E1 E2".to_owned())]);
    let push = format!("{GOOD}pushtoclient.folder=/elsewhere");
    assert_eq!(found(&[GOOD, &push]), [(Rule::RseDirectoriesShared, Severity::Warning, "E1 E2".to_owned())]);
    let plain = GOOD.replace("CGI_ISPWORK=/var/rse/$SYS", "CGI_ISPWORK=/var/rse");
    let advice = with(&[stack(1, "SYSPLEXPORTS", "")], &[&plain, &plain]);
    assert_eq!(brief(&advice), [(Rule::RseDirectoriesUnique, Severity::Note, "E1 E2".to_owned())]);
    assert!(advice[0].why.starts_with("/var/rse/WORKAREA "), "{}", advice[0].why);
    assert_eq!(found(&[&plain, &plain.replace("/var/rse", "/var/rse2")]), [], "they have their own");
    let other = format!("{GOOD}STEPLIB=NONE");
    assert_eq!(found(&[GOOD, &other]), [(Rule::RseSetupDiffers, Severity::Warning, "E1 E2".to_owned())]);
}
