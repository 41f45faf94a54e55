//! Nodes that answer as a test tells them, and real ones whose answers are bent on the way.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::{Value as Json, json};

use super::world::World;

/// What a false node does with a request.
pub(crate) enum Answer {
    /// Status 200 and this body.
    Body(Vec<u8>),
    /// This status, perhaps a `Retry-After` in seconds, and no body.
    Status(u16, Option<u64>),
    /// Nothing, until the other side gives up.
    Never,
}

impl From<Vec<u8>> for Answer {
    fn from(body: Vec<u8>) -> Self {
        Self::Body(body)
    }
}

/// What the false node makes of a request's body and method.
type Answers = dyn Fn(&str, &str) -> Answer + Send + Sync;

/// A node that answers as it is told.
pub(crate) struct FalseNode {
    pub(crate) url: String,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FalseNode {
    pub(crate) fn start<A: Into<Answer>>(
        answers: impl Fn(&Json, &str) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::start_raw(move |body, method| {
            let call: Json = serde_json::from_str(body).unwrap();
            answers(&call["id"], method)
        })
    }

    pub(crate) fn start_raw<A: Into<Answer>>(
        answers: impl Fn(&str, &str) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    /// One that comes back where it was.
    pub(crate) fn restart<A: Into<Answer>>(
        address: SocketAddr,
        answers: impl Fn(&str, &str) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::listen(TcpListener::bind(address).unwrap(), answers)
    }

    /// Stops it; gives where it was.
    pub(crate) fn stop(self) -> SocketAddr {
        self.address
    }

    fn listen<A: Into<Answer>>(
        listener: TcpListener,
        answers: impl Fn(&str, &str) -> A + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answers: Arc<Answers> = Arc::new(move |body, method| answers(body, method).into());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    let answers = Arc::clone(&answers);
                    std::thread::spawn(move || serve(stream, &*answers));
                }
            }
        });
        let url = format!("http://{address}/");
        Self { url, address, stop, thread: Some(thread) }
    }
}

impl Drop for FalseNode {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        self.thread.take().unwrap().join().ok();
    }
}

/// One request a connection, so that keeping connections is put to the test too.
fn serve(mut stream: TcpStream, answers: &Answers) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let body = loop {
        let Ok(read @ 1..) = stream.read(&mut buffer) else { return };
        request.extend(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if length.is_some_and(|length| body.len() >= length) {
            break body.to_owned();
        }
    };
    let call: Json = serde_json::from_str(&body).unwrap();
    let (head, body) = match answers(&body, call["method"].as_str().unwrap()) {
        Answer::Body(body) => ("200 OK".to_owned(), body),
        Answer::Status(status, None) => (format!("{status} No"), Vec::new()),
        Answer::Status(status, Some(wait)) => {
            (format!("{status} No\r\nRetry-After: {wait}"), Vec::new())
        }
        // Reads until the other side has gone.
        Answer::Never => return while let Ok(1..) = stream.read(&mut buffer) {},
    };
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(&body).ok();
    stream.shutdown(Shutdown::Both).ok();
}

pub(crate) fn result(id: &Json, result: &Json) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().into_bytes()
}

/// A JSON-RPC error in answer to a request's body.
pub(crate) fn refusal(body: &str, code: i64) -> Vec<u8> {
    let call: Json = serde_json::from_str(body).unwrap();
    let error = json!({"code": code, "message": "no"});
    json!({"jsonrpc": "2.0", "id": call["id"], "error": error}).to_string().into_bytes()
}

/// Asks the real node.
pub(crate) fn pass_on(world: &World) -> impl Fn(&str) -> Json + Clone + Send + Sync + 'static {
    let authority = world.node.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    move |body| {
        let mut stream = TcpStream::connect(&authority).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

/// A real node's answers, some of them bent.
pub(crate) fn bent(
    world: &World,
    bend: impl Fn(&str, &mut Json) + Send + Sync + 'static,
) -> FalseNode {
    let pass = pass_on(world);
    FalseNode::start_raw(move |body, method| {
        let mut answer = pass(body);
        bend(method, &mut answer);
        answer.to_string().into_bytes()
    })
}

/// A second door to the real node, which says what was asked through it.
pub(crate) fn counting(world: &World) -> (FalseNode, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let node = bent(world, move |method, _| seen.lock().unwrap().push(method.to_owned()));
    (node, asked)
}
