//! A clock that is set back: what was due in a minute would be due in a day and a minute.
//!
//! The queue keeps when something is due as a time of day, so that it survives a restart. A clock
//! that goes forward makes things due early, which is harmless; one that goes back is noticed here,
//! and what waits is tried anew. A hold ends at the time of day that its operator was told.

use std::time::Duration;

use distpos_proto::time::UnixMillis;
use distpos_spool::{Direction, Place, SpoolError, State, Tx};
use tokio::time::{Instant, sleep};

use crate::{event::Event, gateway::Gateway, stop::Stop, watchdog::Task};

/// How often the clock is looked at.
const LOOKED_AT: Duration = Duration::from_secs(30);
/// Clocks are set back by less than this all the time, and nothing waits for longer because of it
/// than it does anyway.
const TOLERATED: Duration = Duration::from_secs(10);
/// How often the time is written down, for a clock that is set back while the gateway is away.
const NOTED_EVERY: Duration = Duration::from_hours(1);
/// Batches that one commit makes due: others' commits wait no longer.
const COMMIT_BATCHES: usize = 256;
/// The note that says what time it was.
const TIME: &str = "clock";

/// Runs until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    let (mut last, mut failing) = (None, false);
    loop {
        gateway.tasks.beat(Task::Clock);
        match look(gateway, &mut last).await {
            Ok(()) => failing = false,
            // Said once, not every half a minute for as long as it lasts.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    gateway.emit(Event::Alert { what: format!("spool: {error}") });
                }
            }
        }
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(LOOKED_AT) => {}
        }
    }
}

/// Time of day and time since some start, which were the same moment.
type Moment = (UnixMillis, Instant);

async fn look(gateway: &Gateway, last: &mut Option<Moment>) -> Result<(), SpoolError> {
    let (now, at) = (gateway.now(), Instant::now());
    let noted = gateway.spool.read(noted)?;
    let expected = match *last {
        Some((time, since)) => Some(time.after(at.duration_since(since))),
        None => noted,
    };
    let back = expected.map_or(Duration::ZERO, |expected| expected.since(now));
    if back > TOLERATED {
        let seconds = back.as_secs();
        let what = format!("the clock went back by {seconds} s: what waits is tried anew");
        gateway.emit(Event::Alert { what });
        hasten_all(gateway, now).await?;
    }
    *last = Some((now, at));
    let is_stale = noted.is_none_or(|noted| now.since(noted) >= NOTED_EVERY);
    if is_stale || back > TOLERATED {
        let note = move |tx: &mut Tx<'_>| {
            tx.meta_set(TIME, &now.0.to_be_bytes());
            Ok::<_, SpoolError>(())
        };
        gateway.spool.transact(note).await?;
    }
    Ok(())
}

fn noted(tx: &Tx<'_>) -> Result<Option<UnixMillis>, SpoolError> {
    let bytes = tx.meta_get(TIME)?.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Ok(bytes.map(|bytes| UnixMillis(u64::from_be_bytes(bytes))))
}

/// Makes due now whatever would be due later.
async fn hasten_all(gateway: &Gateway, now: UnixMillis) -> Result<(), SpoolError> {
    for direction in Direction::BOTH {
        let groups = gateway.spool.read(|tx| tx.count(direction))?;
        for group in groups.into_keys().filter(|(_, state)| *state != State::Held) {
            let mut place = Some(Place::all_until(now));
            while let Some(from) = place {
                let hastening = gateway.spool.transact(move |tx| {
                    tx.hasten(direction, group, now, (from, COMMIT_BATCHES), |_| true)
                });
                place = hastening.await?;
            }
        }
    }
    Ok(())
}
