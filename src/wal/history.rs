//! Histories: how the next one is put into MANIFEST, at an open and in the middle of one.
#![forbid(unsafe_code)]

use super::appender::Appender;
use super::entries::HistoryEntry;
use super::error::StoreError;
use super::manifest::Manifest;
use super::manifest::StopMark;
use crate::ident::BootId;
use crate::ident::BootMs;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::ident::WallMs;

/// What the next history is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub(super) id: HistoryId,
    pub(super) boot: BootId,
    pub(super) boot_ms: BootMs,
    pub(super) wall: WallMs,
}

/// The first lsn of a history that begins when everything up to `end` is kept, above `above`: never
/// below that of one that kept no record, because its jump was made for a reason.
pub(super) fn next_first(manifest: &Manifest, end: Lsn, above: Lsn) -> Lsn {
    let first = end.max(above).next_history_first();
    manifest.histories.last().map_or(first, |last| first.max(last.first))
}

/// Ends the youngest history at `end` and begins the next one, in the next epoch.
///
/// A history that kept no record proves nothing to anybody: the next one takes its place, so that a
/// crash loop does not make MANIFEST grow. Under the same boot its clock stays: a quarantine counts
/// from the first open under the boot, not from the latest.
pub(super) fn begin(manifest: &mut Manifest, end: Lsn, first: Lsn, beginning: Beginning) {
    let Beginning { id, boot, mut boot_ms, wall } = beginning;
    if let Some(empty) = manifest.histories.pop_if(|last| last.first > end)
        && empty.boot == boot
    {
        boot_ms = boot_ms.min(empty.boot_ms);
    }
    if let Some(last) = manifest.histories.last_mut() {
        last.end = end;
    }
    manifest.epoch += 1;
    let epoch = manifest.epoch;
    manifest.histories.push(HistoryEntry { id, first, epoch, boot, boot_ms, wall, end: Lsn::ZERO });
}

impl Appender {
    /// Ends the present history at the durable lsn and begins another one, whose first lsn is the
    /// first multiple of 2^20 above that and above `above`. Granting need not stop any more. One
    /// change of MANIFEST.
    ///
    /// # Errors
    /// [`StoreError::Full`] changes nothing. Any other error is final.
    pub fn begin_history(
        &mut self,
        id: HistoryId,
        above: Lsn,
        boot_ms: BootMs,
        wall: WallMs,
    ) -> Result<(), StoreError> {
        self.check_usable()?;
        let end = self.durable();
        let beginning = Beginning { id, boot: self.stamp.boot, boot_ms, wall };
        self.guarded(|appender| {
            appender.keeper.prepare()?;
            let mut first = Lsn::ZERO;
            appender.keeper.change(|manifest| {
                first = next_first(manifest, end, above);
                begin(manifest, end, first, beginning);
                manifest.proven = manifest.proven.max(end);
                manifest.stop = StopMark::None;
            })?;
            appender.epoch += 1;
            appender.open_first = first;
            appender.next = first;
            appender.stamp.history = id;
            appender.watermark.enter_epoch(appender.epoch);
            appender.watermark.note(end, boot_ms, false)
        })
    }

    /// Notes in MANIFEST that granting need not stop any more.
    ///
    /// # Errors
    /// [`StoreError::Full`] changes nothing. Any other error is final.
    pub fn clear_stop(&mut self) -> Result<(), StoreError> {
        self.check_usable()?;
        if self.stop() == StopMark::None {
            return Ok(());
        }
        self.guarded(|appender| appender.keeper.change(|manifest| manifest.stop = StopMark::None))
    }
}
