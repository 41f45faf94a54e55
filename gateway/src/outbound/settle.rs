//! A receipt came: check it, keep it, and tell the outbox how the message ended.

use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
    receipt::{Ending, EndingKind, Outcome, Receipt, SignedReceipt, VerifiedReceipt},
    retry::Cause,
    time::UnixMillis,
};
use distpos_spool::{Batch, Direction, End, SpoolError, State, Tx};

use crate::{
    chain::{Submission, Submitted},
    event::Event,
    gateway::Gateway,
    outbound::bounce,
    transition::{Later, shift, to},
    trust::dns,
};

/// What a receipt did.
enum Taken {
    /// It is kept; the outbox has to be told.
    New,
    /// The same end was known already.
    Again,
    /// No such message is waiting here.
    Unknown,
    /// The destination is frozen.
    Frozen,
    /// The outbox has done the opposite already, on no receipt that is known here.
    TooLate,
    /// Another end was accepted before: evidence against the signers.
    Contradicts(String),
}

/// Takes signed receipts; one reply each. They are acknowledged when they are on disk, all in one
/// commit.
pub async fn receipts(gateway: &Gateway, receipts: Vec<SignedReceipt>) -> Vec<Reply> {
    let now = gateway.now();
    let judged: Vec<Result<VerifiedReceipt, Reply>> =
        receipts.into_iter().map(|signed| judge(gateway, signed)).collect();
    let verified: Vec<VerifiedReceipt> = judged.iter().flatten().cloned().collect();
    let keeping = gateway.spool.transact(move |tx| {
        verified
            .iter()
            .map(|receipt| keep(tx, receipt, now))
            .collect::<Result<Vec<_>, SpoolError>>()
    });
    let mut taken = match keeping.await {
        Ok(taken) => taken.into_iter(),
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            let failed = Reply::new(Code::SPOOL_FULL, "not kept").retry_after(60);
            return vec![failed; judged.len()];
        }
    };
    let mut reply = |verified: VerifiedReceipt| match taken.next() {
        Some(taken) => answer(gateway, &verified, taken),
        None => Reply::new(Code::SPOOL_FULL, "not kept").retry_after(60),
    };
    judged.into_iter().map(|judged| judged.map_or_else(|refused| refused, &mut reply)).collect()
}

/// Whether a receipt is for this chain, and signed by the destination's keys as they are now.
fn judge(gateway: &Gateway, signed: SignedReceipt) -> Result<VerifiedReceipt, Reply> {
    let destination = signed.receipt.destination;
    if signed.receipt.source != gateway.facts().chain {
        let text = format!("receipt is for chain {}", signed.receipt.source);
        return Err(Reply::new(Code::POLICY, text));
    }
    let trusted = dns::believed(gateway, destination)?.trusted;
    signed.verify(&trusted.keys).map_err(|error| Reply::new(Code::SIGNATURE, error.to_string()))
}

/// Whose signatures contradicted each other is not believed about other messages either, until an
/// operator has looked. What was kept before may be told again.
fn is_frozen(tx: &Tx<'_>, receipt: &Receipt) -> Result<bool, SpoolError> {
    Ok(tx.frozen(receipt.destination)?.is_some())
}

fn answer(gateway: &Gateway, verified: &VerifiedReceipt, taken: Taken) -> Reply {
    let receipt = verified.receipt();
    let (id, outcome) = (receipt.id, receipt.outcome.clone());
    match taken {
        Taken::New => {
            gateway.emit(Event::ReceiptTaken { id, outcome });
            Reply::new(Code::DELIVERED, "receipt taken")
        }
        Taken::TooLate => {
            let what = format!("receipt for {id} came after its refund: {outcome:?}");
            gateway.emit(Event::Alert { what });
            Reply::new(Code::DELIVERED, "receipt noted, the message was refunded before")
        }
        Taken::Again => Reply::new(Code::DELIVERED, "receipt known"),
        Taken::Frozen => {
            let text = format!("{} is frozen after conflicting evidence", receipt.destination);
            Reply::new(Code::NOT_NOW, text).retry_after(3600)
        }
        // A sibling gateway may have it, or our view of the chain is behind.
        Taken::Unknown => {
            Reply::new(Code::NOT_NOW, "no such message is waiting here").retry_after(60)
        }
        Taken::Contradicts(held) => {
            let what = format!("two outcomes for {id}: {held} and {outcome:?}");
            gateway.emit(Event::Conflict { chain: receipt.destination, what });
            Reply::new(Code::CONFLICT, "another outcome was signed before")
        }
    }
}

/// Keeps a verified receipt and makes the outbox's part due, in one commit.
fn keep(tx: &mut Tx<'_>, verified: &VerifiedReceipt, now: UnixMillis) -> Result<Taken, SpoolError> {
    let receipt = verified.receipt();
    if let Outcome::Delivered { height, .. } = receipt.outcome {
        // It may have been closed already, on a receipt that a sibling gateway got.
        tx.place_settled(receipt.destination, &receipt.id, height)?;
    }
    let known = tx.ended(Direction::Outbound, &receipt.id)?;
    if let Some(end) = &known {
        let contradicts = end.settled.is_some_and(|settled| settled != verified.ending().kind());
        match end.settled {
            // Refunded, perhaps as unroutable, and delivered all the same: no debt, but somebody
            // must look.
            Some(EndingKind::Refund)
                if contradicts && bounce::is_unsigned(end.outcome.as_ref()) =>
            {
                return Ok(Taken::TooLate);
            }
            // Only a receipt closes, be it one that a sibling gateway got: these are two outcomes.
            Some(EndingKind::Close) if contradicts && end.outcome.is_none() => {
                tx.set_frozen(receipt.destination, &receipt.bytes())?;
                return Ok(Taken::Contradicts("closed on a delivered receipt".to_owned()));
            }
            Some(_) | None => {}
        }
        if end.peer != receipt.destination {
            return Ok(Taken::Unknown);
        }
        if let Some(held) = &end.outcome {
            if kind(held) == verified.ending().kind() {
                return Ok(Taken::Again);
            }
            tx.set_frozen(receipt.destination, &receipt.bytes())?;
            return Ok(Taken::Contradicts(format!("{held:?}")));
        }
    }
    if is_frozen(tx, receipt)? {
        return Ok(Taken::Frozen);
    }
    let place = tx.find(Direction::Outbound, &receipt.id)?;
    let batch = match place {
        Some((batch, _)) => tx.batch(Direction::Outbound, batch)?,
        None => None,
    };
    match &batch {
        Some(batch) if batch.peer != receipt.destination => return Ok(Taken::Unknown),
        None if known.is_none() => return Ok(Taken::Unknown),
        _ => {}
    }
    let end = End {
        peer: receipt.destination,
        outcome: Some(receipt.outcome.clone()),
        settled: known.as_ref().and_then(|end| end.settled),
        at: now,
        history: known.map_or_else(|| batch.map_or_else(Vec::new, |b| b.history), |k| k.history),
    };
    tx.set_ended(Direction::Outbound, &receipt.id, &end)?;
    let state = match verified.ending().kind() {
        EndingKind::Close => State::Closing,
        EndingKind::Refund => State::Refunding,
    };
    // A message that was being refunded as unroutable is closed instead, if it is not too late: the
    // outbox decides.
    let open = [State::Queued, State::Accepted, State::Held, State::Refunding];
    let told = to(state, Some(now), None);
    shift(tx, Direction::Outbound, &[receipt.id], &open, told, now)?;
    Ok(Taken::New)
}

fn kind(outcome: &Outcome) -> EndingKind {
    match outcome {
        Outcome::Delivered { .. } => EndingKind::Close,
        Outcome::Refused { .. } => EndingKind::Refund,
    }
}

/// What the outbox is told of a batch's messages, and by which right.
fn endings(batch: &Batch) -> impl Iterator<Item = Ending> + '_ {
    batch.items.iter().map(|item| match (batch.state, &batch.reply) {
        (State::Closing, _) => Ending::recorded(item.id, EndingKind::Close),
        (_, Some(reply)) if reply.code == Code::GONE => Ending::without_receipt(item.id),
        (_, Some(reply)) if bounce::is_permanent(reply) => Ending::unroutable(item.id),
        _ => Ending::recorded(item.id, EndingKind::Refund),
    })
}

/// Tells the outbox how messages ended. They leave the queue when that is final
/// ([`crate::outbound::watch`]); until then this is repeated, in case a reorganisation took it: the
/// outbox passes over what it has closed or refunded already.
///
/// # Errors
/// [`SpoolError`] if what came of it cannot be noted.
pub async fn end(gateway: &Gateway, state: State, batches: Vec<Batch>) -> Result<(), SpoolError> {
    let endings: Vec<Ending> = batches.iter().flat_map(endings).collect();
    let ids: Vec<MessageId> = endings.iter().map(Ending::id).collect();
    // The reason of a refund without a receipt stays with the message until the refund is final.
    let mut reasons = batches.iter().filter_map(|batch| batch.reply.as_ref());
    let is_own = state == State::Refunding && reasons.any(bounce::is_own_reason);
    gateway.spool.healthy()?;
    let (cause, reply) = match gateway.chain.submit(Submission::End(endings)).await {
        Ok(submitted) => {
            let Submitted { transaction, refused } = submitted;
            // Without a transaction all of it stands there already, and is not final or needs others.
            if !transaction.is_empty() {
                gateway.emit(Event::Submitted { what: "end", transaction, ids: ids.clone() });
            }
            for (id, reply) in &refused {
                let what = format!("the outbox does not end message {id}: {reply}");
                gateway.emit(Event::Alert { what });
            }
            (Cause::Submitted, refused.into_iter().next().map(|(_, reply)| reply))
        }
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("chain: {error}") });
            (Cause::Unreachable, Some(Reply::new(Code::NO_ANSWER, error.to_string())))
        }
    };
    let reply = reply.filter(|_| !is_own);
    let later = Later { now: gateway.now(), jitter: gateway.random_u64(), reply };
    let moving = gateway
        .spool
        .transact(move |tx| later.put_off(tx, Direction::Outbound, &ids, &[state], |_| cause));
    moving.await.map(|_| ())
}
