//! The third pipeline: what the two sides of an account write to each other beside messages.
//!
//! | paper | made | leaves for |
//! | --- | --- | --- |
//! | [`terms`] | when the operator signs | agreed, when the same ones come back |
//! | [`statement`] | every hour | the peer, which holds it against its books |
//! | [`request`] | when an account is strained, and daily while it is | the peer's operators |
//!
//! Every paper is in the spool before it is sent and stays due until the peer has taken it. Nothing
//! here moves money or ends a message: a statement that differs suspends its account, and no more.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    retry::{self, Cause},
    time::UnixMillis,
    wire::{Papers, PapersTaken, Response},
};
use distpos_spool::{Sending, SpoolError};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{event::Event, gateway::Gateway, load, stop::Stop, trust::dns, watchdog::Task};

// In the order in which an account meets them.

pub mod terms;

pub mod statement;

pub mod request;

pub mod progress;

mod exchange;

mod late;

/// How often it is looked what is due: papers are for people, who think in minutes. What a person
/// waits for is told ([`Gateway::papers`]).
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Most peers that something is sent to at once: whoever sends to many chains here makes no more
/// lookups and connections of it than these.
const EXCHANGES_MAX: usize = 16;

/// Runs until asked to stop. One exchange at a time with each peer, so that a slow one delays
/// nobody else; what is under way at the end is repeated after the next start.
pub async fn run(gateway: Arc<Gateway>, stop: Stop) {
    let mut running = FuturesUnordered::new();
    let mut busy: BTreeSet<ChainId> = BTreeSet::new();
    let mut told = None;
    while !stop.is_asked() {
        gateway.tasks.beat(Task::Papers);
        match due(&gateway).await {
            Ok(mut peers) => {
                told = None;
                peers.retain(|peer| busy.len() < EXCHANGES_MAX && busy.insert(*peer));
                running.extend(peers.into_iter().map(|peer| exchange(gateway.clone(), peer)));
            }
            Err(error) => tell(&gateway, &mut told, &error),
        }
        tokio::select! { biased;
            () = stop.asked() => return,
            Some(peer) = running.next(), if !running.is_empty() => { busy.remove(&peer); }
            () = gateway.papers.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// Sends a peer what is due to it.
async fn exchange(gateway: Arc<Gateway>, peer: ChainId) -> ChainId {
    if let Err(error) = exchange::exchange(&gateway, peer).await {
        gateway.emit(Event::Alert { what: format!("spool: {error}") });
        // It has moved nothing: without a rest it would spin.
        sleep(LOOK_EVERY).await;
    }
    peer
}

/// Makes what has become due, and says which peers have something to be sent.
async fn due(gateway: &Arc<Gateway>) -> Result<BTreeSet<ChainId>, SpoolError> {
    // The other pipelines tell of it.
    if gateway.spool.healthy().is_err() {
        return Ok(BTreeSet::new());
    }
    statement::make(gateway).await?;
    progress::observe(gateway).await?;
    statement::look_again(gateway).await?;
    request::tend(gateway).await?;
    let now = gateway.now();
    gateway.spool.read(|tx| exchange::peers(tx, now))
}

/// Tells of a spool that fails: once for each reason, however long it takes.
fn tell(gateway: &Gateway, told: &mut Option<String>, error: &SpoolError) {
    let what = format!("spool: {error}");
    if told.replace(what.clone()).is_none_or(|before| before != what) {
        gateway.emit(Event::Alert { what });
    }
}

/// Takes what a gateway of `source` sent; one reply for each paper, when all of it is on disk.
pub async fn take(gateway: &Arc<Gateway>, source: ChainId, papers: Papers) -> Response {
    let trusted = match dns::believed(gateway, source) {
        Ok(believed) => believed.trusted,
        Err(reply) => return Response::Refused(reply),
    };
    let Papers { terms, statements, requests } = papers;
    if !load::causes(gateway).is_empty() {
        let full = Reply::new(Code::SPOOL_FULL, "nothing can be kept here now");
        return Response::Refused(full.retry_after(60));
    }
    let taking = async {
        if gateway.spool.read(|tx| tx.frozen(source))?.is_some() {
            let text = format!("{source} is frozen after conflicting evidence");
            return Ok(Response::Refused(Reply::new(Code::NOT_NOW, text).retry_after(3600)));
        }
        let mut replies = terms::take(gateway, &trusted, terms).await?;
        let about: BTreeSet<_> = statements.iter().map(|s| s.document.asset.clone()).collect();
        replies.extend(statement::take(gateway, &trusted, statements).await?);
        replies.extend(request::take(gateway, &trusted, requests).await?);
        let statements = statement::own(gateway, source, about)?;
        Ok::<_, SpoolError>(Response::Statements(PapersTaken { replies, statements }))
    };
    match taking.await {
        Ok(response) => response,
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            Response::Refused(Reply::new(Code::SPOOL_FULL, "not now").retry_after(60))
        }
    }
}

/// A paper after an attempt to send it: taken, or due again by the schedule of its kind of failure.
fn sent(before: &Sending, reply: Reply, now: UnixMillis, jitter: u64) -> Sending {
    if reply.code.is_success() {
        return Sending { due: None, attempts: 0, taken: Some(now), reply: Some(reply) };
    }
    let cause = if reply.code == Code::NO_ANSWER || reply.code == Code::DNS {
        Cause::Unreachable
    } else if reply.code.is_temporary() {
        Cause::Temporary { retry_after: reply.retry_after }
    } else {
        Cause::Hint
    };
    let attempts = before.attempts.saturating_add(1);
    let due = Some(now.after(retry::delay(cause, attempts, jitter)));
    Sending { due, attempts, taken: before.taken, reply: Some(reply) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paper_is_sent_until_it_is_taken() {
        let (now, middle) = (UnixMillis(1_000_000), 1 << 63);
        let after = |before: &Sending, reply| sent(before, reply, now, middle);
        let new = Sending::at(now);
        let away = after(&new, Reply::new(Code::NO_ANSWER, "nobody"));
        assert_eq!((away.due, away.attempts), (Some(UnixMillis(1_010_000)), 1));
        let again = after(&away, Reply::new(Code::NO_ANSWER, "nobody"));
        assert_eq!((again.due, again.attempts), (Some(UnixMillis(1_030_000)), 2));
        let told = after(&new, Reply::new(Code::NOT_NOW, "not signed here yet").retry_after(600));
        assert_eq!(told.due, Some(UnixMillis(1_600_000)));
        let never = after(&new, Reply::new(Code::MALFORMED, "what is this"));
        assert_eq!(never.due, Some(UnixMillis(4_600_000)), "an hour: its gateway may be updated");
        let taken = after(&again, Reply::new(Code::DELIVERED, "terms agreed"));
        assert_eq!((taken.due, taken.attempts, taken.taken), (None, 0, Some(now)));
    }
}
