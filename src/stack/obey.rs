//! Another data set for a running stack: VARY TCPIP,,OBEYFILE.
#![forbid(unsafe_code)]

use super::Local;
use super::Stack;
use super::StackError;
use super::attach::Needs;
use super::core::Core;
use super::own::own_allowable;
use super::view::local_of;
use crate::ident::Target;
use crate::profile::Diagnostic;
use crate::profile::ExplicitBind;
use crate::profile::Profile;
use crate::profile::parse;
use std::sync::Arc;

/// What came of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obeyed {
    /// What its reader should know; a statement with an error does not count, or not in full.
    pub diagnostics: Vec<Diagnostic>,
    /// Lists that are joined since.
    pub joined: Vec<Local>,
    /// Lists whose last distribution went: they are left as their connections end.
    pub left: Vec<Local>,
    /// What the facility could not be asked for now: it is made up for at the next bind or attach.
    /// The profile is in force all the same.
    pub waiting: Option<StackError>,
}

impl Stack {
    /// Applies a data set to the running stack, each statement by its own merge rule
    /// ([`Profile::obey`]).
    ///
    /// A smaller allowable set revokes nothing, and hands out nothing outside of it from now on. A
    /// DVIPA that has SYSPLEXPORTS now has its list joined; one whose last distribution went has it
    /// left, group by group as its connections end: nothing is cut. An EXPLICITBINDPORTRANGE in the
    /// data set becomes the active one of the subplex.
    pub fn obey(&self, text: &[u8]) -> Obeyed {
        let _one_at_a_time = self.attaching.lock();
        let (profile, diagnostics) = self.view.load().profile.obey(text);
        let profile = Arc::new(profile);
        let names_range = matches!(parse(text).0.explicit_bind, ExplicitBind::Range(_));
        let (before, left) = {
            let mut core = self.core.lock();
            let before = core.targets();
            let left = core.mark_left(&profile);
            core.entered = false;
            core.range_to_set |= names_range;
            if self.view.load().own_allowable != own_allowable(&profile) {
                core.start_own_over();
            }
            self.show(&mut core, profile);
            (before, left)
        };
        let waiting = self.enter_now().err();
        let mut core = self.core.lock();
        let joined = core.targets().into_iter().filter(|target| !before.contains(target)).map(local_of).collect();
        self.leave_lists(&mut core);
        Obeyed { diagnostics, joined, left, waiting }
    }
}

impl Core {
    /// Which lists the profile needs no more: those that it needed before are returned.
    fn mark_left(&mut self, profile: &Profile) -> Vec<Local> {
        let mut newly = Vec::new();
        for (target, list) in &mut self.lists {
            let is_left = !Needs::has(profile, *target);
            if is_left && !list.is_left {
                newly.push(local_of(*target));
            }
            // A leave that was sent is not taken back: the list is joined again after it.
            list.is_left = is_left || list.leave.is_some();
            list.hand.ports.set_closing(list.is_left);
        }
        newly
    }

    /// Lists that are joined, and whose leave was not sent.
    pub(super) fn joined(&self) -> Vec<Target> {
        self.lists.iter().filter(|(_, list)| list.leave.is_none()).map(|(target, _)| *target).collect()
    }
}
