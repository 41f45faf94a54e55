//! What a user learns before sending: what the other chain would do, and nothing happens there.

use distpos_gateway::{
    inbound::simulate::{BURST_MAX, REFILL_MS},
    outbound::simulate::{Asked, Forecast, simulate},
};
use distpos_proto::{
    address::Address,
    code::Code,
    message::OnFail,
    time::UnixSeconds,
    wire::{Request, RequestKind, Response, WireError},
};
use std::time::Duration;

use crate::support::{
    audit::Tally,
    site::Site,
    world::{ASSET, FUNDS, World, amount, cid, credit},
};

const SOON: Duration = Duration::from_secs(60);

fn asked(world: &World, to: Address, value: u64) -> Asked {
    Asked {
        from: world.user("e2e4").local().clone(),
        to,
        amount: amount(value),
        asset: None,
        data: b"hello".to_vec(),
        gas: 0,
        on_fail: OnFail::Return,
        expires: None,
    }
}

async fn forecast(world: &World, site: &Site, to: Address, value: u64) -> Forecast {
    simulate(&site.gateway, asked(world, to, value)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_the_dry_run_says_is_what_happens() {
    let (world, a, b) = World::pair(1, 5_000).await;
    world.open(cid("b1c2"), cid("e2e4"), credit(100)).await;
    let opened =
        || world.happened("b1c2/1 account-set") == 2 && world.happened("e2e4/1 account-set") == 1;
    world.until("opened", SOON, opened).await;
    let user = world.user("b1c2");
    let good = forecast(&world, &a, user.clone(), 60).await;
    assert_eq!((good.reply.code, good.gas), (Code::DELIVERED, Some(0)));
    assert_eq!(good.gateway.as_deref(), Some("gw1.b1c2.test:7333"));
    assert_eq!(forecast(&world, &a, user.clone(), 101).await.reply.code, Code::SUSPENDED);
    let stranger = forecast(&world, &a, world.stranger("b1c2"), 1).await;
    assert_eq!(stranger.reply.code, Code::UNKNOWN_RECIPIENT);
    let nonsense = forecast(&world, &a, world.nonsense("b1c2"), 0).await;
    assert_eq!(nonsense.reply.code, Code::BAD_ADDRESS);
    let mut late = asked(&world, user.clone(), 1);
    late.expires = Some(UnixSeconds(world.now().0 - 1));
    let late = simulate(&a.gateway, late).await.unwrap();
    assert_eq!(late.reply.code, Code::EXPIRED);
    let mut shells = asked(&world, user.clone(), 1);
    shells.asset = Some("b1c2/shell".parse().unwrap());
    let shells = simulate(&a.gateway, shells).await.unwrap();
    assert_eq!(shells.reply.code, Code::NO_ACCOUNT);

    // Nothing of it was left anywhere: no queue, no reservation, no sequence, no money.
    assert_eq!((a.waiting(), b.waiting()), (0, 0));
    assert_eq!(b.figures(cid("e2e4"), ASSET), Default::default());
    assert_eq!(world.balance("e2e4"), amount(FUNDS));
    assert_eq!(world.happened("claimed"), 0);

    // Then it is sent, and fares as was said.
    let id = world.send("e2e4", user.clone(), 60, 0).await;
    world.until_empty(SOON, &[&a, &b]).await;
    assert_eq!(world.happened(&format!("closed id={id}")), 1);
    assert_eq!(forecast(&world, &a, user, 60).await.reply.code, Code::SUSPENDED, "forty are left");
    let tally = world.audit(&[&a, &b]).await;
    assert_eq!(tally, Tally { delivered: 1, ..Tally::default() });
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_told() {
    let (world, a, b) = World::pair(2, 5_000).await;
    let user = world.user("b1c2");
    let nowhere = Address::new(cid("dead"), user.local().clone());
    let unknown = forecast(&world, &a, nowhere, 1).await;
    assert_eq!((unknown.gateway, unknown.reply.code), (None, Code::UNKNOWN_CHAIN));
    let home = simulate(&a.gateway, asked(&world, world.user("e2e4"), 1)).await.unwrap_err();
    assert_eq!(home.code, Code::LOOP);

    world.network.set_down(b.address, true);
    let down = forecast(&world, &a, user.clone(), 1).await;
    assert_eq!((down.gateway, down.reply.code), (None, Code::NO_ANSWER));
    world.network.set_down(b.address, false);

    // A gateway of a version before this call.
    world.network.meddle_with_answers(|call, body| match call.kind {
        RequestKind::Simulations => {
            let found = RequestKind::Simulations.path().to_owned();
            Response::Refused(WireError::Path { found }.reply()).body()
        }
        _ => body,
    });
    let old = forecast(&world, &a, user.clone(), 1).await;
    assert_eq!(old.reply.text(), "the destination's gateway does not offer dry runs");
    world.network.heal();

    // Without trust there is no answer, whatever the message.
    let trusted = b.book.trusted.lock().unwrap().remove(&cid("e2e4")).unwrap();
    let stranger = forecast(&world, &a, user.clone(), 0).await;
    assert_eq!(stranger.reply.code, Code::KEY_NOT_FOUND);
    b.book.trusted.lock().unwrap().insert(cid("e2e4"), trusted);
    assert!(forecast(&world, &a, user, 0).await.reply.code.is_success());
}

/// A chain that asks without end gets answers at its rate; another one does not feel it.
#[tokio::test(start_paused = true)]
async fn one_chain_cannot_keep_a_node_busy_with_questions() {
    let world = World::new(3, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    let family = distpos_proto::chain::Family::Ledger;
    let [a, b, c] = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, family));
    let user = world.user("b1c2");
    for _ in 0..BURST_MAX {
        assert!(forecast(&world, &a, user.clone(), 0).await.reply.code.is_success());
    }
    // A few became free while these were on their way.
    let mut refused = 0;
    for _ in 0..BURST_MAX {
        let reply = forecast(&world, &a, user.clone(), 0).await.reply;
        if reply.code == Code::RATE_LIMIT {
            assert_eq!(reply.retry_after, Some(2));
            refused += 1;
        }
    }
    assert!(refused > BURST_MAX / 2, "{refused} of {BURST_MAX} were refused");
    let other = Asked { from: world.user("c3").local().clone(), ..asked(&world, user.clone(), 0) };
    assert!(simulate(&c.gateway, other).await.unwrap().reply.code.is_success());
    world.pass(Duration::from_millis(REFILL_MS * u64::from(BURST_MAX))).await;
    assert!(forecast(&world, &a, user, 0).await.reply.code.is_success());
    drop(b);
}

/// A message that speaks for another chain than its key does is judged by nobody.
#[tokio::test(start_paused = true)]
async fn a_question_in_another_chains_name_is_refused() {
    let world = World::new(4, &["e2e4", "b1c2", "c3"]);
    world.befriend(5_000).await;
    let family = distpos_proto::chain::Family::Ledger;
    let [a, b, c] = ["e2e4", "b1c2", "c3"].map(|chain| world.start(chain, 1, family));
    let user = world.user("b1c2");
    let caught = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = caught.clone();
    world.network.meddle_with_requests(move |call, body| {
        if call.kind == RequestKind::Simulations {
            keep.lock().unwrap().clone_from(&body);
        }
        body
    });
    assert!(forecast(&world, &a, user, 0).await.reply.code.is_success());
    let body = caught.lock().unwrap().clone();
    let kind = RequestKind::Simulations;
    assert!(matches!(Request::from_parts(kind.path(), &body), Ok(Request::Simulations(_))));
    let pin = world.chains[&cid("c3")].pin(1);
    match b.post(pin, cid("c3"), cid("b1c2"), kind, body).await {
        Response::Refused(reply) => assert_eq!(reply.code, Code::POLICY, "{reply}"),
        other => panic!("{other:?}"),
    }
    drop(c);
}
