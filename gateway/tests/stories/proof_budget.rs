//! One fat transaction does not keep the proofs of others back, whatever their number and order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use distpos_gateway::{
    chain::{
        Account, ChainError, Cursor, Facts, LocalChain, NativeProof, Simulation, Submission,
        Submitted, Watched,
    },
    clock,
    destinations::Destinations,
    event::{Event, Events},
    gateway::Gateway,
    inbound::hooks::Hooks,
    load::Load,
    outbound::prove::prove,
};
use distpos_proto::{
    address::Local,
    chain::{BlockHash, Family, GenesisTag, Height},
    code::Code,
    envelope::{Envelope, Origin},
    header::{Header, HeaderHash},
    key::{KeySet, SecretKey, SpkiPin},
    light::{
        Authenticated, Evidence,
        evm::{LogPlace, ReceiptProof},
    },
    message::{Fields, Message, MessageId, OnFail},
    time::{UnixMillis, UnixSeconds},
    wire::{BODY_BYTES_MAX, EVM_NODE_BYTES_MAX, Head, Proofs, Request, RequestKind, Response},
};
use distpos_resolver::{Options, Resolver, ZoneLookup};
use distpos_spool::{Direction, NewBatch, Spool, State};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{
    network::{Line, Network},
    site::Book,
    world::cid,
};

/// A chain whose messages each stand in a receipt of a given length.
struct Receipts {
    facts: Facts,
    lengths: BTreeMap<MessageId, usize>,
}

#[async_trait]
impl LocalChain for Receipts {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn prove(&self, _: Height, ids: &[MessageId]) -> Result<NativeProof, ChainError> {
        let nodes = ids.iter().map(|id| vec![0; self.lengths[id]]).collect();
        let logs = (0u64..).zip(ids).map(|(transaction, _)| LogPlace { transaction, log: 0 });
        Ok(NativeProof::Evm(ReceiptProof { block: vec![0; 600], nodes, logs: logs.collect() }))
    }

    async fn head(&self) -> Result<Head, ChainError> {
        unreachable!("proofs need no head")
    }

    async fn watch(&self, _: Option<Cursor>) -> Result<Watched, ChainError> {
        unreachable!("nothing is watched")
    }

    async fn simulate(&self, _: &Message) -> Result<Simulation, ChainError> {
        unreachable!("nothing arrives")
    }

    async fn submit(&self, _: Submission) -> Result<Submitted, ChainError> {
        unreachable!("nothing is sent")
    }

    async fn account(&self, _: &Local) -> Result<Option<Account>, ChainError> {
        unreachable!("no user asks")
    }
}

#[derive(Default)]
struct Alerts(Mutex<Vec<String>>);

impl Events for Alerts {
    fn emit(&self, event: Event) {
        if let Event::Alert { what } = event {
            self.0.lock().unwrap().push(what);
        }
    }
}

fn message(sequence: u64) -> Message {
    Message::new(Fields {
        source: cid("e2e4"),
        source_tag: GenesisTag([1; 8]),
        destination: cid("b1c2"),
        destination_tag: GenesisTag([2; 8]),
        outbox: vec![3; 20],
        sequence,
        sender: "alice".parse().unwrap(),
        recipient: "bob".parse().unwrap(),
        value: None,
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(1_800_000_000),
    })
    .unwrap()
}

/// A gateway whose one final block sent messages with receipts of these lengths.
async fn gateway(lengths: &[usize]) -> (Gateway, Arc<Alerts>, Vec<MessageId>) {
    let messages: Vec<_> = (1..=lengths.len() as u64).map(message).collect();
    let ids: Vec<_> = messages.iter().map(Message::id).collect();
    let key = SecretKey::from_seed(&[5; 32]);
    let key_set = KeySet::new([key.public()], 1).unwrap();
    let facts = Facts {
        chain: cid("e2e4"),
        tag: GenesisTag([1; 8]),
        family: Family::Evm,
        outbox: vec![3; 20],
    };
    let spool = filled(&facts, &key_set, messages).await;
    let clock = clock::virtual_from(UnixMillis(1_760_000_000_000));
    let random = || Box::new(ChaCha8Rng::seed_from_u64(1));
    let alerts = Arc::new(Alerts::default());
    let pin = SpkiPin([6; 32]);
    let gateway = Gateway {
        clock: clock.clone(),
        random: Mutex::new(random()),
        spool,
        resolver: Arc::new(Resolver::new(
            ZoneLookup::default(),
            Options::default(),
            clock,
            random(),
        )),
        peers: Arc::new(Line { network: Arc::new(Network::new(1)), pin }),
        chain: Arc::new(Receipts {
            facts,
            lengths: ids.iter().copied().zip(lengths.iter().copied()).collect(),
        }),
        identity: distpos_gateway::gateway::Identity::new(
            distpos_gateway::gateway::ChainKeys { secrets: vec![key], set: key_set },
            pin,
        ),
        correspondents: Arc::new(Book::default()),
        papers: tokio::sync::Notify::new(),
        progress: Mutex::default(),
        hooks: Hooks::new(distpos_gateway::config::Hooks::default()),
        events: alerts.clone(),
        metrics: Arc::default(),
        tasks: distpos_gateway::watchdog::Tasks::default(),
        worked: distpos_gateway::watchdog::states::Worked::default(),
        answers: Mutex::default(),
        destinations: Destinations::default(),
        load: Load::default(),
        authenticated: Mutex::new(Authenticated::default()),
    };
    (gateway, alerts, ids)
}

/// A spool that holds the messages' block.
async fn filled(facts: &Facts, key_set: &KeySet, messages: Vec<Message>) -> Spool {
    let header = Header {
        chain: facts.chain,
        tag: facts.tag,
        height: Height(9),
        block: BlockHash([4; 32]),
        time: UnixSeconds(1_760_000_000),
        previous: HeaderHash::NONE,
        key_set: key_set.hash(),
        leaf_count: messages.len() as u64,
        root: [0; 32],
    };
    let spool = Spool::in_memory();
    let leaves = vec![[0; 32]; messages.len()];
    let envelopes: Vec<_> = (0u32..)
        .zip(messages)
        .map(|(index, message)| Envelope { message, origin: Origin { height: Height(9), index } })
        .collect();
    let keep = move |tx: &mut distpos_spool::Tx<'_>| {
        tx.put_own_header(&header, &leaves)?;
        for batch in distpos_proto::wire::batches(Height(9), envelopes) {
            let new = NewBatch {
                direction: Direction::Outbound,
                peer: cid("b1c2"),
                height: batch.height,
                state: State::Queued,
                due: None,
                messages: batch.envelopes,
            };
            tx.put(new, UnixMillis(0))?;
        }
        Ok::<_, distpos_spool::SpoolError>(())
    };
    spool.transact(keep).await.unwrap();
    spool
}

/// Asks as a peer does: what the answer's bytes say, and how many messages they prove.
async fn ask(gateway: &Gateway, ids: &[MessageId]) -> (Proofs, usize) {
    let asked = Request::Proofs { family: Family::Evm, ids: ids.to_vec() };
    assert!(Request::from_parts(asked.path(), &asked.body()).is_ok());
    let proofs = prove(gateway, cid("b1c2"), Family::Evm, ids.to_vec()).await;
    let body = Response::Proofs(proofs).body();
    assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
    let read = Response::from_body(RequestKind::Proofs, &body).expect("the asker can read it");
    let Response::Proofs(proofs) = read else { panic!("{read:?}") };
    let count = |evidence: &Evidence| match evidence {
        Evidence::Evm { receipts, .. } => receipts.logs.len(),
        other => panic!("{other:?}"),
    };
    let proven = proofs.blocks.iter().map(count).sum();
    (proofs, proven)
}

#[tokio::test(start_paused = true)]
async fn a_receipt_over_the_limit_spoils_no_other_and_is_told() {
    let mut lengths = vec![1_000; 300];
    lengths[7] = EVM_NODE_BYTES_MAX + 1;
    let (gateway, alerts, ids) = gateway(&lengths).await;
    let (proofs, proven) = ask(&gateway, &ids).await;
    assert_eq!(proven, 299);
    let [(id, reply)] = &proofs.absent[..] else { panic!("{:?}", proofs.absent) };
    assert_eq!((*id, reply.code), (ids[7], Code::NOT_FINAL));
    assert!(reply.text().contains("receipt proof node bytes"), "{reply}");
    let alerts = alerts.0.lock().unwrap();
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].contains(&ids[7].to_string()), "{alerts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_passes_an_answers_budget_is_proven_by_the_next_ones() {
    let mut lengths = vec![30_000; 1_024];
    lengths[0] = EVM_NODE_BYTES_MAX;
    lengths[500] = EVM_NODE_BYTES_MAX;
    let (gateway, alerts, ids) = gateway(&lengths).await;
    let (mut missing, mut answers) = (ids, 0);
    while !missing.is_empty() {
        let (proofs, proven) = ask(&gateway, &missing).await;
        assert!(proven > 0, "every answer brings something");
        assert_eq!(proven + proofs.absent.len(), missing.len());
        assert!(proofs.absent.iter().all(|(_, reply)| reply.retry_after == Some(1)));
        missing.retain(|id| proofs.absent.iter().any(|(absent, _)| absent == id));
        answers += 1;
    }
    assert!((10..16).contains(&answers), "{answers}");
    assert_eq!(*alerts.0.lock().unwrap(), Vec::<String>::new());
}
