//! Mutual TLS: who proves what, what is said when it does not hold, and new files without a restart.

use super::access::{Guarded, serve};
use super::pki::{NOW, OVER, Pki, log, put};
use super::{SOON, eventually, introduction, joined, name, structure};
use portplex::api::access::{Access, ClientTls, Tls, TlsError};
use portplex::api::{Door, Limits, RemoteError, RemoteFacility, RemoteOptions, ServeError, Server};
use portplex::facility::{CallError, Connection, Facility};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn guarded(dir: &Path, tls: Tls) -> Guarded {
    let door = Door::Tls("127.0.0.1:0".parse().expect("an address"));
    serve(dir, &door, Access { tls: Some(tls), ..Access::default() }, Limits::default())
}

fn connect(door: &Door, tls: &ClientTls) -> Result<Arc<RemoteFacility>, RemoteError> {
    let options = RemoteOptions { tls: Some(tls.clone()), patience: SOON, ..RemoteOptions::default() };
    RemoteFacility::connect(door, structure(), options).map(Arc::new)
}

/// What a client hears that is refused for its certificates.
fn refused(door: &Door, tls: &ClientTls) -> String {
    match connect(door, tls) {
        Err(RemoteError::Certificates { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stack_with_its_certificate_acts_for_itself_and_for_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let service = guarded(dir.path(), pki.service(NOW));
    // The URI and the plain DNS name are two ways to say the same.
    for (san, process) in [("portplex://stack/SYS1.TCPIP", 1), ("sys2.tcpip", 2)] {
        let own = san.rsplit('/').next().expect("a name");
        let remote = connect(&service.door, &pki.client(san, NOW)).expect("connects");
        let (connection, member) = joined(&remote, introduction(own, process));
        connection.acquire(member, 1, 1).expect("granted");
        let other = Connection::connect(Arc::clone(&remote) as Arc<dyn Facility>, introduction("SYS3", 3));
        assert_eq!(other.expect_err("not its own"), CallError::Gone);
        let told = remote.last_fault().expect("told").to_string();
        let own = own.to_uppercase();
        assert!(told.contains(&format!("stack {own} (certificate, from 127.0.0.1:")), "{told}");
        assert!(told.contains("may not act as stack SYS3: a stack acts for itself only"), "{told}");
        remote.wait_connected(SOON).expect("what ended a stream that stood is not final");
    }
    assert!(service.facility.connector(&name("SYS3")).expect("answered").is_none());
    // By its name too, which is looked up.
    let Door::Tls(address) = &service.door else { panic!("TLS") };
    let by_name = Door::TlsName { host: "localhost".to_owned(), port: address.port() };
    let operator = connect(&by_name, &pki.client("portplex://operator/ALICE", NOW)).expect("connects");
    operator.define(super::list()).expect("an operator may");
}

#[test]
fn a_stack_without_its_certificate_is_refused_by_name_on_both_sides() {
    let log = log();
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let service = guarded(dir.path(), pki.service(NOW));
    let failed = || service.running.connections().handshakes_failed;

    // None at all.
    let options = RemoteOptions { patience: SOON, ..RemoteOptions::default() };
    let error = RemoteFacility::connect(&service.door, structure(), options).expect_err("no files");
    assert!(error.to_string().contains("an https:// door needs certificates"), "{error}");

    // One of another CA, under a stack's name.
    let others = Pki::new(dir.path().join("others"));
    let stranger = ClientTls { ca: pki.ca(), ..others.client("portplex://stack/STRANGER", NOW) };
    let told = refused(&service.door, &stranger);
    assert!(told.contains("does not know the CA of this client's certificate"), "{told}");
    assert!(told.contains("stack_STRANGER.pem"), "it says which file: {told}");
    eventually("the service says whom it refused", || {
        !log.audited(&["connection refused", "portplex://stack/STRANGER", "not signed by a CA in the client CA file"])
            .is_empty()
    });

    // One whose time is over: the client says so itself. One that hides it hears it from the service.
    let over = pki.client("portplex://stack/LATE", OVER);
    let told = refused(&service.door, &over);
    assert!(told.contains("LATE.pem: the certificate has expired on "), "{told}");

    // One that gives no role.
    let nobody = pki.client("", NOW);
    let told = refused(&service.door, &nobody);
    assert!(told.contains("finds no role in this client's certificate"), "{told}");
    let boss = pki.client("portplex://boss/EVE", NOW);
    assert!(refused(&service.door, &boss).contains("finds no role"));
    eventually("the service says why", || {
        !log.audited(&["connection refused", "portplex://boss/EVE", "has no role"]).is_empty()
    });

    // A service's certificate is no client's.
    let Tls { certificate, key, .. } = pki.service(NOW);
    let service_as_client = ClientTls { ca: pki.ca(), certificate, key, server_name: None };
    let told = refused(&service.door, &service_as_client);
    assert!(told.contains("not one of a client"), "{told}");

    // A service that the client does not believe.
    let client = ClientTls { ca: others.ca(), ..pki.client("portplex://stack/SYS1", NOW) };
    let told = refused(&service.door, &client);
    assert!(told.contains("the service's certificate is not signed by a CA in"), "{told}");
    let client =
        ClientTls { server_name: Some("other.example".to_owned()), ..pki.client("portplex://stack/SYS1", NOW) };
    let told = refused(&service.door, &client);
    assert!(told.contains("the service's certificate is for another name"), "{told}");
    assert!(failed() >= 6, "{}", failed());
    assert!(connect(&service.door, &pki.client("portplex://stack/SYS1", NOW)).is_ok(), "the right one is taken");
}

#[test]
fn a_handshake_with_an_expired_or_no_certificate_is_refused_by_name() {
    let log = log();
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let service = guarded(dir.path(), pki.service(NOW));
    let Door::Tls(address) = service.door else { panic!("TLS") };
    // A client that does not look at its own certificate.
    let over = pki.client("portplex://stack/SLEEPER", OVER);
    let alert = super::raw::handshake(address, &over.ca, Some((&over.certificate, &over.key)));
    assert!(alert.contains("CertificateExpired"), "{alert}");
    eventually("the service says whose time is over", || {
        !log.audited(&["connection refused", "portplex://stack/SLEEPER", "its certificate has expired"]).is_empty()
    });
    let alert = super::raw::handshake(address, &over.ca, None);
    assert!(alert.contains("CertificateRequired"), "{alert}");
    eventually("the service says that there was none", || {
        !log.audited(&["connection refused", "it sent no certificate"]).is_empty()
    });
}

#[test]
fn new_files_count_for_new_connections_and_bad_ones_leave_the_old_in_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (Pki::new(dir.path().join("old")), Pki::new(dir.path().join("new")));
    let live = dir.path().join("live");
    std::fs::create_dir(&live).expect("made");
    let files = Tls {
        certificate: live.join("service.pem"),
        key: live.join("service.key"),
        client_ca: live.join("ca.pem"),
        revoked: None,
    };
    let install = |pki: &Pki| {
        let Tls { certificate, key, client_ca, .. } = pki.service(NOW);
        put(&certificate, &files.certificate);
        put(&key, &files.key);
        put(&client_ca, &files.client_ca);
    };
    install(&old);
    let service = guarded(dir.path(), files.clone());
    let client = |pki: &Pki| pki.client("portplex://stack/SYS1", NOW);
    let remote = connect(&service.door, &client(&old)).expect("connects");
    let (connection, member) = joined(&remote, introduction("SYS1", 1));

    // A key that is not of the pair, an empty file, an expired certificate: each is named, nothing changes.
    put(&new.service(NOW).key, &files.key);
    assert!(matches!(service.running.reload(), Err(TlsError::OtherKey { .. })));
    std::fs::write(&files.key, "").expect("written");
    assert!(matches!(service.running.reload(), Err(TlsError::NoKey { .. })));
    std::fs::write(&files.certificate, "nothing").expect("written");
    assert!(matches!(service.running.reload(), Err(TlsError::NoCertificate { .. })));
    std::fs::remove_file(&files.certificate).expect("removed");
    let error = service.running.reload().expect_err("gone");
    assert!(matches!(&error, TlsError::Unreadable { path, .. } if *path == files.certificate), "{error}");
    let late = old.service(OVER);
    put(&late.certificate, &files.certificate);
    put(&late.key, &files.key);
    assert!(matches!(service.running.reload(), Err(TlsError::Untimely { .. })));
    connect(&service.door, &client(&old)).expect("the old ones are in force");

    install(&new);
    let reloaded = service.running.reload().expect("good files").certificate.expect("TLS");
    assert!(reloaded.names.contains("127.0.0.1"), "{}", reloaded.names);
    assert!(connect(&service.door, &client(&old)).is_err(), "the old CA is believed no more");
    connect(&service.door, &client(&new)).expect("the new one is");
    connection.acquire(member, 1, 1).expect("who was connected goes on");
}

#[test]
fn without_good_files_no_door_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new(dir.path().join("pki"));
    let door = [Door::Tls("127.0.0.1:0".parse().expect("an address"))];
    let start = |access: Access| Server::new(Limits::default()).access(access).start(&door).expect_err("refused");
    assert!(matches!(start(Access::default()), ServeError::NoCertificates { .. }));
    let tls = Tls { key: dir.path().join("none.key"), ..pki.service(NOW) };
    let error = start(Access { tls: Some(tls), ..Access::default() });
    assert!(matches!(&error, ServeError::Tls(TlsError::Unreadable { .. })), "{error}");
    let error = start(Access { tls: Some(pki.service(OVER)), ..Access::default() });
    assert!(error.to_string().contains("the certificate has expired on"), "{error}");
}

#[test]
fn the_verb_makes_what_the_service_takes_and_writes_over_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = dir.path().join("pki").display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portplex")).arg("cert").args(arguments).output().expect("runs");
        let told = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        (output.status.code(), told.concat())
    };
    let (code, told) = run(&["stack", "SYS1", "--dir", &pki]);
    assert_eq!(code, Some(74), "{told}");
    assert!(told.contains("make the CA first: portplex cert ca"), "{told}");
    for arguments in
        [&["ca"][..], &["service", "localhost", "127.0.0.1"], &["stack", "sys1.tcpip"], &["operator", "A#1"]]
    {
        let (code, told) = run(&[arguments, &["--dir", &pki]].concat());
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("valid until") && (told.contains("next: ")), "{told}");
        let (code, told) = run(&[arguments, &["--dir", &pki]].concat());
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("it is there already"), "{told}");
    }
    let path = |file: &str| Path::new(&pki).join(file);
    for key in ["ca.key", "localhost.key", "SYS1.TCPIP.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path(key)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let (code, told) = run(&["show", "--json", &path("A#1.pem").display().to_string()]);
    assert_eq!(code, Some(0), "{told}");
    let shown: serde_json::Value = serde_json::from_str(&told).expect("one object");
    assert_eq!(shown["certificates"][0]["role"], "operator");
    assert_eq!(shown["certificates"][0]["name"], "A#1");
    let (_, told) = run(&["show", &path("localhost.pem").display().to_string()]);
    assert!(told.contains("no role: it is not one of a client"), "{told}");

    let files = |name: &str| (path(&format!("{name}.pem")), path(&format!("{name}.key")));
    let (certificate, key) = files("localhost");
    let service = guarded(dir.path(), Tls { certificate, key, client_ca: path("ca.pem"), revoked: None });
    let (certificate, key) = files("SYS1.TCPIP");
    let client = ClientTls { ca: path("ca.pem"), certificate, key, server_name: None };
    joined(&connect(&service.door, &client).expect("connects"), introduction("SYS1.TCPIP", 1));
}
