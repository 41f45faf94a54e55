//! `distpos-send` as a real process, against the submission listener over a real ledger. How the
//! message fares is played here: that it is sent on is the daemon's story.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Output,
    sync::{Arc, Mutex},
};

use distpos_gateway::{
    chain::{
        LocalChain,
        ledger::{Genesis, Ledger, TransactionId},
    },
    clock,
    config::Token,
    outbound::simulate::{Asked, Forecast},
    submit::{Direction, DryRuns, MessageStatus, MessageView, Outcome, StepView, serve},
};
use distpos_proto::{
    account::Limits,
    address::Local,
    amount::Amount,
    chain::GenesisTag,
    code::{Code, Reply},
    key::SecretKey,
    message::{Asset, MessageId, TermsHash},
    time::UnixSeconds,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

/// Tells of every message the ledger has sent; ends it as told after two looks.
struct Status {
    ledger: Arc<Ledger>,
    outcome: Option<Outcome>,
    looks: Mutex<usize>,
}

impl MessageStatus for Status {
    fn message(&self, id: MessageId) -> Option<MessageView> {
        let mut looks = self.looks.lock().unwrap();
        *looks += 1;
        let mut steps = vec![StepView { state: "queued".into(), at_ms: 3_723_004 }];
        let ended = *looks > 2;
        if ended {
            steps.push(StepView { state: "accepted".into(), at_ms: 3_723_105 });
        }
        let outcome = self.outcome.filter(|_| ended);
        let refused = outcome == Some(Outcome::Refunded);
        Some(MessageView {
            id: id.to_string(),
            direction: Direction::Out,
            state: "queued".into(),
            peer: "b1c2".into(),
            code: refused.then(|| "5.1.1".into()),
            text: refused.then(|| "no such account".into()),
            steps,
            outcome,
        })
    }

    fn by_transaction(&self, transaction: &[u8]) -> Vec<MessageId> {
        let Ok(id) = transaction.try_into().map(TransactionId) else { return vec![] };
        self.ledger.included(&id).unwrap().and_then(|found| found.message).into_iter().collect()
    }
}

/// The destination: Bob is known there, and costs 48,000 gas to call; others are not.
struct Far;

#[async_trait::async_trait]
impl DryRuns for Far {
    async fn dry_run(&self, asked: Asked) -> Result<Forecast, Reply> {
        let gateway = Some("gw.b1c2.example:7333".to_owned());
        let (reply, gas) = match asked.to.local().as_str() {
            "bob" if asked.gas == 1 => (Reply::new(Code::CALL_REVERTS, "call reverts"), None),
            "bob" => (Reply::new(Code::DELIVERED, "would be delivered"), Some(48_000)),
            "later" => (Reply::new(Code::SUSPENDED, "vault is short").retry_after(60), None),
            _ => (Reply::new(Code::UNKNOWN_RECIPIENT, "no such account"), None),
        };
        Ok(Forecast { gateway, reply, gas })
    }
}

struct World {
    home: tempfile::TempDir,
    at: SocketAddr,
    ledger: Arc<Ledger>,
    ann: Local,
    _stop: watch::Sender<bool>,
}

/// A ledger on which Ann, whose key is in `ann.key`, holds 1,000.
async fn world(outcome: Option<Outcome>, token: Option<&str>) -> World {
    let home = tempfile::tempdir().unwrap();
    let made = send_in(&home, &["keygen", "ann.key"]).await;
    let ann: Local = out(&made).trim().parse().unwrap();
    let authority = SecretKey::from_seed(&[1; 32]);
    let genesis = Genesis {
        chain: "e2e4".parse().unwrap(),
        time: UnixSeconds(0),
        accounts: [(ann.clone(), Amount::from(1000u64))].into(),
        float: Amount::ZERO,
        authorities: [authority.public()].into(),
    };
    let ledger = Ledger::in_memory(genesis, vec![authority], clock::system()).unwrap();
    let ledger = Arc::new(ledger);
    let status = Status { ledger: Arc::clone(&ledger), outcome, looks: Mutex::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let chain: Arc<dyn LocalChain> = Arc::clone(&ledger) as _;
    let token = token.map(|token| Token::new(token).unwrap());
    tokio::spawn(serve(listener, chain, Arc::new(status), Arc::new(Far), token, stopped));
    World { home, at, ledger, ann, _stop: stop }
}

impl World {
    async fn send(&self, arguments: &[&str]) -> Output {
        let gateway = format!("http://{}", self.at);
        send_in(&self.home, &[arguments, &["--gateway", &gateway]].concat()).await
    }

    fn held(&self, local: &Local) -> Option<u128> {
        self.ledger.balance(local).unwrap().and_then(Amount::to_u128)
    }
}

/// Waits on another thread, so that the listener goes on being served.
async fn send_in(home: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let (home, arguments): (PathBuf, Vec<String>) =
        (home.path().into(), arguments.iter().map(ToString::to_string).collect());
    let run = move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_distpos-send"))
            .args(arguments)
            .current_dir(home)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const BOB: &str = "b1c2xbob";

#[tokio::test]
async fn a_message_is_sent_and_its_id_printed() {
    let world = world(None, None).await;
    let sent = world.send(&[BOB, "--amount", "30", "--key", "ann.key"]).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let id: MessageId = out(&sent).trim().parse().unwrap();
    assert_eq!(world.held(&world.ann), Some(970));
    let status = world.send(&["status", &id.to_string()]).await;
    assert_eq!(out(&status), format!("{id}\n01:02:03.004 queued\nnow queued (to b1c2)\n"));
    let json = world.send(&[BOB, "--data", "0xab", "--key", "ann.key", "--json"]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["from"], format!("e2e4x{}", world.ann));
    assert_eq!(json["id"].as_str().unwrap().len(), 64);
    assert_ne!(json["id"], id.to_string());
}

#[tokio::test]
async fn waiting_shows_each_step_once_and_the_end() {
    let world = world(Some(Outcome::Delivered), None).await;
    let sent = world.send(&[BOB, "--amount", "30", "--key", "ann.key", "--wait"]).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let text = out(&sent);
    let (_, steps) = text.split_once('\n').unwrap();
    assert_eq!(steps, "01:02:03.004 queued\n01:02:03.105 accepted\ndelivered\n");
}

#[tokio::test]
async fn a_refusal_is_69_and_says_why() {
    let world = world(Some(Outcome::Refunded), None).await;
    let arguments = [BOB, "--amount", "30", "--key", "ann.key", "--wait"];
    let sent = world.send(&arguments).await;
    assert_eq!(sent.status.code(), Some(69), "{sent:?}");
    assert!(out(&sent).ends_with("refused and refunded 5.1.1 no such account\n"), "{sent:?}");
    let json = world.send(&[&arguments[..], &["--json"]].concat()).await;
    assert_eq!(json.status.code(), Some(69));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["message"]["outcome"], "refunded");
}

#[tokio::test]
async fn what_is_still_under_way_when_the_time_is_up_is_75() {
    let world = world(None, None).await;
    let arguments = [BOB, "--amount", "30", "--key", "ann.key", "--wait", "--timeout", "300ms"];
    let sent = world.send(&arguments).await;
    assert_eq!(sent.status.code(), Some(75), "{sent:?}");
    assert!(err(&sent).contains("still under way; ask again: distpos-send status "), "{sent:?}");
}

#[tokio::test]
async fn zero_x_is_a_transfer_at_home_to_an_account_that_is_open() {
    let world = world(None, None).await;
    let made = send_in(&world.home, &["keygen", "bob.key"]).await;
    let bob: Local = out(&made).trim().parse().unwrap();
    let to = format!("0x{bob}");
    let early = world.send(&[&to, "--amount", "5", "--key", "ann.key"]).await;
    assert_eq!(early.status.code(), Some(69), "{early:?}");
    let cannot = world.send(&[&to, "--amount", "5", "--key", "bob.key"]).await;
    assert_eq!(cannot.status.code(), Some(69));
    assert!(err(&cannot).contains("is not open; open it: distpos-send open"), "{cannot:?}");
    let opened = world.send(&["open", "--key", "bob.key"]).await;
    assert_eq!(out(&opened), format!("e2e4x{bob}\n"), "{opened:?}");
    let paid = world.send(&[&to, "--amount", "5", "--key", "ann.key"]).await;
    assert_eq!(paid.status.code(), Some(0), "{paid:?}");
    assert_eq!((world.held(&world.ann), world.held(&bob)), (Some(995), Some(5)));
    let account = world.send(&["account", "--key", "bob.key"]).await;
    assert_eq!(out(&account), format!("{bob} balance 5 nonce 1\n"));
    let with_data = world.send(&[&to, "--amount", "5", "--data", "ab", "--key", "ann.key"]).await;
    assert_eq!(with_data.status.code(), Some(64));
}

#[tokio::test]
async fn a_dry_run_shows_both_chains_and_sends_nothing() {
    let world = world(None, None).await;
    let order = [BOB, "--amount", "30", "--data", "(string) hello", "--key", "ann.key"];
    let dry = world.send(&[&order[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    assert_eq!(
        out(&dry),
        "dry run: nothing was sent\n\
         own chain    would take it, without a fee\n\
         route        gw.b1c2.example:7333\n\
         destination  2.0.0 would be delivered\n\
         call         none asked for (--gas 0); it would need about 48000 gas\n"
    );
    let json = world.send(&[&order[..], &["--dry-run", "--gas", "auto", "--json"]].concat()).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["gas"], &json["own"]["accepted"]), (&48_000.into(), &true.into()), "{json}");
    assert_eq!(json["destination"]["code"], "2.0.0");

    // Whichever side says no decides: never, or not now.
    let cases: [(&[&str], i32, &str); 4] = [
        (&["b1c2xcarl", "--amount", "30"], 69, "destination  5.1.1 no such account\n"),
        (&["b1c2xlater", "--amount", "30"], 75, "destination  4.2.1 vault is short\n"),
        (&[BOB, "--amount", "1001"], 69, "own chain    would refuse it: balance is 1000, less"),
        (&[BOB, "--data", "0x01", "--gas", "1"], 69, "call         no estimate, is given 1 gas\n"),
    ];
    for (arguments, code, text) in cases {
        let dry = world.send(&[arguments, &["--key", "ann.key", "--dry-run"]].concat()).await;
        assert_eq!(dry.status.code(), Some(code), "{arguments:?} {dry:?}");
        assert!(out(&dry).contains(text), "{arguments:?} {dry:?}");
    }
    let wait = world.send(&[&order[..], &["--dry-run", "--wait"]].concat()).await;
    assert_eq!(wait.status.code(), Some(64), "there is nothing to wait for: {wait:?}");
    assert_eq!(world.held(&world.ann), Some(1000));
}

#[tokio::test]
async fn gas_is_what_the_destination_estimates_or_the_order_stays_at_home() {
    let world = world(None, None).await;
    let auto = ["--data", "0xab", "--gas", "auto", "--key", "ann.key"];
    let unknown = world.send(&[&["b1c2xcarl"], &auto[..]].concat()).await;
    assert_eq!(unknown.status.code(), Some(69), "{unknown:?}");
    let why = "--gas auto: no estimate for the call: 5.1.1 no such account";
    assert!(err(&unknown).contains(why), "{unknown:?}");
    assert_eq!(world.ledger.head().await.unwrap().height.0, 0, "no block was made for it");
    let sent = world.send(&[&[BOB], &auto[..]].concat()).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let watched = world.ledger.watch(None).await.unwrap();
    assert_eq!(watched.blocks[0].outgoing[0].fields().gas, 48_000);
    let wrong = world.send(&[BOB, "--gas", "much", "--key", "ann.key"]).await;
    assert_eq!(wrong.status.code(), Some(64));
}

#[tokio::test]
async fn data_is_hex_a_call_or_a_file() {
    let world = world(None, None).await;
    std::fs::write(world.home.path().join("note"), b"a note\n").unwrap();
    let long = std::fs::File::create(world.home.path().join("long")).unwrap();
    long.set_len(1 << 40).unwrap();
    for data in ["0xAB", "greet(uint8) 5", "@note"] {
        let sent = world.send(&[BOB, "--data", data, "--key", "ann.key"]).await;
        assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    }
    let watched = world.ledger.watch(None).await.unwrap();
    let sent: Vec<Vec<u8>> = watched
        .blocks
        .iter()
        .flat_map(|block| block.outgoing.iter().map(|message| message.fields().data.clone()))
        .collect();
    let five = [&[0; 31][..], &[5]].concat();
    assert_eq!(sent[0], [0xab]);
    assert_eq!((sent[1].len(), &sent[1][4..]), (36, &five[..]));
    assert_eq!(sent[2], b"a note\n");
    for (wrong, text) in [
        ("@nothing", "nothing: No such file"),
        ("@long", "found 65537 bytes, expected at most 65536"),
        ("greet(uint8) 256", "argument 1 (uint8): found \"256\", expected a whole number"),
        ("xyz", "expected pairs of hex digits, a call such as"),
    ] {
        let refused = world.send(&[BOB, "--data", wrong, "--key", "ann.key"]).await;
        assert_eq!(refused.status.code(), Some(64), "{wrong} {refused:?}");
        assert!(err(&refused).contains(text), "{wrong} {refused:?}");
    }
}

#[tokio::test]
async fn wrong_input_is_refused_and_nothing_is_lost() {
    let world = world(None, None).await;
    let short = "0".repeat(63);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["b1c2", "--key", "ann.key"], 64, "address has no \"x\""),
        (&["b1g2xbob", "--key", "ann.key"], 64, "chain-id has the character 'g' at position 2"),
        (&[BOB, "--amount", "1.5", "--key", "ann.key"], 64, "expected a whole number"),
        (&[BOB, "--amount", "1001", "--key", "ann.key"], 69, "balance is 1000"),
        (&[BOB, "--expires", "6d", "--key", "ann.key"], 64, "expected 1s to 5d"),
        (&[BOB, "--data", "xyz", "--key", "ann.key"], 64, "expected pairs of hex digits"),
        (&[BOB, "--amount", "1", "--key", "no.key"], 78, "no.key"),
        (&["status", &short], 64, "expected 64 lower-case hex digits"),
    ];
    for (arguments, code, text) in cases {
        let refused = world.send(arguments).await;
        assert_eq!(refused.status.code(), Some(code), "{arguments:?} {refused:?}");
        assert!(err(&refused).contains(text), "{arguments:?} {refused:?}");
    }
    assert_eq!(world.held(&world.ann), Some(1000));
}

#[tokio::test]
async fn a_reserve_is_paid_into_where_there_is_an_account() {
    let world = world(None, None).await;
    let (peer, gold) = ("b1c2".parse().unwrap(), "b1c2/gold".parse::<Asset>().unwrap());
    let pay = async |peer: &str, asset: &str, amount: &str| {
        let arguments = ["reserve", peer, "--asset", asset, "--amount", amount, "--key", "ann.key"];
        world.send(&arguments).await
    };
    let cases: [([&str; 3], i32, &str); 6] = [
        (["b1c2", "b1c2/gold", "5"], 69, "5.2.1 no account with b1c2 in b1c2/gold is open"),
        (["b1c2", "gold", "5"], 64, "--asset"),
        (["b1c2", "b1c2/gold", "-1"], 64, "amount is \"-1\", expected 0 or more"),
        (["b1c2", "b1c2/gold", "0"], 64, "--amount is 0"),
        (["e2e4", "e2e4/coin", "5"], 64, "expected a peer chain"),
        (["b1c2", "b1c2/gold", "1001"], 69, "balance is 1000, less than 1001"),
    ];
    for ([peer, asset, amount], code, text) in cases {
        let refused = pay(peer, asset, amount).await;
        assert_eq!(refused.status.code(), Some(code), "{text}: {refused:?}");
        assert!(err(&refused).contains(text), "{text}: {refused:?}");
    }
    let (terms, limits) = (TermsHash([7; 32]), Limits::default());
    world.ledger.open_account(peer, GenesisTag([1; 8]), gold.clone(), terms, limits).await.unwrap();
    let paid = pay("b1c2", "b1c2/gold", "400").await;
    assert_eq!(paid.status.code(), Some(0), "{paid:?}");
    assert_eq!(out(&paid).trim().len(), 64, "the transaction: {paid:?}");
    let account = world.ledger.correspondent(peer, &gold).unwrap().unwrap();
    assert_eq!(
        (world.held(&world.ann), account.figures.reserve),
        (Some(600), Amount::from(400u64))
    );
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_75_and_one_with_a_token_wants_it() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", silent.local_addr().unwrap());
    drop(silent);
    let world = world(None, Some("0123456789abcdef")).await;
    let id = "0".repeat(64);
    let gone = send_in(&world.home, &["status", &id, "--gateway", &nowhere]).await;
    assert_eq!(gone.status.code(), Some(75), "{gone:?}");
    let arguments = ["account", "--key", "ann.key"];
    let stranger = world.send(&arguments).await;
    assert_eq!(stranger.status.code(), Some(78), "{stranger:?}");
    let token = world.home.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = world.send(&[&arguments[..], &["--token", "token"]].concat()).await;
    assert_eq!(open.status.code(), Some(78), "a token that others may read: {open:?}");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let open = world.send(&[&arguments[..], &["--token", "token"]].concat()).await;
    assert_eq!(open.status.code(), Some(0), "{open:?}");
}

#[tokio::test]
async fn an_address_is_explained_without_asking_anybody() {
    let home = tempfile::tempdir().unwrap();
    let explain = async |address: &str| {
        let arguments = ["address", address, "--root", "chains.example"];
        out(&send_in(&home, &arguments).await)
    };
    assert_eq!(
        explain("E2E4x5FbDB2315678afecb367f032d93F642f64180aa3").await,
        "chain    e2e4 (number 58084)\nlocal    5FbDB2315678afecb367f032d93F642f64180aa3\n\
         form     an EVM account, 0x5FbDB2315678afecb367f032d93F642f64180aa3\n\
         records  _distpos.e2e4.chains.example TXT\n"
    );
    assert!(explain("e2e4x5fbDB2315678afecb367f032d93F642f64180aa3").await.contains("mistyped"));
    assert!(explain("0xbob").await.starts_with("chain    0: the chain of the gateway"));
}
