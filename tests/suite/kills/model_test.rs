//! The model of the kills can fail: each lie about a store is found.

use super::model::Model;

const TOLD: &str = r#"{"ask":"acquire","request":1,"connector":"A","incarnation":2,"transport":"tcp","dvipa":"10.1.1.1","groups":2}
{"ok":"acquire","request":1,"lsn":13,"grants":[{"lsn":12,"group":700,"mask":"0xffffffffffffffff"},{"lsn":13,"group":701,"mask":"0xffffffffffffffff"}]}
{"ask":"release","request":2,"connector":"A","incarnation":2,"transport":"tcp","dvipa":"10.1.1.1","group":700,"grant":12,"mask":"0x00000000000000ff"}
{"ok":"release","request":2,"lsn":14}
{"ask":"claim","request":3,"connector":"A","incarnation":2,"transport":"tcp","dvipa":"10.1.1.1","port":4000}
{"ask":"release","request":4,"connector":"A","incarnation":2,"transport":"tcp","dvipa":"10.1.1.1","group":701,"grant":13,"mask":"0xffffffffffffffff"}
{"ok":"release","request":4,"ls"#;

fn structure(lsn: u64) -> String {
    format!(r#"{{"kind":"structure","name":"EZBEPORT","epoch":1,"lsn":{lsn}}}"#)
}

fn row(kind: &str, lsn: u64, dvipa: &str, group: u64, mask: u64) -> String {
    let list = format!(r#""transport":"tcp","dvipa":"{dvipa}""#);
    format!(
        r#"{{"kind":"{kind}","lsn":{lsn},{list},"group":{group},"mask":"{mask:#018x}","connector":"A","incarnation":2}}"#
    )
}

/// What the model says about a store with these rows after [`TOLD`].
fn judge(rows: &[String]) -> Result<(), String> {
    let mut model = Model::default();
    let run = model.learn(TOLD).expect("plain lines");
    model.compare(&run, &rows.join("\n")).map_err(|faults| faults.join("\n"))
}

const LIST: &str = "10.1.1.1";
const LEFT: u64 = !0xff;

fn first() -> String {
    row("grant", 12, LIST, 700, LEFT)
}

#[test]
fn a_store_that_has_what_was_told_passes_whatever_became_of_the_open_requests() {
    let second = row("grant", 13, LIST, 701, u64::MAX);
    let claimed = row("grant", 15, LIST, 62, 1 << 32);
    let quarantine = row("quarantine", 14, LIST, 700, 0xff);
    for rows in [
        vec![structure(14), first(), second.clone(), quarantine.clone()],
        vec![structure(16), first(), quarantine],
        vec![structure(15), first(), second, claimed],
    ] {
        assert_eq!(judge(&rows), Ok(()), "{rows:#?}");
    }
}

#[test]
fn every_lie_about_a_store_is_found() {
    let lies = [
        ("was acknowledged", vec![structure(14)]),
        ("was acknowledged", vec![structure(14), row("grant", 12, LIST, 700, LEFT << 1)]),
        ("partly released", vec![structure(14), row("grant", 12, LIST, 700, u64::MAX)]),
        ("the store has", vec![structure(14), row("grant", 12, LIST, 702, LEFT)]),
        ("nobody was told", vec![structure(14), first(), row("grant", 15, LIST, 703, u64::MAX)]),
        ("nobody was told", vec![structure(14), first(), row("grant", 15, LIST, 62, 1 << 33)]),
        ("the store ends", vec![structure(13), first()]),
        ("in use twice", vec![structure(14), first(), row("quarantine", 14, LIST, 700, 1 << 63)]),
        ("in use twice", vec![structure(14), first(), row("grant", 13, LIST, 700, 1 << 63)]),
        ("in the pool too", vec![structure(14), first(), row("quarantine", 9, "ANY", 700, 1 << 63)]),
        ("lsn 12", vec![structure(14), first(), first()]),
    ];
    for (fault, rows) in lies {
        let judged = judge(&rows).expect_err("a lie");
        assert!(judged.contains(fault), "{fault}: {judged}");
    }
}

#[test]
fn an_attach_must_be_told_exactly_what_is_held() {
    let attach = |holds: &str| {
        let mut model = Model::default();
        let ask = r#"{"ask":"attach","request":9,"connector":"A","incarnation":2}"#;
        let told = TOLD.lines().take(4).collect::<Vec<_>>().join("\n");
        let answer = format!(r#"{{"ok":"attach","request":9,"lsn":20,"incarnation":20,"holds":[{holds}]}}"#);
        model.learn(&format!("{told}\n{ask}\n{answer}\n")).map(drop)
    };
    let held = |lsn: u64, group: u64, mask: u64| {
        format!(r#"{{"lsn":{lsn},"transport":"tcp","dvipa":"10.1.1.1","group":{group},"mask":"{mask:#018x}"}}"#)
    };
    let (first, second) = (held(12, 700, LEFT), held(13, 701, u64::MAX));
    assert_eq!(attach(&format!("{first},{second}")), Ok(()));
    assert!(attach(&first).is_err(), "one is missing");
    assert!(attach(&format!("{},{second}", held(12, 700, u64::MAX))).is_err(), "a released port came back");
    assert!(attach(&format!("{first},{second},{}", held(14, 702, 1))).is_err(), "one more");
}
