//! How many batches and messages a second reach the disk: `cargo run --release --example
//! commit_rate -p distpos-spool [DIRECTORY]`. Prints one JSON line.
//!
//! 64 producers, each putting its next batch when the last one is acknowledged; batches of 1, 16
//! and 128 messages of about 600 bytes, for about two seconds each, in a new spool each.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use distpos_proto::{
    chain::{GenesisTag, Height},
    envelope::{Envelope, Origin},
    message::{Fields, Message, OnFail},
    time::{UnixMillis, UnixSeconds},
};
use distpos_spool::{Direction, NewBatch, Spool, SpoolError, State};

type Failure = Box<dyn Error + Send + Sync>;

const PRODUCERS: u64 = 64;
const SIZES: [u64; 3] = [1, 16, 128];
const TIME: Duration = Duration::from_secs(2);
/// With the other fields an encoding of about 600 bytes.
const DATA_BYTES: usize = 400;

fn main() -> Result<(), Failure> {
    let parent = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut figures = Vec::new();
    for size in SIZES {
        let directory = parent.join(format!("distpos-commit-rate-{}-{size}", std::process::id()));
        let figure = runtime.block_on(measure(&directory, size));
        std::fs::remove_dir_all(&directory)?;
        figures.push(figure?);
    }
    println!("{{\"message_bytes\":{},\"rates\":[{}]}}", bytes()?, figures.join(","));
    Ok(())
}

async fn measure(directory: &Path, size: u64) -> Result<String, Failure> {
    let spool = Spool::open(directory)?;
    let started = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| tokio::spawn(produce(spool.clone(), producer, size, started)))
        .collect();
    let mut batches = 0;
    for producer in producers {
        batches += producer.await??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let stats = spool.stats();
    let batches_per_second = f64::from(batches) / seconds;
    let messages_per_second = f64::from(batches) * f64::from(u32::try_from(size)?) / seconds;
    Ok(format!(
        "{{\"batch\":{size},\"batches_per_second\":{batches_per_second:.0},\
         \"messages_per_second\":{messages_per_second:.0},\"commits\":{}}}",
        stats.commits
    ))
}

/// Puts one batch after the other, each block with its own messages, until time is up.
async fn produce(spool: Spool, producer: u64, size: u64, started: Instant) -> Result<u32, Failure> {
    let mut batches = 0;
    while started.elapsed() < TIME {
        let height = Height(u64::from(batches) * PRODUCERS + producer);
        let messages = (0..size).map(|index| {
            let message = message(height.0 * size + index + 1)?;
            Ok(Envelope { message, origin: Origin { height, index: u32::try_from(index)? } })
        });
        let batch = NewBatch {
            direction: Direction::Outbound,
            peer: "b2".parse()?,
            height,
            state: State::Queued,
            due: Some(UnixMillis(height.0)),
            messages: messages.collect::<Result<_, Failure>>()?,
        };
        spool.transact::<_, SpoolError>(move |tx| tx.put(batch, UnixMillis(0))).await?;
        batches += 1;
    }
    Ok(batches)
}

fn message(sequence: u64) -> Result<Message, Failure> {
    let message = Message::new(Fields {
        source: "a1".parse()?,
        source_tag: GenesisTag([1; 8]),
        destination: "b2".parse()?,
        destination_tag: GenesisTag([2; 8]),
        outbox: b"escrow".to_vec(),
        sequence,
        sender: "alice".parse()?,
        recipient: "bob".parse()?,
        value: None,
        data: vec![7; DATA_BYTES],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(2_000_000),
    })?;
    Ok(message)
}

fn bytes() -> Result<usize, Failure> {
    Ok(message(1)?.bytes().len())
}
