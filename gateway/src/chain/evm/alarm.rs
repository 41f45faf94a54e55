//! What the operator should see before messages wait: a head that stands still, an account that
//! runs dry. Told once when it begins and once when it is over.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use alloy_primitives::{Address, U256, utils::format_ether};
use distpos_proto::{amount::Amount, time::UnixSeconds, wire::Head};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Evm,
    answer::{Block, Quantity, hex},
};
use crate::{
    chain::ChainError,
    clock::{self, Clock},
    event::{Event, Events, Log},
};

/// Time between two looks unless said otherwise: what is looked for takes minutes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Whom the chain tells of what is no answer to anybody.
#[derive(Clone)]
pub struct Teller(Arc<dyn Events>);

impl Teller {
    /// These.
    #[must_use]
    pub fn new(events: Arc<dyn Events>) -> Self {
        Self(events)
    }

    pub(super) fn emit(&self, event: Event) {
        self.0.emit(event);
    }
}

impl Default for Teller {
    /// The log.
    fn default() -> Self {
        Self(Arc::new(Log))
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// What the operator is alerted of, and how.
#[derive(Clone)]
pub struct Alerts {
    /// How old the newest block may be; zero: it is not looked at.
    pub head_age_max: Duration,
    /// What each sending account should have, in wei; zero: it is not looked at.
    pub balance_min: Amount,
    /// How often that is looked at, at most.
    pub look_every: Duration,
    /// What a block's time is compared with.
    pub clock: Clock,
    /// Whom to tell.
    pub teller: Teller,
}

impl Default for Alerts {
    /// Nothing is looked at.
    fn default() -> Self {
        Self {
            head_age_max: Duration::ZERO,
            balance_min: Amount::ZERO,
            look_every: LOOK_EVERY,
            clock: clock::system(),
            teller: Teller::default(),
        }
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head_age_max, balance_min, look_every, clock: _, teller: _ } = self;
        write!(f, "Alerts({head_age_max:?}, {balance_min}, every {look_every:?})")
    }
}

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: Option<Instant>,
    is_head_old: bool,
    low: BTreeSet<Address>,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl State {
    /// Whether it is time to look, and then not again for a while.
    fn is_due(&mut self, now: Instant, every: Duration) -> bool {
        let due = self.next.is_none_or(|next| next <= now);
        if due {
            self.next = Some(now + every);
        }
        due
    }

    fn head(&mut self, head: Head, now: UnixSeconds, age_max: Duration) -> Option<Event> {
        let is_old = is_old(&head, now, age_max);
        let age = now.0.saturating_sub(head.time.0);
        if std::mem::replace(&mut self.is_head_old, is_old) == is_old {
            return None;
        }
        let height = head.height;
        Some(match is_old {
            true => Event::Alert {
                what: format!(
                    "chain: the newest block, {height}, is {age} s old, expected at most {} s \
                     (head_age_max): the node stands still, or has lost its peers",
                    age_max.as_secs()
                ),
            },
            false => Event::Note {
                what: format!("chain: blocks come again: block {height} is {age} s old"),
            },
        })
    }

    fn balance(&mut self, account: Address, balance: U256, least: U256) -> Option<Event> {
        let is_low = balance < least;
        let changed = match is_low {
            true => self.low.insert(account),
            false => self.low.remove(&account),
        };
        let (has, least) = (format_ether(balance), format_ether(least));
        changed.then(|| match is_low {
            true => Event::Alert {
                what: format!(
                    "chain: account {account} has {has} of the coin for gas, expected at least \
                     {least} (balance_min): pay some to it, or deliveries and refunds will wait"
                ),
            },
            false => {
                Event::Note { what: format!("chain: account {account} has {has} for gas again") }
            }
        })
    }
}

fn is_old(head: &Head, now: UnixSeconds, age_max: Duration) -> bool {
    now.0.saturating_sub(head.time.0) > age_max.as_secs()
}

impl Evm {
    /// Looks at the head and at the accounts, if it is time to. What fails is looked at next time:
    /// whoever watches the chain is told of a node that does not answer.
    pub(super) async fn look(&self) {
        let alerts = &self.config.alerts;
        if !self.told.state().is_due(Instant::now(), alerts.look_every) {
            return;
        }
        let looked = async {
            self.look_at_head().await?;
            self.look_at_balances().await
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "head and balances were not looked at");
        }
    }

    async fn look_at_head(&self) -> Result<(), ChainError> {
        let alerts = &self.config.alerts;
        if alerts.head_age_max.is_zero() {
            return Ok(());
        }
        let heads: Vec<(usize, Option<Block>)> =
            self.rpc.each("eth_getBlockByNumber", json!(["latest", false])).await?;
        let heads: Vec<_> = heads
            .iter()
            .filter_map(|(node, block)| Some((*node, block.as_ref()?.head())))
            .collect();
        let Some((_, newest)) = heads.iter().max_by_key(|(_, head)| head.time) else {
            return Ok(());
        };
        let now = (alerts.clock)().seconds();
        let is_old = |head: &Head| is_old(head, now, alerts.head_age_max);
        for (node, head) in &heads {
            self.rpc.stalled(*node, is_old(head) && !is_old(newest));
        }
        let event = self.told.state().head(*newest, now, alerts.head_age_max);
        event.into_iter().for_each(|event| alerts.teller.emit(event));
        Ok(())
    }

    async fn look_at_balances(&self) -> Result<(), ChainError> {
        let alerts = &self.config.alerts;
        if alerts.balance_min.is_zero() {
            return Ok(());
        }
        let least = U256::from_be_bytes(alerts.balance_min.to_word());
        for account in self.accounts() {
            let balance: Quantity =
                self.rpc.call("eth_getBalance", json!([hex(account.as_slice()), "latest"])).await?;
            let event = self.told.state().balance(account, balance.0, least);
            event.into_iter().for_each(|event| alerts.teller.emit(event));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use distpos_proto::chain::{BlockHash, Height};

    use super::*;

    fn kind(event: Option<Event>) -> &'static str {
        match event {
            Some(Event::Alert { .. }) => "alert",
            Some(Event::Note { .. }) => "note",
            Some(_) => "another",
            None => "nothing",
        }
    }

    #[test]
    fn a_head_that_stands_still_is_told_once_and_so_is_its_end() {
        let mut state = State::default();
        let mut look = |time: u64, now: u64| {
            let head =
                Head { height: Height(1), block: BlockHash([0; 32]), time: UnixSeconds(time) };
            kind(state.head(head, UnixSeconds(now), Duration::from_secs(900)))
        };
        assert_eq!(look(1_000, 1_900), "nothing");
        assert_eq!(look(1_000, 1_901), "alert");
        assert_eq!(look(1_000, 5_000), "nothing");
        assert_eq!(look(5_001, 5_000), "note", "a clock that is behind is no reason");
        assert_eq!(look(5_001, 5_002), "nothing");
    }

    #[test]
    fn a_low_balance_is_told_once_for_each_account_and_so_is_its_filling() {
        let mut state = State::default();
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let mut look = |account, balance: u64| {
            kind(state.balance(account, U256::from(balance), U256::from(50)))
        };
        assert_eq!(look(one, 50), "nothing");
        assert_eq!(look(one, 49), "alert");
        assert_eq!(look(one, 3), "nothing");
        assert_eq!(look(two, 3), "alert");
        assert_eq!(look(one, 50), "note");
        assert_eq!(look(one, 51), "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_slowly_however_often_the_chain_is_asked() {
        let mut state = State::default();
        let start = Instant::now();
        let looks = (0..600)
            .filter(|second| state.is_due(start + Duration::from_secs(*second), LOOK_EVERY));
        assert_eq!(looks.count(), 20);
    }
}
