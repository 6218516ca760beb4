//! What an operator says of a stack counts for each of its DVIPAs, also for those that come later.

use super::{dvipa, name, profile};
use portplex::distributor::{Flow, JobName, Options, Scope, Server, Status, Syn, Sysplex, SysplexError};
use portplex::ident::{BootMs, Dvipa};
use portplex::profile::Profile;
use std::net::SocketAddr;

const NOW: BootMs = BootMs(1_000);

fn other() -> Dvipa {
    "10.1.1.2".parse().expect("a DVIPA")
}

/// A stack that has `dvipas`, or backs them up.
fn of_stack(number: u8, claim: &str, dvipas: &[Dvipa]) -> Profile {
    let statements = dvipas
        .iter()
        .map(|dvipa| format!("{claim} {dvipa}\nVIPADISTRIBUTE DISTMETHOD ROUNDROBIN {dvipa} PORT 80 DESTIP ALL\n"));
    let xcf = format!("IPCONFIG SYSPLEXROUTING DYNAMICXCF 192.168.10.{number} 255.255.255.0 1");
    profile(&format!("{xcf}\nVIPADYNAMIC\n{}ENDVIPADYNAMIC\n", statements.collect::<String>()))
}

const DEFINE: &str = "VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0";

/// Who gets a new client of a DVIPA.
fn arrives(sysplex: &mut Sysplex, client: u8, dvipa: Dvipa) -> String {
    let peer = SocketAddr::from(([203, 0, 113, client], 50_000));
    sysplex.audit().expect("the books agree");
    let decision = sysplex.arrive(NOW, &Syn { flow: Flow { peer, dvipa, port: 80 }, from: None });
    decision.to_string()
}

#[test]
fn a_quiesced_server_gets_no_work_of_any_dvipa_of_its_stack() {
    let mut sysplex = Sysplex::new(Options::default());
    let job = JobName::new("HTTPA").expect("a job name");
    let server = Server::from((80, job.clone()));
    // SYS2 serves the second DVIPA before any stack has a statement of it.
    for (number, claim) in [(1, DEFINE), (2, "VIPABACKUP 100")] {
        let stack = name(&format!("SYS{number}"));
        sysplex.join(NOW, stack.clone(), &of_stack(number, claim, &[dvipa()])).expect("it is not there");
        for dvipa in [dvipa(), other()] {
            sysplex.listen(NOW, &stack, dvipa, server.clone(), 1).expect("it has joined");
        }
    }
    sysplex.set_quiesced(NOW, &name("SYS1"), &Scope::Job(job.clone()), true).expect("it has joined");
    assert_eq!(arrives(&mut sysplex, 1, dvipa()), "SYS2 roundrobin");
    assert_eq!(arrives(&mut sysplex, 2, other()), "drop no-owner");

    // The second DVIPA comes later: what was said before counts there too.
    sysplex.obey(NOW, &name("SYS1"), &of_stack(1, DEFINE, &[dvipa(), other()])).expect("it has joined");
    for client in 1..=3 {
        assert_eq!(arrives(&mut sysplex, 10 + client, other()), "SYS2 roundrobin");
    }
    sysplex.set_quiesced(NOW, &name("SYS2"), &Scope::Target, true).expect("it has joined");
    assert_eq!(arrives(&mut sysplex, 20, other()), "drop none-ready");
    assert_eq!(arrives(&mut sysplex, 21, dvipa()), "drop none-ready");
    sysplex.set_quiesced(NOW, &name("SYS1"), &Scope::Job(job), false).expect("it has joined");
    assert_eq!(arrives(&mut sysplex, 22, other()), "SYS1 roundrobin");
    assert_eq!(arrives(&mut sysplex, 23, dvipa()), "SYS1 roundrobin");
}

#[test]
fn what_is_quiesced_before_a_dvipa_is_used_counts_there() {
    let mut sysplex = Sysplex::new(Options::default());
    let (one, two) = (name("SYS1"), name("SYS2"));
    sysplex.join(NOW, one.clone(), &of_stack(1, DEFINE, &[])).expect("it is not there");
    sysplex.join(NOW, two.clone(), &of_stack(2, DEFINE, &[])).expect("it is not there");
    sysplex.set_quiesced(NOW, &one, &Scope::Port(80), true).expect("it has joined");
    sysplex.obey(NOW, &two, &of_stack(2, DEFINE, &[dvipa()])).expect("it has joined");
    sysplex.listen(NOW, &one, dvipa(), 80, 1).expect("it has joined");
    assert_eq!(arrives(&mut sysplex, 1, dvipa()), "drop none-ready");
    sysplex.listen(NOW, &two, dvipa(), 80, 1).expect("it has joined");
    assert_eq!(arrives(&mut sysplex, 2, dvipa()), "SYS2 roundrobin");
    assert_eq!(arrives(&mut sysplex, 3, dvipa()), "SYS2 roundrobin");
}

#[test]
fn a_dvipa_is_deactivated_alone_and_a_stranger_is_refused() {
    let mut sysplex = Sysplex::new(Options::default());
    let (one, two) = (name("SYS1"), name("SYS2"));
    let both = [dvipa(), other()];
    sysplex.join(NOW, one.clone(), &of_stack(1, DEFINE, &both)).expect("it is not there");
    sysplex.join(NOW, two.clone(), &of_stack(2, "VIPABACKUP 100", &both)).expect("it is not there");
    sysplex.deactivate(NOW, &one, dvipa()).expect("it has VIPADEFINE");
    sysplex.audit().expect("the books agree");
    assert_eq!((sysplex.owner(dvipa()), sysplex.owner(other())), (Some(&two), Some(&one)));
    let status = |sysplex: &Sysplex, of| sysplex.succession(of).and_then(|chain| chain.status(&one));
    assert_eq!(status(&sysplex, dvipa()), Some(Status::Deactivated));
    assert_eq!(status(&sysplex, other()), Some(Status::Active));

    let stranger = name("SYS9");
    let unknown = Err(SysplexError::UnknownStack { stack: stranger.clone() });
    assert_eq!(sysplex.deactivate(NOW, &stranger, dvipa()), unknown);
    assert_eq!(sysplex.reactivate(NOW, &stranger, dvipa()), unknown);
    assert!(sysplex.set_quiesced(NOW, &stranger, &Scope::Target, true).is_err());
    let elsewhere: Dvipa = "10.9.9.9".parse().expect("a DVIPA");
    let error = sysplex.deactivate(NOW, &one, elsewhere).expect_err("no statement of it").to_string();
    assert_eq!(
        error,
        "SYS1 has no VIPADEFINE or VIPABACKUP of 10.9.9.9: only such a DVIPA is deactivated or reactivated"
    );
}

#[test]
fn the_words_of_the_display_are_the_origins() {
    let words = [
        (Status::Active, "ACTIVE"),
        (Status::Backup, "BACKUP"),
        (Status::Moving, "MOVING"),
        (Status::Quiescing, "QUIESCING"),
        (Status::Deactivated, "DEACTIVATED"),
    ];
    for (status, word) in words {
        assert_eq!(status.to_string(), word);
    }
}
