//! Somebody in between, who passes questions on and does as he likes with some of the answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

/// What is done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Passes,
    /// `gw1` becomes `gw6`.
    Changes,
    /// Only the first record stays, without its signature.
    Strips,
    /// NXDOMAIN with nothing beside the question: what one without keys can say.
    Denies,
    /// It never arrives.
    Swallows,
}

/// Which deed an answer is for, by its bytes: it repeats the question.
pub(crate) type Deeds = fn(&[u8]) -> Deed;

/// One who passes questions on to a server, over UDP and TCP.
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    /// How many answers he did something to.
    pub(crate) touched: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Hop {
    pub(crate) async fn before(server: SocketAddr, deeds: Deeds) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (Arc::new(udp), tcp);
            }
        };
        let (address, touched) = (udp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = touched.clone();
        let over_udp = tokio::spawn(async move {
            let mut question = [0; 4_096];
            loop {
                let (length, asker) = udp.recv_from(&mut question).await.unwrap();
                let (question, udp, count) =
                    (question[..length].to_vec(), udp.clone(), count.clone());
                tokio::spawn(async move {
                    let answer = ask(server, &question).await;
                    if let Some(answer) = answer.and_then(|answer| done(answer, deeds, &count)) {
                        udp.send_to(&answer, asker).await.unwrap();
                    }
                });
            }
        });
        let count = touched.clone();
        let over_tcp = tokio::spawn(async move {
            loop {
                let (stream, _) = tcp.accept().await.unwrap();
                let count = count.clone();
                // Whoever hangs up has heard enough.
                tokio::spawn(async move { relay(stream, server, deeds, &count).await.ok() });
            }
        });
        Self { address, touched, tasks: vec![over_udp, over_tcp] }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn ask(server: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    inside.send_to(question, server).await.ok()?;
    let mut answer = vec![0; 4_096];
    // A server that is gone gives an error, and one that is silent is waited for by who asks.
    let length = inside.recv(&mut answer).await.ok()?;
    answer.truncate(length);
    Some(answer)
}

async fn relay(
    mut outside: TcpStream,
    server: SocketAddr,
    deeds: Deeds,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut inside = TcpStream::connect(server).await?;
    loop {
        let question = read(&mut outside).await?;
        write(&mut inside, &question).await?;
        let answer = read(&mut inside).await?;
        if let Some(answer) = done(answer, deeds, count) {
            write(&mut outside, &answer).await?;
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

fn done(mut answer: Vec<u8>, deeds: Deeds, count: &AtomicUsize) -> Option<Vec<u8>> {
    let deed = deeds(&answer);
    count.fetch_add(usize::from(deed != Deed::Passes), Ordering::Relaxed);
    match deed {
        Deed::Passes => {}
        Deed::Changes => replace(&mut answer, b"gw1", b"gw6"),
        Deed::Strips => strip(&mut answer),
        Deed::Denies => {
            answer.truncate(question_end(&answer));
            answer[6..12].copy_from_slice(&[0; 6]);
            answer[3] = (answer[3] & 0xf0) | 3;
        }
        Deed::Swallows => return None,
    }
    Some(answer)
}

/// Whether an answer is about a name that starts with these labels, for its TXT records.
pub(crate) fn is_about(answer: &[u8], labels: &[&str]) -> bool {
    let name: Vec<u8> = labels
        .iter()
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .collect();
    let asked = answer.get(12..12 + name.len());
    let is_text = answer.get(question_end(answer) - 3) == Some(&16);
    is_text && asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&name))
}

fn replace(answer: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..answer.len() - from.len() {
        if answer[at..].starts_with(from) {
            answer[at..at + from.len()].copy_from_slice(to);
        }
    }
}

/// The answer's first record, which is the TXT record, and none of the signatures.
fn strip(answer: &mut Vec<u8>) {
    let start = question_end(answer);
    if answer.len() < start + 12 {
        return; // nothing there to strip
    }
    // A compressed name (2), type, class, TTL (8), and the length of what follows (2).
    let length = usize::from(u16::from_be_bytes([answer[start + 10], answer[start + 11]]));
    answer.truncate(start + 12 + length);
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
}

fn question_end(answer: &[u8]) -> usize {
    let mut at = 12;
    while answer[at] != 0 {
        at += 1 + usize::from(answer[at]);
    }
    at + 5
}
