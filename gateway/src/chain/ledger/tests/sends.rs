//! What leaves: escrow, sequences, watching, proving, intervals.

use std::{sync::Arc, time::Duration};

use distpos_proto::{
    chain::{BlockHash, GenesisTag, Height},
    code::Code,
    key::{Domain, KeySet, SecretKey},
    message::Message,
    time::UnixSeconds,
};
use tokio::time::Instant;

use super::support::*;
use crate::chain::{
    ChainError, Cursor, LocalChain, NativeProof,
    ledger::{Ledger, transaction},
};

#[tokio::test]
async fn what_leaves_is_locked_numbered_and_named_by_the_open_account() {
    let (town, peer) = (Town::new(genesis("e2e4")), Town::new(genesis("b1c2")));
    let (_, blind) = town.sent(ALICE, order("b1c2xsomebody")).await;
    assert_eq!(blind.fields().destination_tag, GenesisTag::UNSET);
    let value = |message: &Message| message.fields().value.clone().unwrap();
    assert_eq!((value(&blind).asset, value(&blind).terms), (asset("e2e4/coin"), None));
    town.know(&peer, "b1c2/gold", 0).await;
    let (_, known) = town.sent(ALICE, order("b1c2xsomebody")).await;
    assert_eq!(known.fields().destination_tag, peer.facts().tag);
    assert_eq!((value(&known).asset, value(&known).terms), (asset("b1c2/gold"), Some(TERMS)));
    let (_, other) = town.sent(BOB, order("c0ffeexsomebody")).await;
    let sequences = [&blind, &known, &other].map(|message| message.fields().sequence);
    assert_eq!(sequences, [1, 2, 1], "each destination counts on its own");
    assert_eq!(known.fields().sender, local(ALICE));
    assert_eq!(known.fields().expires.0, START.0 + Message::EXPIRES_AFTER_DEFAULT);
    assert_eq!((town.holds(ALICE), town.holds(BOB)), (800, 400));
    assert_eq!(town.pots().unwrap(), (sum(300), sum(10_000)));
    assert_eq!(town.total().unwrap(), sum(11_500));
}

#[tokio::test]
async fn a_wrong_send_is_refused_and_locks_nothing() {
    let town = Town::new(genesis("e2e4"));
    let mut wrong = order("e2e4xsomebody");
    assert_eq!(code(town.send(ALICE, wrong.clone()).await), Code::LOOP);
    wrong = order("b1c2xsomebody");
    wrong.amount = sum(1_001);
    assert_eq!(code(town.send(ALICE, wrong.clone()).await), Code::POLICY);
    wrong.amount = sum(1);
    wrong.expires = town.now();
    assert_eq!(code(town.send(ALICE, wrong.clone()).await), Code::EXPIRED);
    wrong.expires = UnixSeconds(town.now().0 + Message::EXPIRES_AFTER_MAX + 1);
    assert_eq!(code(town.send(ALICE, wrong.clone()).await), Code::POLICY);
    wrong.expires = UnixSeconds(town.now().0 + Message::EXPIRES_AFTER_MAX);
    wrong.data = vec![0; Message::DATA_BYTES_MAX + 1];
    assert_eq!(code(town.send(ALICE, wrong.clone()).await), Code::TOO_BIG);
    assert_eq!(town.pots().unwrap(), (sum(0), sum(10_000)));
    wrong.data.pop();
    let (_, message) = town.sent(ALICE, wrong).await;
    assert_eq!(message.fields().sequence, 1, "a refusal uses up no number");
    assert_eq!(code(town.send(CAROL, order("b1c2xa")).await), Code::UNKNOWN_RECIPIENT);
}

#[tokio::test]
async fn a_message_can_be_looked_up_by_its_transaction_and_proven_to_the_other_side() {
    let town = Town::new(genesis("e2e4"));
    let place = town.place(ALICE).await;
    let bytes = transaction::send(place, order("b1c2xsomebody"), &key(ALICE));
    town.user(bytes.clone()).await.unwrap();
    let included = town.included(&transaction::transaction_id(&bytes).unwrap()).unwrap().unwrap();
    let id = included.message.unwrap();
    let proven = town.proven_to(included.height, &[id]).await;
    assert_eq!(proven[0].message().id(), id);
    let absent = town.prove(Height(99), &[id]).await;
    assert_eq!(code(absent), Code::NOT_FINAL);
    assert_eq!(code(town.prove(Height(0), &[id]).await), Code::POLICY);
    assert_eq!(code(town.prove(included.height, &[]).await), Code::MALFORMED);
}

#[tokio::test(start_paused = true)]
async fn one_block_holds_what_came_within_an_interval_ordered_by_destination() {
    let (clock, _) = held_clock();
    let ledger = Ledger::in_memory(genesis("e2e4"), vec![key(AUTHORITY)], clock).unwrap();
    let (_, hand) = held_clock();
    let interval = Duration::from_secs(5);
    let town = Town { ledger: Arc::new(ledger.interval(interval)), hand };
    let start = Instant::now();
    town.transfer(ALICE, BOB, 1).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO, "after a quiet time nobody waits");
    let (to_c, to_b) = (order("c0xa"), order("b1xa"));
    let (first, second) = tokio::join!(town.send(ALICE, to_c), town.send(BOB, to_b));
    first.unwrap();
    second.unwrap();
    assert_eq!(start.elapsed(), interval);
    let blocks = town.everything().await;
    assert_eq!(blocks.len(), 1, "one block for both");
    assert_eq!(blocks[0].height, Height(2));
    let to: Vec<_> = blocks[0].outgoing.iter().map(|m| m.fields().destination).collect();
    assert_eq!(to, [chain("b1"), chain("c0")]);
    let ids: Vec<_> = blocks[0].outgoing.iter().rev().map(Message::id).collect();
    assert_eq!(town.proven_to(Height(2), &ids).await.len(), 2, "asked for in any order");
    // Who gives up before the block has done nothing.
    {
        let mut dropped = Box::pin(town.transfer(ALICE, BOB, 7));
        assert!(futures_util::poll!(dropped.as_mut()).is_pending());
        assert!(futures_util::poll!(dropped.as_mut()).is_pending());
    }
    let holds = town.holds(BOB);
    tokio::time::sleep(interval).await;
    assert_eq!(town.seal().await.unwrap().height, Height(3));
    assert_eq!(town.holds(BOB), holds);
}

#[tokio::test]
async fn a_watcher_waits_is_woken_and_is_told_in_bounded_steps() {
    let town = Town::new(genesis("e2e4"));
    let genesis_only = town.watch(None).await.unwrap();
    assert_eq!((genesis_only.blocks.len(), genesis_only.cursor.height), (0, Height(0)));
    let mut waiting = Box::pin(town.watch(Some(genesis_only.cursor)));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let (height, message) = town.sent(ALICE, order("b1c2xsomebody")).await;
    let woken = waiting.await.unwrap();
    assert_eq!(woken.blocks.len(), 1);
    assert_eq!((woken.blocks[0].height, &woken.blocks[0].outgoing[0]), (height, &message));
    for _ in 0..70 {
        let mut free = order("b1c2xsomebody");
        free.amount = sum(0);
        town.send(BOB, free).await.unwrap();
    }
    let step = town.watch(Some(woken.cursor)).await.unwrap();
    assert_eq!((step.blocks.len(), step.cursor.height), (64, Height(65)));
    let rest = town.watch(Some(step.cursor)).await.unwrap();
    assert_eq!((rest.blocks.len(), rest.cursor.height), (6, Height(71)));
}

#[tokio::test]
async fn a_cursor_of_another_history_is_for_the_operator() {
    let town = Town::new(genesis("e2e4"));
    town.seal().await.unwrap();
    let ours = town.watch(None).await.unwrap().cursor;
    let swapped = Cursor { block: BlockHash([1; 32]), ..ours };
    let ahead = Cursor { height: Height(u64::MAX), ..ours };
    for wrong in [swapped, ahead] {
        let refused = town.watch(Some(wrong)).await.unwrap_err();
        assert!(matches!(refused, ChainError::OtherChain(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_blocks_time_never_goes_back() {
    let town = Town::new(genesis("e2e4"));
    town.pass(100);
    assert_eq!(town.seal().await.unwrap().time.0, START.0 + 100);
    town.hand.store(START.0 - 50, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(town.seal().await.unwrap().time.0, START.0 + 100);
    let NativeProof::Ledger(header, _) = ({
        let (height, message) = town.sent(ALICE, order("b1c2xa")).await;
        town.prove(height, &[message.id()]).await.unwrap()
    }) else {
        panic!("a ledger gives a ledger's proof");
    };
    assert_eq!(header.header.time.0, START.0 + 100);
}

#[tokio::test]
async fn a_block_carries_the_signatures_of_all_authorities_that_are_here() {
    let mut genesis = genesis("e2e4");
    genesis.authorities.insert(key(101).public());
    let both = KeySet::new(genesis.authorities.clone(), 2).unwrap();
    let signed = async |keys: Vec<SecretKey>| {
        let ledger = Ledger::in_memory(genesis.clone(), keys, held_clock().0).unwrap();
        let town = Town { ledger: ledger.into(), hand: held_clock().1 };
        let (height, message) = town.sent(ALICE, order("b1c2xa")).await;
        let NativeProof::Ledger(header, _) = town.prove(height, &[message.id()]).await.unwrap()
        else {
            panic!("a ledger gives a ledger's proof");
        };
        both.endorses(Domain::LedgerHeader, &header.header.bytes(), &header.signatures)
    };
    assert!(signed(vec![key(AUTHORITY), key(101)]).await);
    assert!(!signed(vec![key(101)]).await, "one of two is not enough where two are asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_users_at_once_share_blocks_and_keep_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut genesis = genesis("e2e4");
    genesis.accounts.extend((10..60).map(|seed| (local(seed), sum(100))));
    let ledger = Ledger::open(directory.path(), genesis, vec![key(AUTHORITY)], held_clock().0);
    let town = Arc::new(Town { ledger: ledger.unwrap().into(), hand: held_clock().1 });
    let users: Vec<_> = (10..60)
        .map(|seed| {
            let town = Arc::clone(&town);
            tokio::spawn(async move {
                for _ in 0..4 {
                    let mut small = order("b1c2xsomebody");
                    small.amount = sum(25);
                    town.send(seed, small).await.unwrap();
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    let outgoing: Vec<_> =
        town.everything().await.into_iter().flat_map(|block| block.outgoing).collect();
    let sequences: Vec<_> = outgoing.iter().map(|message| message.fields().sequence).collect();
    assert_eq!(sequences, (1..=200).collect::<Vec<_>>(), "gapless, in the order of the chain");
    assert_eq!(town.pots().unwrap().0, sum(5_000));
    assert_eq!(town.total().unwrap(), sum(16_500));
}
