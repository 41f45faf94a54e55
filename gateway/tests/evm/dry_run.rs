//! What a gateway of an EVM chain says of a message before it is sent: down to the recipient's own
//! reason, and without a trace on the chain.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use distpos_gateway::{
    chain::evm::Evm,
    clock,
    config::Hooks as HookSettings,
    destinations::Destinations,
    event::{Event, Events},
    gateway::{Anchor, ChainKeys, Correspondents, Gateway, Identity},
    inbound::{
        hooks::Hooks,
        policy::{Decided, decide},
        simulate::{Simulations, simulate},
    },
    load::Load,
    peer::{PeerError, PeerTransport, Target},
};
use distpos_proto::{
    account::{Limits, Step},
    amount::Amount,
    chain::{ChainId, Family},
    code::Code,
    key::{KeySet, SecretKey, SpkiPin},
    light::{Authenticated, Trusted},
    message::{Fields, Message, OnFail, TermsHash},
    time::{UnixMillis, UnixSeconds},
    trust::{Least, TrustLevel},
    wire::{Request, Response, Simulated},
};
use distpos_resolver::{Options, Resolver, ZoneLookup};
use distpos_spool::{Act, Entry, Spool, SpoolError, Tx};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::world::{GATEWAY, PEER_TAG, TERMS, World, chain, coin, config, ether, key, local};

/// Believes `b1c2`.
struct Book;

impl Correspondents for Book {
    fn anchor(&self, of: ChainId) -> Option<Anchor> {
        let keys = KeySet::new([SecretKey::from_seed(&[9; 32]).public()], 1).unwrap();
        let (family, outbox) = (Family::Attested, b"escrow".to_vec());
        let trusted = Trusted { chain: of, tag: PEER_TAG, family, outbox, keys };
        (of == chain("b1c2")).then_some(Anchor { trusted, found_at: None })
    }

    fn least(&self) -> Least {
        Least { route: TrustLevel::Pinned, keys: TrustLevel::Static }
    }

    fn is_named(&self, _: ChainId) -> bool {
        true
    }
}

struct Quiet;

impl Events for Quiet {
    fn emit(&self, _: Event) {}
}

#[async_trait]
impl PeerTransport for Quiet {
    async fn call(
        &self,
        target: &Target,
        _: ChainId,
        _: ChainId,
        _: Request,
    ) -> Result<Response, PeerError> {
        Err(PeerError::NoAddress { host: target.host.clone() })
    }
}

/// The copy of an account with `b1c2` that has room for 5 ether.
fn open_account(tx: &mut Tx<'_>) -> Result<(), SpoolError> {
    let limits = Limits { credit_limit: ether(5), window: None };
    let entry = Entry {
        act: Act::Step(Step::Set { terms: Some(TERMS), limits }),
        id: None,
        height: None,
        by: String::new(),
        why: String::new(),
        at: UnixMillis(1),
    };
    tx.enter(chain("b1c2"), &coin(), &entry, UnixSeconds(1))?.unwrap();
    Ok(())
}

/// A gateway whose spool has heard nothing of the chain yet.
async fn newborn(world: &World) -> Gateway {
    let evm = Evm::open(config(&world.node, &world.deployed), key(GATEWAY)).await.unwrap();
    let random = || Box::new(ChaCha8Rng::seed_from_u64(1));
    let zone = ZoneLookup::default();
    let secret = SecretKey::from_seed(&[3; 32]);
    Gateway {
        clock: clock::system(),
        random: Mutex::new(random()),
        spool: Spool::in_memory(),
        resolver: Arc::new(Resolver::new(zone, Options::default(), clock::system(), random())),
        peers: Arc::new(Quiet),
        chain: Arc::new(evm),
        identity: Identity::new(
            ChainKeys { set: KeySet::new([secret.public()], 1).unwrap(), secrets: vec![secret] },
            SpkiPin([3; 32]),
        ),
        correspondents: Arc::new(Book),
        papers: tokio::sync::Notify::new(),
        progress: Mutex::default(),
        hooks: Hooks::new(HookSettings::default()),
        events: Arc::new(Quiet),
        metrics: Arc::default(),
        tasks: distpos_gateway::watchdog::Tasks::default(),
        worked: distpos_gateway::watchdog::states::Worked::default(),
        answers: Mutex::default(),
        destinations: Destinations::default(),
        load: Load::default(),
        authenticated: Mutex::new(Authenticated::default()),
    }
}

async fn gateway(world: &World) -> Gateway {
    let gateway = newborn(world).await;
    gateway.spool.transact(open_account).await.unwrap();
    gateway
}

/// Blocks are final late, and a gateway may be behind them: what the copy of its account does not
/// know yet, the contract does.
#[tokio::test]
#[ignore = "needs anvil"]
async fn a_gateway_that_has_not_heard_of_an_account_refuses_nothing_for_good() {
    let world = World::start().await;
    world.node.finalize();
    let gateway = newborn(&world).await;
    let trusted = Book.anchor(chain("b1c2")).unwrap().trusted;
    let payment = |sequence, terms| {
        let mut fields = world.foreign.payment(sequence, &"aa".repeat(20), ether(1));
        fields.value.as_mut().unwrap().terms = terms;
        Message::new(fields).unwrap()
    };
    let right = payment(1, Some(TERMS));
    let wrong = [payment(2, None), payment(3, Some(TermsHash([1; 32])))];
    let judge = async || {
        let all = [&right, &wrong[0], &wrong[1]];
        let proven = all.map(|message| (message.id(), world.foreign.proven(message)));
        decide(&gateway, &trusted, proven.into_iter().collect()).await.unwrap()
    };
    let refused = |decided: &Decided| {
        let all =
            decided.refused.iter().map(|refused| (refused.message().id(), refused.reply().code));
        all.collect::<Vec<_>>()
    };
    let no_account = wrong.each_ref().map(|message| (message.id(), Code::NO_ACCOUNT));
    let decided = judge().await;
    assert_eq!(refused(&decided), no_account, "the contract says so, too");
    let [(id, reply)] = &decided.deferred[..] else { panic!("{decided:?}") };
    assert_eq!((*id, reply.code), (right.id(), Code::SUSPENDED), "{reply}");
    assert!(reply.text().ends_with("as far as blocks are final"), "{reply}");

    gateway.spool.transact(open_account).await.unwrap();
    let decided = judge().await;
    assert_eq!(
        decided.admitted.iter().map(|one| one.message().id()).collect::<Vec<_>>(),
        [right.id()]
    );
    assert_eq!((refused(&decided), decided.deferred), (no_account.to_vec(), Vec::new()));
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn a_dry_run_names_the_recipients_own_reason_and_leaves_no_trace() {
    let world = World::start().await;
    let gateway = gateway(&world).await;
    let simulations = Simulations::default();
    let ask = async |fields: Fields| {
        let message = Message::new(fields).unwrap();
        match simulate(&gateway, &simulations, chain("b1c2"), &message).await {
            Response::Simulations(Simulated { reply, gas }) => (reply.code, reply, gas),
            other => panic!("{other:?}"),
        }
    };
    let (echo, reverter) = (local(world.echo().await), local(world.reverter(true).await));
    let height = world.node.rpc("eth_blockNumber", &serde_json::json!([]));
    let call = |to: &str, gas| Fields {
        data: vec![1; 40],
        gas,
        ..world.foreign.payment(u64::MAX, to, ether(1))
    };
    let (code, _, gas) = ask(call(&echo, 1_000_000)).await;
    assert_eq!(code, Code::DELIVERED);
    assert!(gas.is_some_and(|gas| (30_000..1_000_000).contains(&gas)), "{gas:?}");
    let (code, reply, gas) = ask(call(&reverter, 1_000_000)).await;
    assert_eq!((code, gas), (Code::CALL_REVERTS, None));
    assert!(reply.text().starts_with("call reverts: "), "{reply}");
    // What fails is kept, if the user says so.
    let kept = Fields { on_fail: OnFail::Keep, ..call(&reverter, 1_000_000) };
    assert_eq!(ask(kept).await.0, Code::DELIVERED);
    assert_eq!(ask(call(&echo, 2_000)).await.0, Code::CALL_REVERTS, "too little gas");

    let pays = |to: &str, amount| world.foreign.payment(u64::MAX, to, amount);
    assert_eq!(ask(pays(&echo, ether(6))).await.0, Code::SUSPENDED);
    let contract = local(world.deployed.contract);
    assert_eq!(ask(pays(&contract, ether(1))).await.0, Code::UNKNOWN_RECIPIENT);
    assert_eq!(ask(pays("nobody", Amount::from(1u64))).await.0, Code::BAD_ADDRESS);
    let (code, reply, _) = ask(pays("5fbDB2315678afecb367f032d93F642f64180aa3", ether(1))).await;
    assert_eq!(code, Code::BAD_ADDRESS, "{reply}");
    assert_eq!(world.node.rpc("eth_blockNumber", &serde_json::json!([])), height);
}
