//! One hold of a port: who, by which grant, from when, until when, by whose word.
#![forbid(unsafe_code)]

use crate::ident::ConnectorName;
use crate::ident::GroupNumber;
use crate::ident::Identity;
use crate::ident::Lsn;
use crate::ident::PortMask;
use crate::ident::WallMs;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) lsn: Lsn,
    /// The time of its frame; `None` if the record is no longer in the log.
    pub(super) wall: Option<WallMs>,
    /// For how long the times of the log had stood still by then, ms: the machine's clock was set
    /// back, and the true time is later by about that much.
    pub(super) stood_ms: u64,
}

impl Moment {
    /// A record of which only its lsn is known.
    pub(super) const fn not_kept(lsn: Lsn) -> Self {
        Self { lsn, wall: None, stood_ms: 0 }
    }
}

/// A stack, as far as the log tells.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// Its connector's number.
    pub(super) slot: u32,
    pub(super) name: Option<ConnectorName>,
    /// Its incarnation when it got the port.
    pub(super) incarnation: Option<Lsn>,
    pub(super) identity: Option<Identity>,
}

/// From a grant to its end.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) holder: Holder,
    /// The incarnation that it had last while it held the port.
    pub(super) newest: Option<Lsn>,
    /// The membership's number; `None` if the port was given back before the log begins.
    pub(super) member: Option<u32>,
    /// The grant's token.
    pub(super) grant: Option<Lsn>,
    pub(super) group: GroupNumber,
    /// All ports of the grant, as it was made.
    pub(super) mask: PortMask,
    /// Whether the stack reported it and the log had lost it.
    pub(super) adopted: bool,
    pub(super) from: Option<Moment>,
    /// When the stack was marked failed-persistent, and by whose word.
    pub(super) failed: Option<(Moment, Option<ConnectorName>)>,
    pub(super) maybe: Option<MaybeEnded>,
    pub(super) until: Option<End>,
    /// When its quarantine ended, or the same stack took the port back.
    pub(super) ready: Option<Moment>,
}

/// That a hold may have ended: its stack attached, and whether under another boot is no longer in the
/// log.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaybeEnded {
    /// The first such attach.
    pub(super) first: Moment,
    /// The last record by which somebody else may have got the port since, or given it back.
    pub(super) last: Moment,
    /// The last such attach.
    pub(super) attached: Lsn,
}

/// How a hold ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) at: Moment,
    pub(super) way: Way,
}

/// By what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Released,
    Left,
    Disconnected,
    /// The same machine came back under another boot.
    BootChanged,
    CleanedUp {
        by: ConnectorName,
        boot_is_dead: bool,
    },
    /// Another stack proved a younger grant.
    Revoked,
    /// The record is no longer in the log.
    NotKept,
    /// It ended here or later: whether the stack attached under another boot is no longer known.
    Unsure,
}

impl Way {
    /// For programs.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::BootChanged => "boot-changed",
            Self::CleanedUp { .. } => "cleaned-up",
            Self::Revoked => "revoked",
            Self::NotKept => "not-kept",
            Self::Unsure => "unsure",
        }
    }
}

impl Hold {
    /// No attach ended it: what came later proves that.
    pub(super) fn go_on(&mut self) {
        if let Some(maybe) = self.maybe.take() {
            self.newest = Some(maybe.attached);
        }
    }

    fn began(&self) -> Option<WallMs> {
        self.from?.wall
    }

    /// Whether it had begun at a time. One whose beginning is not in the log had.
    pub(super) fn begins_by(&self, at: WallMs) -> bool {
        self.began().is_none_or(|began| began <= at)
    }

    /// Whether it ended before a time. Both its first and its last ms count as held.
    pub(super) fn ends_before(&self, at: WallMs) -> bool {
        self.until.as_ref().is_some_and(|end| end.at.wall.is_none_or(|ended| ended < at))
    }

    /// Whether the port was in quarantine after it at a time.
    pub(super) fn rests_at(&self, at: WallMs) -> bool {
        let over = self.ready.and_then(|ready| ready.wall).is_some_and(|ready| ready <= at);
        self.ends_before(at) && !over
    }
}
