//! What operators and users do where an account runs full, or a deposit is not needed any more.

use distpos_gateway::chain::{
    LocalChain, Submission,
    ledger::{Ledger, address, transaction},
};
use distpos_proto::{
    account::{Account, Change},
    amount::Amount,
    chain::ChainId,
};
use futures_util::future::join_all;

use super::{Economy, faults::Fault, market::purse};
use crate::simulation::world::{ASSET, amount};

/// From here on an account is strained.
const STRAINED_PERCENT: u8 = 80;
/// What a settlement makes room for beyond what waits.
const ROOM: u64 = 600;

/// What a settlement of one account is to do.
enum Need {
    /// Nothing.
    None,
    /// The reserve is to grow by so much.
    Room(u64),
    /// So much of the reserve is not needed.
    Less(Amount),
}

impl Economy {
    /// Makes room in every account that is strained: a user deposits, or the operator notes a
    /// settlement elsewhere. Gives some deposits back where nothing is owed.
    pub(super) async fn settle(&mut self) {
        let mut all = Vec::new();
        for id in self.ids() {
            let ledger = self.world.chains[&id].ledger.clone();
            let works = self.works(id).await;
            all.extend(works.into_iter().map(|work| submit(ledger.clone(), work)));
        }
        let done = join_all(all).await;
        self.witness.count(Fault::Settlements, done.into_iter().filter(|done| *done).count());
    }

    /// What is to be done about a chain's accounts.
    async fn works(&mut self, id: ChainId) -> Vec<Submission> {
        let user = self.below(self.world.chains[&id].users.len());
        let accounts = self.world.chains[&id].ledger.correspondents();
        let accounts = accounts.expect("a ledger in memory answers");
        let mut held = purse(&self.world.chains[&id], user) / 2;
        let mut needs = Vec::new();
        for (peer, asset, account) in accounts {
            if asset.as_str() != ASSET {
                continue;
            }
            let need = self.need(id, peer, &account);
            let by_user = matches!(need, Need::Room(sum) if sum <= held) && self.once_in(2);
            if let (Need::Room(sum), true) = (&need, by_user) {
                held -= sum;
            }
            needs.push((peer, asset, need, by_user));
        }
        let chain = &self.world.chains[&id];
        let mut place = chain.place(&chain.users[user]).await;
        let mut works = Vec::new();
        for (peer, asset, need, by_user) in needs {
            works.push(match need {
                Need::None => continue,
                Need::Room(sum) if by_user => {
                    let (at, sum, key) = (place, amount(sum), &chain.users[user]);
                    place.nonce += 1;
                    Submission::User(transaction::deposit(at, peer, asset, sum, key))
                }
                Need::Room(sum) => Submission::Settle {
                    chain: peer,
                    asset,
                    change: Change::Added(amount(sum)),
                    to: None,
                    note: "paid elsewhere".to_owned(),
                },
                Need::Less(sum) => Submission::Settle {
                    chain: peer,
                    asset,
                    change: Change::Taken(sum),
                    to: Some(address::local(&chain.users[user].public())),
                    note: "not needed any more".to_owned(),
                },
            });
        }
        works
    }

    fn need(&mut self, id: ChainId, peer: ChainId, account: &Account) -> Need {
        let site = self.sites.iter().find(|site| site.chain == id);
        let waiting = site.map_or(Amount::ZERO, |site| site.wanted(peer, ASSET));
        if !waiting.is_zero() || account.used_percent() >= STRAINED_PERCENT {
            let waiting = waiting.to_u128().and_then(|sum| u64::try_from(sum).ok());
            return Need::Room(waiting.unwrap_or(0).saturating_add(ROOM));
        }
        let half = account.figures.reserve.divided(2);
        match account.owed().is_zero() && !half.is_zero() && self.once_in(8) {
            true => Need::Less(half),
            false => Need::None,
        }
    }
}

/// Whether the ledger took it. A float that is too low for a settlement is no fault: next time a
/// user may deposit.
async fn submit(ledger: std::sync::Arc<Ledger>, work: Submission) -> bool {
    ledger.submit(work).await.is_ok()
}
