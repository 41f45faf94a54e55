//! Servers that answer what no honest one would: everything ends within the budget, and nothing
//! permanent comes of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use distpos_proto::record::RecordError;
use distpos_resolver::{
    Budget, HickoryLookup, LookupFailure, Options, Resolve, ResolveError, Resolver,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::{chain, gateway, host, options, over};

/// What a server answers to a question, over UDP or (true) over TCP; the number counts questions.
type Script = fn(&[u8], bool, usize) -> Vec<u8>;

struct Scripted {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Scripted {
    async fn start(script: Script) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let (address, asked) = (udp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let over_udp = tokio::spawn(async move {
            let mut question = [0; 4_096];
            loop {
                let (length, asker) = udp.recv_from(&mut question).await.unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                let mut answer = script(&question[..length], false, number);
                // What does not fit says so.
                if answer.len() > 1_232 {
                    answer = header(&question[..length], 0x8680, [0; 3]);
                }
                udp.send_to(&answer, asker).await.unwrap();
            }
        });
        let count = asked.clone();
        let over_tcp = tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let count = count.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut question = vec![0; usize::from(length)];
                        stream.read_exact(&mut question).await.unwrap();
                        let answer = script(&question, true, count.fetch_add(1, Ordering::Relaxed));
                        let length = u16::try_from(answer.len()).unwrap();
                        let message = [&length.to_be_bytes(), answer.as_slice()].concat();
                        if stream.write_all(&message).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, asked, tasks: [over_udp, over_tcp] }
    }

    fn resolver(&self) -> Resolver<HickoryLookup> {
        let roots = vec![host("chains.test")];
        let lookup = HickoryLookup::new(&[self.address], None).unwrap();
        over(lookup, Options { roots, ..options() }, 1).1
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The header and question of an answer: flags, and how many records each section has.
fn header(question: &[u8], flags: u16, counts: [u16; 3]) -> Vec<u8> {
    let mut at = 12;
    while question[at] != 0 {
        at += 1 + usize::from(question[at]);
    }
    let mut answer = question[..2].to_vec();
    answer.extend(flags.to_be_bytes());
    answer.extend([0, 1]);
    answer.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    answer.extend(&question[12..at + 5]);
    answer
}

const ANSWER: u16 = 0x8580;

/// A record of the name that was asked.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 120]);
    record.extend(length.to_be_bytes());
    record.extend(data);
    record
}

fn text(content: &[u8]) -> Vec<u8> {
    let strings =
        content.chunks(255).map(|part| [&[u8::try_from(part.len()).unwrap()], part].concat());
    record(16, &strings.collect::<Vec<_>>().concat())
}

fn answer(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap();
    [header(question, ANSWER, [count, 0, 0]), records.concat()].concat()
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut name: Vec<u8> = labels
        .iter()
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .collect();
    name.push(0);
    name
}

/// The route, or why there is none, within the budget: 10 s and what a test machine adds.
async fn within_budget(server: &Scripted) -> Result<usize, ResolveError> {
    let start = Instant::now();
    let resolver = server.resolver();
    let asked = timeout(Duration::from_secs(30), resolver.route(chain("e2e4")));
    let route = asked.await.expect("it gives up by itself");
    assert!(start.elapsed() < Budget::TIME_MAX + Duration::from_secs(5), "{:?}", start.elapsed());
    if let Err(error) = &route {
        assert!(!error.is_permanent(), "{error:?}");
    }
    route.map(|route| route.gateways.len())
}

/// As many records as fit: 64 KiB of other people's texts, and one of ours among them.
#[tokio::test]
async fn an_answer_of_64_kib_is_read_once_and_refused() {
    let server = Scripted::start(|question, _, _| {
        let ours = gateway("e2e4", 1).to_string();
        let mut records = vec![text(ours.as_bytes())];
        let padding = text(&[b'x'; 1_000]);
        while records.iter().map(Vec::len).sum::<usize>() + padding.len() < 65_400 {
            records.push(padding.clone());
        }
        answer(question, &records)
    })
    .await;
    let error = within_budget(&server).await.unwrap_err();
    let ResolveError::Malformed { what: RecordError::Answer { found }, .. } = error else {
        panic!("{error:?}");
    };
    assert!(found > 60_000, "{found}");
    assert!(server.asked.load(Ordering::Relaxed) <= 4, "UDP and TCP, for two names");
}

/// More gateways than a chain may have, by far: as many as are read of one name.
#[tokio::test]
async fn hundreds_of_records_are_a_malformed_set() {
    let server = Scripted::start(|question, _, _| {
        answer(question, &vec![text(b"v=DPOS1; c=e2e4; h=."); 700])
    })
    .await;
    let error = within_budget(&server).await.unwrap_err();
    let ResolveError::Malformed { what: RecordError::Count { found: 700, .. }, .. } = error else {
        panic!("{error:?}");
    };
    assert!(server.asked.load(Ordering::Relaxed) <= 4, "UDP and TCP, for two names");
}

/// Names that point at themselves, past the end, or at each other.
#[tokio::test]
async fn a_compression_loop_is_no_name() {
    let scripts: [Script; 3] = [
        |question, _, _| {
            // The record's own name points at itself.
            let mut looping = record(16, b"\x01x");
            let at = header(question, ANSWER, [1, 0, 0]).len();
            looping[..2].copy_from_slice(&(0xc000 | u16::try_from(at).unwrap()).to_be_bytes());
            answer(question, &[looping])
        },
        |question, _, _| {
            let mut outside = record(16, b"\x01x");
            outside[..2].copy_from_slice(&[0xff, 0xff]);
            answer(question, &[outside])
        },
        |question, _, _| {
            // A CNAME whose target is a pointer to its own data.
            let at = header(question, ANSWER, [1, 0, 0]).len() + 12;
            let pointer = (0xc000 | u16::try_from(at).unwrap()).to_be_bytes();
            answer(question, &[record(5, &pointer)])
        },
    ];
    for script in scripts {
        let server = Scripted::start(script).await;
        let error = within_budget(&server).await.unwrap_err();
        assert!(matches!(error, ResolveError::Temporary { .. }), "{error:?}");
    }
}

/// Each question is answered with another question.
#[tokio::test]
async fn a_bomb_of_cnames_is_not_followed_for_long() {
    let scripts: [Script; 3] = [
        // A new name each time.
        |question, _, number| {
            let label = format!("n{number}");
            answer(question, &[record(5, &name(&[&label, "chains", "test"]))])
        },
        // Two names that lead to each other.
        |question, _, number| {
            let label = if number % 2 == 0 { "a" } else { "b" };
            answer(question, &[record(5, &name(&[label, "chains", "test"]))])
        },
        // A name that leads to itself.
        |question, _, _| answer(question, &[record(5, &[0xc0, 12])]),
    ];
    for script in scripts {
        let server = Scripted::start(script).await;
        let error = within_budget(&server).await.unwrap_err();
        assert!(matches!(error, ResolveError::Temporary { .. }), "{error:?}");
        let asked = server.asked.load(Ordering::Relaxed);
        assert!(asked <= 40, "two look-ups made it ask {asked} questions");
    }
}

/// One answer with a thousand CNAMEs, each leading to the next.
#[tokio::test]
async fn a_long_chain_of_cnames_in_one_answer_is_given_up() {
    let server = Scripted::start(|question, _, _| {
        let mut records = vec![record(5, &name(&["c0", "chains", "test"]))];
        for at in 0..999 {
            let mut next = name(&[&format!("c{at}"), "chains", "test"]);
            let target = name(&[&format!("c{}", at + 1), "chains", "test"]);
            next.extend([0, 5, 0, 1, 0, 0, 0, 120]);
            next.extend(u16::try_from(target.len()).unwrap().to_be_bytes());
            next.extend(target);
            records.push(next);
        }
        answer(question, &records)
    })
    .await;
    let error = within_budget(&server).await.unwrap_err();
    assert!(matches!(error, ResolveError::Temporary { .. }), "{error:?}");
    assert!(server.asked.load(Ordering::Relaxed) <= 40);
}

/// Answers to other questions, with other numbers, cut off, or none at all.
#[tokio::test]
async fn what_is_no_answer_is_none() {
    let scripts: [(&str, Script); 6] = [
        ("another question", |question, _, _| {
            let mut answer = answer(question, &[text(b"v=DPOS1; c=e2e4; h=.")]);
            answer[14] ^= 1;
            answer
        }),
        ("another number", |question, _, _| {
            let mut answer = answer(question, &[text(b"v=DPOS1; c=e2e4; h=.")]);
            answer[0] ^= 1;
            answer
        }),
        ("a header alone", |question, _, _| question[..12].to_vec()),
        ("nothing", |_, _, _| Vec::new()),
        ("counts without records", |question, _, _| header(question, ANSWER, [9, 9, 9])),
        ("a record that is cut off", |question, _, _| {
            let whole = answer(question, &[text(b"v=DPOS1; c=e2e4; h=.")]);
            whole[..whole.len() - 5].to_vec()
        }),
    ];
    for (what, script) in scripts {
        let server = Scripted::start(script).await;
        let error = within_budget(&server).await.unwrap_err();
        assert!(matches!(error, ResolveError::Temporary { .. }), "{what}: {error:?}");
        let believing = HickoryLookup::believing(&[server.address]).unwrap();
        let (_, resolver) = over(believing, options(), 1);
        let error = resolver.route(chain("e2e4")).await.unwrap_err();
        assert!(matches!(error, ResolveError::Temporary { .. }), "{what}: {error:?}");
    }
}

/// A referral, or an empty answer without a SOA, is nobody's word that there is nothing.
#[tokio::test]
async fn an_empty_answer_without_a_soa_is_not_no() {
    let server = Scripted::start(|question, _, _| header(question, ANSWER, [0, 0, 0])).await;
    let believing = HickoryLookup::believing(&[server.address]).unwrap();
    let (_, resolver) = over(believing, options(), 1);
    let error = resolver.route(chain("e2e4")).await.unwrap_err();
    let ResolveError::Temporary { cause: LookupFailure::Other(what), .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(what, "the answer has neither records nor a SOA");
}
