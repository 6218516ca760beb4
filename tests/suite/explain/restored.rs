//! A restored store: granting is stopped, who is waited for, and what was adopted.

use super::place::{Place, list};
use crate::cli::expect;
use portplex::structure::StopCause;

#[test]
fn a_restored_store_is_told_with_who_is_missing_and_what_was_adopted() {
    let place = Place::new();
    let (mut sys1, mut sys2) = (place.stack("SYS1.TCPIP", 1, 0), place.stack("SYS2.TCPIP", 1, 0));
    let (one, two) = (sys1.enter(list()), sys2.enter(list()));
    sys2.claim(two, 5_002);
    sys2.release();
    place.close([&mut sys1, &mut sys2]);
    let backup = format!("{}.backup", place.store);
    let restored = format!("{}.restored", place.store);
    expect(0, &["store", "backup", &place.store, &backup]);

    // What the backup does not know.
    place.open();
    assert_eq!(sys1.attach(&place), None);
    let port = sys1.claim(one, 5_001);
    let token = sys1.grants[0].lsn;
    place.close([&mut sys1]);
    expect(0, &["store", "restore", &backup, &restored]);

    let shown = place.explain_in(&restored, "SYS1.TCPIP", &[]);
    assert_eq!(shown.answer(), "SYS1.TCPIP gets no port: granting is stopped for everybody.");
    assert!(shown.says("grants-stopped").contains("(restored) from the next open on"), "{}", shown.text);

    place.open_as(&restored, None);
    assert_eq!(sys1.attach(&place), Some(StopCause::Restored));
    place.close([&mut sys1]);

    let asked = format!("10.1.1.1:{port}");
    let shown = place.explain_in(&restored, &asked, &[]);
    let says = format!(
        "It was adopted from what the stack reported when it attached, token {token}: the log had lost the grant. It is of \
         group 78 (ports 4992-5055), and holds 1 port of it."
    );
    assert_eq!(shown.says("adopted"), says);
    assert!(shown.answer().starts_with("10.1.1.1:5001 is held by SYS1.TCPIP since 2023-11-14T22:14:10.000Z (lsn "));

    let shown = place.explain_in(&restored, "SYS1.TCPIP", &[]);
    assert_eq!(shown.says("not-all-attached"), "Not attached since granting stopped: SYS2.TCPIP.");
    assert_eq!(shown.json["numbers"]["lists"][0]["refusal"], "grants-stopped");
    assert_eq!(shown.json["numbers"]["lists"][0]["free"], 4_998, "the counts are as if granting went on");
    assert!(shown.text.contains("portplex store resume DIR --by WHO --adopt-reported"), "{}", shown.text);
    assert_eq!(shown.json["notices"][0]["state"], "stopped");

    let shown = place.explain_in(&restored, "10.1.1.1:5002", &[]);
    let says = "Its quarantine of 120 s does not end while granting is stopped because the store was restored.";
    assert_eq!(shown.says("quarantine-end"), says);
    let shown = place.explain_in(&restored, "10.1.1.1:5003", &[]);
    assert_eq!(shown.codes(), ["free", "grants-stopped", "not-all-attached"]);

    // The backup itself is nobody's store.
    let shown = place.explain_in(&backup, "SYS1.TCPIP", &[]);
    assert_eq!(shown.answer(), "SYS1.TCPIP gets no port: this store is a copy, and nothing is written to it.");
}
