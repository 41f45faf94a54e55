//! Two small chains, their people, and a clock that a test holds.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use distpos_proto::{
    account::{Account as Correspondent, Limits, Window},
    address::Local,
    amount::Amount,
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    key::{KeySet, SecretKey},
    light::{self, Evidence, Known, Trusted, Verdict},
    message::{Asset, Fields, Message, MessageId, OnFail, TermsHash, Value},
    receipt::{Ending, Outcome, Receipt},
    stage::Proven,
    time::{UnixMillis, UnixSeconds},
};

use crate::{
    chain::{
        ChainError, ChainEvent, FinalBlock, LocalChain, NativeProof, Simulation, Submission,
        Submitted,
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

/// What all accounts of the stories are opened under, unless a story says otherwise.
pub(super) const TERMS: TermsHash = TermsHash([7; 32]);
/// What they are counted in.
pub(super) const COIN: &str = "c0/coin";

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

    /// Opens the account with a peer in `name`, or changes its credit limit.
    pub(super) async fn know(&self, peer: &Self, name: &str, credit_limit: u64) {
        self.trust(peer, name, credit(credit_limit)).await;
    }

    /// The same with any limits.
    pub(super) async fn trust(&self, peer: &Self, name: &str, limits: Limits) {
        let facts = peer.facts();
        self.open_account(facts.chain, facts.tag, asset(name), TERMS, limits).await.unwrap();
    }

    /// Changes an account as the gateway does.
    pub(super) async fn set(
        &self,
        peer: &Self,
        name: &str,
        terms: Option<TermsHash>,
        limits: Limits,
    ) -> Result<Submitted, ChainError> {
        let (chain, asset) = (peer.facts().chain, asset(name));
        self.submit(Submission::Account { chain, tag: None, asset, terms, limits }).await
    }

    /// Pays from somebody's balance into a peer's reserve.
    pub(super) async fn deposit(
        &self,
        by: u8,
        peer: &Self,
        amount: u64,
    ) -> Result<Submitted, ChainError> {
        let (place, chain) = (self.place(by).await, peer.facts().chain);
        self.user(transaction::deposit(place, chain, asset(COIN), sum(amount), &key(by))).await
    }

    /// The account with a peer, open or closed.
    pub(super) fn with(&self, peer: &Self) -> Correspondent {
        self.correspondent(peer.facts().chain, &asset(COIN)).unwrap().expect("an account")
    }

    /// The reply to a message that is not delivered now.
    pub(super) async fn simulated(&self, message: &Message) -> Reply {
        match self.simulate(message).await.unwrap() {
            Simulation::Refused(reply) => {
                assert!(!reply.code.is_temporary(), "{reply}");
                reply
            }
            Simulation::Deferred(reply) => {
                assert!(reply.code.is_temporary(), "{reply}");
                reply
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A credit limit and no window.
pub(super) fn credit(limit: u64) -> Limits {
    Limits { credit_limit: sum(limit), window: None }
}

/// Any credit, and so much over so many seconds.
pub(super) fn window(max: u64, seconds: u64) -> Limits {
    let window = Some(Window { max: sum(max), seconds });
    Limits { credit_limit: sum(1_000_000), window }
}

/// A message from elsewhere, as its fields are before a test makes one of them wrong.
pub(super) fn incoming(to: &Town, from: &Town, amount: u64) -> Fields {
    let value = Value { asset: asset(COIN), amount: sum(amount), terms: Some(TERMS) };
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

/// The same as a message of its own number.
pub(super) fn numbered(to: &Town, from: &Town, sequence: u64, amount: u64) -> Message {
    Message::new(Fields { sequence, ..incoming(to, from, amount) }).unwrap()
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
