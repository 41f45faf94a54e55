//! Receipts of messages that a sibling gateway closed: without them it is not known here before or
//! after which height they were delivered, and no statement could ever match.

use std::sync::Arc;

use distpos_proto::{
    chain::ChainId,
    wire::{IDS_MAX, Request, Response, StatusAnswer},
};
use distpos_spool::SpoolError;

use crate::{
    contact::{self, Contacted},
    gateway::Gateway,
    outbound::settle,
};

/// Most questions to one peer in a row: what is left is asked about an hour later.
const QUESTIONS_MAX: usize = 16;

/// Asks a peer for the receipts that are not here.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub(super) async fn ask(gateway: &Arc<Gateway>, peer: ChainId) -> Result<(), SpoolError> {
    for turn in 0..QUESTIONS_MAX {
        let ids = gateway.spool.read(|tx| tx.unplaced(peer, IDS_MAX))?;
        if ids.is_empty() {
            return Ok(());
        }
        let Ok(route) = contact::route(gateway, peer).await else { return Ok(()) };
        let turn = u32::try_from(turn).unwrap_or(0);
        let asked = ids.clone();
        let answered = contact::call(gateway, &route, turn, &Request::Status(asked)).await;
        let Ok(Contacted { response: Response::Status(answers), .. }) = answered else {
            return Ok(());
        };
        let receipts = answers.into_iter().filter_map(|answer| match answer {
            StatusAnswer::Ended(receipt) if receipt.receipt.destination == peer => Some(receipt),
            StatusAnswer::Ended(_) | StatusAnswer::Open(_) => None,
        });
        settle::receipts(gateway, receipts.collect()).await;
        // No progress: asking again would be told the same.
        if gateway.spool.read(|tx| tx.unplaced(peer, IDS_MAX))? == ids {
            return Ok(());
        }
    }
    Ok(())
}
