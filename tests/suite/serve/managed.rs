//! A service manager is told: ready, reloading, stopping, alive.

use super::{Served, eventually};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn a_service_manager_hears_when_it_is_ready_reloads_lives_and_stops() {
    let dir = TempDir::new().expect("a directory");
    let place = dir.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("bound");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    let mut heard = String::new();
    let mut hear = |what: &str| {
        eventually(what, || {
            let mut bytes = [0; 4_096];
            if let Ok(length) = socket.recv(&mut bytes) {
                heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
                heard.push('\n');
            }
            heard.lines().any(|line| line.starts_with(what))
        });
        std::mem::take(&mut heard)
    };
    let store = dir.path().join("store").display().to_string();
    let notify = place.display().to_string();
    let environment = [("NOTIFY_SOCKET", notify.as_str()), ("WATCHDOG_USEC", "400000")];
    let served = Served::start(dir.path(), 1, &["--init", "--data", &store, "--listen", "127.0.0.1:0"], &environment);
    let told = hear("READY=1");
    assert!(told.contains("STATUS=opening the stores"), "{told}");
    let told = hear("WATCHDOG=1");
    assert!(told.contains("STATUS=serving EZBEPORT") || !told.contains("STATUS=opening"), "{told}");
    served.signal("-HUP");
    let told = hear("RELOADING=1");
    assert!(told.contains("MONOTONIC_USEC="), "systemd wants the time with it: {told}");
    hear("READY=1");
    served.signal("-TERM");
    hear("STOPPING=1");
    assert_eq!(served.ended().0.code(), Some(0));
}
