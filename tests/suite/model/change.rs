//! What requests change in the plain structure.

use super::plain::{LISTS, List, PORT_FIRST, PORTS, Plain, Port, STACKS, Stack, flags};
use portplex::ident::{GroupNumber, PortMask};
use portplex::structure::{Actor, Body, Introduction, Member, Policy, Request};
use std::collections::{BTreeMap, BTreeSet};

/// A grant that was made: group, mask, lsn.
pub(super) type Made = (GroupNumber, PortMask, u64);

impl Plain {
    pub(super) fn new() -> Self {
        Self {
            now: 1_000,
            open_first: 1,
            floor: (1, 0),
            quarantine_ms: 4_000,
            deadline: None,
            range: None,
            lists: [const { None }; LISTS],
            stacks: [const { None }; STACKS],
            slots: BTreeMap::new(),
            stop: None,
            adopted: BTreeSet::new(),
        }
    }

    /// The lowest slot that no connector has and no port in quarantine names.
    pub(super) fn next_slot(&self) -> u32 {
        (0..).find(|slot| !self.slots.values().any(|used| used == slot)).expect("few connectors")
    }

    /// Changes what a request that was not refused changes, its first event having lsn `first`, with
    /// `count` events. `member` is the membership that a join was given.
    pub(super) fn change(
        &mut self,
        request: &Request,
        list: usize,
        (first, count): (u64, u32),
        made: &[Made],
        member: Option<Member>,
    ) {
        match request {
            Request::Define { .. } => {
                let there = self.lists[list].get_or_insert_with(new_list);
                (there.open, there.defined) = (true, true);
            }
            Request::Delete { .. } => {
                let there = self.lists[list].as_mut().expect("deleted");
                (there.open, there.defined) = (false, false);
            }
            Request::SetPolicy { policy, .. } => {
                self.lists[list].as_mut().expect("there").policy = *policy;
            }
            Request::SetRange { range, .. } => self.range = range.map(|range| (range.first, range.count)),
            Request::Connect(introduction) => self.connect(introduction, first),
            Request::Attach(introduction) => {
                let (place, _) = self.by_name(introduction.name.as_str()).expect("attached");
                self.attach(place, introduction, first);
            }
            Request::MarkFailed { name, .. } => {
                let (place, _) = self.by_name(name.as_str()).expect("failed");
                self.stacks[place].as_mut().expect("failed").failed = true;
            }
            Request::CleanUp { name, .. } => {
                let (place, _) = self.by_name(name.as_str()).expect("cleaned up");
                let from = self.deadline.map_or(self.now, |deadline| deadline.max(self.now));
                self.forget(place, first, from);
            }
            Request::EndQuarantine { .. } => {
                let up_to = self.ready_up_to(list).expect("due");
                for port in &mut self.lists[list].as_mut().expect("due").ports {
                    if matches!(port, Port::Resting { since, .. } if *since <= up_to) {
                        *port = Port::Free;
                    }
                }
            }
            Request::Resume { .. } => {}
            Request::Stop { .. } | Request::Adopt { .. } | Request::ResumeGrants { .. } => {
                self.change_stop(request, first);
            }
            Request::Stack { actor, number, lowest, body } => {
                let place = self.alive_at(actor.slot).expect("acting");
                let stack = self.stacks[place].as_mut().expect("acting");
                stack.lowest = stack.lowest.max(*lowest);
                let above = stack.lowest;
                stack.done.retain(|number, _| *number >= above);
                stack.done.insert(*number, (body.clone(), first, count));
                self.change_by_stack(place, list, body, first, made, member);
            }
        }
        self.tidy();
    }

    fn change_by_stack(
        &mut self,
        place: usize,
        list: usize,
        body: &Body,
        first: u64,
        made: &[Made],
        member: Option<Member>,
    ) {
        match body {
            Body::Join { .. } => {
                self.lists[list].get_or_insert_with(new_list);
                self.stacks[place].as_mut().expect("joined").joined[list] = member;
            }
            Body::Leave { .. } => {
                self.end_holds(place, list, first, self.now);
                self.stacks[place].as_mut().expect("left").joined[list] = None;
            }
            Body::Acquire { .. } | Body::Claim { .. } => {
                for (group, mask, token) in made {
                    for port in mask.ports(*group) {
                        let there = self.lists[list].as_mut().expect("granted");
                        there.ports[usize::from(port - PORT_FIRST)] = Port::Held { stack: place, token: *token };
                    }
                }
            }
            Body::Release { group, mask, .. } => {
                for port in mask.ports(*group) {
                    self.rest(place, list, usize::from(port - PORT_FIRST), first, self.now);
                }
            }
            Body::SetAllowable { ports, .. } => {
                self.stacks[place].as_mut().expect("there").allowed = Some(flags(|port| ports.contains(port)));
            }
            Body::Disconnect => self.forget(place, first, self.now),
        }
    }

    fn connect(&mut self, introduction: &Introduction, lsn: u64) {
        let slot = self.next_slot();
        self.slots.insert(lsn, slot);
        let place = usize::from(introduction.name.as_str().as_bytes()[1] - b'0');
        self.stacks[place] = Some(Stack {
            life: lsn,
            slot,
            incarnation: lsn,
            failed: false,
            introduction: introduction.clone(),
            boot_since: lsn,
            allowed: None,
            joined: [None; LISTS],
            lowest: 1,
            done: BTreeMap::new(),
        });
    }

    fn attach(&mut self, place: usize, introduction: &Introduction, lsn: u64) {
        let known = self.stacks[place].as_ref().expect("attached").introduction.identity;
        let identity = introduction.identity;
        if (known.machine, known.boot) != (identity.machine, identity.boot) {
            for list in 0..LISTS {
                self.end_holds(place, list, lsn, self.now);
            }
            let stack = self.stacks[place].as_mut().expect("attached");
            stack.joined = [None; LISTS];
            stack.boot_since = lsn;
        }
        let stack = self.stacks[place].as_mut().expect("attached");
        stack.introduction = introduction.clone();
        stack.incarnation = lsn;
        stack.failed = false;
        stack.lowest = 1;
        stack.done.clear();
    }

    fn forget(&mut self, place: usize, lsn: u64, from: u64) {
        for list in 0..LISTS {
            self.end_holds(place, list, lsn, from);
        }
        self.stacks[place] = None;
    }

    fn end_holds(&mut self, place: usize, list: usize, lsn: u64, from: u64) {
        for port in 0..PORTS {
            let Some(there) = &self.lists[list] else { return };
            if matches!(there.ports[port], Port::Held { stack, .. } if stack == place) {
                self.rest(place, list, port, lsn, from);
            }
        }
    }

    fn rest(&mut self, place: usize, list: usize, port: usize, since: u64, from: u64) {
        let Stack { life, boot_since, .. } = *self.stacks[place].as_ref().expect("held");
        let resting = Port::Resting { stack: place, life, boot_since, since, from };
        self.lists[list].as_mut().expect("held").ports[port] = resting;
    }

    /// Lists that nothing keeps go; so do lives that nothing names.
    fn tidy(&mut self) {
        for list in 0..LISTS {
            let Some(there) = &self.lists[list] else { continue };
            let empty = there.ports.iter().all(|port| *port == Port::Free);
            let joined = self.stacks.iter().flatten().any(|stack| stack.joined[list].is_some());
            if empty && (!there.open || (!there.defined && !joined)) {
                self.lists[list] = None;
                self.stacks.iter_mut().flatten().for_each(|stack| stack.joined[list] = None);
            }
        }
        let mut named: Vec<u64> = self.stacks.iter().flatten().map(|stack| stack.life).collect();
        for port in self.lists.iter().flatten().flat_map(|list| list.ports) {
            if let Port::Resting { life, .. } = port {
                named.push(life);
            }
        }
        self.slots.retain(|life, _| named.contains(life));
    }

    /// Whether some of these ports come out of quarantine.
    pub(super) fn takes_back(&self, list: usize, made: &[Made]) -> bool {
        let mut ports = made.iter().flat_map(|(group, mask, _)| mask.ports(*group));
        let there = self.lists[list].as_ref();
        ports.any(|port| {
            let place = usize::from(port - PORT_FIRST);
            there.is_some_and(|there| matches!(there.ports[place], Port::Resting { .. }))
        })
    }

    /// What is wrong with a set of grants that one acquire made, given how many it had to be.
    pub(super) fn judge_grants(&self, actor: Actor, list: usize, made: &[Made], expected: Option<(usize, usize)>) {
        let place = self.alive_at(actor.slot).expect("acting");
        let there = self.lists[list].as_ref().expect("granted");
        let allowable = self.allowable(place, list).expect("granted");
        let mut seen = [false; PORTS];
        for (group, mask, _) in made {
            let start = usize::from(group.port_first() - PORT_FIRST);
            let mut fresh = true;
            for port in mask.ports(*group) {
                let port = usize::from(port - PORT_FIRST);
                assert!(allowable[port], "port {port} is not allowable");
                assert!(!std::mem::replace(&mut seen[port], true), "port {port} granted twice");
                match there.ports[port] {
                    Port::Free => {}
                    Port::Held { .. } => panic!("port {port} is held"),
                    Port::Resting { life, boot_since, .. } => {
                        let own = self.stacks[place].as_ref().expect("acting");
                        assert_eq!((life, boot_since), (own.life, own.boot_since), "port {port} rests");
                        fresh = false;
                    }
                }
            }
            if expected.is_some() && fresh {
                let free = (start..start + 64).filter(|port| allowable[*port] && there.ports[*port] == Port::Free);
                assert_eq!(free.count(), mask.count() as usize, "all that is free of group {group}");
            }
        }
        if let Some((count, whole)) = expected {
            assert_eq!(made.len(), count, "groups");
            assert!(made.iter().filter(|(_, mask, _)| *mask == PortMask::ALL).count() >= whole, "whole groups first");
        }
        let quota = there.policy.quota;
        let ports: u32 = made.iter().map(|(_, mask, _)| mask.count()).sum();
        assert!(quota == 0 || self.held_in(place, list) + ports <= quota, "quota");
    }
}

pub(super) fn new_list() -> List {
    List { open: true, defined: false, policy: Policy::default(), ports: [Port::Free; PORTS] }
}
