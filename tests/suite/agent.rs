//! `portplex stack run` beside a real `portplex serve`, both as processes; programs on its local socket.

mod examples;
mod outages;
mod outside;
mod paused;
mod programs;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take: much more than it ever does.
const SOON: Duration = Duration::from_secs(60);

/// Waits for a condition; fails if it does not come.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with its value.
pub struct Process(pub Child);

impl Process {
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Asks it to end, and waits.
    pub fn end(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.0.wait().expect("it ends")
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory with a store, sockets and profiles.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub dvipa: String,
}

impl Site {
    /// Each test has a DVIPA of its own in 127.0.0.0/8, so that it can be bound to.
    pub fn new(dvipa: &str) -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), dvipa: dvipa.to_owned() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.path("service.sock").display())
    }

    pub fn serve(&self) -> Process {
        self.serve_configured("")
    }

    /// With these lines as configuration.
    pub fn serve_configured(&self, config: &str) -> Process {
        let mut command = portplex(&["serve", "--json", "--init"]);
        command.arg("--config").arg(self.write("portplex.toml", config));
        command.arg("--data").arg(self.path("store")).arg("--uds").arg(self.path("service.sock"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("it says that it serves");
        assert!(line.contains("doors"), "{line}");
        Process(child)
    }

    fn profile(&self) -> PathBuf {
        let dvipa = &self.dvipa;
        self.write(
            "sys.profile",
            &format!(
                "TCPCONFIG TIMEWAITINTERVAL 0\nVIPADYNAMIC\n  VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 {dvipa}\n  \
                 VIPADISTRIBUTE DEFINE SYSPLEXPORTS {dvipa} PORT 4035 DESTIP ALL\nENDVIPADYNAMIC\n\
                 PORT\n  4035 TCP RSED\n  8080 TCP WEBSRV\n"
            ),
        )
    }

    pub fn agent_command(&self, name: &str, more: &[&str]) -> Command {
        let mut command = portplex(&["stack", "run", "--json", "--name", name, "--facility", &self.url()]);
        command.arg("--profile").arg(self.profile()).arg("--state").arg(self.path("state"));
        command.arg("--socket").arg(self.socket(name)).args(more);
        command.stdin(Stdio::null());
        command
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.sock"))
    }

    /// Starts an agent and waits until its socket is there.
    pub fn agent(&self, name: &str, more: &[&str]) -> Process {
        let out = std::fs::File::create(self.path(&format!("{name}.out"))).expect("made");
        let err = std::fs::File::create(self.path(&format!("{name}.err"))).expect("made");
        let child = self.agent_command(name, more).stdout(out).stderr(err).spawn().expect("the binary runs");
        let process = Process(child);
        eventually("the agent's socket", || UnixStream::connect(self.socket(name)).ok());
        process
    }

    /// What an agent said, event by event.
    pub fn told(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(&format!("{name}.out"))).expect("read");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn program(&self, name: &str) -> Program {
        let stream = eventually("the agent's socket", || UnixStream::connect(self.socket(name)).ok());
        Program { from: BufReader::new(stream) }
    }

    /// The verbs that ask an agent.
    pub fn ask(&self, name: &str, verb: &str, arguments: &[&str]) -> Output {
        let mut command = portplex(&["stack", verb]);
        command.args(arguments).arg("--socket").arg(self.socket(name)).output().expect("the binary runs")
    }

    /// Waits until the agent has attached.
    pub fn attached(&self, name: &str) -> Value {
        eventually("the stack is attached", || {
            Some(self.program(name).ask(&json!({"verb": "status"}))).filter(|status| status["state"] == "active")
        })
    }
}

/// A program that is connected to an agent.
pub struct Program {
    from: BufReader<UnixStream>,
}

impl Program {
    pub fn send(&mut self, bytes: &[u8]) {
        self.from.get_mut().write_all(bytes).expect("sent");
    }

    pub fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("answered");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    pub fn ask(&mut self, asked: &Value) -> Value {
        self.send(format!("{asked}\n").as_bytes());
        self.hear()
    }

    /// A port of the DVIPA, any one.
    pub fn bind(&mut self, dvipa: &str) -> u16 {
        let answer = self.ask(&json!({"verb": "bind", "dvipa": dvipa}));
        port_of(&answer)
    }

    pub fn status(&mut self) -> Value {
        self.ask(&json!({"verb": "status"}))
    }
}

pub fn port_of(answer: &Value) -> u16 {
    assert_eq!(answer["ok"], true, "{answer}");
    answer["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port")
}

pub fn portplex(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.args(arguments).env_remove("PORTPLEX_STACK");
    command
}

pub fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
