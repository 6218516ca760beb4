//! The examples for programs, as they are in `examples`: one in Python, one in shell.

use super::{Site, eventually, project, text};
use crate::requirements;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

/// Answers one HTTP request, and says where it came from.
fn server() -> (SocketAddr, JoinHandle<SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = listener.local_addr().expect("bound");
    let serving = std::thread::spawn(move || {
        let (stream, from) = listener.accept().expect("somebody comes");
        stream.set_read_timeout(Some(super::SOON)).expect("set");
        let mut lines = BufReader::new(&stream);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 2) {
            line.clear();
        }
        let answer = format!("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n{from}\n");
        // A program that says nothing has gone by now.
        let _ = (&stream).write_all(answer.as_bytes());
        from
    });
    (at, serving)
}

fn is_there(command: &str, test: &str) -> bool {
    let there = Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return true;
    }
    let must = std::env::var("PORTPLEX_CI").is_ok_and(|value| value == "1");
    assert!(!must, "{test} needs {command}");
    requirements::say(&format!("SKIPPED {test}: no {command}"));
    false
}

fn held_again(site: &Site) {
    eventually("the port is back", || {
        let status = site.program("SYS1.TCPIP").status();
        (status["lists"][0]["in_use"] == 0).then_some(())
    });
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_python_example_connects_from_the_port_that_it_was_given() {
    if !is_there("python3", "the Python example") {
        return;
    }
    let site = Site::new("127.66.34.1");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let (at, serving) = server();
    let mut command = Command::new("python3");
    command.arg(project("examples/client.py")).arg(&site.dvipa).arg(at.ip().to_string()).arg(at.port().to_string());
    let said = succeeded(&command.arg(site.socket("SYS1.TCPIP")).output().expect("runs"));
    let from = serving.join().expect("served");
    assert!(said.starts_with(&format!("connected from {from}, grant ")), "{said}");
    assert_eq!(from.ip().to_string(), site.dvipa);
    held_again(&site);

    let mut command = Command::new("python3");
    let refused = command.arg(project("examples/client.py")).args(["127.66.34.9", "127.0.0.1", "1", "/nowhere"]);
    assert!(!refused.output().expect("runs").status.success());
}

#[test]
fn the_shell_example_asks_from_the_port_that_it_was_given() {
    if !is_there("curl", "the shell example") {
        return;
    }
    let site = Site::new("127.66.34.2");
    let (_service, _agent) = (site.serve(), site.agent("SYS1.TCPIP", &[]));
    site.attached("SYS1.TCPIP");
    let (at, serving) = server();
    let binary =
        std::path::Path::new(env!("CARGO_BIN_EXE_portplex")).parent().expect("a directory").display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.arg(project("examples/client.sh")).arg(&site.dvipa).arg(format!("http://{at}/"));
    command.env("PATH", path).env("PORTPLEX_STACK", site.socket("SYS1.TCPIP")).env_remove("http_proxy");
    let output = command.output().expect("runs");
    let said = succeeded(&output);
    let from = serving.join().expect("served");
    assert_eq!(
        (said.trim(), from.ip().to_string()),
        (from.to_string().as_str(), site.dvipa.clone()),
        "{}",
        text(&output)
    );
    held_again(&site);
}

#[test]
fn the_examples_are_short_and_in_the_guide() {
    let mut guide = String::new();
    std::fs::File::open(project("docs/agent.md")).and_then(|mut file| file.read_to_string(&mut guide)).expect("read");
    for name in ["examples/client.py", "examples/client.sh"] {
        let lines = std::fs::read_to_string(project(name)).expect("read");
        assert!(lines.lines().count() <= 18, "{name} is no ten-line example any more");
        assert!(guide.contains(name), "docs/agent.md does not name {name}");
    }
}
