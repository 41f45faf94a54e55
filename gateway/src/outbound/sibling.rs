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
