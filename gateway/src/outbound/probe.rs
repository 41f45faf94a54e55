//! Finding out whether a chain that could not be reached is there again.
//!
//! While its breaker is open nothing of the queue is tried there; this asks for a `hello` instead,
//! at the times that [`distpos_proto::destination`] sets. The first answer wakes the queue.

use std::time::Duration;

use distpos_proto::{chain::ChainId, wire::Request};
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use crate::{
    contact, destinations, event::Event, gateway::Gateway, outbound::bounce, stop::Stop,
    watchdog::Task,
};

/// Most probes at a time: with the time that each may take, all that can be known are probed in time.
const PROBES_MAX: usize = 64;

/// Longest sleep without looking: clocks jump.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Runs until asked to stop.
pub async fn run(gateway: &Gateway, stop: &Stop) {
    loop {
        gateway.tasks.beat(Task::Probe);
        let now = gateway.now();
        let (due, next) = gateway.destinations.to_probe(now);
        let none_was_due = due.is_empty();
        let probing =
            stream::iter(due).for_each_concurrent(PROBES_MAX, |chain| probe(gateway, chain));
        tokio::select! { biased;
            () = stop.asked() => return,
            () = probing => {}
        }
        if !none_was_due {
            continue;
        }
        let pause = next.map_or(SLEEP_MAX, |next| next.since(now).min(SLEEP_MAX));
        tokio::select! { biased;
            () = stop.asked() => return,
            () = gateway.destinations.opened.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Asks once. Whatever comes of it, the chain is not due for another probe at once.
async fn probe(gateway: &Gateway, chain: ChainId) {
    match destinations::is_wanted(gateway, chain) {
        Ok(true) => {}
        Ok(false) => return gateway.destinations.leave(chain),
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            return gateway.destinations.leave(chain);
        }
    }
    match contact::reach(gateway, chain).await {
        // What came of the call is noted by the call itself.
        Ok(route) => drop(contact::call(gateway, &route, 0, &Request::Hello).await),
        Err(reply) if bounce::is_permanent(&reply) => destinations::closed(gateway, chain).await,
        Err(reply) => destinations::failed(gateway, chain, &reply),
    }
}
