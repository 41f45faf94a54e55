//! Gateways of one chain meet on the chain: where several have to agree, one that wants a message
//! ended says so there, and the others take it up from what the final block says.
//!
//! Nothing a sibling says is believed. A message that it wants delivered is claimed here like one
//! that a peer sent, and takes every step from the proof on; a message that it wants closed or
//! refunded is asked about at the destination, so that this gateway gets the receipt itself.

use distpos_proto::{
    chain::Height,
    envelope::{Envelope, Origin},
    message::{Message, MessageId},
    time::UnixMillis,
};
use distpos_spool::{Direction, NewBatch, SpoolError, State, Tx};

use crate::{
    chain::{FinalBlock, Proposal},
    event::Event,
    transition::{shift, to},
};

/// Takes up what sibling gateways want, in the commit that notes the block.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn follow(
    tx: &mut Tx<'_>,
    block: &FinalBlock,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    for proposal in &block.proposals {
        match proposal {
            Proposal::Inbound(message) => inbound(tx, message, now, events)?,
            Proposal::Outbound(id) => outbound(tx, *id, now)?,
        }
    }
    Ok(())
}

/// Claims the message, or makes a claim that is waiting due.
fn inbound(
    tx: &mut Tx<'_>,
    message: &Message,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), SpoolError> {
    let (id, source) = (message.id(), message.fields().source);
    if tx.ended(Direction::Inbound, &id)?.is_some() {
        return Ok(());
    }
    if tx.find(Direction::Inbound, &id)?.is_some() {
        // One that is with the chain already needs no second look: its watchdog comes.
        let from = [State::Claimed];
        shift(tx, Direction::Inbound, &[id], &from, to(State::Claimed, Some(now), None), now)?;
        return Ok(());
    }
    // Where the source's block is, its gateways tell with the proof, which is asked for by id.
    let origin = Origin { height: Height(0), index: 0 };
    let batch = NewBatch {
        direction: Direction::Inbound,
        peer: source,
        height: origin.height,
        state: State::Claimed,
        due: Some(now),
        messages: vec![Envelope { message: message.clone(), origin }],
    };
    tx.put(batch, now)?;
    events.push(Event::Claimed { source, ids: vec![id] });
    Ok(())
}

/// Asks for the receipt at once, if it is the receipt that is waited for.
fn outbound(tx: &mut Tx<'_>, id: MessageId, now: UnixMillis) -> Result<(), SpoolError> {
    let from = [State::Accepted];
    shift(tx, Direction::Outbound, &[id], &from, to(State::Accepted, Some(now), None), now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use distpos_proto::{
        chain::{BlockHash, ChainId},
        time::UnixSeconds,
    };
    use distpos_spool::{End, Spool};

    use super::*;
    use crate::testing;

    const NOW: UnixMillis = UnixMillis(5_000);

    fn cid(text: &str) -> ChainId {
        text.parse().unwrap()
    }

    fn message(source: &str, destination: &str, sequence: u64) -> Message {
        testing::message(source, destination, sequence, 2_000_000)
    }

    fn new_batch(direction: Direction, state: State, message: &Message) -> NewBatch {
        let fields = message.fields();
        let inbound = direction == Direction::Inbound;
        let peer = if inbound { fields.source } else { fields.destination };
        let origin = Origin { height: Height(7), index: 0 };
        let messages = vec![Envelope { message: message.clone(), origin }];
        let due = Some(UnixMillis(900_000));
        NewBatch { direction, peer, height: Height(7), state, due, messages }
    }

    async fn see(spool: &Spool, proposals: Vec<Proposal>) -> Vec<Event> {
        let (height, block, time) = (Height(9), BlockHash([9; 32]), UnixSeconds(1));
        let (outgoing, events) = (Vec::new(), Vec::new());
        let block = FinalBlock { height, block, time, outgoing, events, proposals };
        let seen = spool.transact(move |tx| {
            let mut events = Vec::new();
            follow(tx, &block, NOW, &mut events)?;
            Ok::<_, SpoolError>(events)
        });
        seen.await.unwrap()
    }

    fn due(spool: &Spool, direction: Direction, group: (ChainId, State)) -> Vec<MessageId> {
        let batches = spool.read(|tx| tx.due(direction, (group.0, group.1), NOW, 9, 9_999));
        let items = batches.unwrap().into_iter().flat_map(|batch| batch.items);
        items.map(|item| item.id).collect()
    }

    #[tokio::test]
    async fn what_a_sibling_wants_delivered_is_claimed_here_and_waits_for_its_proof() {
        let (spool, foreign) = (Spool::in_memory(), message("b1c2", "e2e4", 1));
        let proposal = || Proposal::Inbound(Box::new(foreign.clone()));
        let events = see(&spool, vec![proposal(), proposal()]).await;
        let ids = vec![foreign.id()];
        assert_eq!(events, [Event::Claimed { source: cid("b1c2"), ids: ids.clone() }]);
        assert_eq!(due(&spool, Direction::Inbound, (cid("b1c2"), State::Claimed)), ids);
    }

    #[tokio::test]
    async fn a_claim_that_waits_is_looked_at_at_once_and_one_with_the_chain_is_not() {
        let spool = Spool::in_memory();
        let [waits, submitted, ended] = [1, 2, 3].map(|n| message("b1c2", "e2e4", n));
        let (one, two, three) = (waits.clone(), submitted.clone(), ended.id());
        let put = spool.transact(move |tx| {
            tx.put(new_batch(Direction::Inbound, State::Claimed, &one), NOW)?;
            tx.put(new_batch(Direction::Inbound, State::Delivering, &two), NOW)?;
            let (peer, history) = (cid("b1c2"), Vec::new());
            let end = End { peer, outcome: None, settled: None, at: NOW, history };
            tx.set_ended(Direction::Inbound, &three, &end)
        });
        put.await.unwrap();
        let wanted = [&waits, &submitted, &ended].map(|m| Proposal::Inbound(Box::new(m.clone())));
        assert_eq!(see(&spool, wanted.to_vec()).await, []);
        let due = |state| due(&spool, Direction::Inbound, (cid("b1c2"), state));
        assert_eq!(due(State::Claimed), [waits.id()]);
        assert_eq!(due(State::Delivering), []);
    }

    #[tokio::test]
    async fn an_end_that_a_sibling_wants_makes_this_gateway_ask_for_the_receipt() {
        let spool = Spool::in_memory();
        let [accepted, queued] = [1, 2].map(|n| message("e2e4", "b1c2", n));
        let (one, two) = (accepted.clone(), queued.clone());
        let put = spool.transact(move |tx| {
            tx.put(new_batch(Direction::Outbound, State::Accepted, &one), NOW)?;
            tx.put(new_batch(Direction::Outbound, State::Queued, &two), NOW).map(drop)
        });
        put.await.unwrap();
        let unknown = MessageId([8; 32]);
        let wanted = [accepted.id(), queued.id(), unknown].map(Proposal::Outbound);
        see(&spool, wanted.to_vec()).await;
        let due = |state| due(&spool, Direction::Outbound, (cid("b1c2"), state));
        assert_eq!((due(State::Accepted), due(State::Queued)), (vec![accepted.id()], vec![]));
    }
}
