//! Redis: its append-only file synced at every write, and two scripts that it runs in one step each.

use crate::server::{Server, free_address, program};
use crate::work::{Caller, DVIPAS, GROUP_END, GROUP_FIRST, Peer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

const TAKE: &str = "local lowest = redis.call('ZPOPMIN', KEYS[1])
    redis.call('HSET', KEYS[2], lowest[1], ARGV[1])
    return lowest[1]";
const GIVE: &str = "if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[1] then return '' end
    redis.call('HDEL', KEYS[2], ARGV[2])
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[2])
    return ARGV[2]";

struct Redis(Server);

struct Stack {
    line: Line,
    take: String,
    give: String,
    number: String,
}

/// One connection, by the server's own protocol.
struct Line(BufReader<TcpStream>);

pub fn start(dir: &Path) -> Result<Box<dyn Peer>, String> {
    let address = free_address();
    let mut command = Command::new(program("redis-server", &[])?);
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--dir"]).arg(dir);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    let redis = Redis(Server::start(&mut command, address)?);
    let mut line = Line::open(address);
    for dvipa in 0..DVIPAS {
        let mut add = vec!["ZADD".to_owned(), format!("free:{dvipa}")];
        (GROUP_FIRST..GROUP_END).for_each(|group| add.extend([group.to_string(), group.to_string()]));
        line.ask(&add.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(Box::new(redis))
}

impl Peer for Redis {
    fn caller(&self, number: u32) -> Box<dyn Caller> {
        let mut line = Line::open(self.0.address);
        let mut load = |script| line.ask(&["SCRIPT", "LOAD", script]).expect("loaded");
        let (take, give) = (load(TAKE), load(GIVE));
        Box::new(Stack { line, take, give, number: number.to_string() })
    }

    fn held(&self) -> u64 {
        let mut line = Line::open(self.0.address);
        let count = |dvipa| line.ask(&["HLEN", &format!("held:{dvipa}")]).expect("counted").parse::<u64>();
        (0..DVIPAS).map(count).map(|count| count.expect("a number")).sum()
    }
}

impl Caller for Stack {
    fn take(&mut self, dvipa: u16) -> u16 {
        let (free, held) = (format!("free:{dvipa}"), format!("held:{dvipa}"));
        let taken = self.line.ask(&["EVALSHA", &self.take, "2", &free, &held, &self.number]);
        taken.expect("it answers").parse().expect("a group")
    }

    fn give(&mut self, dvipa: u16, group: u16) {
        let (free, held, group) = (format!("free:{dvipa}"), format!("held:{dvipa}"), group.to_string());
        let given = self.line.ask(&["EVALSHA", &self.give, "2", &free, &held, &self.number, &group]);
        assert_eq!(given, Ok(group), "its own group");
    }
}

impl Line {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it answers");
        stream.set_nodelay(true).expect("a socket");
        Self(BufReader::new(stream))
    }

    /// One command; its answer is a string or a number.
    fn ask(&mut self, words: &[&str]) -> Result<String, String> {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.get_mut().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.0.read_line(&mut line).map_err(|error| error.to_string())?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", rest)) => Ok(rest.to_owned()),
            Some(("$", length)) => {
                let length: usize = length.parse().map_err(|_| format!("answered {line}"))?;
                let mut bytes = vec![0; length + 2];
                self.0.read_exact(&mut bytes).map_err(|error| error.to_string())?;
                bytes.truncate(length);
                String::from_utf8(bytes).map_err(|error| error.to_string())
            }
            _ => Err(format!("answered {line}")),
        }
    }
}
