//! A profile prints as text that parses to the same profile, whatever it came from.

use crate::random::Random;
use portplex::profile::{Profile, Severity, parse, sample};

/// Words that meet each other in odd ways, beside those of the sample.
const WORDS: &str = include_str!("ipv6.profile");
const MORE_WORDS: [&str; 6] = [
    include_str!("weighted.profile"),
    include_str!("two-stages.profile"),
    include_str!("locked-down.profile"),
    include_str!("backup.profile"),
    include_str!("hot-standby.profile"),
    include_str!("ftp-passive.profile"),
];

impl Random {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.index(of.len())]
    }
}

fn check(profile: &Profile, from: &str) {
    let printed = profile.to_string();
    let (again, diagnostics) = parse(printed.as_bytes());
    let errors: Vec<_> = diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}\nprinted:\n{printed}\nfrom:\n{from}");
    assert!(again.says_the_same(profile), "printed:\n{printed}\nfrom:\n{from}\n{profile:#?}\n{again:#?}");
    assert_eq!(again.to_string(), printed);
}

/// A statement of the block, mostly good.
fn statement(random: &mut Random) -> String {
    let address = random.one(&["10.1.1.1", "10.1.1.2", "10.1.1.3"]);
    let named = random.one(&["10.1.1.1", "10.1.1.2", "10.1.1.3", "V6A", "V6B"]);
    let (verb, ports) =
        (random.one(&["", "DEFINE ", "DELETE "]), random.one(&["", "PORT 80", "PORT 1-99 443", "PORT 20"]));
    let to = random.one(&["ALL", "9.1.1.1", "9.1.1.1 9.1.1.2", "9.1.1.1 PREFERRED 9.1.1.2 BACKUP 9", "9::1 9::2"]);
    let method = random.one(&["", "DISTM ROUNDROBIN", "DISTM HOTSTANDBY HEALTHSW", "DISTM WEIGHTEDA", "PROCTYPE CP 3"]);
    let option =
        random.one(&["", "SYSPLEXP", "OPTLOCAL 3", "TIMEDAFF 9", "TIER2 G", "TIER1 G GRE", "SYSPLEXP OPTLOCAL"]);
    match random.index(9) {
        0 => format!(
            "VIPADEF {}255.255.255.0 {address}",
            random.one(&["", "MOVE WHENIDLE SERVICEMGR ", "TIER1 ", "CPCSCOPE "])
        ),
        1 => format!("VIPAB {}{address}", random.one(&["", "9 ", "3 MOVE IMMED 255.0.0.0 "])),
        2 => format!("{} 2001:db8::{}", random.one(&["VIPADEF V6A", "VIPAB V6B"]), random.one(&["1", "2/64"])),
        3 => format!("VIPADELE {named}"),
        4 => format!(
            "VIPARANGE {verb}{}",
            random.one(&["255.255.0.0 10.9.0.0", "V6R 2001:db8:9::/48", "MOVE DISRUPT 255.0.0.0 9.0.0.0 SAF S"])
        ),
        5 => format!("VIPAROUTE {verb}9.1.1.{} 10.2.2.2", random.index(3)),
        _ => format!("VIPADIST {verb}{method} {option} {named} {ports} DESTIP {to}"),
    }
}

fn outside(random: &mut Random) -> String {
    let port = 1 + random.index(6);
    let user = random.one(&["A", "B*", "RESERVED", "*", "AUTHPORT"]);
    let options = random.one(&["", "SHAREPORTWLM", "SAF R NOAUTOLOG", "BIND 1::1 SMC", "NODELAYACKS BIND 1.1.1.1"]);
    let transport = random.one(&["TCP", "UDP"]);
    match random.index(9) {
        0 => format!("PORT {port} {transport} {user} {options}"),
        1 => format!("PORTRANGE {port} {} {transport} {user} {options}", 1 + random.index(4)),
        2 => format!("DELETE PORT {port} {transport} {user}"),
        3 => format!("DELETE PORTRANGE {port} {} {transport} {user}", 1 + random.index(4)),
        4 => format!("PORT UNRSV {transport} {}", random.one(&["A", "* DENY", "B SAF R WHENBIND", "* WHENLISTEN"])),
        5 => format!(
            "SRCIP JOBNAME {} V6A {} DESTINATION 1::/16 2::2 ENDSRCIP",
            random.one(&["*", "A*", "AB"]),
            random.one(&["", "BOTH"])
        ),
        6 => random
            .one(&[
                "IPCONFIG DYNAMICXCF 10.1.1.3 /24 3 SOURCEVIPA",
                "IPCONFIG TCPSTACKSOURCEV 10.1.1.1 SYSPLEXR",
                "IPCONFIG NOSOURCEVIPA NODYNAMICXCF",
            ])
            .to_owned(),
        7 => random
            .one(&[
                "IPCONFIG6 SOURCEVIPA TCPSTACKSOURCEVIPA V6A",
                "IPCONFIG6 DYNAMICXCF 2001:db8::2/64 INTFID ::9",
                "IPCONFIG6 SOURCEVIPAINT V",
            ])
            .to_owned(),
        _ => random
            .one(&[
                "GLOBALCONFIG XCFGRPID 9 NOEXPLICITBINDPORTRANGE",
                "GLOBALCONFIG EXPLICITBINDPORTRANGE 1024 64512",
                "TCPCONFIG EPHEMERALPORTS 2000 2000 TIMEWAITI 0",
            ])
            .to_owned(),
    }
}

fn data_set(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.index(8) {
        text.push_str(&outside(random));
        text.push('\n');
    }
    text.push_str("VIPADYNAMIC\n");
    for _ in 0..random.index(14) {
        text.push_str(&statement(random));
        text.push('\n');
    }
    text.push_str("ENDVIPADYNAMIC\n");
    text
}

#[test]
fn random_profiles_print_to_themselves_also_after_data_sets_were_obeyed() {
    let seed = crate::requirements::seed("random_profiles_print_to_themselves_also_after_data_sets_were_obeyed");
    let mut random = Random::new(seed);
    let mut distributed = 0;
    for _ in 0..3_000 {
        let mut text = data_set(&mut random);
        let (mut profile, _) = parse(text.as_bytes());
        check(&profile, &text);
        for _ in 0..random.index(3) {
            let more = data_set(&mut random);
            profile = profile.obey(more.as_bytes()).0;
            text.push_str("---- obeyed\n");
            text.push_str(&more);
            check(&profile, &text);
        }
        distributed += profile.dvipas.iter().map(|found| found.distributions.len()).sum::<usize>();
        assert!(profile.dvipas.iter().all(|found| !found.sysplexports || !found.distributions.is_empty()));
    }
    assert!(distributed > 500, "the texts say something: {distributed}");
}

#[test]
fn shuffled_words_print_to_themselves() {
    let seed = crate::requirements::seed("shuffled_words_print_to_themselves");
    let mut random = Random::new(seed);
    let all: String = sample().map(|(_, text)| text).concat() + WORDS + &MORE_WORDS.concat();
    let words: Vec<&str> =
        all.split_whitespace().chain(["DELETE", "VIPADELETE", "0", "65535", "é", "12345678"]).collect();
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..random.index(120) {
            // Runs of words as they stood, so that some of it is whole statements.
            let (start, length) = (random.index(words.len()), 1 + random.index(12));
            for word in words.iter().skip(start).take(length) {
                text.push_str(word);
                text.push(if random.index(5) == 0 { '\n' } else { ' ' });
            }
        }
        let (profile, _) = parse(text.as_bytes());
        check(&profile, &text);
    }
}
