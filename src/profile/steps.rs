//! The time that reading takes, counted in steps: linear in the text, whatever the text is.
#![forbid(unsafe_code)]

use super::diagnostic::DIAGNOSTICS_MAX;
use super::model::Profile;
use super::read;

/// Texts made to be slow, each to be repeated, behind a head.
const HOSTILE: [(&str, &str); 14] = [
    ("", "x "),
    ("", "? PORT "),
    ("", "\u{fffd}"),
    ("", ";\0\r"),
    ("", "PORT 1 TCP A 1 TCP B\n"),
    ("PORT ", "1 TCP A* NOAUTOLOG SHAREPORT BIND 1.1.1.1 SAF X SMC "),
    ("", "PORT 1 TCP A DELETE PORT 1 TCP A\n"),
    ("", "PORTRANGE 1 65535 TCP A\n"),
    ("PORT ", "UNRSV TCP A WHENBIND UNRSV TCP B WHENLISTEN "),
    ("", "VIPADYNAMIC "),
    ("", "VIPADYNAMIC VIPADEFINE 255.255.255.0 1.1.1.1 ENDVIPADYNAMIC\n"),
    ("VIPADYNAMIC VIPADEFINE 255.255.255.0 1.1.1.1 ", "VIPADISTRIBUTE 1.1.1.1 PORT 1-9 20 DESTIP 9.9.9.9 "),
    (
        "VIPADYNAMIC VIPADEFINE 255.255.255.0 1.1.1.1 ",
        "VIPADISTRIBUTE 1.1.1.1 PORT 1-9 DESTIP 9.9.9.9 VIPADISTRIBUTE DELETE 1.1.1.1 PORT 2 DESTIP 9.9.9.9 ",
    ),
    ("SRCIP ", "JOBNAME A 1.1.1.1 DESTINATION 2.2.2.2 1.1.1.1 "),
];

const LENGTH: usize = 1 << 20;

/// Steps per byte that no text may need. Most need one for every few bytes; comparing a DELETE with
/// up to 1,024 statements is the dearest.
const STEPS_PER_BYTE_MAX: u64 = 64;

#[test]
fn a_hostile_mebibyte_is_read_in_linear_time_with_bounded_diagnostics() {
    for (head, piece) in HOSTILE {
        let text = |length: usize| format!("{head}{}", piece.repeat(length / piece.len()));
        let steps = |length| {
            let (_, diagnostics, steps) = read(text(length).as_bytes(), Profile::default(), 0);
            assert!(diagnostics.len() <= DIAGNOSTICS_MAX, "{piece:?}");
            steps
        };
        let (half, whole) = (steps(LENGTH / 2), steps(LENGTH));
        assert!(whole <= LENGTH as u64 * STEPS_PER_BYTE_MAX, "{piece:?}: {whole} steps");
        assert!(whole <= 2 * half + 2 * half / 10 + 1_000, "{piece:?}: {half} steps, and {whole} for twice the text");
    }
}

#[test]
fn deleting_small_parts_of_much_is_linear_too() {
    let ports = |count: u32, step: u32| (0..count).map(|n| format!(" {}", 2 + n * step)).collect::<String>();
    let fragments = format!("VIPADIST 1.1.1.1 PORT{} DESTIP 9.9.9.9 ", ports(100, 3)).repeat(1_000);
    let wide = "VIPADIST 1.1.1.1 PORT 1-65535 DESTIP 9.9.9.9 ".repeat(1_000);
    let few = "VIPADIST DELETE 1.1.1.1 PORT 2 DESTIP 9.9.9.8 9.9.9.9 ".to_owned();
    let many = format!("VIPADIST DELETE 1.1.1.1 PORT{} DESTIP 9.9.9.9 ", ports(1_000, 7));
    for (defined, deleted) in [(&fragments, &few), (&fragments, &many), (&wide, &few), (&wide, &many)] {
        let rest = deleted.repeat((LENGTH - defined.len()) / deleted.len());
        let text = format!("VIPADYNAMIC VIPADEFINE 255.255.255.0 1.1.1.1 {defined}{rest}");
        let (profile, _, steps) = read(text.as_bytes(), Profile::default(), 0);
        assert!(steps <= LENGTH as u64 * STEPS_PER_BYTE_MAX, "{steps} steps: {deleted:.60}");
        assert!(profile.dvipas[0].distributions.len() <= super::DISTRIBUTIONS_MAX);
    }
}

#[test]
fn the_profile_that_results_can_be_obeyed_upon_again_and_again() {
    for (head, piece) in HOSTILE {
        let text = format!("{head}{}", piece.repeat(1_000));
        let (first, ..) = read(text.as_bytes(), Profile::default(), 0);
        let (second, _, steps) = read(text.as_bytes(), first.clone(), 1);
        assert!(steps <= text.len() as u64 * STEPS_PER_BYTE_MAX, "{piece:?}: {steps} steps");
        assert_eq!((first.data_sets, second.data_sets), (0, 1));
    }
}
