//! Two small chains, their people, and a clock that a test holds.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    key::{KeySet, SecretKey},
    light::{self, Evidence, Known, Trusted, Verdict},
    message::{Asset, Fields, Message, MessageId, OnFail, Value},
    policy::{self, Book, Decision, Limits, Own},
    receipt::{Ending, Outcome, Receipt},
    stage::{Admitted, Proven},
    time::{UnixMillis, UnixSeconds},
};

use crate::{
    chain::{
        ChainError, ChainEvent, FinalBlock, LocalChain, NativeProof, Submission, Submitted,
        ledger::{
            Genesis, Ledger, OUTBOX, address,
            queue::Work,
            transaction::{self, Action, Place, SendOrder},
        },
    },
    clock::Clock,
};

/// When every story begins.
pub(super) const START: UnixSeconds = UnixSeconds(1_700_000_000);
/// Seeds of the people; the authorities are 100 and above.
pub(super) const ALICE: u8 = 1;
pub(super) const BOB: u8 = 2;
pub(super) const CAROL: u8 = 3;
pub(super) const AUTHORITY: u8 = 100;

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(super) fn local(seed: u8) -> Local {
    address::local(&key(seed).public())
}

pub(super) fn sum(amount: u64) -> Amount {
    Amount::from(amount)
}

pub(super) fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

pub(super) fn asset(text: &str) -> Asset {
    text.parse().unwrap()
}

/// A clock and its hand.
pub(super) fn held_clock() -> (Clock, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(START.0));
    let hand = Arc::clone(&now);
    (Arc::new(move || UnixSeconds(now.load(Ordering::SeqCst)).millis()), hand)
}

/// Alice has 1,000 and Bob 500; Carol has no account. The vault holds 10,000.
pub(super) fn genesis(id: &str) -> Genesis {
    Genesis {
        chain: chain(id),
        time: START,
        accounts: [(local(ALICE), sum(1_000)), (local(BOB), sum(500))].into(),
        float: sum(10_000),
        authorities: [key(AUTHORITY).public()].into(),
    }
}

/// A ledger with what a test asks it all the time.
pub(super) struct Town {
    pub(super) ledger: Arc<Ledger>,
    pub(super) hand: Arc<AtomicU64>,
}

impl std::ops::Deref for Town {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

/// What a send of 100 to `to` looks like.
pub(super) fn order(to: &str) -> SendOrder {
    SendOrder {
        to: to.parse().unwrap(),
        amount: sum(100),
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(0),
    }
}

impl Town {
    pub(super) fn new(genesis: Genesis) -> Self {
        let (clock, hand) = held_clock();
        let ledger = Ledger::in_memory(genesis, vec![key(AUTHORITY)], clock).unwrap();
        Self { ledger: Arc::new(ledger), hand }
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.hand.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> UnixSeconds {
        UnixMillis(self.hand.load(Ordering::SeqCst) * 1000).seconds()
    }

    pub(super) fn holds(&self, seed: u8) -> u64 {
        let balance = self.balance(&local(seed)).unwrap().expect("an open account");
        u64::try_from(balance.to_u128().unwrap()).unwrap()
    }

    /// The place of somebody's next transaction.
    pub(super) async fn place(&self, seed: u8) -> Place {
        let account = self.account(&local(seed)).await.unwrap();
        let nonce = account.map_or(0, |account| account.nonce);
        Place { chain: self.facts().chain, tag: self.facts().tag, nonce }
    }

    pub(super) async fn user(&self, bytes: Vec<u8>) -> Result<Submitted, ChainError> {
        self.submit(Submission::User(bytes)).await
    }

    pub(super) async fn opened(&self, seed: u8) {
        let place = self.place(seed).await;
        self.user(transaction::open(place, &key(seed))).await.unwrap();
    }

    pub(super) async fn transfer(
        &self,
        from: u8,
        to: u8,
        amount: u64,
    ) -> Result<Submitted, ChainError> {
        let place = self.place(from).await;
        let bytes = transaction::transfer(place, &local(to), sum(amount), &key(from)).unwrap();
        self.user(bytes).await
    }

    pub(super) async fn send(&self, from: u8, order: SendOrder) -> Result<Submitted, ChainError> {
        let place = self.place(from).await;
        self.user(transaction::send(place, order, &key(from))).await
    }

    /// Sends and gives the message and its block's height.
    pub(super) async fn sent(&self, from: u8, order: SendOrder) -> (Height, Message) {
        self.send(from, order).await.unwrap();
        let last = self.everything().await.pop().expect("a block with the message");
        (last.height, last.outgoing.last().expect("the message").clone())
    }

    /// An authority's transaction, without the gateway that would have checked it.
    pub(super) async fn act(&self, action: Action) -> Result<Submitted, ChainError> {
        self.in_a_block(Work::Authority(vec![action])).await
    }

    /// Delivers a message; the refusals of the chain.
    pub(super) async fn deliver(&self, message: &Message) -> Vec<Code> {
        let done = self.act(Action::Deliver(vec![message.clone()])).await.unwrap();
        done.refused.into_iter().map(|(_, reply)| reply.code).collect()
    }

    pub(super) async fn everything(&self) -> Vec<FinalBlock> {
        let (mut blocks, mut cursor) = (Vec::new(), None);
        let head = self.head().await.unwrap().height;
        loop {
            let watched = self.watch(cursor).await.unwrap();
            blocks.extend(watched.blocks);
            cursor = Some(watched.cursor);
            if watched.cursor.height == head {
                return blocks;
            }
        }
    }

    pub(super) async fn events(&self) -> Vec<ChainEvent> {
        self.everything().await.into_iter().flat_map(|block| block.events).collect()
    }

    /// What the other side proves about this chain's message.
    pub(super) async fn proven_to(&self, height: Height, ids: &[MessageId]) -> Vec<Proven> {
        let NativeProof::Ledger(header, tree) = self.prove(height, ids).await.unwrap() else {
            panic!("a ledger gives a ledger's proof");
        };
        let trusted = Trusted {
            chain: self.facts().chain,
            tag: self.facts().tag,
            family: Family::Ledger,
            outbox: OUTBOX.to_vec(),
            keys: KeySet::new([key(AUTHORITY).public()], 1).unwrap(),
        };
        let evidence = Evidence::Ledger { header, tree };
        match light::verify(&trusted, Known::default(), &evidence, self.now()) {
            Verdict::Proven(proven) => proven,
            other => panic!("{other:?}"),
        }
    }

    /// A message of `from` that this chain's gateway lets in.
    pub(super) async fn admitted(
        &self,
        from: &Self,
        height: Height,
        message: &Message,
    ) -> Admitted {
        let proven = from.proven_to(height, &[message.id()]).await.remove(0);
        let own = Own { chain: self.facts().chain, tag: self.facts().tag };
        let asset = message.fields().value.as_ref().map(|value| value.asset.clone());
        let limits = Limits {
            assets: asset.into_iter().map(|asset| (asset, Amount::from(u128::MAX))).collect(),
        };
        match policy::admit(proven, own, &limits, &Book::default(), self.now()) {
            Decision::Admitted(admitted) => admitted,
            Decision::Refused(refused) => panic!("{}", refused.reply()),
        }
    }

    /// Tells each chain of the other.
    pub(super) async fn know(&self, peer: &Self, name: &str, value_max: u64) {
        let facts = peer.facts();
        self.register(facts.chain, facts.tag, asset(name), sum(value_max)).await.unwrap();
    }
}

/// A message from elsewhere, as its fields are before a test makes one of them wrong.
pub(super) fn incoming(to: &Town, from: &Town, amount: u64) -> Fields {
    let value = Value { asset: asset("c0/coin"), amount: sum(amount), terms: None };
    Fields {
        source: from.facts().chain,
        source_tag: from.facts().tag,
        destination: to.facts().chain,
        destination_tag: to.facts().tag,
        outbox: OUTBOX.to_vec(),
        sequence: 1,
        sender: local(BOB),
        recipient: local(ALICE),
        value: (amount > 0).then_some(value),
        data: Vec::new(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(START.0 + 3600),
    }
}

/// The end that a signed receipt brings to the source.
pub(super) fn ending(message: &Message, outcome: Outcome) -> Ending {
    let (source, destination) = (message.fields().source, message.fields().destination);
    let receipt = Receipt { id: message.id(), source, destination, outcome };
    let keys = KeySet::new([key(AUTHORITY).public()], 1).unwrap();
    receipt.sign([&key(AUTHORITY)]).verify(&keys).unwrap().ending()
}

pub(super) fn delivered() -> Outcome {
    use distpos_proto::receipt::Call;
    Outcome::Delivered { height: Height(1), transaction: vec![1], call: Call::None }
}

pub(super) fn unknown_recipient() -> Reply {
    Reply::new(Code::UNKNOWN_RECIPIENT, "nobody there")
}

pub(super) fn refused() -> Outcome {
    Outcome::Refused { code: Code::UNKNOWN_RECIPIENT, text: "nobody there".into() }
}

/// The code of a refusal for good.
pub(super) fn code<T: std::fmt::Debug>(result: Result<T, ChainError>) -> Code {
    match result {
        Err(ChainError::Refused(reply)) => reply.code,
        other => panic!("expected a refusal, found {other:?}"),
    }
}
