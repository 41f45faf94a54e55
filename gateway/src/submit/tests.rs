//! Users over a real socket: what they get, and what they don't.

use std::sync::Mutex;

use async_trait::async_trait;
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{BlockHash, Family, GenesisTag, Height},
    message::Message,
    time::UnixSeconds,
    wire::Head,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

use super::*;
use crate::chain::{
    Account, ChainError, Cursor, Facts, NativeProof, Simulation, Submission, Submitted, Watched,
};

/// A chain that takes what begins with "good", and remembers it.
struct Chain {
    facts: Facts,
    taken: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl LocalChain for Chain {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn head(&self) -> Result<Head, ChainError> {
        Ok(Head { height: Height(7), block: BlockHash([7; 32]), time: UnixSeconds(1_700_000_000) })
    }

    async fn watch(&self, _: Option<Cursor>) -> Result<Watched, ChainError> {
        std::future::pending().await
    }

    async fn prove(&self, _: Height, _: &[MessageId]) -> Result<NativeProof, ChainError> {
        std::future::pending().await
    }

    async fn simulate(&self, _: &Message) -> Result<Simulation, ChainError> {
        std::future::pending().await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, ChainError> {
        let Submission::User(bytes) = submission else { panic!("only users come here") };
        if bytes == b"down" {
            let (node, cause) = ("http://10.0.0.7:8545".into(), "refused".into());
            return Err(ChainError::Unreachable { node, cause });
        }
        if !bytes.starts_with(b"good") {
            return Err(ChainError::Refused(Reply::new(Code::SIGNATURE, "signature is wrong")));
        }
        self.taken.lock().unwrap().push(bytes);
        Ok(Submitted { transaction: vec![0xaa, 0xbb], refused: vec![] })
    }

    async fn account(&self, local: &Local) -> Result<Option<Account>, ChainError> {
        let known = Account { balance: Amount::from(u128::MAX), nonce: 3 };
        Ok((local.as_str() == "ann/1").then_some(known))
    }
}

#[derive(Default)]
struct Status {
    /// What has happened since.
    more: Mutex<Vec<StepView>>,
    ended: Mutex<bool>,
}

const ID: MessageId = MessageId([1; 32]);

impl MessageStatus for Status {
    fn message(&self, id: MessageId) -> Option<MessageView> {
        let mut steps = vec![StepView { state: "queued".into(), at_ms: 5 }];
        steps.extend(self.more.lock().unwrap().iter().cloned());
        let ended = *self.ended.lock().unwrap();
        (id == ID).then(|| MessageView {
            id: id.to_string(),
            direction: Direction::Out,
            state: "accepted".into(),
            peer: "b1c2".into(),
            code: Some("2.1.5".into()),
            text: None,
            steps,
            outcome: ended.then_some(Outcome::Delivered),
        })
    }

    fn by_transaction(&self, transaction: &[u8]) -> Vec<MessageId> {
        if transaction == [0xaa, 0xbb] { vec![ID] } else { vec![] }
    }
}

/// Tells back what it was asked.
struct Echo;

#[async_trait]
impl DryRuns for Echo {
    async fn dry_run(&self, asked: Asked) -> Result<Forecast, Reply> {
        if asked.to.chain().to_string() == "e2e4" {
            return Err(Reply::new(Code::LOOP, "own chain"));
        }
        let reply = Reply::new(Code::DELIVERED, format!("{asked:?}"));
        Ok(Forecast { gateway: Some("gw.example:7333".into()), reply, gas: Some(asked.gas) })
    }
}

struct World {
    address: std::net::SocketAddr,
    chain: Arc<Chain>,
    status: Arc<Status>,
    stop: watch::Sender<bool>,
    served: JoinHandle<io::Result<()>>,
}

async fn world(token: Option<&str>) -> World {
    let facts = Facts {
        chain: "e2e4".parse().unwrap(),
        tag: GenesisTag([0xab; 8]),
        family: Family::Ledger,
        outbox: b"escrow".to_vec(),
    };
    let chain = Arc::new(Chain { facts, taken: Mutex::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let token = token.map(|text| Token::new(text).unwrap());
    let status = Arc::new(Status::default());
    let served = tokio::spawn(serve(
        listener,
        Arc::clone(&chain) as _,
        Arc::clone(&status) as _,
        Arc::new(Echo),
        token,
        stopped,
    ));
    World { address, chain, status, stop, served }
}

impl World {
    /// Sends these bytes, gives the status and the body of the answer.
    async fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // The listener may close while an overlong body is still on its way.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status, body.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, &format!("Host: {}\r\n", self.address)).await
    }

    async fn get_with(&self, path: &str, fields: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        self.raw(request.as_bytes()).await
    }

    async fn post(&self, body: &[u8]) -> (u16, String) {
        self.post_to("/v1/transactions", body).await
    }

    async fn post_to(&self, path: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }
}

fn refused(code: &str, text: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","text":"{text}"}}}}"#)
}

#[tokio::test]
async fn a_user_sees_the_chain_the_account_and_the_message() {
    let world = world(None).await;
    let (status, body) = world.get("/v1/chain").await;
    assert_eq!(status, 200);
    let chain: ChainView = serde_json::from_str(&body).unwrap();
    assert_eq!(chain.tag, "abababababababab");
    assert_eq!(chain.outbox, "657363726f77");
    assert_eq!(chain.head.height, 7);

    let account =
        r#"{"account":"ann/1","balance":"340282366920938463463374607431768211455","nonce":3}"#;
    assert_eq!(world.get("/v1/accounts/ann/1").await, (200, account.into()));
    assert_eq!(world.get("/v1/accounts/ann%2F1").await, (200, account.into()));
    let unknown = refused("5.1.1", "the chain has no such account");
    assert_eq!(world.get("/v1/accounts/bob").await, (404, unknown));
    assert_eq!(world.get("/v1/accounts/a%zz").await.0, 400);

    let (status, body) = world.get(&format!("/v1/messages/{ID}")).await;
    assert_eq!((status, body.contains(r#""state":"accepted""#)), (200, true), "{body}");
    let unknown = refused("5.1.1", "no such message here");
    assert_eq!(world.get(&format!("/v1/messages/{}", "0".repeat(64))).await, (404, unknown));
    assert_eq!(world.get("/v1/messages/xyz").await.0, 400);
    let messages = format!(r#"{{"messages":["{ID}"]}}"#);
    assert_eq!(world.get("/v1/messages?transaction=aabb").await, (200, messages));
    assert_eq!(world.get("/v1/messages?transaction=AABB").await.0, 400);
    assert_eq!(world.get("/v2/chain").await.0, 404);
}

#[tokio::test]
async fn a_transaction_is_handed_on_as_it_came() {
    let world = world(None).await;
    let taken = r#"{"transaction":"aabb","refused":[]}"#;
    assert_eq!(world.post(b"good\0\xff").await, (200, taken.into()));
    assert_eq!(*world.chain.taken.lock().unwrap(), [b"good\0\xff".to_vec()]);
    let wrong = refused("5.7.20", "signature is wrong");
    assert_eq!(world.post(b"bad").await, (422, wrong));
    let empty = refused("5.6.0", "body is empty, expected a signed transaction");
    assert_eq!(world.post(b"").await, (400, empty));
    let down = refused("4.4.1", "the chain's node cannot answer now");
    assert_eq!(world.post(b"down").await, (503, down), "the node's address is nobody's business");
}

#[tokio::test]
async fn a_dry_run_is_read_strictly_and_answered_in_full() {
    let world = world(None).await;
    let ask = async |body: &str| world.post_to("/v1/simulations", body.as_bytes()).await;
    let whole = r#"{"from":"ann","to":"b1c2xbob","amount":"70","asset":"e2e4/shell","data":"0xab01",
        "gas":9,"on_fail":"keep","expires":77}"#;
    let (status, body) = ask(whole).await;
    assert_eq!(status, 200, "{body}");
    let view: SimulationView = serde_json::from_str(&body).unwrap();
    assert_eq!((view.code.as_str(), view.gas, view.retry_after), ("2.0.0", Some(9), None));
    assert_eq!(view.gateway.as_deref(), Some("gw.example:7333"));
    let (status, body) = ask(r#"{"from":"ann","to":"b1c2xbob"}"#).await;
    assert_eq!((status, body.contains(r#""gas":0"#)), (200, true), "{body}");
    let own = ask(r#"{"from":"ann","to":"e2e4xbob"}"#).await;
    assert_eq!(own, (422, refused("5.4.6", "own chain")));
    for (wrong, named) in [
        ("", "body: "),
        (r#"{"from":"ann"}"#, "missing field `to`"),
        (r#"{"from":"ann","to":"bob"}"#, "to: "),
        (r#"{"from":"a b","to":"b1c2xbob"}"#, "from: "),
        (r#"{"from":"ann","to":"b1c2xbob","amount":"1.5"}"#, "amount: "),
        (r#"{"from":"ann","to":"b1c2xbob","asset":"shell"}"#, "asset: "),
        (r#"{"from":"ann","to":"b1c2xbob","data":"0x1"}"#, "data: "),
        (r#"{"from":"ann","to":"b1c2xbob","on_fail":"burn"}"#, "unknown variant"),
        (r#"{"from":"ann","to":"b1c2xbob","fee":1}"#, "unknown field"),
    ] {
        let (status, body) = ask(wrong).await;
        assert_eq!((status, body.contains(named)), (400, true), "{wrong} {body}");
    }
    assert_eq!(world.get("/v1/simulations").await.0, 404);
    assert!(world.chain.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_never_reaches_the_chain() {
    let world = world(None).await;
    let mut most = vec![b'x'; BODY_BYTES_MAX];
    most[..4].copy_from_slice(b"good");
    assert_eq!(world.post(&most).await.0, 200);
    most.push(b'x');
    // Either the refusal or, if it was still sending, a closed connection.
    assert!([413, 0].contains(&world.post(&most).await.0));
    assert_eq!(world.chain.taken.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_web_page_cannot_speak_for_the_user() {
    let world = world(None).await;
    let host = "Host: 127.0.0.1:7334\r\n";
    assert_eq!(world.get_with("/v1/chain", host).await.0, 200);
    assert_eq!(world.get_with("/v1/chain", "Host: [::1]:7334\r\n").await.0, 200);
    let from_page = format!("{host}Origin: https://evil.example\r\n");
    assert_eq!(world.get_with("/v1/chain", &from_page).await.0, 403);
    let rebound = refused("5.7.1", "expected a Host field of localhost, 127.0.0.1 or [::1]");
    assert_eq!(world.get_with("/v1/chain", "Host: evil.example\r\n").await, (403, rebound));
    assert_eq!(world.get_with("/v1/chain", "").await.0, 403);
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere() {
    let world = world(Some("0123456789abcdef")).await;
    let with = |token: &str| format!("Host: gw1.example\r\nAuthorization: Bearer {token}\r\n");
    assert_eq!(world.get_with("/v1/chain", &with("0123456789abcdef")).await.0, 200);
    assert_eq!(world.get_with("/v1/chain", &with("0123456789abcdee")).await.0, 401);
    assert_eq!(world.get("/v1/chain").await.0, 401);
    assert_eq!(world.post(b"good").await.0, 401);
    assert!(world.chain.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_token_only_loopback_is_served() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let World { chain, status, stop, .. } = world(None).await;
    let error =
        serve(listener, chain, status, Arc::new(Echo), None, stop.subscribe()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn it_stops_though_a_client_lingers() {
    let world = world(None).await;
    let idle = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(world.get("/v1/chain").await.0, 200);
    world.stop.send(true).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), world.served).await;
    ended.expect("stops within 5 s").unwrap().unwrap();
    drop(idle);
}

/// A follower's connection.
struct Followed(TcpStream, String);

impl Followed {
    async fn of(world: &World, fields: &str) -> Self {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let path = format!("/v1/messages/{ID}/events");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(stream, String::new())
    }

    /// Reads until this was said; gives all that was said so far.
    async fn until(&mut self, wanted: &str) -> &str {
        while !self.1.contains(wanted) {
            let mut bytes = [0; 4096];
            let count = self.0.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "it ended with {:?} before {wanted:?}", self.1);
            self.1.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        &self.1
    }
}

impl World {
    fn step(&self, state: &str, at_ms: u64) {
        self.status.more.lock().unwrap().push(StepView { state: state.into(), at_ms });
    }
}

const QUEUED: &str = "id: 5.queued\nevent: step\ndata: {\"state\":\"queued\",\"at_ms\":5}\n\n";

#[tokio::test]
async fn a_follower_is_told_each_step_once_though_it_comes_back() {
    let world = world(None).await;
    let mut first = Followed::of(&world, "").await;
    assert!(first.until(QUEUED).await.contains("content-type: text/event-stream"));
    world.step("accepted", 8);
    first.until("id: 8.accepted\n").await;
    drop(first);

    world.step("closing", 9);
    let mut again = Followed::of(&world, "Last-Event-ID: 8.accepted\r\n").await;
    let said = again.until("id: 9.closing\n").await;
    assert!(!said.contains("queued") && !said.contains("8.accepted"), "{said}");
    *world.status.ended.lock().unwrap() = true;
    let said = again.until("\r\n0\r\n\r\n").await;
    let (_, end) = said.split_once("id: end\nevent: end\ndata: ").unwrap();
    assert!(end.contains(r#""outcome":"delivered""#), "{said}");

    let path = format!("/v1/messages/{ID}/events");
    let fields = "Host: localhost\r\nLast-Event-ID: end\r\n";
    assert_eq!(world.get_with(&path, fields).await, (204, String::new()), "stay away");
    let unknown = format!("/v1/messages/{}/events", "0".repeat(64));
    assert_eq!(world.get(&unknown).await, (404, refused("5.1.1", "no such message here")));
    assert_eq!(world.get("/v1/messages/xyz/events").await.0, 400);
}

#[tokio::test]
async fn followers_are_counted_and_leave_room_for_submissions() {
    let world = world(None).await;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        let mut follower = Followed::of(&world, "").await;
        follower.until(QUEUED).await;
        followers.push(follower);
    }
    let mut late = Followed::of(&world, "Connection: close\r\n").await;
    let said = late.until("4.4.5").await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 10\r\n"), "{said}");
    assert_eq!(world.post(b"good").await.0, 200);

    // They leave when the gateway stops, and do not keep it.
    world.stop.send(true).unwrap();
    let ended = tokio::time::timeout(DRAIN_TIMEOUT, world.served).await;
    ended.expect("nobody is waited for").unwrap().unwrap();
}

#[tokio::test]
async fn a_place_is_free_again_when_its_follower_has_gone() {
    let world = world(None).await;
    for _ in 0..=FOLLOWERS_MAX {
        let mut follower = Followed::of(&world, "").await;
        // The one before may not be missed yet.
        while follower.until("\n\n").await.starts_with("HTTP/1.1 503 ") {
            follower = Followed::of(&world, "").await;
        }
        follower.until(QUEUED).await;
    }
}
