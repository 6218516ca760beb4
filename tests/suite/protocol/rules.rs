//! The rules that can be switched off, and what the world may do in one configuration.

/// One rule, or one half of one, taken away. Each is named for the rule in protocol.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Off {
    /// R1: at an open a wait goes on from the attach in the log, so that renewals are forgotten.
    R1WaitsAnew,
    /// R2: the stack counts its deadline from the arrival of an answer, and takes any.
    R2FromSending,
    /// R3: clean-up by deadline of a stack whose stop nobody enforces.
    R3Enforced,
    /// R3: the clock of the enforcer stands still in a suspend.
    R3Suspend,
    /// R3: the deadline takes the grants and leaves the incarnation.
    R3Incarnation,
    /// R4: an attach needs no challenge.
    R4Challenge,
    /// R5: a machine is known by its stack's name.
    R5Machine,
    /// R6: another boot of the machine takes the old one's grants over.
    R6Boot,
    /// R7: what an attach does not report is released.
    R7Unreported,
    /// R8: a clean-up means whichever incarnation is the newest.
    R8Incarnation,
    /// R8: an operator's impression that a stack is idle is enough.
    R8Statement,
    /// R9: a release gives its ports back under whatever token its sender has them.
    R9Token,
    /// The net beside R9: a release is carried out however often it comes.
    R9Unnumbered,
    /// R10: a release is sent while sockets use the ports.
    R10Sockets,
    /// R10: what was given back is used again until the answer comes.
    R10Again,
    /// R11: the facility serves an older incarnation as the newest.
    R11Facility,
    /// R11: the stack takes grants whichever incarnation and request they answer.
    R11Stack,
    /// Half of that: a grant that answers no outstanding request, but one of this incarnation.
    R11Outstanding,
    /// R11: while an attach is under way the incarnation before it goes on taking answers.
    R11GivesUp,
    /// R12: what was outstanding is asked again after an attach, listed or not.
    R12Settles,
    /// R13: a repeated request is told the grant it got, held or not.
    R13StillHeld,
    /// R14: a request is forgotten with its grant.
    R14Outlives,
    /// R15: an answer does not wait for the sync.
    R15Durable,
    /// R16: a new agent does not wait for the old one's death.
    R16Lock,
    /// R17: a session is (connector, incarnation) without the history.
    R17History,
    /// R17: sessions of an earlier open are served on.
    R17Attach,
    /// R18: a restored store is opened like any other.
    R18Suspect,
    /// R19: what a stack reports is not adopted.
    R19Adopts,
    /// R20: what a stack has seen is not compared with what the store has.
    R20Compares,
    /// R21: granting goes on when the wait is over, whoever is missing.
    R21Accounts,
    /// R22: no quarantine.
    R22Quarantine,
    /// R22: quarantine of an earlier boot goes on by the new boot's clock.
    R22Clock,
}

/// How often each thing may happen in one run: what bounds the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Ticks of the clock.
    pub(super) ticks: u8,
    /// Attaches sent, by all stacks together.
    pub(super) attaches: u8,
    /// Attaches of these that nothing forces.
    pub(super) at_will: u8,
    /// Acquires asked for.
    pub(super) acquires: u8,
    /// Requests sent again.
    pub(super) retries: u8,
    /// Releases sent.
    pub(super) releases: u8,
    /// Releases of a part.
    pub(super) parts: u8,
    /// Renewals sent.
    pub(super) renewals: u8,
    /// Messages delivered and kept.
    pub(super) doubles: u8,
    /// Agents that die.
    pub(super) deaths: u8,
    /// Agents paused.
    pub(super) pauses: u8,
    /// Kernels that boot.
    pub(super) boots: u8,
    /// Machines suspended.
    pub(super) suspends: u8,
    /// Facility processes that die and open again.
    pub(super) opens: u8,
    /// The same, on a machine whose boot clock is far ahead.
    pub(super) moves: u8,
    /// Power losses in which the disk had lied of the last frame.
    pub(super) tails: u8,
    /// Backups taken.
    pub(super) copies: u8,
    /// Restores of the backup.
    pub(super) restores: u8,
    /// Connectors that an operator marks failed.
    pub(super) marks: u8,
    /// Clean-ups that an operator orders.
    pub(super) orders: u8,
    /// Times that an operator lets granting go on.
    pub(super) resumes: u8,
}

/// What has happened before a run begins: it makes a long story short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// The stack on this machine was granted a port, and knows.
    Granted(u8),
    /// The same, and the answer is still under way.
    GrantedUnheard(u8),
    /// The stack on this machine attached once more.
    AttachedAgain(u8),
    /// The backup was restored.
    Restored,
}

/// One configuration of the model.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// Machines: the name of the stack on each, and whether it is attached at the start.
    pub(super) hosts: Vec<(u8, bool)>,
    /// The ports of the list.
    pub(super) ports: Vec<u16>,
    /// Whether stacks promise a lease.
    pub(super) promises: bool,
    /// Whether the kernel stops them at the deadline.
    pub(super) enforced: bool,
    /// Whether the facility opens before it is used: then its backup is from before that open.
    pub(super) opened: bool,
    /// What has happened before the run begins.
    pub(super) begun: Vec<Begun>,
    /// Whether an answer is there as soon as it is given.
    pub(super) answers_at_once: bool,
    /// Grants that one agent wants at most.
    pub(super) hand_max: usize,
    pub(super) off: Vec<Off>,
    pub(super) budget: Budget,
    /// Whether it is asked that every stack knows what it holds.
    pub(super) knows: bool,
    /// One state of so many is asked whether it can recover; 0: none is.
    pub(super) recovers: u64,
}

/// Two ports of one group: one grant has both.
pub(super) const ONE_GROUP: [u16; 2] = [1_024, 1_025];
/// One port in each of two groups.
pub(super) const TWO_GROUPS: [u16; 2] = [1_024, 1_088];

impl Scene {
    /// Two stacks, one group, nothing that happens.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            hosts: vec![(0, true), (1, true)],
            ports: vec![ONE_GROUP[0]],
            promises: false,
            enforced: false,
            opened: false,
            begun: Vec::new(),
            answers_at_once: false,
            hand_max: 1,
            off: Vec::new(),
            budget: Budget::default(),
            knows: false,
            recovers: 0,
        }
    }

    pub(super) fn without(mut self, off: &[Off]) -> Self {
        self.off.extend(off);
        self
    }

    pub(super) fn is_off(&self, rule: Off) -> bool {
        self.off.contains(&rule)
    }
}
