//! A peer that asks for something and never takes the answer: HTTP/2 by hand, with a window of zero.

use portplex::api::Door;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What every client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Asks for the list of structures and lets no byte of the answer come: a drain has to wait for it.
pub(super) fn hold(door: &Door) -> TcpStream {
    let Door::Tcp(address) = door else { panic!("a door of TCP") };
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut sent = PREFACE.to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    sent.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    let mut block = vec![0x83, 0x86];
    literal(&mut block, 4, b"/portplex.v1.Structures/ListStructures");
    literal(&mut block, 1, b"localhost");
    block.push(0);
    word(&mut block, b"content-type");
    word(&mut block, b"application/grpc");
    block.push(0);
    word(&mut block, b"te");
    word(&mut block, b"trailers");
    sent.extend(frame(HEADERS, END_HEADERS, 1, &block));
    // One empty message.
    sent.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    stream.write_all(&sent).expect("sent");
    // Its headers come without any window: then the answer is made, and stuck.
    while read_frame(&mut stream).0 != HEADERS {}
    stream
}

/// A header whose name is in the static table (RFC 7541, section 6.2.2).
fn literal(block: &mut Vec<u8>, index: u8, value: &[u8]) {
    block.push(index);
    word(block, value);
}

fn word(block: &mut Vec<u8>, text: &[u8]) {
    block.push(u8::try_from(text.len()).expect("short"));
    block.extend_from_slice(text);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame comes");
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).expect("all of it");
    (head[3], payload)
}
