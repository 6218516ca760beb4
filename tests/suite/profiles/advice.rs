//! The advisor on profiles: each rule once where it applies and once where it does not.

use super::clean;
use portplex::profile::{Advice, Asked, Profile, Rule, Severity, Subject, advise, sample};

/// Advice on stacks of systems S1, S2, …
fn on(texts: &[&str], asked: &Asked) -> Vec<Advice> {
    let profiles: Vec<Profile> = texts.iter().map(|text| clean(text)).collect();
    let names: Vec<String> = (1..=texts.len()).map(|n| format!("S{n}")).collect();
    let subject = |(name, profile)| Subject { name, system: name, profile };
    let subjects: Vec<Subject<'_>> = names.iter().map(String::as_str).zip(&profiles).map(subject).collect();
    advise(&subjects, &[], asked)
}

fn rules(advice: &[Advice]) -> Vec<(Rule, String)> {
    advice.iter().map(|advice| (advice.rule, advice.profiles.join(" "))).collect()
}

fn found(texts: &[&str]) -> Vec<(Rule, String)> {
    rules(&on(texts, &Asked::default()))
}

fn one(rule: Rule, profiles: &str) -> Vec<(Rule, String)> {
    vec![(rule, profiles.to_owned())]
}

/// A stack that is beyond reproach: `n` is its number, `role` its statement for the DVIPA.
fn stack(n: u8, role: &str) -> String {
    format!(
        "IPCONFIG SYSPLEXROUTING DYNAMICXCF 9.1.1.{n} 255.255.255.0 1\nVIPADYNAMIC\n{role} 10.1.1.1\n\
         VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL\nENDVIPADYNAMIC\nPORT 4035 TCP RSED\n"
    )
}

fn three() -> [String; 3] {
    [stack(1, "VIPADEFINE 255.255.255.0"), stack(2, "VIPABACKUP 200"), stack(3, "VIPABACKUP 100")]
}

/// The three with the same change made in each.
fn all_with(from: &str, to: &str) -> Vec<(Rule, String)> {
    let texts = three().map(|text| text.replace(from, to));
    found(&texts.each_ref().map(String::as_str))
}

/// The three with a change in the second.
fn second_with(from: &str, to: &str) -> Vec<(Rule, String)> {
    let [first, second, third] = three();
    assert!(second.contains(from), "{second}");
    found(&[&first, &second.replace(from, to), &third])
}

#[test]
fn a_good_sysplex_gets_no_advice_and_neither_does_the_sample() {
    assert_eq!(all_with("", ""), []);
    assert_eq!(found(&[&three()[0]]), [], "nor one of its stacks by itself");
    let texts = sample().map(|(_, text)| text);
    let advice = on(&texts, &Asked::default());
    assert!(advice.is_empty(), "{advice:#?}");
}

#[test]
fn stacks_are_compared() {
    assert_eq!(
        second_with("SYSPLEXPORTS ", ""),
        [(Rule::SysplexportsDiffer, "S2 S1 S3".to_owned()), (Rule::DaemonWithoutSysplexports, "S2".to_owned()),]
    );
    assert_eq!(second_with("VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL\n", ""), [], "it inherits");
    assert_eq!(second_with("DYNAMICXCF 9.1.1.2 255.255.255.0 1", ""), one(Rule::NoDynamicXcf, "S2"));
    assert_eq!(second_with("SYSPLEXROUTING ", ""), one(Rule::NoSysplexRouting, "S2"));
    assert_eq!(
        all_with("VIPABACKUP", "VIPADEFINE 255.255.255.0 10.2.2.2 VIPABACKUP"),
        [(Rule::NoBackup, "S2".to_owned()), (Rule::NoBackup, "S3".to_owned()),]
    );
    assert_eq!(second_with("PORT 4035 TCP RSED\n", ""), one(Rule::PortNotReserved, "S2"));
    assert_eq!(second_with("4035 TCP RSED", "4035 TCP RESERVED"), one(Rule::PortNotReserved, "S2"));
    let [first, ..] = three();
    assert_eq!(found(&[&first]), [], "one profile by itself says nothing about backups");
    assert_eq!(found(&["PORT 80 TCP WEB", "TCPCONFIG TTLS"]), [], "without distribution nothing is needed");
}

#[test]
fn ranges_and_subplexes_are_compared() {
    let range = "GLOBALCONFIG EXPLICITBINDPORTRANGE 5000 384\nIPCONFIG";
    assert_eq!(all_with("IPCONFIG", range), []);
    assert_eq!(second_with("IPCONFIG", range), one(Rule::ExplicitBindDiffers, "S1 S2 S3"));
    assert_eq!(all_with("IPCONFIG", "GLOBALCONFIG NOEXPLICITBINDPORTRANGE\nIPCONFIG"), []);
    let few = ["S1", "S2", "S3"].map(|name| (Rule::FewPorts, name.to_owned()));
    assert_eq!(all_with("IPCONFIG", "GLOBALCONFIG EXPLICITBINDPORTRANGE 5000 191\nIPCONFIG"), few);
    assert_eq!(all_with("IPCONFIG", "TCPCONFIG EPHEMERALPORTS 5000 5190\nIPCONFIG"), few);
    assert_eq!(all_with("IPCONFIG", "TCPCONFIG EPHEMERALPORTS 5000 5191\nIPCONFIG"), []);

    assert_eq!(all_with("IPCONFIG", "GLOBALCONFIG XCFGRPID 21\nIPCONFIG"), []);
    let [first, second, third] = three();
    let other = second.replace("IPCONFIG", "GLOBALCONFIG XCFGRPID 21\nIPCONFIG");
    let advice = on(&[&first, &other, &third], &Asked::default());
    assert_eq!(rules(&advice), one(Rule::SubplexDiffers, "S1 S2 S3"));
    assert_eq!(advice[0].severity, Severity::Error, "both sides have the DVIPA");
    let apart = "GLOBALCONFIG XCFGRPID 21";
    let advice = on(&[&first, apart, &third], &Asked::default());
    assert_eq!(
        advice.iter().find(|advice| advice.rule == Rule::SubplexDiffers).map(|a| a.severity),
        Some(Severity::Warning)
    );
}

#[test]
fn serverwlm_does_not_suit_a_daemon_whose_workers_are_elsewhere() {
    let wlm = |port: &str| {
        all_with("SYSPLEXPORTS 10.1.1.1 PORT 4035", &format!("SYSPLEXPORTS DISTM SERVERWLM 10.1.1.1 PORT {port}"))
    };
    assert_eq!(wlm("4035"), one(Rule::ServerwlmDaemon, "S1 S2 S3"));
    assert!(!wlm("80").iter().any(|(rule, _)| *rule == Rule::ServerwlmDaemon));
    let text = three()[0].replace("SYSPLEXPORTS 10.1.1.1 PORT 4035", "SYSPLEXPORTS DISTM SERVERWLM 10.1.1.1 PORT 80");
    let text = text.replace("4035 TCP", "80 TCP");
    let asked = |asked: Asked| rules(&on(&[&text], &asked));
    assert_eq!(asked(Asked::default()), []);
    assert_eq!(asked(Asked { daemon_port: Some(80), ..Asked::default() }), one(Rule::ServerwlmDaemon, "S1"));
    assert_eq!(asked(Asked { worker_elsewhere: vec![80], ..Asked::default() }), one(Rule::ServerwlmDaemon, "S1"));
}

#[test]
fn roundrobin_over_an_even_number_of_systems_starves_the_odd_ones_unless_clients_encrypt() {
    let robin = three().map(|text| text.replace("SYSPLEXPORTS 10", "SYSPLEXPORTS DISTM ROUNDROBIN 10"));
    let asked = |encrypted| Asked { clients_encrypted: encrypted, ..Asked::default() };
    let two = [robin[0].as_str(), robin[1].as_str()];
    let advice = on(&two, &asked(None));
    assert_eq!(rules(&advice), one(Rule::RoundrobinEven, "S1 S2"));
    assert!(
        advice[0].why.contains("first, third, …") && advice[0].why.contains("--clients-encrypted"),
        "{}",
        advice[0].why
    );
    assert!(!on(&two, &asked(Some(false)))[0].why.contains("--clients-encrypted"));
    assert_eq!(on(&two, &asked(Some(true))), []);
    assert_eq!(on(&robin.each_ref().map(String::as_str), &asked(None)), [], "three are odd");
    assert_eq!(on(&[&robin[0]], &asked(None)), [], "how many ALL are is not known");

    let listed = robin[0].replace("DESTIP ALL", "DESTIP 9.1.1.1 9.1.1.2 9.1.1.3 9.1.1.4");
    assert_eq!(rules(&on(&[&listed], &asked(None))), one(Rule::RoundrobinEven, "S1"));

    // Four stacks on three systems: systems count.
    let profiles: Vec<Profile> =
        robin.iter().chain([&robin[2].replace("9.1.1.3", "9.1.1.4")]).map(|text| clean(text)).collect();
    let subject = |at: usize, system| Subject { name: ["A", "B", "C", "D"][at], system, profile: &profiles[at] };
    let four = |systems: [&'static str; 4]| {
        let subjects: Vec<_> = systems.into_iter().enumerate().map(|(at, system)| subject(at, system)).collect();
        advise(&subjects, &[], &asked(None)).len()
    };
    assert_eq!((four(["S1", "S2", "S3", "S3"]), four(["S1", "S2", "S3", "S4"])), (0, 1));
}

#[test]
fn ports_of_workers_are_not_reserved_where_the_structure_gives_them() {
    assert_eq!(second_with("4035 TCP RSED", "4035 TCP RSED 8108 TCP RSED"), one(Rule::WorkerPortsReserved, "S2"));
    assert_eq!(
        second_with("PORT 4035 TCP", "PORTRANGE 8108 10 TCP RSED*\nPORT 4035 TCP"),
        one(Rule::WorkerPortsReserved, "S2")
    );
    let bound = "4035 TCP RSED 9000 TCP OTHER BIND 10.1.1.1";
    assert_eq!(second_with("4035 TCP RSED", bound), one(Rule::WorkerPortsReserved, "S2"));
    assert_eq!(second_with("4035 TCP RSED", "4035 TCP RSED 8108 TCP OTHER 900 TCP RSED 8109 UDP RSED 26 TCP *"), []);
    let narrow = "4035 TCP RSED 8108 TCP RSED TCPCONFIG EPHEMERALPORTS 20000 30000";
    assert_eq!(second_with("4035 TCP RSED", narrow), [], "outside EPHEMERALPORTS nothing is taken away");
}

#[test]
fn job_monitor_need_not_be_distributed() {
    assert_eq!(all_with("4035", "6715").first(), Some(&(Rule::JesJobMonitor, "S1 S2 S3".to_owned())));
    assert!(!all_with("4035", "6716").iter().any(|(rule, _)| *rule == Rule::JesJobMonitor));
}

#[test]
fn a_daemon_needs_sysplexports() {
    assert_eq!(all_with("SYSPLEXPORTS ", ""), one(Rule::DaemonWithoutSysplexports, "S1 S2 S3"));
    let asked = Asked { daemon_port: Some(80), ..Asked::default() };
    let text = three()[0].replace("SYSPLEXPORTS ", "");
    assert_eq!(on(&[&text], &asked), [], "4035 is not the daemon's then");
}

#[test]
fn every_piece_of_advice_says_why_and_cites_a_text() {
    let bad = "VIPADYNAMIC VIPADEFINE 255.0.0.0 10.1.1.1 VIPADEFINE V6 2001:db8::1\n\
               VIPADIST DISTM SERVERWLM 10.1.1.1 PORT 4035 6715 DESTIP ALL VIPADIST V6 DESTIP ALL ENDVIPADYNAMIC";
    let advice = on(&[bad, &stack(1, "VIPADEFINE 255.0.0.0")], &Asked::default());
    assert!(advice.len() >= 8, "{advice:#?}");
    assert!(advice.windows(2).all(|two| two[0].severity >= two[1].severity), "errors first");
    for advice in advice {
        assert!(advice.why.len() > 60 && !advice.source.is_empty() && !advice.profiles.is_empty(), "{advice:?}");
        assert!(!advice.why.contains("  "), "{}", advice.why);
        assert!(advice.rule.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    }
}
