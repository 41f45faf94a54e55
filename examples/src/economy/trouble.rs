//! What goes wrong in a round, and is well again after it.

use std::sync::{Mutex, PoisonError};

use distpos_proto::wire::RequestKind;
use distpos_resolver::{Fault as DnsFault, LookupFailure};
use distpos_spool::Spool;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Economy, family, faults::Fault};
use crate::simulation::network::{Call, Fate};

/// Kinds of rounds; they come in turn.
pub(super) const KINDS: usize = 8;
/// Of a hundred calls of a bad round so many are not heard, and of as many the answer is not.
const LOST_PERCENT: u64 = 15;
/// One of so many proofs is changed, where proofs are.
const PROOFS_CHANGED: u64 = 3;
/// How many gateways are struck at once, at most.
const STRUCK_MAX: usize = 3;

impl Economy {
    /// Lets something go wrong.
    pub(super) async fn begin_trouble(&mut self, round: usize) {
        match round % KINDS {
            1 => self.lose_calls(|call| call.kind != RequestKind::Receipts),
            2 => {
                // A gateway that has just started knows no route, and has to ask.
                let struck = self.struck();
                self.world.zone.fail("", DnsFault::Fails(LookupFailure::ServFail));
                drop(self.world.zone.take_asked());
                self.dns_fails = true;
                for at in struck {
                    self.restart(at, false).await;
                }
            }
            3 => {
                for at in self.struck() {
                    self.world.network.set_down(self.sites[at].address, true);
                    self.witness.count(Fault::GatewaysDown, 1);
                }
            }
            4 => self.change_proofs(),
            5 => self.lose_calls(|call| call.kind == RequestKind::Receipts),
            _ => {}
        }
    }

    /// Lets something go wrong while messages are under way.
    pub(super) async fn amid(&mut self, round: usize) {
        match round % KINDS {
            6 => {
                for at in self.struck() {
                    self.restart(at, false).await;
                }
            }
            7 => {
                let at = self.below(self.sites.len());
                self.restart(at, true).await;
            }
            _ if self.once_in(3) => {
                let at = self.below(self.sites.len());
                self.restart(at, false).await;
            }
            _ => {}
        }
    }

    /// Ends what was begun.
    pub(super) fn end_trouble(&mut self) {
        let asked = self.world.zone.take_asked().len();
        if std::mem::take(&mut self.dns_fails) {
            self.witness.count(Fault::DnsFailures, asked);
        }
        self.world.zone.heal();
        self.world.network.heal();
        for site in &self.sites {
            self.world.network.set_down(site.address, false);
        }
    }

    /// Some gateways.
    fn struck(&mut self) -> Vec<usize> {
        let count = 1 + self.below(STRUCK_MAX);
        (0..count).map(|_| self.below(self.sites.len())).collect()
    }

    /// Kills a gateway, and starts it again after a moment, with its spool or without.
    async fn restart(&mut self, at: usize, loses_spool: bool) {
        let site = self.sites.remove(at);
        let (chain, n) = (site.chain, site.n);
        let spool = site.kill();
        self.pass(0..1_500).await;
        let (spool, fault) = match loses_spool {
            true => (Spool::in_memory(), Fault::SpoolsLost),
            false => (spool, Fault::Restarts),
        };
        let site = self.world.start_with(&chain.to_string(), n, family(chain), spool);
        self.sites.insert(at, site);
        self.witness.count(fault, 1);
    }

    /// Some of these calls are lost from now on, one way or the other.
    fn lose_calls(&mut self, which: fn(&Call) -> bool) {
        let (witness, dice) = (self.witness.clone(), self.dice());
        self.world.network.fates(move |call| {
            if !which(call) {
                return Fate::Arrives;
            }
            let (fate, fault) = match throw(&dice) % 100 {
                n if n < LOST_PERCENT => (Fate::RequestLost, Fault::RequestsLost),
                n if n < 2 * LOST_PERCENT => (Fate::AnswerLost, Fault::AnswersLost),
                _ => return Fate::Arrives,
            };
            let is_receipt = call.kind == RequestKind::Receipts;
            witness.count(if is_receipt { Fault::ReceiptsLost } else { fault }, 1);
            fate
        });
    }

    /// A bit of some proofs is changed from now on.
    fn change_proofs(&mut self) {
        let dice = self.dice();
        self.world.network.meddle_with_answers(move |call, mut body| {
            if call.kind == RequestKind::Proofs && throw(&dice).is_multiple_of(PROOFS_CHANGED) {
                let at = throw(&dice) % body.len().max(1) as u64;
                if let Some(byte) = usize::try_from(at).ok().and_then(|at| body.get_mut(at)) {
                    *byte ^= 1;
                }
            }
            body
        });
    }

    fn dice(&mut self) -> Mutex<ChaCha8Rng> {
        Mutex::new(ChaCha8Rng::seed_from_u64(self.random.next_u64()))
    }
}

fn throw(dice: &Mutex<ChaCha8Rng>) -> u64 {
    dice.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
}
