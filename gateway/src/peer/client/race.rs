//! Which of a gateway's addresses is used: the one that gives a connection first (RFC 8305).

use std::net::SocketAddr;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Duration, sleep};
use tracing::debug;

use super::pool::{Connection, Pool};
use crate::peer::{PeerError, Target};

/// A connection to one of the addresses: one that is kept, else whichever is up first. The next
/// address is tried as soon as the one before has failed, and after `stagger` while it is silent.
///
/// # Errors
/// Of the failures, the one that tells most.
pub(super) async fn connection(
    pool: &Pool,
    target: &Target,
    stagger: Duration,
) -> Result<(SocketAddr, Connection), PeerError> {
    let kept = |address: &SocketAddr| Some((*address, pool.kept_connection(target, *address)?));
    if let Some(kept) = target.addresses.iter().find_map(kept) {
        return Ok(kept);
    }
    let attempt = |address: SocketAddr| async move {
        pool.connection(target, address).await.map(|it| (address, it)).map_err(|it| (address, it))
    };
    let mut worst = PeerError::NoAddress { host: target.host.clone() };
    let mut untried = target.addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(untried.next().map(attempt));
    loop {
        let more = untried.len() > 0;
        tokio::select! { biased;
            ended = attempts.next() => match ended {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err((address, error))) => {
                    debug!(%address, host = %target.host, %error, "no connection to peer");
                    worst = tells_more(worst, error);
                    attempts.extend(untried.next().map(attempt));
                }
                None => return Err(worst),
            },
            () = sleep(stagger), if more => attempts.extend(untried.next().map(attempt)),
        }
    }
}

/// Of two failures on the way to a connection, the one that tells the operator more: of a gateway
/// with two addresses, "unreachable" on one matters less than a wrong key on the other.
fn tells_more(known: PeerError, new: PeerError) -> PeerError {
    let rank = |error: &PeerError| match error {
        PeerError::KeyMismatch { .. } => 4,
        PeerError::Tls { .. } | PeerError::Protocol { .. } => 3,
        PeerError::NoAddress { .. } => 0,
        PeerError::Connect { .. } | PeerError::Timeout { .. } => 1,
        PeerError::Host { .. }
        | PeerError::Busy { .. }
        | PeerError::Http { .. }
        | PeerError::Status { .. }
        | PeerError::BodyTooBig { .. }
        | PeerError::Body { .. }
        | PeerError::WrongAnswer { .. } => 2,
    };
    if rank(&new) > rank(&known) { new } else { known }
}
