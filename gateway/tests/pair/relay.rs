//! What stands between a gateway and its node: it carries calls, is away, or lies.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value as Json, json};

use crate::rpc;

/// What it does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carries it, and the answer back.
    Honest,
    /// Closes the connection.
    Away,
    /// Carries it, and hides logs and receipts.
    Lying,
}

/// A node's second address. One call a connection.
pub(crate) struct Relay {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    /// Calls that were carried.
    carried: Arc<AtomicUsize>,
}

impl Relay {
    pub(crate) fn before(node: SocketAddr, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Self { address, mode: Arc::new(Mutex::new(mode)), carried: Arc::default() };
        let (mode, carried) = (Arc::clone(&relay.mode), Arc::clone(&relay.carried));
        // Ends with the process, as its connections do.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mode = *mode.lock().unwrap();
                if mode == Mode::Away {
                    continue;
                }
                let carried = Arc::clone(&carried);
                thread::spawn(move || {
                    if carry(stream, node, mode).is_some() {
                        carried.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        relay
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn carried(&self) -> usize {
        self.carried.load(Ordering::SeqCst)
    }
}

fn carry(mut stream: TcpStream, node: SocketAddr, mode: Mode) -> Option<()> {
    let body = request(&mut stream)?;
    let call: Json = serde_json::from_str(&body).ok()?;
    let mut answer = rpc::ask(node, &body).ok()?;
    if mode == Mode::Lying {
        match call["method"].as_str()? {
            "eth_getLogs" | "eth_getBlockReceipts" => answer["result"] = json!([]),
            "eth_getTransactionReceipt" => answer["result"] = Json::Null,
            _ => {}
        }
    }
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(answer.as_bytes()).ok()
}

/// The body of a request.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer) else { return None };
        request.extend(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.trim().parse().ok()? {
            return Some(body.to_owned());
        }
    }
}
