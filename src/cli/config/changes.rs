//! What a reload changes: what a running service takes over, and what waits for a restart.
#![forbid(unsafe_code)]

use super::Config;
use super::StructureConfig;
use super::keys;
use super::keys::Key;
use std::fmt;

/// What differs between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Keys that a running service takes over.
    pub(crate) taken: Vec<String>,
    /// Keys that count from the next start on.
    pub(crate) later: Vec<Later>,
}

/// A key that waits for a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    key: String,
    now: String,
    then: String,
}

impl fmt::Display for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, now, then } = self;
        write!(f, "needs a restart: {key} (now {now}, file says {then})")
    }
}

/// Puts into what is in force what a running service takes over of `after`; structures are matched by
/// their directories.
pub(crate) fn take_over(in_force: &mut Config, after: &Config) -> Changes {
    let mut changes = Changes::default();
    compare(&mut changes, "", keys::SERVICE.iter(), in_force, after);
    let several = in_force.structures.len() > 1;
    for structure in &mut in_force.structures {
        let place = structure.data.display().to_string();
        match after.structures.iter().find(|other| other.data == structure.data) {
            Some(other) => {
                let about = if several { format!(" of {place}") } else { String::new() };
                compare(&mut changes, &about, keys::STRUCTURE.iter().chain(keys::PLACE), structure, other);
            }
            None => changes.wait("structure", &place, "nothing"),
        }
    }
    let is_new = |other: &&StructureConfig| in_force.structures.iter().all(|structure| structure.data != other.data);
    for other in after.structures.iter().filter(is_new) {
        changes.wait("structure", "nothing", &other.data.display().to_string());
    }
    changes
}

fn compare<'a, T: 'a>(
    changes: &mut Changes,
    about: &str,
    keys: impl Iterator<Item = &'a Key<T>>,
    in_force: &mut T,
    after: &T,
) {
    for key in keys {
        let (now, then) = ((key.show)(in_force), (key.show)(after));
        let name = || format!("{}{about}", keys::full(key));
        if now == then {
            continue;
        }
        if key.reload {
            (key.copy)(in_force, after);
            changes.taken.push(name());
        } else {
            changes.wait(&name(), &now, &then);
        }
    }
}

impl Changes {
    fn wait(&mut self, key: &str, now: &str, then: &str) {
        self.later.push(Later { key: key.to_owned(), now: now.to_owned(), then: then.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_cannot_be_taken_over_is_told_with_both_values_until_the_restart() {
        let mut in_force = Config::default();
        let mut after = Config::default();
        after.limits.streams_max = 9;
        after.structures[0].policy_quota = 640;
        after.structures[0].quarantine = Duration::from_secs(9);
        after.tls_key = Some("/k".into());
        for taken in [vec!["limits.streams_max", "policy.quota"], vec![]] {
            let changes = take_over(&mut in_force, &after);
            assert_eq!(changes.taken, taken);
            let later: Vec<String> = changes.later.iter().map(Later::to_string).collect();
            let expected = [
                "needs a restart: tls.key (now \"\", file says \"/k\")",
                "needs a restart: store.quarantine (now \"2m\", file says \"9s\")",
            ];
            assert_eq!(later, expected);
        }
        assert_eq!((in_force.limits.streams_max, in_force.structures[0].policy_quota), (9, 640));
        assert_eq!(in_force.structures[0].quarantine, Duration::from_secs(120));
    }

    #[test]
    fn a_structure_that_comes_or_goes_waits_and_each_has_its_own_keys() {
        let of = |data: &str, quota| StructureConfig { data: data.into(), policy_quota: quota, ..Default::default() };
        let mut in_force = Config { structures: vec![of("/a", 1), of("/b", 1)], ..Config::default() };
        let after = Config { structures: vec![of("/c", 1), of("/b", 2)], ..Config::default() };
        let changes = take_over(&mut in_force, &after);
        assert_eq!(changes.taken, ["policy.quota of /b"]);
        let later: Vec<String> = changes.later.iter().map(Later::to_string).collect();
        let expected = [
            "needs a restart: structure (now /a, file says nothing)",
            "needs a restart: structure (now nothing, file says /c)",
        ];
        assert_eq!(later, expected);
        assert_eq!(in_force.structures[0], of("/a", 1));
    }
}
