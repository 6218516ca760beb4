//! Profiles from arbitrary bytes: a profile and diagnostics, never a failure; what they come to prints
//! as text that parses to the same. Bytes behind a form feed are a data set that is obeyed.

use portplex::ident::Transport;
use portplex::profile::{Asked, Profile, RseEnv, Severity, Subject, advise, parse};

/// One input.
pub fn run(input: &[u8]) {
    let mut data_sets = input.split(|byte| *byte == b'\x0c');
    let (mut profile, _) = parse(data_sets.next().unwrap_or_default());
    check(&profile);
    for text in data_sets.take(3) {
        profile = profile.obey(text).0;
        check(&profile);
    }
    let subject = Subject { name: "A", system: "A", profile: &profile };
    let environment = RseEnv::parse("E", input);
    let _ = advise(&[subject, subject], &[environment.clone(), environment], &Asked::default());
}

fn check(profile: &Profile) {
    let printed = profile.to_string();
    let (again, diagnostics) = parse(printed.as_bytes());
    assert!(again.says_the_same(profile), "{printed}");
    assert!(diagnostics.iter().all(|found| found.severity < Severity::Error), "{printed}");
    let allowable = profile.allowable(Transport::Tcp);
    assert!(!allowable.contains(1023) && allowable.count() <= 64_512);
}
