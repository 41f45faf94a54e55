//! What tests ask a node directly: mining, balances, logs. One call, one connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value as Json, json};

/// A node that does not answer by then is not there.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Why there is no result, in its own words: nobody is there, it died in the middle of its answer,
/// or the node says no.
pub(crate) type Fault = String;

/// The result of a call.
pub(crate) fn call(at: SocketAddr, method: &str, params: &Json) -> Result<Json, Fault> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let mut answer = ask(at, &body)?;
    match answer.get("error") {
        Some(error) => Err(error.to_string()),
        None => Ok(answer["result"].take()),
    }
}

/// The whole answer to a whole request.
pub(crate) fn ask(at: SocketAddr, body: &str) -> Result<Json, Fault> {
    let answer = exchange(at, body).map_err(|error| error.to_string())?;
    let cut = || format!("no whole answer to {body}");
    let body = body_of(&answer).ok_or_else(cut)?;
    serde_json::from_slice(&body).map_err(|_| cut())
}

fn exchange(at: SocketAddr, body: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&at, TIME_MAX)?;
    stream.set_read_timeout(Some(TIME_MAX))?;
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Without the head, and without the chunks that some engines cut long answers into.
fn body_of(answer: &[u8]) -> Option<Vec<u8>> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let mut rest = &answer[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return Some(rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(rest.get(line + 2..line + 2 + length)?);
        rest = rest.get(line + 2 + length + 2..)?;
    }
}
