//! Receipts of messages that a sibling gateway closed: without them it is not known here before or
//! after which height they were delivered, and no statement could ever match.

use std::sync::Arc;

use distpos_proto::{
    chain::ChainId,
    wire::{IDS_MAX, Request, Response, StatusAnswer},
};
use distpos_spool::SpoolError;

use super::progress;
use crate::{
    contact::{self, Contacted},
    gateway::Gateway,
    outbound::settle,
};

/// Most questions to one peer in a row: what is left is asked about an hour later.
const QUESTIONS_MAX: usize = 16;

/// Asks a peer for the receipts that are not here, from where it was asked last: those that it does
/// not have either are not in the way of the others.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub(super) async fn ask(gateway: &Arc<Gateway>, peer: ChainId) -> Result<(), SpoolError> {
    for turn in 0..QUESTIONS_MAX {
        let after = progress::asked(gateway, peer);
        let ids = gateway.spool.read(|tx| tx.unplaced(peer, after.as_ref(), IDS_MAX))?;
        let Some(last) = ids.last().copied() else {
            // All of them were: those that are left, again next time.
            progress::set_asked(gateway, peer, None);
            return Ok(());
        };
        let Ok(route) = contact::reach(gateway, peer).await else { return Ok(()) };
        let turn = u32::try_from(turn).unwrap_or(0);
        let answered = contact::call(gateway, &route, turn, &Request::Status(ids)).await;
        let Ok(Contacted { response: Response::Status(answers), .. }) = answered else {
            return Ok(());
        };
        let receipts = answers.into_iter().filter_map(|answer| match answer {
            StatusAnswer::Ended(receipt) if receipt.receipt.destination == peer => Some(receipt),
            StatusAnswer::Ended(_) | StatusAnswer::Open(_) => None,
        });
        settle::receipts(gateway, receipts.collect()).await;
        progress::set_asked(gateway, peer, Some(last));
    }
    Ok(())
}
