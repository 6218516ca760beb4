//! One structure that is shown, and its copy while somebody asks.
#![forbid(unsafe_code)]

use super::copy::Copy;
use super::follow::Followed;
use super::follow::Unreadable;
use super::problem::Problem;
use super::reports::Reports;
use super::times::Times;
use crate::facility::Clocks;
use crate::facility::LocalFacility;
use crate::ident::StructureName;
use parking_lot::Mutex;
use std::sync::Arc;

/// How often a copy that was given up in that moment is made anew for one question.
const TRIES: usize = 3;

/// One structure.
pub(crate) struct Hosted {
    pub(crate) name: StructureName,
    pub(crate) facility: Arc<LocalFacility>,
    pub(crate) times: Times,
    pub(crate) reports: Option<Arc<dyn Reports>>,
    followed: Mutex<Option<Arc<Followed>>>,
}

/// What an answer is made from.
pub(crate) struct View<'a> {
    pub(crate) copy: &'a Copy,
    pub(crate) clocks: Clocks,
}

impl Hosted {
    pub(crate) fn new(name: StructureName, facility: Arc<LocalFacility>, reports: Option<Arc<dyn Reports>>) -> Self {
        Self { name, facility, times: Times::default(), reports, followed: Mutex::new(None) }
    }

    /// What follows the facility: begun if it does not stand.
    pub(crate) fn followed(&self) -> Result<Arc<Followed>, Problem> {
        if self.facility.is_failed() {
            return Err(Problem::Ending);
        }
        let mut followed = self.followed.lock();
        let now = self.facility.clocks().boot;
        if let Some(stands) = followed.as_ref().filter(|stands| !stands.is_over()) {
            stands.touch(now);
            return Ok(Arc::clone(stands));
        }
        let begun = Followed::start(&self.facility)?;
        *followed = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// Reads the copy with everything in it that was acknowledged before this call. Blocks.
    pub(crate) fn read<T>(&self, see: impl FnOnce(&View<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        let durable = self.facility.durable();
        for _ in 0..TRIES {
            let followed = self.followed()?;
            match followed.at_least(durable) {
                Ok(copy) => {
                    let Some(copy) = copy.as_ref() else { continue };
                    return see(&View { copy, clocks: self.facility.clocks() });
                }
                Err(Unreadable::Idle) => {}
                Err(Unreadable::Problem(problem)) => return Err(problem),
            }
        }
        Err(Problem::Overloaded)
    }
}
