//! One request to a submission listener, one connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// A gateway that does not answer by then is not there.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What a listener answered: the status, and the JSON of its body.
pub(crate) type Answer = io::Result<(u16, Value)>;

pub(crate) fn get(at: SocketAddr, path: &str) -> Answer {
    request(at, &format!("GET {path} HTTP/1.1\r\n"), &[])
}

pub(crate) fn post(at: SocketAddr, path: &str, body: &[u8]) -> Answer {
    request(at, &format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len()), body)
}

fn request(at: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect_timeout(&at, TIME_MAX)?;
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.write_all(format!("{head}Host: {at}\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parsed(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, answer.clone()))
}

/// None if the gateway died in the middle of its answer.
fn parsed(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}
