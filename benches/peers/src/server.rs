//! A server that is started for one run, and stopped with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often it is looked whether it answers, and how long that takes at most.
const LOOKS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until something listens there.
    pub fn start(command: &mut Command, address: SocketAddr) -> Result<Self, String> {
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = started.map_err(|error| format!("did not start: {error}"))?;
        let mut server = Self { child, address };
        for _ in 0..LOOKS {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("ended at once: {status}"));
            }
            thread::sleep(PAUSE);
        }
        Err("did not answer".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A polite end first, so that it takes its own children with it.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that is free now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.expect("a free port")
}

/// Where a program is: in one of `first`, or in PATH.
pub fn program(name: &str, first: &[PathBuf]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = first.iter().cloned().chain(std::env::split_paths(&path)).map(|dir| dir.join(name));
    places.find(|file| file.is_file()).ok_or_else(|| format!("{name} is not installed"))
}
