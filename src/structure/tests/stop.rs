//! Granting stopped: what may happen meanwhile, what is adopted, and when it goes on.
#![forbid(unsafe_code)]

use super::*;
use crate::ident::HistoryId;

const CAUSES: [StopCause; 3] = [StopCause::PowerLoss, StopCause::DataLost, StopCause::Restored];
const HISTORY: HistoryId = HistoryId(9);

impl Rig {
    pub(super) fn stop(&mut self, cause: StopCause) {
        let request = Request::Stop { cause, name: None, history: HistoryId(0), lsn: Lsn::ZERO };
        assert_eq!(self.ask(request), Ok(Answer::Done));
    }

    pub(super) fn prove(&mut self, stack: &str, lsn: Lsn) -> Result<Answer, Refusal> {
        let name = Some(name(stack));
        self.ask(Request::Stop { cause: StopCause::DataLost, name, history: HISTORY, lsn })
    }

    pub(super) fn adopt(&mut self, stack: &str, grants: &[ReportedGrant]) -> Result<Answer, Refusal> {
        self.ask(Request::Adopt { name: name(stack), grants: grants.to_vec() })
    }

    /// As an operator asks, in a new history above everything that was reported.
    pub(super) fn resume_grants(&mut self, adopt_reported: bool) -> Result<Answer, Refusal> {
        self.skip_to(self.structure.stop().map_or(Lsn::ZERO, |stop| stop.highest));
        self.ask(Request::ResumeGrants { by: Some(name("OPERATOR")), adopt_reported })
    }

    /// Makes the last lsn at least this one, as a new history does.
    pub(super) fn skip_to(&mut self, lsn: Lsn) {
        for structure in [&mut self.structure, &mut self.replayed] {
            structure.lsn = structure.lsn.max(lsn);
        }
    }

    pub(super) fn adopted(&self) -> u32 {
        self.structure.stop().unwrap().adopted
    }

    pub(super) fn known(&self, stack: Stack, reported: ReportedGrant) -> ReportedStatus {
        self.structure.reported_status(stack.actor.slot, &reported)
    }
}

pub(super) fn reported(lsn: u64, number: u16, mask: u64) -> ReportedGrant {
    ReportedGrant { lsn: Lsn(lsn), target: list(1), group: group(number), mask: PortMask(mask) }
}

pub(super) fn changes(rig: &Rig) -> Vec<Change> {
    assert!(rig.events.iter().all(|event| event.stamp == Stamp::None));
    rig.events.iter().map(|event| event.change.clone()).collect()
}

#[test]
fn only_a_graver_cause_or_a_higher_lsn_changes_a_stop() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    assert_eq!(rig.structure.stop(), None);
    rig.stop(StopCause::PowerLoss);
    let first = rig.structure.stop().unwrap();
    assert_eq!((first.cause, first.since, first.from), (StopCause::PowerLoss, rig.structure.lsn(), rig.context.now));
    rig.wait(10);
    rig.stop(StopCause::PowerLoss);
    assert_eq!((rig.events.len(), rig.structure.stop()), (0, Some(first)));

    rig.prove("A", Lsn(500)).unwrap();
    let proven = Stop { cause: StopCause::DataLost, since: rig.structure.lsn(), from: rig.context.now, ..first };
    let proven = Stop { highest: Lsn(500), ..proven };
    assert_eq!(rig.structure.stop(), Some(proven));
    let (connector, history) = (Some(a.actor.slot), HISTORY);
    assert_eq!(changes(&rig), [Change::Stopped { cause: StopCause::DataLost, connector, history, lsn: Lsn(500) }]);
    rig.wait(10);
    rig.prove("A", Lsn(400)).unwrap();
    assert_eq!((rig.events.len(), rig.structure.stop()), (0, Some(proven)), "nothing new");
    rig.prove("A", Lsn(600)).unwrap();
    assert_eq!(rig.structure.stop(), Some(Stop { highest: Lsn(600), ..proven }), "told again, with a higher lsn");
    rig.stop(StopCause::PowerLoss);
    assert_eq!(rig.events, [], "a milder cause");

    rig.stop(StopCause::Restored);
    let restored = rig.structure.stop().unwrap();
    assert_eq!(
        (restored.cause, restored.since, restored.highest),
        (StopCause::Restored, rig.structure.lsn(), Lsn(600))
    );
    rig.prove("A", Lsn(700)).unwrap();
    assert_eq!(rig.structure.stop(), Some(Stop { highest: Lsn(700), ..restored }), "a proof only raises the lsn");
    assert_eq!(rig.prove("NOBODY", Lsn(800)), Err(Refusal::UnknownConnector));
    assert_eq!(rig.prove("A", Lsn(1 << 62)), Err(Refusal::OutOfRange { what: Operand::Lsn }));
}

#[test]
fn a_store_restored_again_from_a_copy_made_meanwhile_begins_anew() {
    let mut rig = Rig::new();
    rig.ready("A", list(1));
    rig.stop(StopCause::Restored);
    rig.adopt("A", &[reported(900, 700, 1)]).unwrap();
    rig.attach("A", u128::from(b'A'), 1).unwrap();
    assert_eq!(rig.structure.not_attached_since_stop(rig.context.open_first).count(), 0);
    rig.wait(5_000);
    rig.stop(StopCause::Restored);
    let stop = rig.structure.stop().unwrap();
    assert_eq!((stop.since, stop.from, stop.adopted), (rig.structure.lsn(), rig.context.now, 1));
    assert_eq!(rig.structure.not_attached_since_stop(rig.context.open_first).collect::<Vec<_>>(), [&name("A")]);
}

#[test]
fn nothing_is_granted_while_granting_is_stopped_whatever_the_cause() {
    for cause in CAUSES {
        let mut rig = Rig::new();
        let a = rig.ready("A", list(1));
        rig.stop(cause);
        let refusal = Refusal::GrantsStopped { cause };
        assert_eq!(rig.acquire(a, 1, 1), Err(refusal.clone()));
        assert_eq!(rig.claim(a, 5_000), Err(refusal));
        let granted = Change::Granted { member: a.member.slot, group: group(700), mask: PortMask(1) };
        let stamp = Stamp::First { number: 900, below: 0, hash: 0 };
        let misfit = rig.structure.fits(rig.structure.lsn().next(), &Event { stamp, change: granted });
        assert_eq!(misfit, Err(Misfit::Stop { stopped: Some(cause) }), "nor from bytes");
    }
}

#[test]
fn all_but_granting_goes_on_after_a_power_loss_or_a_proof_of_loss() {
    for cause in [StopCause::PowerLoss, StopCause::DataLost] {
        let mut rig = Rig::new();
        let a = rig.ready("A", list(1));
        let grants = rig.acquire(a, 2, 2).unwrap();
        rig.stop(cause);
        let (number, body) = (3, Body::Acquire { member: a.member, at_least: 2, at_most: 2 });
        let again = rig.ask(Request::Stack { actor: a.actor, number, lowest: number, body });
        assert_eq!(again, Ok(Answer::Granted(grants.clone())), "a repeat is answered from the log");
        rig.release(a, grants[0], grants[0].mask).unwrap();
        rig.join(a.actor, list(2));
        rig.ask(Request::Define { target: list(3) }).unwrap();
        rig.policy(list(3), Policy { quota: 64, ..Policy::default() });
        rig.wait(120_000);
        rig.end_quarantine(list(1));
        assert_eq!(rig.in_use(list(1)), (64, 0));
        rig.stack(a.actor, Body::Disconnect).unwrap();
    }
}

#[test]
fn a_restored_store_serves_attach_and_no_answer_from_its_request_table() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    let grants = rig.acquire(a, 1, 1).unwrap();
    rig.release(b, grants[0], grants[0].mask).unwrap_err();
    rig.stop(StopCause::Restored);
    let refused = Err(Refusal::GrantsStopped { cause: StopCause::Restored });
    let (number, body) = (3, Body::Acquire { member: a.member, at_least: 1, at_most: 1 });
    let again = rig.ask(Request::Stack { actor: a.actor, number, lowest: number, body });
    assert_eq!(again, refused, "a repeat of what was granted");
    assert_eq!(rig.release(a, grants[0], grants[0].mask), refused);
    for body in [Body::Join { target: list(1) }, Body::Leave { member: a.member }, Body::Disconnect] {
        assert_eq!(rig.stack(a.actor, body), refused);
    }
    let old = Actor { incarnation: Incarnation(a.actor.incarnation.0 - 1), ..a.actor };
    let stale = Refusal::StaleIncarnation { asked: old.incarnation, current: a.actor.incarnation };
    assert_eq!(rig.stack(old, Body::Disconnect), Err(stale), "an older life is fenced as ever");
    assert_eq!(rig.ask(Request::Define { target: list(1) }), refused);
    assert_eq!(rig.ask(Request::Delete { target: list(9) }), refused);
    assert_eq!(rig.ask(Request::SetPolicy { target: list(1), policy: Policy::default() }), refused);
    assert_eq!(rig.ask(Request::SetRange { transport: Transport::Tcp, range: None }), refused);

    let attached = rig.ask(Request::Attach(introduction("A", u128::from(b'A'), 1)));
    let Ok(Answer::Attached { stopped, grants: kept, actor, .. }) = attached else { panic!("{attached:?}") };
    assert_eq!((stopped, kept), (Some(StopCause::Restored), grants));
    let identity = introduction("A", u128::from(b'A'), 1).identity;
    let (name, incarnation) = (name("A"), actor.incarnation);
    let resumed = rig.ask(Request::Resume { name, incarnation, identity });
    assert!(matches!(resumed, Ok(Answer::Attached { stopped: Some(StopCause::Restored), .. })), "{resumed:?}");
    rig.connect("NEW", 77);
}

#[test]
fn a_restored_store_cleans_up_by_word_only() {
    let mut rig = Rig::new();
    rig.ready("A", list(1));
    let enforced = Introduction { enforced: true, ..introduction("A", u128::from(b'A'), 1) };
    let Ok(Answer::Attached { actor, .. }) = rig.ask(Request::Attach(enforced)) else { panic!("it attaches") };
    rig.fail("A", actor.incarnation);
    rig.stop(StopCause::Restored);
    rig.context.deadline = Some(BootMs(0));
    let (incarnation, by) = (actor.incarnation, name("OPERATOR"));
    let request = Request::CleanUp { name: name("A"), incarnation, by, boot_is_dead: false };
    assert_eq!(rig.ask(request), Err(Refusal::BootMayBeAlive), "the promise that the log has may be an old one");
    assert_eq!(rig.clean_up("A", incarnation), Ok(Answer::Done));
}

#[test]
fn no_quarantine_ends_in_a_restored_store_and_it_goes_on_after() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    let grants = rig.acquire(a, 1, 1).unwrap();
    rig.release(a, grants[0], grants[0].mask).unwrap();
    rig.stop(StopCause::Restored);
    rig.wait(1_000_000);
    let slot = rig.structure.list_by_target(list(1)).unwrap();
    rig.structure.take_awakened(&mut Vec::new());
    assert_eq!(rig.structure.quarantine_due(slot, &rig.context), Due::None);
    rig.end_quarantine(list(1));
    assert_eq!((rig.events.len(), rig.in_use(list(1))), (0, (0, 64)));
    let ready = Event { stamp: Stamp::None, change: Change::Ready { list: slot, up_to: rig.structure.lsn() } };
    let misfit = rig.structure.fits(rig.structure.lsn().next(), &ready);
    assert_eq!(misfit, Err(Misfit::Stop { stopped: Some(StopCause::Restored) }));

    rig.attach("A", u128::from(b'A'), 1).unwrap();
    rig.resume_grants(false).unwrap();
    let mut awakened = Vec::new();
    rig.structure.take_awakened(&mut awakened);
    assert_eq!(awakened, [slot], "the facility is told to look again");
    rig.end_quarantine(list(1));
    assert_eq!(rig.in_use(list(1)), (0, 0));
}

#[test]
fn granting_goes_on_above_every_lsn_that_was_reported() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    rig.stop(StopCause::DataLost);
    rig.adopt("A", &[reported(900, 700, 0xFF)]).unwrap();
    let resumed = Event { stamp: Stamp::None, change: Change::Resumed { by: Some(name("OPERATOR")) } };
    let misfit = Err(Misfit::Stop { stopped: Some(StopCause::DataLost) });
    assert_eq!(rig.structure.fits(Lsn(900), &resumed), misfit);
    assert_eq!(rig.structure.fits(Lsn(901), &resumed), Ok(()));
    let alone = Event { stamp: Stamp::None, change: Change::Resumed { by: None } };
    assert_eq!(rig.structure.fits(Lsn(901), &alone), misfit, "not by itself");
    rig.resume_grants(true).unwrap();
    assert_eq!(rig.structure.stop(), None);
    let grants = rig.acquire(a, 1, 1).unwrap();
    assert!(grants[0].lsn > Lsn(900));
}

#[test]
fn what_was_adopted_needs_a_word_before_granting_goes_on() {
    let mut rig = Rig::new();
    rig.ready("A", list(1));
    assert_eq!(rig.resume_grants(false), Ok(Answer::Done), "it was not stopped");
    assert_eq!(rig.events, []);
    rig.stop(StopCause::DataLost);
    rig.adopt("A", &[reported(900, 700, 0xFF)]).unwrap();
    assert_eq!(rig.resume_grants(false), Err(Refusal::AdoptedPending { ports: 8 }));
    let alone = Request::ResumeGrants { by: None, adopt_reported: true };
    assert_eq!(rig.ask(alone), Err(Refusal::GrantsStopped { cause: StopCause::DataLost }));
    rig.resume_grants(true).unwrap();
    assert_eq!(changes(&rig), [Change::Resumed { by: Some(name("OPERATOR")) }]);
    rig.stop(StopCause::PowerLoss);
    rig.ask(Request::ResumeGrants { by: None, adopt_reported: false }).unwrap();
    assert_eq!(rig.structure.stop(), None, "a power loss needs nobody's word");
}

#[test]
fn a_restored_store_waits_for_the_longest_promise_and_quarantine_and_for_every_stack() {
    let mut rig = Rig::new();
    let (a, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    rig.policy(list(1), Policy { quarantine_ms: 200_000, ..Policy::default() });
    rig.fail("B", b.actor.incarnation);
    rig.stop(StopCause::Restored);
    let window = 30_300 + 200_000;
    assert_eq!(rig.resume_grants(true), Err(Refusal::TooEarly { left_ms: window }));
    rig.wait(window - 1);
    assert_eq!(rig.resume_grants(true), Err(Refusal::TooEarly { left_ms: 1 }));
    rig.wait(1);
    let missing = |stack, count| Err(Refusal::NotAllAttached { name: name(stack), count });
    assert_eq!(rig.resume_grants(true), missing("A", 2));
    rig.attach("A", u128::from(b'A'), 1).unwrap();
    assert_eq!(rig.resume_grants(true), missing("B", 1), "a failed one may be alive");
    rig.clean_up("B", b.actor.incarnation).unwrap();
    assert_eq!(rig.resume_grants(true), Ok(Answer::Done));
    assert!(a.actor.incarnation < rig.structure.connector(&name("A")).unwrap().actor.incarnation);
}

#[test]
fn where_data_was_lost_every_stack_attaches_to_the_open_before_granting_goes_on() {
    let mut rig = Rig::new();
    let (_, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    rig.context.open_first = rig.structure.lsn().next();
    rig.attach("A", u128::from(b'A'), 1).unwrap();
    rig.stop(StopCause::DataLost);
    let missing = Err(Refusal::NotAllAttached { name: name("B"), count: 1 });
    assert_eq!(rig.resume_grants(true), missing, "nobody knows what B lost; A attached after the loss");
    rig.fail("B", b.actor.incarnation);
    rig.clean_up("B", b.actor.incarnation).unwrap();
    assert_eq!(rig.resume_grants(true), Ok(Answer::Done));
}

#[test]
fn the_window_of_a_restored_store_counts_anew_under_another_boot() {
    let mut rig = Rig::new();
    rig.context.now = BootMs(9_000_000);
    rig.connect("A", 1);
    rig.stop(StopCause::Restored);
    rig.context.floor = ClockFloor { lsn: rig.structure.lsn().next(), at: BootMs(50) };
    rig.context.now = BootMs(60);
    rig.attach("A", 1, 1).unwrap();
    assert_eq!(rig.resume_grants(true), Err(Refusal::TooEarly { left_ms: 150_300 - 10 }));
}

#[test]
fn the_wait_after_a_power_loss_ends_when_all_have_attached_but_takes_five_seconds() {
    let mut rig = Rig::new();
    let (_, b) = (rig.ready("A", list(1)), rig.ready("B", list(1)));
    assert_eq!(rig.structure.power_loss_wait(&rig.context), None);
    let start = rig.context.now;
    rig.stop(StopCause::PowerLoss);
    rig.attach("A", u128::from(b'A'), 1).unwrap();
    let wait = |rig: &Rig| rig.structure.power_loss_wait(&rig.context).unwrap();
    assert_eq!(wait(&rig), Wait::Until(start.plus(5_000)));
    rig.wait(5_000);
    assert_eq!(wait(&rig), Wait::Until(start.plus(30_300)), "B has not attached");
    rig.attach("B", u128::from(b'B'), 1).unwrap();
    assert_eq!(wait(&rig), Wait::Over);
    rig.context.now = start.plus(4_999);
    assert_eq!(wait(&rig), Wait::Until(start.plus(5_000)));
    let mut other = Rig::new();
    let (_, gone) = (other.ready("A", list(1)), b);
    other.fail("A", gone.actor.incarnation.min(other.structure.connector(&name("A")).unwrap().actor.incarnation));
    other.stop(StopCause::PowerLoss);
    other.wait(5_000);
    assert_eq!(wait(&other), Wait::Over, "nobody is waited for who is not active");
}

#[test]
fn the_wait_after_a_power_loss_is_one_lease_at_most_and_30_s_without_a_promise() {
    let mut rig = Rig::new();
    let promise = |stack, promise_ms| Introduction { promise_ms, ..introduction(stack, 1, 1) };
    rig.ask(Request::Connect(promise("SHORT", 10_000))).unwrap();
    let start = rig.context.now;
    rig.stop(StopCause::PowerLoss);
    rig.wait(5_000);
    let wait = |rig: &Rig| rig.structure.power_loss_wait(&rig.context).unwrap();
    assert_eq!(wait(&rig), Wait::Until(start.plus(10_100)));
    rig.context.now = start.plus(10_100);
    assert_eq!(wait(&rig), Wait::Over);
    rig.ask(Request::Resume { name: name("SHORT"), incarnation: Incarnation(1), identity: Identity::default() })
        .unwrap_err();

    let mut rig = Rig::new();
    rig.ask(Request::Connect(promise("SHORT", 10_000))).unwrap();
    rig.ask(Request::Connect(promise("NONE", 0))).unwrap();
    rig.stop(StopCause::PowerLoss);
    rig.wait(10_100);
    assert_eq!(wait(&rig), Wait::Until(start.plus(30_000)));
    rig.wait(19_900);
    assert_eq!(wait(&rig), Wait::Over);
}

#[test]
fn a_stop_and_what_was_adopted_survive_as_items() {
    let mut rig = Rig::new();
    let a = rig.ready("A", list(1));
    rig.acquire(a, 1, 1).unwrap();
    rig.stop(StopCause::Restored);
    rig.adopt("A", &[reported(5_000, 700, 0xFF), reported(2, 700, 0xF00)]).unwrap();
    let items: Vec<Item> = rig.structure.items().collect();
    let place = items.iter().position(|item| matches!(item, Item::Stop { .. }));
    assert_eq!((place, items.len() as u64), (Some(1), rig.structure.items_count()));
    let mut imported = Structure::import(items.iter().cloned()).unwrap();
    assert!(imported == rig.structure);
    assert_eq!((imported.stop(), imported.audit()), (rig.structure.stop(), Ok(())));
    rig.structure = std::mem::replace(&mut imported, Structure::new(StructureName::default()));
    assert_eq!(rig.resume_grants(true), Err(Refusal::TooEarly { left_ms: 150_300 }));

    let without = items.iter().filter(|item| !matches!(item, Item::Stop { .. }));
    let error = Structure::import(without.cloned()).unwrap_err();
    assert!(error.to_string().contains("a token is an lsn that was given"), "{error}");
    let twice = items[..2].iter().chain(&items[1..]);
    assert_eq!(Structure::import(twice.cloned()), Err(ImportError::Order { place: 2 }));
    let late = items.iter().map(|item| match item {
        Item::Stop { .. } => {
            let (from, highest) = (BootMs(0), Lsn(1 << 62));
            Item::Stop { cause: StopCause::Restored, since: Lsn(1_000), from, highest, adopted: 0 }
        }
        other => other.clone(),
    });
    let error = Structure::import(late).unwrap_err();
    assert!(error.to_string().contains("granting was stopped by an event"), "{error}");
}
