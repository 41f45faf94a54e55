//! A hook that answers as it should, and every way in which one may not.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use distpos_proto::{
    amount::Amount,
    chain::GenesisTag,
    message::{Fields, OnFail, Value},
    time::UnixSeconds,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// A hook: what it is asked is kept, what it answers can be changed.
struct FakeHook {
    url: String,
    state: Arc<Mutex<State>>,
    _serving: Serving,
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Default)]
struct State {
    /// The raw answer; none: the question is read, and nobody answers.
    answer: Option<String>,
    asked: Vec<String>,
    open: usize,
    open_most: usize,
}

impl FakeHook {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ask?key=s3cret", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { answer: Some(answer.into()), ..State::default() }));
        let shared = state.clone();
        let serving = Serving(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, shared.clone()));
            }
        }));
        Self { url, state, _serving: serving }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answers(&self, raw: &str) {
        self.state().answer = Some(raw.into());
    }

    fn client(&self, timeout: Duration) -> Hooks {
        let accept = Some(self.url.parse().unwrap());
        Hooks::new(config::Hooks { accept, timeout, ..config::Hooks::default() })
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let answer = {
        let mut state = state.lock().unwrap();
        state.open += 1;
        state.open_most = state.open_most.max(state.open);
        state.answer.clone()
    };
    if let Ok(asked) = request(&mut stream).await {
        state.lock().unwrap().asked.push(asked);
    }
    match answer {
        Some(answer) => {
            // So that others come while this one is open.
            tokio::task::yield_now().await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        None => {
            // Nothing comes after the question but the end of an impatient asker.
            let _ = stream.read(&mut [0; 1]).await;
        }
    }
    state.lock().unwrap().open -= 1;
}

/// Head and body of one request.
async fn request(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await?;
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) || read == 0 {
            return Ok(text);
        }
    }
}

fn ok(json: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len())
}

fn message() -> Message {
    Message::new(Fields {
        source: "e2e4".parse().unwrap(),
        source_tag: GenesisTag([1; 8]),
        destination: "b1c2".parse().unwrap(),
        destination_tag: GenesisTag([2; 8]),
        outbox: vec![0xab],
        sequence: 7,
        sender: "a11ce".parse().unwrap(),
        recipient: "b0b".parse().unwrap(),
        value: Some(Value {
            asset: "e2e4/coin".parse().unwrap(),
            amount: Amount::MAX,
            terms: None,
        }),
        data: b"\xff{}".to_vec(),
        gas: 21_000,
        on_fail: OnFail::Keep,
        expires: UnixSeconds(99),
    })
    .unwrap()
}

const PATIENT: Duration = Duration::from_secs(20);

async fn asked(hook: &FakeHook, answer: &str) -> Result<(), HookAnswer> {
    hook.answers(answer);
    hook.client(PATIENT).ask(Hook::Accept, &message()).await
}

/// What a message waits with when a hook is not usable.
fn waits() -> Result<(), HookAnswer> {
    let text = "the accept hook of the destination does not answer";
    Err(HookAnswer::Defer(Reply::new(Code::NOT_NOW, text)))
}

#[tokio::test]
async fn a_hook_gets_the_whole_message_exactly() {
    let hook = FakeHook::start(&ok(r#"{"action":"accept"}"#)).await;
    assert_eq!(hook.client(PATIENT).ask(Hook::Accept, &message()).await, Ok(()));
    let asked = hook.state().asked[0].clone();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /ask?key=s3cret HTTP/1.1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let id = message().id().to_string();
    let expected = serde_json::json!({
        "hook": "accept", "id": id,
        "source": "e2e4", "source_tag": "0101010101010101",
        "destination": "b1c2", "destination_tag": "0202020202020202",
        "outbox": "ab", "sequence": 7, "sender": "e2e4xa11ce", "recipient": "b1c2xb0b",
        "asset": "e2e4/coin", "amount": Amount::MAX.to_string(), "terms": null,
        "data": "ff7b7d", "gas": 21_000, "on_fail": "keep", "expires": 99,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn without_a_hook_everything_passes() {
    let hook = FakeHook::start("").await;
    let client = hook.client(PATIENT);
    assert!(client.is_set(Hook::Accept) && !client.is_set(Hook::BeforeDeliver));
    assert_eq!(client.ask(Hook::BeforeDeliver, &message()).await, Ok(()));
    assert!(hook.state().asked.is_empty());
}

#[tokio::test]
async fn a_hook_defers_and_refuses_in_its_own_words() {
    let hook = FakeHook::start("").await;
    let defer = |code: &str, text: &str, wait| {
        let mut reply = Reply::new(code.parse().unwrap(), text);
        reply.retry_after = wait;
        Err(HookAnswer::Defer(reply))
    };
    let refuse =
        |code: &str, text: &str| Err(HookAnswer::Refuse(Reply::new(code.parse().unwrap(), text)));
    let cases = [
        (r#"{"action":"accept","text":"fine","score":0.3}"#, Ok(())),
        (
            r#"{"action":"defer","text":" at night ","retry_after":60}"#,
            defer("4.7.1", "at night", Some(60)),
        ),
        (
            r#"{"action":"defer","code":"4.4.5","retry_after":4000000000}"#,
            defer("4.4.5", "the operator of the destination says: not now", Some(86_400)),
        ),
        (
            r#"{"action":"refuse","code":"5.1.1","text":"moved\u001b[2Jaway"}"#,
            refuse("5.1.1", "moved [2Jaway"),
        ),
        (
            r#"{"action":"refuse"}"#,
            refuse("5.7.1", "the operator of the destination does not allow this"),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(asked(&hook, &ok(json)).await, expected, "{json}");
    }
}

#[tokio::test]
async fn whatever_is_no_answer_makes_the_message_wait() {
    let hook = FakeHook::start("").await;
    let long = format!(r#"{{"action":"accept","text":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
    let odd = [
        "",
        "not http at all\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Length: 19\r\n\r\n{\"action\":\"accept\"}",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"action\":\"accept\"}",
        &ok(""),
        &ok("yes"),
        &ok("{}"),
        &ok("[]"),
        &ok(r#"{"action":"Accept"}"#),
        &ok(r#"{"action":"drop"}"#),
        &ok(r#"{"action":"accept","action":"refuse"}"#),
        &ok(r#"{"action":"accept","retry_after":-1}"#),
        &ok(r#"{"action":"refuse","code":"4.7.1"}"#),
        &ok(r#"{"action":"refuse","code":"5.7.26"}"#),
        &ok(r#"{"action":"refuse","code":"2.0.0"}"#),
        &ok(r#"{"action":"refuse","code":"550"}"#),
        &ok(r#"{"action":"defer","code":"5.7.1"}"#),
        &ok(&long),
    ];
    for answer in odd {
        assert_eq!(asked(&hook, answer).await, waits(), "{answer}");
    }
    assert_eq!(asked(&hook, &ok(r#"{"action":"accept"}"#)).await, Ok(()));
}

#[tokio::test]
async fn a_slow_hook_and_none_at_all_make_the_message_wait() {
    let hook = FakeHook::start("").await;
    hook.state().answer = None;
    let client = hook.client(Duration::from_millis(20));
    assert_eq!(client.ask(Hook::Accept, &message()).await, waits());
    // A port that was free a moment ago: nobody is there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let accept = Some(format!("http://{free}/").parse().unwrap());
    let nobody = Hooks::new(config::Hooks { accept, ..config::Hooks::default() });
    assert_eq!(nobody.ask(Hook::Accept, &message()).await, waits());
}

#[tokio::test]
async fn a_silent_hook_is_left_alone_for_a_moment_and_then_asked_again() {
    let hook = FakeHook::start("").await;
    hook.state().answer = None;
    let client = hook.client(Duration::from_millis(10));
    for _ in 0..10 {
        assert_eq!(client.ask(Hook::Accept, &message()).await, waits());
    }
    // The rest was told so without a question.
    assert!(hook.state().asked.len() <= SILENCES_MAX as usize, "{}", hook.state().asked.len());
    hook.answers(&ok(r#"{"action":"accept"}"#));
    assert_eq!(client.ask(Hook::Accept, &message()).await, waits());
    client.condition(Hook::Accept, |condition| condition.paused_until = Some(Instant::now()));
    let patient = hook.client(PATIENT);
    *patient.accept.lock().unwrap() = client.condition(Hook::Accept, std::mem::take);
    assert_eq!(patient.ask(Hook::Accept, &message()).await, Ok(()));
}

#[tokio::test]
async fn no_more_than_so_many_questions_are_open_at_once() {
    let hook = FakeHook::start(&ok(r#"{"action":"accept"}"#)).await;
    let client = hook.client(PATIENT);
    let message = message();
    let questions = (0..100).map(|_| client.ask(Hook::Accept, &message));
    let answers = futures_util::future::join_all(questions).await;
    assert!(answers.iter().all(Result::is_ok));
    let state = hook.state();
    assert_eq!(state.asked.len(), 100);
    // One may be counted until its end is seen here, while the next is let in there.
    assert!(state.open_most <= 2 * QUESTIONS_MAX, "{}", state.open_most);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_is_logged_once_and_so_is_its_end() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let hook = FakeHook::start(&ok("no")).await;
    let client = hook.client(PATIENT);
    for _ in 0..2 {
        hook.answers(&ok("no"));
        for _ in 0..5 {
            assert_eq!(client.ask(Hook::Accept, &message()).await, waits());
        }
        hook.answers(&ok(r#"{"action":"accept"}"#));
        for _ in 0..5 {
            assert_eq!(client.ask(Hook::Accept, &message()).await, Ok(()));
        }
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("WARN") && lines[0].contains("gave no usable answer"), "{text}");
    assert!(lines[1].contains("answers again"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
