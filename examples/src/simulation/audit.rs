//! What the chains themselves say at the end of a story: every message ended once on each side, in
//! the same way, and nothing was made or lost.

use std::collections::BTreeMap;

use distpos_gateway::chain::{ChainEvent, Cursor, LocalChain};
use distpos_proto::{
    account::{Figures, Step},
    amount::Amount,
    chain::ChainId,
    message::{Message, MessageId},
};
use distpos_spool::{Act, Entry};

use super::{
    site::Site,
    world::{FLOAT, FUNDS, World, amount},
};

/// How the messages of a story ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Paid at their destination, closed at their source.
    pub delivered: usize,
    /// Void at their destination, paid back at their source.
    pub refunded: usize,
    /// Refunded without a receipt, as their chain does not exist.
    pub unroutable: usize,
}

/// What a chain's final blocks say.
#[derive(Debug, Default)]
pub struct Record {
    /// The messages that left, in order.
    pub sent: Vec<Message>,
    /// `delivered`, `voided`, `closed`, `refunded`, each time it was said.
    pub ends: BTreeMap<MessageId, Vec<&'static str>>,
}

impl World {
    /// Everything that a chain's blocks hold for gateways, from genesis on.
    pub async fn record(&self, chain: ChainId) -> Record {
        let (ledger, mut record) = (&self.chains[&chain].ledger, Record::default());
        let head = ledger.head().await.unwrap().height;
        let mut cursor: Option<Cursor> = None;
        while cursor.is_none_or(|cursor| cursor.height < head) {
            let watched = ledger.watch(cursor).await.unwrap();
            cursor = Some(watched.cursor);
            for block in watched.blocks {
                record.sent.extend(block.outgoing);
                for event in block.events {
                    let (id, word) = match event {
                        ChainEvent::Delivered { id, .. } => (id, "delivered"),
                        ChainEvent::Voided { id, .. } => (id, "voided"),
                        ChainEvent::Closed { id, .. } => (id, "closed"),
                        ChainEvent::Refunded { id } => (id, "refunded"),
                        ChainEvent::AccountSet { .. } | ChainEvent::ReserveChanged { .. } => {
                            continue;
                        }
                    };
                    record.ends.entry(id).or_default().push(word);
                }
            }
        }
        record
    }

    /// Checks that everything has ended and adds up, and tells how.
    pub async fn audit(&self, sites: &[&Site]) -> Tally {
        let mut records = BTreeMap::new();
        for (id, chain) in &self.chains {
            assert_eq!(chain.ledger.total().unwrap(), amount(FUNDS + FLOAT), "supply of {id}");
            assert_eq!(chain.ledger.pots().unwrap().0, amount(0), "escrow of {id} is not empty");
            records.insert(*id, self.record(*id).await);
        }
        let mut tally = Tally::default();
        for record in records.values() {
            for message in &record.sent {
                let (id, to) = (message.id(), message.fields().destination);
                let here = record.ends.get(&id).cloned().unwrap_or_default();
                let there = records.get(&to).and_then(|there| there.ends.get(&id));
                match (here.as_slice(), there.map_or(&[][..], Vec::as_slice)) {
                    (["closed"], ["delivered"]) => tally.delivered += 1,
                    (["refunded"], ["voided"]) => tally.refunded += 1,
                    (["refunded"], []) => tally.unroutable += 1,
                    (here, there) => panic!(
                        "{id} ended {here:?} at its source, {there:?} at its destination:\n{}",
                        self.story().join("\n")
                    ),
                }
            }
        }
        for site in sites {
            let chain = site.chain;
            assert_eq!(site.waiting(), 0, "queue of {chain}: {}", site.queue());
            for (peer, asset, row) in site.gateway.spool.read(|tx| tx.accounts()).unwrap() {
                let who = format!("{chain}/{} with {peer} in {asset}", site.n);
                let book = row.account.figures;
                assert_eq!((book.pending_in, book.pending_out), (amount(0), amount(0)), "{who}");
                assert_eq!(site.waiting_for_room(peer, asset.as_str()), [], "{who}");
                // The copy is the chain's own account, and the sum of its journal.
                let held = self.chains[&chain].ledger.correspondent(peer, &asset).unwrap();
                let held = held.unwrap_or_default();
                assert_eq!(book, held.figures, "{who}");
                assert_eq!((row.account.terms, row.account.limits), (held.terms, held.limits));
                let journal = site.journal(peer, asset.as_str());
                assert_eq!(sum_of(&journal), book, "the journal of {who}");
                let moved = |from: ChainId, to: ChainId, word: &str| {
                    let at = if word == "delivered" { to } else { from };
                    records.get(&from).map_or(amount(0), |record| {
                        let ended = |id| records[&at].ends.get(&id).is_some_and(|e| e == &[word]);
                        let fields = record.sent.iter().filter(|m| m.fields().destination == to);
                        let values = fields.filter(|m| ended(m.id())).filter_map(|m| {
                            let value = m.fields().value.as_ref()?;
                            (value.asset == asset).then_some(value.amount)
                        });
                        values.fold(amount(0), |sum, value| sum.checked_add(value).unwrap())
                    })
                };
                assert_eq!(book.received, moved(peer, chain, "delivered"), "received by {who}");
                assert_eq!(book.sent, moved(chain, peer, "closed"), "sent by {who}");
            }
        }
        tally
    }
}

/// What a journal adds up to, limits or not.
fn sum_of(journal: &[Entry]) -> Figures {
    let mut figures = Figures::default();
    for entry in journal {
        let Act::Step(step) = entry.act else { continue };
        let Some(sum) = step.amount() else { continue };
        let add = |figure: &mut Amount| *figure = figure.checked_add(sum).unwrap();
        let take = |figure: &mut Amount| *figure = figure.checked_sub(sum).unwrap();
        match step {
            Step::Set { .. } => {}
            Step::Deposit(_) => add(&mut figures.reserve),
            Step::Withdraw(_) => take(&mut figures.reserve),
            Step::Reserve(_) => add(&mut figures.pending_in),
            Step::Release(_) => take(&mut figures.pending_in),
            Step::Lock(_) => add(&mut figures.pending_out),
            Step::Refund(_) => take(&mut figures.pending_out),
            Step::Commit { reserved, .. } => {
                add(&mut figures.received);
                if reserved {
                    take(&mut figures.pending_in);
                }
            }
            Step::Close { locked, .. } => {
                add(&mut figures.sent);
                if locked {
                    take(&mut figures.pending_out);
                }
            }
        }
    }
    figures
}
