//! The sample sysplex, as `examples/sysplex` has it.
#![forbid(unsafe_code)]

/// The sample sysplex: names and profiles of three stacks that share one SYSPLEXPORTS DVIPA,
/// 10.1.1.1, with different reservations on each.
#[must_use]
pub const fn sample() -> [(&'static str, &'static str); 3] {
    [
        ("SYS1.TCPIP", include_str!("../../examples/sysplex/sys1.profile")),
        ("SYS2.TCPIP", include_str!("../../examples/sysplex/sys2.profile")),
        ("SYS3.TCPIP", include_str!("../../examples/sysplex/sys3.profile")),
    ]
}
