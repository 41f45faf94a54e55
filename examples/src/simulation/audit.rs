//! What the chains themselves say at the end of a story: every message ended once on each side, in
//! the same way, nothing was made or lost, and all books agree.
//!
//! [`World::inventory`] reads it all, [`Inventory::findings`] judges it, so that a test can show
//! that a wrong inventory is found to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use distpos_gateway::chain::{ChainEvent, Cursor, LocalChain};
use distpos_proto::{
    account::{Account, Figures, Step},
    amount::Amount,
    chain::ChainId,
    message::{Asset, Message, MessageId},
};
use distpos_spool::{Act, Entry};

use super::{site::Site, world::World};

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
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The messages that left, in order.
    pub sent: Vec<Message>,
    /// `delivered`, `voided`, `closed`, `refunded`, each time it was said.
    pub ends: BTreeMap<MessageId, Vec<&'static str>>,
}

/// An account: with whom, and in what.
pub type Name = (ChainId, Asset);

/// What a chain has at the end.
#[derive(Debug, Clone)]
pub struct Holdings {
    /// What genesis gave.
    pub supply: Amount,
    /// What accounts, escrow and vault add up to.
    pub total: Amount,
    /// What open messages hold.
    pub escrow: Amount,
    /// What deliveries are paid from.
    pub vault: Amount,
    /// Which of it is the peers', and which the community's own.
    pub covered_and_float: (Amount, Amount),
    /// Its accounts with other chains, as the ledger keeps them.
    pub accounts: BTreeMap<Name, Account>,
    /// What its blocks say.
    pub record: Record,
}

/// What a gateway has at the end.
#[derive(Debug, Clone)]
pub struct Copies {
    /// The gateway: its chain and its number.
    pub of: (ChainId, u8),
    /// How many messages wait in its queues.
    pub waiting: usize,
    /// Its accounts with other chains.
    pub accounts: BTreeMap<Name, AccountCopy>,
}

/// A gateway's copy of an account.
#[derive(Debug, Clone)]
pub struct AccountCopy {
    /// Terms, limits, figures.
    pub account: Account,
    /// What its journal adds up to.
    pub journal: Figures,
    /// How many messages wait for room in it.
    pub row: usize,
}

/// Everything that there is at the end of a story.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The chains.
    pub chains: BTreeMap<ChainId, Holdings>,
    /// Their gateways.
    pub copies: Vec<Copies>,
}

/// What an inventory says.
#[derive(Debug, Default)]
pub struct Findings {
    /// How the messages that have ended did.
    pub tally: Tally,
    /// Messages that have not ended on both sides.
    pub pending: usize,
    /// Accounts that are not what they should be, on a chain or at a gateway.
    pub accounts_unequal: usize,
    /// What is wrong, in words.
    pub wrong: Vec<String>,
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

    /// Reads what chains and gateways have.
    pub async fn inventory(&self, sites: &[&Site]) -> Inventory {
        let mut chains = BTreeMap::new();
        for (id, chain) in &self.chains {
            let accounts = chain.ledger.correspondents().unwrap().into_iter();
            let (escrow, vault) = chain.ledger.pots().unwrap();
            let holdings = Holdings {
                supply: chain.supply,
                total: chain.ledger.total().unwrap(),
                escrow,
                vault,
                covered_and_float: chain.ledger.covered_and_float().unwrap(),
                accounts: accounts.map(|(peer, asset, held)| ((peer, asset), held)).collect(),
                record: self.record(*id).await,
            };
            chains.insert(*id, holdings);
        }
        Inventory { chains, copies: sites.iter().map(|site| copies(site)).collect() }
    }

    /// Checks that everything has ended and adds up, and tells how.
    pub async fn audit(&self, sites: &[&Site]) -> Tally {
        let Findings { tally, wrong, .. } = self.inventory(sites).await.findings();
        let story = || self.story().join("\n");
        assert!(wrong.is_empty(), "{}\nthe story:\n{}", wrong.join("\n"), story());
        for site in sites {
            assert_eq!(site.waiting(), 0, "queue of {}: {}", site.chain, site.queue());
        }
        tally
    }
}

fn copies(site: &Site) -> Copies {
    let rows = site.gateway.spool.read(|tx| tx.accounts()).unwrap().into_iter();
    let accounts = rows.map(|(peer, asset, row)| {
        let copy = AccountCopy {
            account: row.account,
            journal: sum_of(&site.journal(peer, asset.as_str())),
            row: site.waiting_for_room(peer, asset.as_str()).len(),
        };
        ((peer, asset), copy)
    });
    Copies { of: (site.chain, site.n), waiting: site.waiting(), accounts: accounts.collect() }
}

impl Inventory {
    /// What accounts, escrow and vault of all chains add up to: at first, and now.
    #[must_use]
    pub fn value(&self) -> (Amount, Amount) {
        let sum = |of: fn(&Holdings) -> Amount| {
            self.chains.values().map(of).fold(Amount::ZERO, Amount::saturating_add)
        };
        (sum(|chain| chain.supply), sum(|chain| chain.total))
    }

    /// Judges it.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        for (id, chain) in &self.chains {
            let Holdings { supply, total, escrow, vault, .. } = chain;
            let (covered, float) = chain.covered_and_float;
            let covers = chain.accounts.values().map(Account::cover);
            let covers = covers.fold(Amount::ZERO, Amount::saturating_add);
            findings.expect(supply == total, || format!("{id} has {total}, had {supply} at first"));
            findings.expect(escrow.is_zero(), || format!("{escrow} are in the escrow of {id}"));
            findings.expect(covered == covers && covered.saturating_add(float) == *vault, || {
                format!("vault of {id} is {vault}: {covered} + {float}, covers are {covers}")
            });
        }
        self.ends(&mut findings);
        let (received, sent) = self.moved();
        for (id, chain) in &self.chains {
            for (name, account) in &chain.accounts {
                let wrong = self.account(*id, name, account.figures, &received, &sent);
                findings
                    .account(|| format!("account of {id} with {} in {}", name.0, name.1), wrong);
            }
        }
        for copies in &self.copies {
            let ((id, n), waiting) = (copies.of, copies.waiting);
            findings.expect(waiting == 0, || format!("{waiting} messages wait at {id}/{n}"));
            let held = &self.chains[&id].accounts;
            let names: BTreeSet<&Name> = held.keys().chain(copies.accounts.keys()).collect();
            for name in names {
                let wrong = copy(held.get(name), copies.accounts.get(name));
                let who =
                    || format!("copy of {id}/{n} of the account with {} in {}", name.0, name.1);
                findings.account(who, wrong);
            }
        }
        findings
    }

    /// How each message ended: once at its source, once at its destination, alike.
    fn ends(&self, findings: &mut Findings) {
        for (source, chain) in &self.chains {
            for message in &chain.record.sent {
                let (id, to) = (message.id(), message.fields().destination);
                let here = chain.record.ends.get(&id).map_or(&[][..], Vec::as_slice);
                let there = self.chains.get(&to).and_then(|there| there.record.ends.get(&id));
                let there = there.map_or(&[][..], Vec::as_slice);
                match (here, there) {
                    (["closed"], ["delivered"]) => findings.tally.delivered += 1,
                    (["refunded"], ["voided"]) => findings.tally.refunded += 1,
                    (["refunded"], []) => findings.tally.unroutable += 1,
                    (here, there) => {
                        findings.pending += usize::from(here.is_empty() && there.len() < 2);
                        findings.wrong.push(format!(
                            "{id} of {source} ended {here:?} there, {there:?} at its destination {to}"
                        ));
                    }
                }
            }
        }
    }

    /// What was delivered and what was closed, by destination or source, peer and asset, as the
    /// blocks say.
    fn moved(&self) -> (Moved, Moved) {
        let (mut received, mut sent) = (Moved::new(), Moved::new());
        for (source, chain) in &self.chains {
            for message in &chain.record.sent {
                let Some(value) = &message.fields().value else { continue };
                let (id, to) = (message.id(), message.fields().destination);
                let said = |chain: &Holdings, word| {
                    let said = chain.record.ends.get(&id).into_iter().flatten();
                    said.filter(|said| **said == word).count()
                };
                let add = |moved: &mut Moved, place: ChainId, peer: ChainId, times: usize| {
                    let sum = moved.entry((place, (peer, value.asset.clone()))).or_default();
                    for _ in 0..times {
                        *sum = sum.saturating_add(value.amount);
                    }
                };
                let there = self.chains.get(&to).map_or(0, |there| said(there, "delivered"));
                add(&mut received, to, *source, there);
                add(&mut sent, *source, to, said(chain, "closed"));
            }
        }
        (received, sent)
    }

    /// What is wrong with a chain's account.
    fn account(
        &self,
        chain: ChainId,
        name: &Name,
        figures: Figures,
        received: &Moved,
        sent: &Moved,
    ) -> Vec<String> {
        let (peer, asset) = name;
        let mirror = self.chains.get(peer).and_then(|peer| {
            peer.accounts.get(&(chain, asset.clone())).map(|account| account.figures)
        });
        let mirror = mirror.unwrap_or_default();
        let moved = |moved: &Moved| moved.get(&(chain, name.clone())).copied().unwrap_or_default();
        let pairs = [
            ("received", figures.received, "the peer's sent", mirror.sent),
            ("sent", figures.sent, "the peer's received", mirror.received),
            ("received", figures.received, "delivered by the blocks", moved(received)),
            ("sent", figures.sent, "closed by the blocks", moved(sent)),
            ("pending_in", figures.pending_in, "nothing", Amount::ZERO),
            ("pending_out", figures.pending_out, "nothing", Amount::ZERO),
        ];
        let unequal = pairs.into_iter().filter(|(_, found, _, expected)| found != expected);
        unequal
            .map(|(one, found, other, expected)| format!("{one} is {found}, {other} is {expected}"))
            .collect()
    }
}

/// Sums by chain, and by the account there.
type Moved = BTreeMap<(ChainId, Name), Amount>;

/// What is wrong with a gateway's copy: it is the chain's own account, and the sum of its journal.
fn copy(held: Option<&Account>, copy: Option<&AccountCopy>) -> Vec<String> {
    let held = held.copied().unwrap_or_default();
    let none = AccountCopy { account: Account::default(), journal: Figures::default(), row: 0 };
    let AccountCopy { account, journal, row } = copy.unwrap_or(&none);
    let mut wrong = Vec::new();
    if (account.figures, account.terms, account.limits) != (held.figures, held.terms, held.limits) {
        wrong.push(format!("copy is {account:?}, the chain's is {held:?}"));
    }
    if account.figures != *journal {
        wrong.push(format!("figures are {:?}, the journal's sum {journal:?}", account.figures));
    }
    if *row > 0 {
        wrong.push(format!("{row} messages wait for room"));
    }
    wrong
}

impl Findings {
    fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.wrong.push(otherwise());
        }
    }

    fn account(&mut self, who: impl Fn() -> String, wrong: Vec<String>) {
        self.accounts_unequal += usize::from(!wrong.is_empty());
        self.wrong.extend(wrong.into_iter().map(|what| format!("{}: {what}", who())));
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
