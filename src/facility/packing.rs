//! Packs what became history, beside the writer.
//!
//! Reading, packing and comparing hold no lock: what is read is listed and no durable byte is ever
//! written again. Only the change of MANIFEST waits for checkpoints and backups, and they for it. Who
//! reads the log beside it waits for nothing: what he may read stays until he is done.
#![forbid(unsafe_code)]

use super::checkpointer::Checkpointer;
use super::past::Roster;
use crate::ident::BootMs;
use crate::ident::Lsn;
use crate::wal::Manifest;
use crate::wal::StoreError;
use crate::wal::pack;
use crate::wal::pack::PackFile;
use crate::wal::pack::PackReport;
use crate::wal::pack::PackRun;

impl Checkpointer {
    /// Packs what is due, if there is something. `pace` is asked with the bytes written or read since:
    /// it may wait, and `false` stops it.
    ///
    /// # Errors
    /// As [`pack::make`] and [`pack::list`]; nothing is lost then.
    pub(crate) fn pack_next(&self, pace: &mut dyn FnMut(usize) -> bool) -> Result<Option<PackReport>, StoreError> {
        let _packing = self.packing.lock();
        let manifest = self.keeper.manifest();
        let Some(run) = PackRun::next(&manifest, self.tuned.now().pack_log_bytes) else { return Ok(None) };
        let mut roster = self.roster(&manifest, &run)?;
        let disk = &*self.machine.disk;
        let made = pack::make(disk, &self.dir, &manifest, &run, &mut roster, pace)?;
        let _working = self.work.lock();
        pack::list_by(&self.dir, &self.keeper, &made, &mut |path| self.pins.remove(disk, path))
    }

    /// Whether more waits to be packed than a slow pace gets done.
    pub(crate) fn is_packing_behind(&self) -> bool {
        let due = self.tuned.now().pack_log_bytes;
        due < u64::MAX / BEHIND && self.keeper.look(|manifest| PackRun::is_of_segments(manifest, due * BEHIND))
    }

    /// The boot clock.
    pub(crate) fn boot_ms(&self) -> BootMs {
        self.machine.clock.boot_ms()
    }

    /// Who the numbers in use were where a run begins. A damaged pack before it is a gap in history,
    /// and no reason to pack nothing any more.
    fn roster(&self, manifest: &Manifest, run: &PackRun) -> Result<Roster, StoreError> {
        let open = |entry| PackFile::open(&*self.machine.disk, &self.dir, manifest.uuid, entry);
        let roster = match (run.first_pack(manifest), run.pack_before(manifest)) {
            (Some(first), _) => open(first).and_then(|pack| Roster::before(&pack)),
            (None, Some(before)) => open(before).and_then(|pack| Roster::after(&pack)),
            (None, None) => Ok(Roster::new(manifest.retired.lsn == Lsn::ZERO)),
        };
        match roster {
            Err(StoreError::CorruptPack { .. }) => Ok(Roster::new(false)),
            other => other,
        }
    }
}

/// So many times what is due must wait before packing goes as fast as it can.
const BEHIND: u64 = 4;
