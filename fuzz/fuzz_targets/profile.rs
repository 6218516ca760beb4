//! Profiles from arbitrary bytes: a profile and diagnostics, never a failure.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (profile, _diagnostics) = portplex::profile::parse(input);
    let _ = profile.allowable(portplex::ident::Transport::Tcp);
});
