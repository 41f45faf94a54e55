//! What events count.

use std::sync::Arc;

use distpos_proto::receipt::Outcome;
use distpos_spool::Direction;

use super::{Metrics, OTHER, code_word, table};
use crate::event::{Event, Events};

/// Counts every event, and hands it on.
pub struct Counted {
    metrics: Arc<Metrics>,
    next: Arc<dyn Events>,
}

impl Counted {
    /// Counts in `metrics`, then tells `next`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, next: Arc<dyn Events>) -> Self {
        Self { metrics, next }
    }
}

impl Events for Counted {
    fn emit(&self, event: Event) {
        count(&self.metrics, &event);
        self.next.emit(event);
    }
}

fn count(metrics: &Metrics, event: &Event) {
    let registry = &metrics.registry;
    match event {
        Event::Deferred { chain, messages, reply, .. } => {
            let code = code_word(reply.code);
            let labels = [(*chain).into(), code.as_str().into()];
            registry.add(&table::DEFERRED, &labels, *messages as u64);
        }
        Event::Ended { id, .. } if metrics.ended(Direction::Inbound, *id) => {}
        Event::Closed { id } | Event::Refunded { id }
            if metrics.ended(Direction::Outbound, *id) => {}
        // There was no room to look them up.
        Event::Refunded { .. } => registry.add(&table::REFUSED, &[OTHER.into(); 2], 1),
        Event::Closed { .. } => registry.add(&table::DELIVERED, &[OTHER.into()], 1),
        Event::Ended { outcome, .. } => match outcome {
            Outcome::Delivered { .. } => {
                registry.add(&table::DELIVERED, &[OTHER.into()], 1);
            }
            Outcome::Refused { .. } => {
                registry.add(&table::REFUSED, &[OTHER.into(); 2], 1);
            }
        },
        Event::Watchdog(_) => registry.add(&table::WATCHDOG, &[], 1),
        _ => {}
    }
}
