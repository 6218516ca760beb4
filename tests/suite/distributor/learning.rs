//! How an owner learns: changes that are lost, late, early or twice leave the same books.

use super::scenario::rules;
use super::{dvipa, name};
use crate::random::Random;
use portplex::distributor::{Cause, Collision, Decision, Distributor, Flow, Heard, NoListener, Notice, Options};
use portplex::distributor::{JobName, Report, Scope, Server, Syn, Target};
use portplex::ident::BootMs;
use std::collections::VecDeque;
use std::net::SocketAddr;

const NOW: BootMs = BootMs(1_000);

fn flow(client: u8, port: u16) -> Flow {
    Flow { peer: SocketAddr::from(([203, 0, 113, client], 50_000)), dvipa: dvipa(), port }
}

fn syn(client: u8, port: u16) -> Syn {
    Syn { flow: flow(client, port), from: None }
}

/// An owner that resets what nobody listens for, with SYS1 and SYS2 that it has not heard yet.
fn owner() -> Distributor {
    let options = Options { no_listener: NoListener::Reset, ..Options::default() };
    let rules = rules("DISTMETHOD ROUNDROBIN 10.1.1.1 PORT 80 DESTIP ALL");
    let mut owner = Distributor::new(dvipa(), name("SYS1"), rules, options);
    for (stack, xcf) in [("SYS1", "192.168.10.1"), ("SYS2", "192.168.10.2")] {
        owner.add_stack(name(stack), vec![xcf.parse().expect("an address")]);
    }
    owner
}

#[test]
fn an_owner_that_has_not_heard_every_stack_resets_nothing() {
    let (mut owner, mut one, mut two) = (owner(), Target::new(name("SYS1")), Target::new(name("SYS2")));
    two.listen(9000, 1);
    assert_eq!(owner.route(NOW, &syn(1, 9000)), Decision::Drop(Cause::Learning));
    assert_eq!(owner.route(NOW, &syn(1, 80)), Decision::Drop(Cause::Learning));
    assert_eq!(owner.follow(&flow(1, 9000), None), Decision::Drop(Cause::Learning));
    assert_eq!(owner.learn(NOW, &one.report(NOW)).0, Heard::Taken);
    assert_eq!(owner.route(NOW, &syn(1, 9000)), Decision::Drop(Cause::Learning));
    assert_eq!(owner.awaited().collect::<Vec<_>>(), [&name("SYS2")]);
    assert_eq!(owner.learn(NOW, &two.report(NOW)).0, Heard::Taken);
    assert_eq!(owner.route(NOW, &syn(1, 9000)).stack(), Some(&name("SYS2")));
    assert_eq!(owner.route(NOW, &syn(1, 9001)), Decision::Reset(Cause::NoListener));
    assert_eq!(owner.route(NOW, &syn(1, 80)), Decision::Reset(Cause::NoneReady));
}

/// APAR PI08005: a listener that comes up while the DVIPA changes hands must not be forgotten.
#[test]
fn a_listener_that_comes_up_while_the_report_is_under_way_is_learnt() {
    let (mut owner, mut two) = (owner(), Target::new(name("SYS2")));
    two.listen(9000, 1);
    let report = two.report(NOW);
    let notice = two.listen(9001, 1);
    assert_eq!(owner.hear(NOW, &notice), Ok(Heard::Waiting), "it overtakes the report");
    assert_eq!(owner.learn(NOW, &report).0, Heard::AskReport, "which is older than that");
    assert_eq!(owner.learn(NOW, &two.report(NOW)).0, Heard::Taken);
    assert_eq!(owner.ready(9000, &name("SYS2")), 1);
    assert_eq!(owner.ready(9001, &name("SYS2")), 1);
    assert_eq!(owner.hear(NOW, &notice), Ok(Heard::Known), "it is in the report");
}

#[test]
fn a_lost_change_is_noticed_at_the_next_one() {
    let (mut owner, mut two) = (owner(), Target::new(name("SYS2")));
    owner.learn(NOW, &two.report(NOW));
    let _lost = two.listen(9000, 1);
    let next = two.open(NOW, flow(1, 9000), 0).expect("a new connection");
    assert_eq!(owner.hear(NOW, &next), Ok(Heard::AskReport));
    assert_eq!(owner.learn(NOW, &two.report(NOW)).0, Heard::Taken);
    assert_eq!(owner.stack_of(&flow(1, 9000)), Some(&name("SYS2")));
    assert_eq!(owner.ready(9000, &name("SYS2")), 1);
    assert_eq!(owner.hear(NOW, &next), Ok(Heard::Known), "late and twice");
    assert_eq!(owner.active(9000, &name("SYS2")), 1);
    owner.audit().expect("the counts are exact");
}

#[test]
fn two_stacks_with_one_4_tuple_collide_and_the_first_keeps_it() {
    let (mut owner, mut one, mut two) = (owner(), Target::new(name("SYS1")), Target::new(name("SYS2")));
    owner.learn(NOW, &one.report(NOW));
    owner.learn(NOW, &two.report(NOW));
    let first = one.open(NOW, flow(9, 5000), 0).expect("a new connection");
    let second = two.open(NOW, flow(9, 5000), 0).expect("a new connection");
    assert_eq!(owner.hear(NOW, &first), Ok(Heard::Taken));
    let collision = Collision { flow: flow(9, 5000), stack: name("SYS2"), holder: name("SYS1") };
    assert_eq!(owner.hear(NOW, &second), Err(collision.clone()));
    assert_eq!(owner.learn(NOW, &two.report(NOW)), (Heard::Taken, vec![collision]));
    let end = two.close(NOW, flow(9, 5000)).expect("it had one");
    assert_eq!(owner.hear(NOW, &end), Ok(Heard::Taken));
    assert_eq!(owner.stack_of(&flow(9, 5000)), Some(&name("SYS1")), "the other's end does not end it");
    owner.audit().expect("the counts are exact");
}

#[test]
fn what_a_stranger_says_is_not_heard() {
    let (mut owner, mut other) = (owner(), Target::new(name("SYS9")));
    assert_eq!(owner.hear(NOW, &other.listen(80, 1)), Ok(Heard::Stranger));
    assert_eq!(owner.learn(NOW, &other.report(NOW)).0, Heard::Stranger);
    assert_eq!(owner.rows(), []);
}

#[test]
fn the_routing_table_and_the_affinities_have_an_end() {
    let options = Options { connections_max: 3, affinities_max: 2, ..Options::default() };
    let rules = rules("DISTMETHOD ROUNDROBIN TIMEDAFFINITY 60 10.1.1.1 PORT 80 DESTIP ALL");
    let mut owner = Distributor::new(dvipa(), name("SYS1"), rules, options);
    let mut one = Target::new(name("SYS1"));
    owner.add_stack(name("SYS1"), vec!["192.168.10.1".parse().expect("an address")]);
    one.listen(80, 1);
    owner.learn(NOW, &one.report(NOW));
    for client in 1..=3 {
        let decision = owner.route(NOW, &syn(client, 80));
        let expected = if client <= 2 { 60 } else { 0 };
        assert!(
            matches!(decision, Decision::Forward { affinity_s, .. } if affinity_s == expected),
            "{client} {decision}"
        );
    }
    assert_eq!(owner.route(NOW, &syn(4, 80)), Decision::Drop(Cause::TableFull));
    assert_eq!(owner.route(NOW, &syn(1, 80)).stack(), Some(&name("SYS1")), "what is known still goes");
    assert_eq!(owner.affinities().count(), 2);
    owner.audit().expect("the counts are exact");
}

#[test]
fn the_port_table_shows_what_netstat_vdpt_shows() {
    let mut owner = Distributor::new(
        dvipa(),
        name("SYS1"),
        rules("DISTMETHOD HOTSTANDBY 10.1.1.1 PORT 80 DESTIP 192.168.10.1 PREFERRED 192.168.10.2 BACKUP 9"),
        Options::default(),
    );
    let (mut one, mut two) = (Target::new(name("SYS1")), Target::new(name("SYS2")));
    for (stack, xcf, target) in [("SYS1", "192.168.10.1", &mut one), ("SYS2", "192.168.10.2", &mut two)] {
        owner.add_stack(name(stack), vec![xcf.parse().expect("an address")]);
        owner.learn(NOW, &target.report(NOW));
    }
    owner.hear(NOW, &two.listen(80, 2)).expect("no collision");
    owner.hear(NOW, &two.listen(9000, 1)).expect("no collision");
    owner.route(NOW, &syn(1, 80));
    owner.route(NOW, &syn(2, 80));
    let job = JobName::new("HTTPA").expect("a job name");
    owner.hear(NOW, &two.listen((9001, job.clone()), 1)).expect("no collision");
    owner.hear(NOW, &two.set_quiesced(Scope::Job(job), true)).expect("no collision");
    owner.hear(NOW, &one.set_quiesced(Scope::Port(80), true)).expect("no collision");
    let rows: Vec<String> = owner
        .rows()
        .iter()
        .map(|row| {
            let flags = [
                (row.dynamic, "dynamic"),
                (row.standby_active, "active"),
                (row.method.is_none(), "listener"),
                (row.quiesced, "quiesced"),
            ];
            let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
            format!("{} {} {} {} {} {}", row.port, row.stack, row.ready, row.total, row.active, flags.join(","))
        })
        .collect();
    assert_eq!(
        rows,
        [
            "80 SYS1 0 0 0 quiesced",
            "80 SYS2 2 2 2 active",
            "9000 SYS2 1 0 0 dynamic,listener",
            "9001 SYS2 1 0 0 dynamic,listener,quiesced"
        ]
    );
}

/// Something under way from a stack to the owner.
enum Message {
    Notice(Notice),
    Report(Report),
}

#[test]
fn lost_late_and_doubled_changes_leave_the_owner_with_the_stacks_own_books() {
    let mut random = Random::seeded(0x1ea5);
    for run in 0..60 {
        let mut owner = owner();
        let mut targets = ["SYS1", "SYS2"].map(|stack| (name(stack), Target::new(name(stack))));
        let reports = targets.iter_mut().map(|(_, target)| Message::Report(target.report(NOW)));
        let mut way: VecDeque<Message> = reports.collect();
        for turn in 0..400 {
            let at = random.below(2) as usize;
            let target = &mut targets[at].1;
            // Each stack has its own clients: what collides is shown elsewhere.
            let (client, port) = (at as u8 * 100 + random.below(6) as u8, 80 + random.below(3) as u16);
            let job = (random.below(2) == 0).then(|| JobName::new("HTTPA").expect("a job name"));
            let change = match random.below(6) {
                0 => Some(target.listen(Server { port, job: job.clone() }, random.below(3) as u16)),
                1 | 2 => target.open(NOW, flow(client, port), 60 * (random.below(2) as u16)),
                3 => target.close(NOW, flow(client, port)),
                kind => {
                    let scope = job.map_or(Scope::Port(port), |job| Scope::PortOfJob(port, job));
                    Some(target.set_quiesced(scope, kind == 4))
                }
            };
            way.extend(change.filter(|_| random.below(8) > 0).map(Message::Notice));
            if random.below(2) == 0 {
                continue;
            }
            let next = random.below(way.len().min(3) as u64 + 1) as usize;
            let Some(message) = way.remove(next) else { continue };
            let (stack, heard) = match &message {
                Message::Notice(notice) => (&notice.stack, owner.hear(NOW, notice).expect("no collision")),
                Message::Report(report) => (&report.stack, owner.learn(NOW, report).0),
            };
            if heard == Heard::AskReport {
                let asked = targets.iter_mut().find(|(of, _)| of == stack).expect("one of the two");
                way.push_back(Message::Report(asked.1.report(NOW)));
            }
            if random.below(10) == 0 {
                way.push_back(message);
            }
            owner.audit().unwrap_or_else(|fault| panic!("run {run} turn {turn}: {fault}"));
        }
        // Whatever was lost: the next change of a stack tells.
        for (stack, target) in &mut targets {
            let last = target.listen(9999, 1);
            if matches!(owner.hear(NOW, &last), Ok(Heard::AskReport | Heard::Waiting)) {
                assert_eq!(owner.learn(NOW, &target.report(NOW)).0, Heard::Taken);
            }
            let known = owner.connections().filter(|(_, of)| *of == stack).map(|(flow, _)| flow);
            assert!(known.eq(target.connections()), "run {run}: {stack}");
            for port in [80, 81, 82, 9999] {
                assert_eq!(owner.ready(port, stack), target.ready(port), "run {run}: {stack} on {port}");
            }
        }
        owner.audit().unwrap_or_else(|fault| panic!("run {run}: {fault}"));
    }
}
