//! Operators' verbs over mutual TLS on a real service, and certificates that are revoked while it runs.

use super::{Served, introduction, joined, structure};
use crate::api::pki::{NOW, Pki};
use crate::cli::expect;
use portplex::api::access::ClientTls;
use portplex::api::{RemoteFacility, RemoteOptions};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A service behind certificates, with a list of revoked ones that revokes none.
fn serve(dir: &Path, pki: &Pki) -> Served {
    let (service, revoked) = (pki.service(NOW), pki.revoke(&[]));
    let [store, certificate, key, ca, revoked] =
        [&dir.join("store"), &service.certificate, &service.key, &service.client_ca, &revoked].map(|path| text(path));
    let mut words = vec!["--init", "--data", &store, "--listen", "127.0.0.1:0", "--tls-cert", &certificate];
    words.extend(["--tls-key", &key, "--tls-client-ca", &ca, "--tls-revoked", &revoked]);
    Served::start(dir, 1, &words, &[])
}

/// Runs a verb as that client; what it says.
fn verb(served: &Served, who: &ClientTls, code: i32, words: &[&str]) -> (String, String) {
    let [ca, certificate, key] = [&who.ca, &who.certificate, &who.key].map(|path| text(path));
    let url = served.url();
    let tls = ["--service", &url, "--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key];
    expect(code, &[words, &tls].concat())
}

#[test]
fn verbs_work_over_mutual_tls_each_by_what_its_certificate_allows() {
    let dir = TempDir::new().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let served = serve(dir.path(), &pki);
    assert!(served.url().starts_with("https://"), "{}", served.url());
    let (alice, reader) = (pki.client("portplex://operator/ALICE", NOW), pki.client("portplex://read-only/BOB", NOW));
    let stack = pki.client("portplex://stack/SYS1.TCPIP", NOW);
    let options = RemoteOptions { tls: Some(stack.clone()), ..RemoteOptions::default() };
    let remote = RemoteFacility::connect(&served.door, structure("EZBEPORT"), options).expect("connects");
    let (connection, member) = joined(&Arc::new(remote), introduction("SYS1.TCPIP", 1, 0));
    let grant = connection.acquire(member, 1, 1).expect("granted").value[0];

    let json = |who: &ClientTls, words: &[&str]| -> Value {
        let (out, _) = verb(&served, who, 0, &[words, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
    };
    for who in [&alice, &reader] {
        let listed = json(who, &["connector", "list"]);
        assert_eq!(listed["connectors"][0]["connector"], "SYS1.TCPIP");
    }
    let port = format!("10.1.1.1:{}", grant.group.port_first());
    assert_eq!(json(&alice, &["who", &port])["holders"][0]["connector"], "SYS1.TCPIP");
    let (_, told) = verb(&served, &reader, 1, &["who", &port]);
    assert!(told.contains("read-only BOB") && told.contains("needs the role operator"), "{told}");
    let (_, told) = verb(&served, &reader, 1, &["dvipa", "define", "10.1.1.7"]);
    assert!(told.contains("read-only BOB"), "{told}");
    json(&alice, &["dvipa", "define", "10.1.1.7"]);
    let lists = json(&reader, &["dvipa", "list"])["lists"].to_string();
    assert!(lists.contains("10.1.1.7"), "{lists}");
    let copy = text(&dir.path().join("copy"));
    let (_, told) = verb(&served, &stack, 1, &["store", "backup", &copy]);
    assert!(told.contains("SYS1.TCPIP"), "a stack makes no backup: {told}");
    json(&alice, &["store", "backup", &copy]);
    expect(0, &["store", "verify", &copy]);

    // By itself without certificates, and with those of another CA, nothing is said but why.
    let url = served.url();
    let (_, told) = expect(1, &["connector", "list", "--service", &url]);
    assert!(told.contains("an https:// door needs certificates"), "{told}");
    let others = Pki::new(dir.path().join("others"));
    let stranger = ClientTls { ca: pki.ca(), ..others.client("portplex://operator/EVE", NOW) };
    let (_, told) = verb(&served, &stranger, 1, &["connector", "list"]);
    assert!(told.contains("does not know the CA of this client's certificate"), "{told}");
    served.end();
}

#[test]
fn a_revoked_certificate_is_refused_by_name_from_the_reload_on_and_the_others_are_not() {
    let dir = TempDir::new().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let served = serve(dir.path(), &pki);
    let (alice, eve) = (pki.client("portplex://operator/ALICE", NOW), pki.client("portplex://operator/EVE", NOW));
    for who in [&alice, &eve] {
        verb(&served, who, 0, &["connector", "list"]);
    }
    pki.revoke(&[&eve]);
    verb(&served, &eve, 0, &["connector", "list"]);
    served.signal("-HUP");
    served.event("certificates");
    let (_, told) = verb(&served, &eve, 1, &["connector", "list"]);
    assert!(told.contains("says that this client's certificate was revoked"), "{told}");
    assert!(told.contains("EVE.pem"), "it says which: {told}");
    verb(&served, &alice, 0, &["connector", "list"]);
    let mut log = String::new();
    super::eventually("the service says whom it refused", || {
        log = std::fs::read_to_string(&served.log).expect("text");
        let refused = log.lines().find(|line| line.contains("its certificate was revoked")).unwrap_or_default();
        refused.contains("portplex://operator/EVE")
    });

    // A list that cannot be read leaves the one before in force.
    std::fs::write(dir.path().join("pki").join("revoked.pem"), "-----BEGIN X509 CRL-----\nAAAA\n").expect("written");
    served.signal("-HUP");
    let told = served.event("reload-failed");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("revoked.pem")), "{told}");
    verb(&served, &eve, 1, &["connector", "list"]);
    verb(&served, &alice, 0, &["connector", "list"]);
    served.end();
}
