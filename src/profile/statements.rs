//! Every statement of a TCP/IP profile by name: a statement ends where the next one begins, so the
//! names of those that mean nothing to us must be known too.
#![forbid(unsafe_code)]

use super::token::Token;

/// What a statement means to us.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    VipaDynamic,
    IpConfig,
    IpConfig6,
    GlobalConfig,
    TcpConfig,
    UdpConfig,
    Port,
    PortRange,
    Delete,
    SourceIp,
    Include,
    /// Nothing, up to the next statement.
    Skip,
    /// Nothing, and its name is also an everyday word: a statement at the start of a line only.
    Old,
    /// Nothing, up to the word that ends the block.
    Block(&'static str),
}

/// The statements, upper-case letters being the least that is written.
/// Source: z/OS Communications Server IP Configuration Reference, "TCP/IP profile (PROFILE.TCPIP)
/// and configuration statements"; the old ones are those that it dropped over the years.
const STATEMENTS: &[(&str, Kind)] = &[
    ("VIPADynamic", Kind::VipaDynamic),
    ("IPCONFig", Kind::IpConfig),
    ("IPCONFIG6", Kind::IpConfig6),
    ("GLOBALCONFig", Kind::GlobalConfig),
    ("TCPCONFIG", Kind::TcpConfig),
    ("UDPCONFIG", Kind::UdpConfig),
    ("PORT", Kind::Port),
    ("PORTRange", Kind::PortRange),
    ("DELEte", Kind::Delete),
    ("SRCIP", Kind::SourceIp),
    ("INCLUDE", Kind::Include),
    ("ARPAGE", Kind::Skip),
    ("ATMARPSV", Kind::Skip),
    ("ATMLIS", Kind::Skip),
    ("ATMPVC", Kind::Skip),
    ("DEVICE", Kind::Skip),
    ("GATEWAY", Kind::Skip),
    ("HOME", Kind::Skip),
    ("INTERFACE", Kind::Skip),
    ("ITRACE", Kind::Skip),
    ("LINK", Kind::Skip),
    ("NETMONITOR", Kind::Skip),
    ("OSAENTA", Kind::Skip),
    ("PKTTRACE", Kind::Skip),
    ("PRIMARYINTERFACE", Kind::Skip),
    ("SACONFIG", Kind::Skip),
    ("SMFCONFIG", Kind::Skip),
    ("SMFPARMS", Kind::Skip),
    ("SOMAXCONN", Kind::Skip),
    ("START", Kind::Skip),
    ("STOP", Kind::Skip),
    ("SYSCONTACT", Kind::Skip),
    ("SYSLOCATION", Kind::Skip),
    ("TNSACONFIG", Kind::Skip),
    ("TRANSLATE", Kind::Skip),
    ("ASSORTEDPARMS", Kind::Block("ENDASSORTEDPARMS")),
    ("AUTOLOG", Kind::Block("ENDAUTOLOG")),
    ("BEGINROUTES", Kind::Block("ENDROUTES")),
    ("BEGINVTAM", Kind::Block("ENDVTAM")),
    ("BSDROUTINGPARMS", Kind::Block("ENDBSDROUTINGPARMS")),
    ("DEFADDRTABLE", Kind::Block("ENDDEFADDRTABLE")),
    ("INTERNALCLIENTPARMS", Kind::Block("ENDINTERNALCLIENTPARMS")),
    ("IPSEC", Kind::Block("ENDIPSEC")),
    ("KEEPALIVEOPTIONS", Kind::Block("ENDKEEPALIVEOPTIONS")),
    ("NETACCESS", Kind::Block("ENDNETACCESS")),
    ("TELNETGLOBALS", Kind::Block("ENDTELNETGLOBALS")),
    ("TELNETPARMS", Kind::Block("ENDTELNETPARMS")),
    ("ACBPOOLSIZE", Kind::Old),
    ("ADDRESSTRANSLATIONPOOLSIZE", Kind::Old),
    ("CCBPOOLSIZE", Kind::Old),
    ("DATABUFFERPOOLSIZE", Kind::Old),
    ("ENVELOPEPOOLSIZE", Kind::Old),
    ("FILE", Kind::Old),
    ("INFORM", Kind::Old),
    ("IPROUTEPOOLSIZE", Kind::Old),
    ("LARGEENVELOPEPOOLSIZE", Kind::Old),
    ("LESSTRACE", Kind::Old),
    ("MORETRACE", Kind::Old),
    ("NOSCREEN", Kind::Old),
    ("NOTRACE", Kind::Old),
    ("OBEY", Kind::Old),
    ("PERMIT", Kind::Old),
    ("RCBPOOLSIZE", Kind::Old),
    ("RESTRICT", Kind::Old),
    ("SCBPOOLSIZE", Kind::Old),
    ("SCREEN", Kind::Old),
    ("SKCBPOOLSIZE", Kind::Old),
    ("SMALLDATABUFFERPOOLSIZE", Kind::Old),
    ("SNMP", Kind::Old),
    ("TCBPOOLSIZE", Kind::Old),
    ("TIMESTAMP", Kind::Old),
    ("TINYDATABUFFERPOOLSIZE", Kind::Old),
    ("TRACE", Kind::Old),
    ("UCBPOOLSIZE", Kind::Old),
];

/// The statement that `token` names.
pub(super) fn statement(token: &Token<'_>) -> Option<Kind> {
    STATEMENTS.iter().find(|(name, _)| token.is(name)).map(|(_, kind)| *kind)
}

/// Whether `token` begins a statement.
pub(super) fn begins_statement(token: &Token<'_>) -> bool {
    match statement(token) {
        Some(Kind::Old) => token.first,
        found => found.is_some(),
    }
}

/// Whether `token` ends a statement that is skipped: another statement's name at the start of a
/// line, or in full anywhere. DELETE within a line is an operand, as in `INTERFACE OSA1 DELETE`.
pub(super) fn ends_skipped(token: &Token<'_>) -> bool {
    if token.first {
        return begins_statement(token);
    }
    let full = |(name, kind): &(&str, Kind)| !matches!(kind, Kind::Old | Kind::Delete) && token.is_full(name);
    STATEMENTS.iter().any(full)
}
