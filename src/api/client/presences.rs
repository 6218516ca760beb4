//! Who is connected over this stream: numbered, so that the service is told when one ends, and told
//! again of those that stand when the stream is made anew.
#![forbid(unsafe_code)]

use crate::api::v1;
use crate::facility::Presence;
use crate::ident::ConnectorName;
use crate::ident::Identity;
use crate::ident::Incarnation;
use crate::structure::Introduction;
use std::collections::BTreeMap;

/// One connector's presence.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: ConnectorName,
    pub(super) identity: Identity,
    pub(super) presence: Presence,
    /// Once it is attached.
    pub(super) incarnation: Option<Incarnation>,
}

#[derive(Debug, Default)]
pub(super) struct Presences {
    last: u64,
    known: BTreeMap<u64, Known>,
}

impl Known {
    pub(super) fn of(introduction: &Introduction, presence: Presence) -> Self {
        let Introduction { name, identity, .. } = introduction;
        Self { name: name.clone(), identity: *identity, presence, incarnation: None }
    }
}

impl Presences {
    /// A number for one that stands; 0 for one that does not.
    pub(super) fn enter(&mut self, known: Known) -> u64 {
        if !known.presence.is_alive() {
            return 0;
        }
        self.last += 1;
        self.known.insert(self.last, known);
        self.last
    }

    /// It has attached.
    pub(super) fn attached(&mut self, number: u64, incarnation: Incarnation) {
        if let Some(known) = self.known.get_mut(&number) {
            known.incarnation = Some(incarnation);
        }
    }

    /// Its attach came to nothing.
    pub(super) fn forget(&mut self, number: u64) {
        self.known.remove(&number);
    }

    /// Takes out those that ended.
    pub(super) fn take_ended(&mut self) -> Vec<u64> {
        let ended = |(number, known): (&u64, &Known)| (!known.presence.is_alive()).then_some(*number);
        let ended: Vec<u64> = self.known.iter().filter_map(ended).collect();
        ended.iter().for_each(|number| self.forget(*number));
        ended
    }

    /// What says of those that are attached that they still stand.
    pub(super) fn resumes(&self) -> Vec<v1::ResumeCall> {
        let resume = |(number, known): (&u64, &Known)| {
            let (name, identity) = (known.name.to_string(), Some((&known.identity).into()));
            Some(v1::ResumeCall { name, incarnation: known.incarnation?.0, identity, presence: *number })
        };
        self.known.iter().filter(|(_, known)| known.presence.is_alive()).filter_map(resume).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility::Present;

    #[test]
    fn what_ended_is_told_once_and_what_stands_and_attached_is_resumed() {
        let (a, b) = (Present::new(), Present::new());
        let known = |name: &str, present: &Present| Known {
            name: ConnectorName::new(name).unwrap(),
            identity: Identity::default(),
            presence: present.presence(),
            incarnation: None,
        };
        let mut presences = Presences::default();
        assert_eq!(presences.enter(known("A", &a)), 1);
        assert_eq!(presences.enter(known("B", &b)), 2);
        assert_eq!(presences.enter(Known { presence: Presence::none(), ..known("C", &a) }), 0);
        presences.attached(2, Incarnation(7));
        let resumes = presences.resumes();
        assert_eq!(resumes.len(), 1, "A has not attached");
        assert_eq!((resumes[0].presence, resumes[0].incarnation), (2, 7));
        assert!(presences.take_ended().is_empty());
        drop(b);
        assert!(presences.resumes().is_empty());
        assert_eq!(presences.take_ended(), [2]);
        assert!(presences.take_ended().is_empty());
    }
}
