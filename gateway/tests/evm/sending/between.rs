//! What stands between a gateway and its node: a network that loses, a node that is poorer.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use distpos_gateway::event::{Event, Events};
use serde_json::{Value as Json, json};

/// What happens to a call.
pub(crate) enum Does {
    /// The node answers it.
    Pass,
    /// It never reaches the node, and the connection ends.
    Hang,
    /// The node answers it, without this field.
    Without(&'static str),
    /// This in place of the node's answer.
    Says(&'static str),
    /// The node does not know the method.
    NoSuchMethod,
}

type Rule = dyn Fn(&str, usize) -> Does + Send + Sync;

pub(crate) struct Between {
    pub(crate) url: String,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    calls: Arc<Mutex<HashMap<String, usize>>>,
    thread: Option<JoinHandle<()>>,
}

impl Between {
    /// In front of this node; the rule is given a method's name and how often it was called before.
    pub(crate) fn start(
        node: &str,
        rule: impl Fn(&str, usize) -> Does + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(Mutex::new(HashMap::new()));
        let node = node.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (stopped, counted, rule) = (Arc::clone(&stop), Arc::clone(&calls), Arc::new(rule));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (node, counted, rule) = (node.clone(), Arc::clone(&counted), Arc::clone(&rule));
                if let Ok(stream) = stream {
                    std::thread::spawn(move || serve(stream, &node, &counted, rule.as_ref()));
                }
            }
        });
        Self { url: format!("http://{address}/"), address, stop, calls, thread: Some(thread) }
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    pub(crate) fn calls_in_all(&self) -> usize {
        self.calls.lock().unwrap().values().sum()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().unwrap().join().ok();
    }
}

/// One request a connection.
fn serve(mut stream: TcpStream, node: &str, counted: &Mutex<HashMap<String, usize>>, rule: &Rule) {
    let Some(body) = request(&mut stream) else { return };
    let call: Json = serde_json::from_str(&body).unwrap();
    let method = call["method"].as_str().unwrap().to_owned();
    let nth = {
        let mut counted = counted.lock().unwrap();
        let count = counted.entry(method.clone()).or_insert(0);
        *count += 1;
        *count - 1
    };
    let answer = match rule(&method, nth) {
        Does::Hang => return,
        Does::Pass => asked(node, &body),
        Does::Without(field) => {
            let mut answer = asked(node, &body);
            if let Some(result) = answer["result"].as_object_mut() {
                result.remove(field);
            }
            answer
        }
        Does::Says(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        Does::NoSuchMethod => {
            let error = json!({"code": -32_601, "message": "the method does not exist"});
            json!({"jsonrpc": "2.0", "id": call["id"], "error": error})
        }
    };
    let answer = answer.to_string();
    let length = answer.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{answer}").as_bytes()).ok();
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer) else { return None };
        request.extend(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if length.is_some_and(|length| body.len() >= length) {
            return Some(body.to_owned());
        }
    }
}

fn asked(node: &str, body: &str) -> Json {
    let mut stream = TcpStream::connect(node).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {node}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// What the operator was told.
#[derive(Clone, Default)]
pub(crate) struct Alerts(Arc<Mutex<Vec<String>>>);

impl Alerts {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Events for Alerts {
    fn emit(&self, event: Event) {
        if let Event::Alert { what } = event {
            self.0.lock().unwrap().push(what);
        }
    }
}
