//! What nobody asks for any more leaves the spool.

use std::{sync::Arc, time::Duration};

use distpos_proto::time::UnixMillis;
use distpos_spool::{Direction, EndPlace, Old, Spool, SpoolError, Tx};
use tokio::time::sleep;

use crate::{event::Event, gateway::Gateway, stop::Stop, watchdog::Task};

/// How long it stays known how a message ended. Messages live five days at most and receipts are
/// offered for seven, so that who asks later has let a month go by.
pub const ENDS_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long it stays known of a message whose source has not taken the receipt: until it comes and
/// asks its message is neither delivered nor refunded there.
pub const ENDS_UNTAKEN_KEPT: Duration = Duration::from_hours(365 * 24);
/// Most ends kept in each direction, about 400 MB; of more the oldest go before their time.
pub const ENDS_MAX: u64 = 1_000_000;
/// Ends looked at in one commit: a few milliseconds, so that others' work is not held up.
const LOOKED_AT_ONCE: usize = 1_000;
/// How often it is looked.
const LOOKED_AT: Duration = Duration::from_mins(10);

/// Keeps the spool tidy until asked to stop.
pub async fn run(gateway: Arc<Gateway>, stop: Stop) {
    loop {
        gateway.tasks.beat(Task::Upkeep);
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(LOOKED_AT) => {}
        }
        if let Err(error) = forget(&gateway.spool, gateway.now(), ENDS_MAX).await {
            let what = format!("spool: old ends were not forgotten: {error}");
            gateway.emit(Event::Alert { what });
        }
    }
}

/// Forgets how messages ended long ago, and the oldest where more than `ends_max` are kept; how
/// many were forgotten.
///
/// # Errors
/// [`SpoolError`] if the spool cannot be read or written.
pub async fn forget(spool: &Spool, now: UnixMillis, ends_max: u64) -> Result<u64, SpoolError> {
    let mut forgotten = 0;
    for direction in Direction::BOTH {
        let untaken_before = now.before(ENDS_UNTAKEN_KEPT);
        let old = Old { before: now.before(ENDS_KEPT), untaken_before };
        forgotten += walk(spool, direction, old, u64::MAX).await?;
        let kept = spool.read(|tx| tx.ended_count(direction))?;
        let surplus = kept.saturating_sub(ends_max);
        forgotten += walk(spool, direction, Old { before: now, untaken_before }, surplus).await?;
    }
    Ok(forgotten)
}

/// Forgets what is old, in pieces and `most` at most, so that everybody else gets their turn.
async fn walk(spool: &Spool, direction: Direction, old: Old, most: u64) -> Result<u64, SpoolError> {
    let (mut forgotten, mut after): (u64, Option<EndPlace>) = (0, None);
    while forgotten < most {
        let left = usize::try_from(most - forgotten).unwrap_or(usize::MAX);
        let limit = left.min(LOOKED_AT_ONCE);
        let prune = move |tx: &mut Tx<'_>| tx.prune_ended(direction, &old, after, limit);
        let pruned = spool.transact(prune).await?;
        forgotten += pruned.forgotten;
        after = pruned.next;
        if after.is_none() {
            break;
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use distpos_proto::message::MessageId;
    use distpos_spool::End;

    use super::*;

    const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

    fn id(number: u64) -> MessageId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        MessageId(id)
    }

    /// As many inbound ends as there are numbers, each noted at the day of its number.
    async fn ended(spool: &Spool, days: std::ops::Range<u64>) {
        let note = move |tx: &mut Tx<'_>| {
            for day in days {
                let (peer, at) = ("b2".parse().unwrap(), UnixMillis(day * DAY_MILLIS));
                let end = End { peer, outcome: None, settled: None, at, history: Vec::new() };
                tx.set_ended(Direction::Inbound, &id(day), &end)?;
            }
            Ok::<_, SpoolError>(())
        };
        spool.transact(note).await.unwrap();
    }

    fn known(spool: &Spool, days: std::ops::Range<u64>) -> Vec<u64> {
        let look = |day: &u64| spool.read(|tx| tx.ended(Direction::Inbound, &id(*day)));
        days.filter(|day| look(day).unwrap().is_some()).collect()
    }

    #[tokio::test]
    async fn ends_are_forgotten_after_thirty_days_those_not_taken_after_a_year() {
        let spool = Spool::in_memory();
        ended(&spool, 1..50).await;
        let untaken = |tx: &mut Tx<'_>| {
            tx.set_untaken(&id(3));
            Ok::<_, SpoolError>(())
        };
        spool.transact(untaken).await.unwrap();
        let at = |day: u64| UnixMillis(day * DAY_MILLIS);
        assert_eq!(forget(&spool, at(31), ENDS_MAX).await, Ok(0));
        assert_eq!(forget(&spool, at(40), ENDS_MAX).await, Ok(8));
        assert_eq!(known(&spool, 1..12), [3, 10, 11]);
        assert_eq!(forget(&spool, at(368), ENDS_MAX).await, Ok(40));
        assert_eq!(known(&spool, 1..50), [3]);
        assert_eq!(forget(&spool, at(369), ENDS_MAX).await, Ok(1));
    }

    #[tokio::test]
    async fn of_too_many_the_oldest_go_in_pieces() {
        let spool = Spool::in_memory();
        let many = 2 * LOOKED_AT_ONCE as u64 + 500;
        ended(&spool, 1..many + 1).await;
        let now = UnixMillis((many + 1) * DAY_MILLIS);
        // All but a month's are too old; of those only the last ten stay.
        assert_eq!(forget(&spool, now, 10).await, Ok(many - 10));
        assert_eq!(known(&spool, 1..many + 1), (many - 9..=many).collect::<Vec<_>>());
    }
}
