//! What happens in a sysplex, as text: one event on a line, for dry runs and tests.
//!
//! ```text
//! # comments start with # or ;
//! listen  SYS1.TCPIP 10.1.1.1 4035 [2] [job RSED]    that many programs listen; ANY: on every DVIPA
//! stop    SYS1.TCPIP 10.1.1.1 4035 [job RSED]        none of them listens any longer
//! arrive  203.0.113.7:50000 10.1.1.1 4035 [from SYS2.TCPIP]    a client's connection request
//! connect SYS2.TCPIP 10.1.1.1:23937 203.0.113.9:443            a stack opens a connection
//! close   203.0.113.7:50000 10.1.1.1 4035       a connection ends
//! quiesce SYS1.TCPIP [4035] [job RSED]          VARY TCPIP,,SYSPLEX,QUIESCE; neither: TARGET
//! resume  SYS1.TCPIP [4035] [job RSED]          VARY TCPIP,,SYSPLEX,RESUME
//! deactivate SYS1.TCPIP 10.1.1.1                VARY TCPIP,,SYSPLEX,DEACTIVATE
//! reactivate SYS1.TCPIP 10.1.1.1                VARY TCPIP,,SYSPLEX,REACTIVATE
//! load    SYS1.TCPIP wlm=8 health=50 [10.1.1.1 4035]           of the system, or of one server
//! fail    SYS1.TCPIP
//! join    SYS1.TCPIP
//! wait    30.5                                  seconds
//! ```
//!
//! Blanks align as people like; case does not matter. An address and its port are one word,
//! `10.1.1.1:80`, `[2001:db8::1]:80` or `10.1.1.1..80` as the origin prints sockets, or two.
#![forbid(unsafe_code)]

use super::decision::Flow;
use super::event::{Event, ScriptError, ScriptFault};
use super::server::{JobName, Scope, Server};
use crate::ident::ConnectorName;
use crate::ident::Dvipa;
use std::net::IpAddr;
use std::net::SocketAddr;

/// Most bytes of a script.
pub const SCRIPT_LENGTH_MAX: usize = 4 << 20;

/// Most events of a script.
pub const EVENTS_MAX: usize = 65_536;

/// Reads a script: its events, each with its line from 1.
///
/// # Errors
/// [`ScriptError`]: the first line that is none.
pub fn parse_script(text: &[u8]) -> Result<Vec<(u32, Event)>, ScriptError> {
    let mut events = Vec::new();
    let mut line = 0;
    if text.len() > SCRIPT_LENGTH_MAX {
        return Err(ScriptError { line: 1, fault: ScriptFault::TooLong });
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for bytes in text.split(|byte| *byte == b'\n') {
        line += 1;
        let found = std::str::from_utf8(bytes).map_err(|_| ScriptFault::NotText).and_then(event_of);
        match found.map_err(|fault| ScriptError { line, fault })? {
            Some(_) if events.len() == EVENTS_MAX => return Err(ScriptError { line, fault: ScriptFault::TooMany }),
            Some(event) => events.push((line, event)),
            None => {}
        }
    }
    Ok(events)
}

/// The event of one line; `None` if it has only blanks and a comment.
fn event_of(line: &str) -> Result<Option<Event>, ScriptFault> {
    let text = line.split(['#', ';']).next().unwrap_or_default();
    let mut words = Words { words: text.split_whitespace().collect(), at: 0, form: "" };
    let Some(verb) = words.next() else { return Ok(None) };
    let Some((name, form)) = FORMS.iter().find(|(name, _)| verb.eq_ignore_ascii_case(name)) else {
        return Err(ScriptFault::UnknownEvent { word: shown(verb) });
    };
    words.form = form;
    let event = match *name {
        "listen" | "stop" => {
            let (stack, dvipa, port) = (words.stack()?, words.dvipa_or_any()?, words.port()?);
            let ready = if *name == "stop" { 0 } else { words.programs()? };
            Event::Listen { stack, dvipa, server: Server { port, job: words.job()? }, ready }
        }
        "arrive" => {
            let flow = words.flow()?;
            let from = match words.next() {
                None => None,
                Some(word) if word.eq_ignore_ascii_case("from") => Some(words.stack()?),
                Some(word) => return Err(ScriptFault::Surplus { word: shown(word), form }),
            };
            Event::Arrive { flow, from }
        }
        "connect" => {
            let stack = words.stack()?;
            let (dvipa, port) = words.local()?;
            Event::Connect { stack, flow: Flow { peer: words.peer()?, dvipa, port } }
        }
        "close" => Event::Close { flow: words.flow()? },
        "load" => words.load()?,
        "fail" => Event::Fail { stack: words.stack()? },
        "join" => Event::Join { stack: words.stack()? },
        "wait" => Event::Wait { ms: words.needed("seconds, 0 to 9999999.999", milliseconds)? },
        "deactivate" => {
            Event::Deactivate { stack: words.stack()?, dvipa: words.needed(DVIPA, |word| word.parse().ok())? }
        }
        "reactivate" => {
            Event::Reactivate { stack: words.stack()?, dvipa: words.needed(DVIPA, |word| word.parse().ok())? }
        }
        _ => Event::Quiesce { stack: words.stack()?, scope: words.scope()?, quiesced: *name == "quiesce" },
    };
    match words.next() {
        Some(word) => Err(ScriptFault::Surplus { word: shown(word), form }),
        None => Ok(Some(event)),
    }
}

/// Every event and how it is written.
const FORMS: [(&str, &str); 13] = [
    ("listen", "listen STACK DVIPA|ANY PORT [PROGRAMS] [job JOB]"),
    ("stop", "stop STACK DVIPA|ANY PORT [job JOB]"),
    ("arrive", "arrive CLIENT:PORT DVIPA PORT [from STACK]"),
    ("connect", "connect STACK DVIPA:PORT PEER:PORT"),
    ("close", "close PEER:PORT DVIPA PORT"),
    ("quiesce", "quiesce STACK [PORT] [job JOB]"),
    ("resume", "resume STACK [PORT] [job JOB]"),
    ("deactivate", "deactivate STACK DVIPA"),
    ("reactivate", "reactivate STACK DVIPA"),
    ("load", "load STACK [wlm=WEIGHT] [health=PERCENT] [DVIPA PORT]"),
    ("fail", "fail STACK"),
    ("join", "join STACK"),
    ("wait", "wait SECONDS"),
];

const STACK: &str = "a stack's name";
const PORT: &str = "a port, 1 to 65535";
const DVIPA: &str = "a DVIPA's address";

/// The words of one line, taken from left to right.
struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
    form: &'static str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }

    /// The next word, if it is of that kind; else it stays.
    fn if_it_is<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = read(self.words.get(self.at)?)?;
        self.at += 1;
        Some(found)
    }

    fn optional<T>(
        &mut self,
        wanted: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ScriptFault> {
        if self.at == self.words.len() { Ok(None) } else { self.needed(wanted, read).map(Some) }
    }

    fn needed<T>(&mut self, wanted: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, ScriptFault> {
        let form = self.form;
        let word = self.next().ok_or(ScriptFault::Missing { wanted, form })?;
        read(word).ok_or_else(|| ScriptFault::BadWord { word: shown(word), wanted, form })
    }

    fn stack(&mut self) -> Result<ConnectorName, ScriptFault> {
        self.needed(STACK, |word| ConnectorName::new(&word.to_ascii_uppercase()).ok())
    }

    fn port(&mut self) -> Result<u16, ScriptFault> {
        self.needed(PORT, port_of)
    }

    /// How many programs; one if the line ends or goes on with the job.
    fn programs(&mut self) -> Result<u16, ScriptFault> {
        if self.is_at_job() {
            return Ok(1);
        }
        Ok(self.optional("how many programs, 0 to 65535", |word| word.parse().ok())?.unwrap_or(1))
    }

    fn is_at_job(&self) -> bool {
        self.words.get(self.at).is_some_and(|word| word.eq_ignore_ascii_case("job"))
    }

    /// `job NAME`, if it comes next.
    fn job(&mut self) -> Result<Option<JobName>, ScriptFault> {
        if !self.is_at_job() {
            return Ok(None);
        }
        self.at += 1;
        self.needed("a job name", |word| JobName::new(word).ok()).map(Some)
    }

    /// What QUIESCE or RESUME name.
    fn scope(&mut self) -> Result<Scope, ScriptFault> {
        let port = if self.is_at_job() { None } else { self.optional(PORT, port_of)? };
        Ok(match (port, self.job()?) {
            (None, None) => Scope::Target,
            (Some(port), None) => Scope::Port(port),
            (Some(port), Some(job)) => Scope::PortOfJob(port, job),
            (None, Some(job)) => Scope::Job(job),
        })
    }

    fn dvipa_or_any(&mut self) -> Result<Option<Dvipa>, ScriptFault> {
        let read = |word: &str| {
            if word.eq_ignore_ascii_case("any") { Some(None) } else { word.parse().ok().map(Some) }
        };
        self.needed("a DVIPA's address or ANY", read)
    }

    /// A DVIPA with its port, in one word or two.
    fn local(&mut self) -> Result<(Dvipa, u16), ScriptFault> {
        let whole = |word: &str| {
            let socket = socket_of(word)?;
            Some((Dvipa::new(socket.ip()).ok()?, socket.port()))
        };
        match self.if_it_is(whole) {
            Some(local) => Ok(local),
            None => Ok((self.needed(DVIPA, |word| word.parse().ok())?, self.port()?)),
        }
    }

    /// Address and port of the other side, in one word or two.
    fn peer(&mut self) -> Result<SocketAddr, ScriptFault> {
        match self.if_it_is(socket_of) {
            Some(peer) => Ok(peer),
            None => {
                let address = |word: &str| word.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                let address = self.needed("an address and port", address)?;
                Ok(SocketAddr::new(address, self.port()?))
            }
        }
    }

    fn flow(&mut self) -> Result<Flow, ScriptFault> {
        let peer = self.peer()?;
        let (dvipa, port) = self.local()?;
        Ok(Flow { peer, dvipa, port })
    }

    fn load(&mut self) -> Result<Event, ScriptFault> {
        let stack = self.stack()?;
        let (mut weight, mut health_percent) = (None, None);
        loop {
            if let Some(said) = self.if_it_is(|word| value_of(word, "wlm=", 64)) {
                weight = Some(said);
            } else if let Some(said) = self.if_it_is(|word| value_of(word, "health=", 100)) {
                health_percent = Some(said);
            } else {
                break;
            }
        }
        if weight.is_none() && health_percent.is_none() {
            self.needed("wlm=0 to wlm=64 or health=0 to health=100", |_| None::<()>)?;
        }
        let server = if self.at == self.words.len() { None } else { Some(self.local()?) };
        Ok(Event::Load { stack, server, weight, health_percent })
    }
}

/// A word as a message shows it: no longer than a line.
fn shown(word: &str) -> String {
    const SHOWN_MAX: usize = 64;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut text: String = word.chars().take(SHOWN_MAX).map(clean).collect();
    if word.chars().nth(SHOWN_MAX).is_some() {
        text.push('…');
    }
    text
}

fn port_of(word: &str) -> Option<u16> {
    word.parse().ok().filter(|port| *port > 0)
}

/// `10.1.1.1:80`, `[2001:db8::1]:80`, `10.1.1.1..80` or `2001:db8::1..80`.
fn socket_of(word: &str) -> Option<SocketAddr> {
    let socket = match word.rsplit_once("..") {
        Some((address, port)) => SocketAddr::new(address.parse().ok()?, port.parse().ok()?),
        None => word.parse().ok()?,
    };
    (socket.port() > 0).then(|| SocketAddr::new(socket.ip().to_canonical(), socket.port()))
}

fn value_of(word: &str, name: &str, most: u8) -> Option<u8> {
    let start = word.get(..name.len())?;
    let value = word.get(name.len()..)?.parse().ok()?;
    (start.eq_ignore_ascii_case(name) && value <= most).then_some(value)
}

/// Seconds with up to three places behind the point.
fn milliseconds(word: &str) -> Option<u64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let is_number =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole, 7) || !is_number(part, 3) {
        return None;
    }
    Some(whole.parse::<u64>().ok()? * 1_000 + format!("{part:0<3}").parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        parse_script(text.as_bytes()).expect("a script").into_iter().map(|(_, event)| event).collect()
    }

    fn fault(text: &str) -> String {
        parse_script(text.as_bytes()).expect_err("no script").to_string()
    }

    #[test]
    fn one_event_can_be_written_in_several_ways() {
        let first = events("arrive 203.0.113.7:50000 10.1.1.1 4035");
        for other in [
            "  ARRIVE\t203.0.113.7..50000   10.1.1.1:4035  # a comment",
            "arrive 203.0.113.7 50000 10.1.1.1..4035;another",
            "\u{feff}\n\r\narrive ::ffff:203.0.113.7 50000 10.1.1.1 4035\r\n",
        ] {
            assert_eq!(events(other), first, "{other}");
        }
        let six = events("arrive [2001:db8::7]:50000 2001:db8::1 4035 from sys2.tcpip");
        assert_eq!(six, events("arrive 2001:db8::7..50000 2001:db8::1..4035 from SYS2.TCPIP"));
        assert_eq!(events("stop S 10.1.1.1 80"), events("listen S 10.1.1.1 80 0"));
        assert_eq!(events("wait 1.5"), [Event::Wait { ms: 1_500 }]);
        assert_eq!(events("wait 0.05"), [Event::Wait { ms: 50 }]);
        let stack = ConnectorName::new("S").expect("a name");
        let job = JobName::new("HTTPA").expect("a job name");
        for (text, scope) in [
            ("quiesce S", Scope::Target),
            ("quiesce S 80", Scope::Port(80)),
            ("quiesce S 80 JOB httpa", Scope::PortOfJob(80, job.clone())),
            ("quiesce S job HTTPA", Scope::Job(job.clone())),
        ] {
            assert_eq!(events(text), [Event::Quiesce { stack: stack.clone(), scope, quiesced: true }], "{text}");
        }
        let server = Server { port: 80, job: Some(job) };
        let listens = |ready| Event::Listen { stack: stack.clone(), dvipa: None, server: server.clone(), ready };
        assert_eq!(events("listen S ANY 80 job HTTPA\nlisten S any 80 2 job HTTPA"), [listens(1), listens(2)]);
        assert_eq!(events("stop S ANY 80 job httpa"), [listens(0)]);
        assert_eq!(events("load S health=50 wlm=8"), events("load S WLM=8 Health=50"));
        assert_eq!(events("# nothing\n\n ; at all"), []);
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_what_to_write() {
        for (text, said) in [
            ("\nfrobnicate", "2: frobnicate is no event: write listen, stop, arrive,"),
            ("listen", "1: a stack's name is missing: write listen STACK DVIPA|ANY PORT [PROGRAMS] [job"),
            ("listen a_b! ANY 80", "1: a_b! is not a stack's name"),
            ("listen S 0.0.0.0 80", "1: 0.0.0.0 is not a DVIPA's address or ANY"),
            ("listen S ANY 0", "1: 0 is not a port, 1 to 65535"),
            ("listen S ANY 80 70000", "1: 70000 is not how many programs, 0 to 65535"),
            ("listen S ANY 80 1 x", "1: x is one word too many"),
            ("arrive 1.2.3.4:0 10.1.1.1 80", "1: 1.2.3.4:0 is not an address and port"),
            ("arrive 1.2.3.4:5 10.1.1.1", "1: a port, 1 to 65535 is missing"),
            ("arrive 1.2.3.4:5 10.1.1.1 80 to S", "1: to is one word too many"),
            ("arrive 1.2.3.4:5 10.1.1.1 80 from", "1: a stack's name is missing"),
            ("connect S 10.1.1.1:80", "1: an address and port is missing: write connect STACK DVIPA:PORT PEER:PORT"),
            ("load S", "1: wlm=0 to wlm=64 or health=0 to health=100 is missing"),
            ("load S wlm=65", "1: wlm=65 is not wlm=0 to wlm=64 or"),
            ("load S wlm=8 10.1.1.1", "1: a port, 1 to 65535 is missing"),
            ("wait -1", "1: -1 is not seconds, 0 to 9999999.999"),
            ("wait 1.", "1: 1. is not seconds"),
            ("wait 12345678", "1: 12345678 is not seconds"),
            ("quiesce S ten", "1: ten is not a port"),
            ("quiesce S 80 job", "1: a job name is missing: write quiesce STACK [PORT] [job JOB]"),
            ("resume S job 1A", "1: 1A is not a job name"),
            ("stop S ANY 80 2", "1: 2 is one word too many"),
            ("deactivate S", "1: a DVIPA's address is missing: write deactivate STACK DVIPA"),
        ] {
            assert!(fault(text).starts_with(said), "{text}: {}", fault(text));
        }
        let bytes = parse_script(b"wait 1\nwait \xff").expect_err("no script");
        assert_eq!((bytes.line, bytes.fault), (2, ScriptFault::NotText));
    }

    #[test]
    fn a_script_has_its_limits() {
        assert_eq!(events(&"wait 1\n".repeat(EVENTS_MAX)).len(), EVENTS_MAX);
        let many = fault(&"wait 1\n".repeat(EVENTS_MAX + 1));
        assert!(many.starts_with("65537: the script has more than 65536 events"), "{many}");
        let long = parse_script(&vec![b'\n'; SCRIPT_LENGTH_MAX + 1]).expect_err("no script");
        assert_eq!(long.fault, ScriptFault::TooLong);
        assert!(fault(&"x".repeat(1_000)).len() < 250);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 7_u64;
        let pieces = [
            "listen ", "quiesce ", "job ", "load ", "wlm=", "S ", "10.1.1.1", "..", ":", "[::1]", "80 ", "é", "\n",
            "0", "#", ".",
        ];
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize;
                text.extend_from_slice(pieces[at % pieces.len()].as_bytes());
                if at.is_multiple_of(17) {
                    text.push((at >> 8) as u8);
                }
            }
            let _ = parse_script(&text);
        }
    }
}
