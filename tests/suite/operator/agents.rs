//! Two agents of one stack on one host: the lock, with real processes.

use portplex::ident::{ConnectorName, StructureName};
use portplex::stack::{AgentLock, StackError};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Names the directory in a process that is to be an agent.
const DIR: &str = "PORTPLEX_TEST_AGENT_DIR";

fn take(dir: &Path) -> Result<AgentLock, StackError> {
    AgentLock::take(dir, StructureName::default(), &ConnectorName::new("SYS1.TCPIP").expect("a name"))
}

/// The other process: this test in a process of its own, told so by the environment.
#[test]
fn an_agent_in_a_process_of_its_own_holds_its_lock_until_it_ends() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    match take(Path::new(&dir)) {
        Ok(_held) => {
            println!("\nheld");
            let _ = std::io::stdin().read(&mut [0]);
        }
        Err(error) => println!("\n{error}"),
    }
}

struct Agent(Child);

impl Agent {
    fn start(dir: &Path) -> (Self, String) {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        let test = "operator::agents::an_agent_in_a_process_of_its_own_holds_its_lock_until_it_ends";
        command.args([test, "--exact", "--nocapture"]).env(DIR, dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
        let told = lines.map(|line| line.expect("text")).find(|line| line == "held" || line.contains(".agent"));
        (Self(child), told.expect("it tells"))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).expect("it runs");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_agent_names_the_lock_and_only_the_first_ones_death_lets_it_in() {
    let parent = TempDir::new().expect("a directory");
    let dir = parent.path().join("agents");
    let (first, told) = Agent::start(&dir);
    assert_eq!(told, "held");
    let (_, told) = Agent::start(&dir);
    let lock = dir.join("EZBEPORT-SYS1.TCPIP.agent");
    assert!(told.contains(lock.to_str().expect("text")), "{told}");
    assert!(told.contains(&format!("process {}", first.0.id())), "{told}");

    first.signal(rustix::process::Signal::STOP);
    assert!(
        matches!(take(&dir), Err(StackError::AgentRunning { pid: Some(pid), .. }) if pid == first.0.id()),
        "paused is not dead"
    );
    drop(first);
    take(&dir).expect("the kernel dropped it with the process");
}
