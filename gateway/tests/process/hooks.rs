//! The operator's own programs, asked by a real gateway about what a real peer sends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;
use distpos_proto::message::MessageId;
use serde_json::{Value, json};

use crate::{
    daemon::{Claim, until},
    world::World,
};

/// The first retries come after 10, 30 and 60 seconds.
const TIME_MAX: Duration = Duration::from_secs(180);

/// A program that answers, and remembers what it was asked.
struct Program {
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    /// Listens until the test ends.
    fn start(at: SocketAddr, answer: impl Fn(&Value) -> Value + Send + 'static) -> Self {
        let (listener, asked) = (TcpListener::bind(at).unwrap(), Arc::default());
        let program = Self { asked: Arc::clone(&asked) };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let question = question(&stream);
                let body = answer(&question).to_string();
                asked.lock().unwrap().push(question);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
            }
        });
        program
    }

    /// The questions about a message.
    fn asked_about(&self, id: MessageId) -> Vec<Value> {
        let (asked, id) = (self.asked.lock().unwrap(), id.to_string());
        asked.iter().filter(|question| question["id"] == id.as_str()).cloned().collect()
    }
}

/// The body of one POST.
fn question(stream: &TcpStream) -> Value {
    let (mut reader, mut length) = (BufReader::new(stream), 0);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /"), "{line}");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn user(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distpos-send"));
    command.args(arguments).current_dir(world.home.path());
    command.arg("--gateway").arg(format!("http://{}", world.b.submission));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

#[test]
fn one_hook_refuses_a_recipient_and_what_waits_for_the_other_comes_when_it_is_up() {
    let mut world = World::prepared();
    let (accept, deliver) = (Claim::any(), Claim::any());
    let hooks = format!(
        "[policy.hooks]\naccept = \"http://{}/accept\"\nbefore_deliver = \"http://{}/deliver\"\n",
        accept.address, deliver.address
    );
    let config = fs::read_to_string(world.b.config_file()).unwrap();
    fs::write(world.b.config_file(), format!("{config}\n{hooks}")).unwrap();
    world.publish();
    world.a.start();
    world.b.start();

    // Bob has an account at b1c2, and b1c2's operator takes nothing in for him.
    let made = Command::new(env!("CARGO_BIN_EXE_distpos-send"))
        .args(["keygen", "bob.key"])
        .current_dir(world.home.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let opened = user(&world, &["open", "--key", "bob.key"]);
    let bob = String::from_utf8(opened.stdout).unwrap().trim().to_owned();
    let name = bob.clone();
    let accept = Program::start(accept.address, move |question| {
        if question["recipient"] == name.as_str() {
            return json!({"action": "refuse", "code": "5.1.1", "text": "bob has moved away"});
        }
        json!({"action": "accept"})
    });

    let (a, b) = (&world.a, &world.b);
    let refused = a.send(0, &bob.parse().unwrap(), 30);
    let view = a.message_when(refused, TIME_MAX, |view| view.outcome.is_some());
    assert_eq!(view.outcome, Some(Outcome::Refunded), "{view:?}");
    assert_eq!(view.code.as_deref(), Some("5.1.1"), "{view:?}");
    assert_eq!(view.text.as_deref(), Some("bob has moved away"), "{view:?}");
    assert_eq!(a.balance(), BALANCE, "all of it is back");
    let question = &accept.asked_about(refused)[0];
    assert_eq!((&question["hook"], &question["amount"]), (&json!("accept"), &json!("30")));
    assert_eq!((&question["source"], &question["asset"]), (&json!("e2e4"), &json!("e2e4/coin")));

    // Nobody listens at the other hook: nothing passes, and nothing is refused for it.
    let to = b.village.address();
    let waiting = [a.send(1, &to, 10), a.send(2, &to, 20)];
    for id in waiting {
        let view = b.message_when(id, TIME_MAX, |view| view.code.as_deref() == Some("4.7.1"));
        assert_eq!(view.outcome, None, "{view:?}");
        let text = "the before_deliver hook of the destination does not answer";
        assert_eq!(view.text.as_deref(), Some(text), "{view:?}");
    }
    assert_eq!(b.balance(), BALANCE);
    let said = format!("hook before_deliver at http://{} does not answer", deliver.address);
    assert_eq!(b.log().matches(&said).count(), 1, "said once: {}", b.log());

    let deliver = Program::start(deliver.address, |_| json!({"action": "accept"}));
    for id in waiting {
        let view = a.message_when(id, TIME_MAX, |view| view.outcome.is_some());
        assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
        assert!(!accept.asked_about(id).is_empty(), "both hooks are asked");
        assert_eq!(deliver.asked_about(id)[0]["hook"], "before_deliver");
    }
    assert_eq!((a.balance(), b.balance()), (BALANCE - 30, BALANCE + 30));
    assert_eq!(deliver.asked_about(refused), [] as [Value; 0], "it never came so far");
    until("the log says that it is up", TIME_MAX, || {
        b.log().contains("answers again").then_some(())
    });
}
