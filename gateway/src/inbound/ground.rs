//! What the checks of one source chain's messages go by: the operator's word, and what the spool
//! knows of its accounts.

use std::sync::Arc;

use distpos_proto::{
    account::{Bucket, Window},
    chain::{ChainId, Family},
    code::{Code, Reply},
    light::Trusted,
    message::{Asset, Message},
    policy::{self, AccountSettings, Case, Check, Decision, Failing, GasBudget, Own},
    stage::Proven,
    time::{UnixMillis, UnixSeconds},
    trust::TrustLevel,
};
use distpos_spool::{AccountRow, SpoolError, Tx};

use crate::{config, gateway::Gateway, standing, trust::dns};

/// When a message is looked at again that the copy of its account refuses and the chain does not: by
/// then a block or two more are final.
const BEHIND_SECONDS: u32 = 5;

/// Whether it is the copy of an account that refuses for good: the chain may know better.
pub(super) fn refuses_by_copy(failing: &Failing) -> bool {
    matches!(failing.check, Check::Account | Check::Window) && failing.reply.code.may_void()
}

/// What is the same for all messages of a round.
pub(super) struct Ground {
    pub(super) source: ChainId,
    pub(super) own: Own,
    /// The local chain's time.
    pub(super) now: UnixSeconds,
    /// This gateway's own, by which standing is counted.
    at: UnixMillis,
    family: Family,
    trust: TrustLevel,
    policy: Arc<config::Policy>,
    settings: Arc<dyn Fn(&Asset) -> AccountSettings + Send + Sync>,
    gas: Window,
}

/// What the spool knows that concerns one message.
struct Known {
    account: Option<AccountRow>,
    is_admitted: bool,
    ahead: Option<u64>,
    settings: AccountSettings,
    gas: Option<GasBudget>,
    standing: Option<Reply>,
}

impl Ground {
    /// What holds now for messages of this chain.
    pub(super) fn of(gateway: &Gateway, trusted: &Trusted, now: UnixSeconds) -> Self {
        let (source, correspondents) = (trusted.chain, gateway.correspondents.clone());
        let budget = correspondents.gas_budget(source, gateway.facts().family);
        Self {
            source,
            own: gateway.own(),
            now,
            at: gateway.now(),
            family: trusted.family,
            // Nobody is believed for less; who is believed no more is stopped elsewhere.
            trust: dns::believed(gateway, source).map_or(TrustLevel::Pinned, |it| it.level),
            policy: correspondents.policy(),
            settings: Arc::new(move |asset| correspondents.account(source, asset).settings()),
            gas: Window { max: budget.max.into(), seconds: budget.window.as_secs().max(1) },
        }
    }

    /// The first check that a message fails for which nobody has to be asked. `ahead` is the first
    /// message that waits for room in its account.
    pub(super) fn failing(
        &self,
        tx: &Tx<'_>,
        message: &Message,
        ahead: Option<u64>,
    ) -> Result<Option<Failing>, SpoolError> {
        let known = Known { ahead, ..self.known(tx, message)? };
        Ok(policy::failing(message, &self.case(&known, &[])))
    }

    /// What is to become of a proven message.
    pub(super) fn admit(
        &self,
        tx: &Tx<'_>,
        proven: Proven,
        found: &[Failing],
    ) -> Result<Decision, SpoolError> {
        let known = self.known(tx, proven.message())?;
        let case = self.case(&known, found);
        let doubted = policy::failing(proven.message(), &case).filter(refuses_by_copy);
        if let Some(Failing { reply, .. }) = doubted
            && !found.iter().any(|found| found.reply.code.may_void())
        {
            let text = format!("{}, as far as blocks are final", reply.text());
            let reply = Reply::new(Code::SUSPENDED, text).retry_after(BEHIND_SECONDS);
            return Ok(Decision::Waits(Failing { check: Check::Account, reply }));
        }
        Ok(policy::admit(proven, &case))
    }

    /// Counts what a message uses of its chain's gas.
    pub(super) fn take_gas(&self, tx: &mut Tx<'_>, message: &Message) -> Result<(), SpoolError> {
        let budget = self.budget(tx.gas(self.source)?);
        let used = budget.bucket.with(budget.window, budget.cost(message), self.now);
        tx.put_gas(self.source, used);
        Ok(())
    }

    fn budget(&self, bucket: Bucket) -> GasBudget {
        GasBudget { window: self.gas, bucket, delivery: config::GasBudget::MESSAGE }
    }

    /// What concerns a message. One that was admitted before has its room and has paid its gas, and
    /// is not held up for what its chain did since.
    fn known(&self, tx: &Tx<'_>, message: &Message) -> Result<Known, SpoolError> {
        let (id, fields) = (message.id(), message.fields());
        let is_admitted = tx.reserved(&id)?.is_some();
        let (gas, standing) = if is_admitted {
            (None, None)
        } else {
            let min = self.policy.standing_min;
            let standing = standing::deferral(tx, self.source, min, self.at)?;
            (Some(self.budget(tx.gas(self.source)?)), standing)
        };
        let Some(value) = &fields.value else {
            let settings = AccountSettings::default();
            return Ok(Known { account: None, is_admitted, ahead: None, settings, gas, standing });
        };
        let account = tx.account(fields.source, &value.asset)?;
        let ahead = tx.waiting(fields.source, &value.asset, 1)?.first().map(|w| w.sequence);
        let settings = (self.settings)(&value.asset);
        Ok(Known { account, is_admitted, ahead, settings, gas, standing })
    }

    fn case<'k>(&'k self, known: &'k Known, found: &'k [Failing]) -> Case<'k> {
        let row = known.account.as_ref();
        Case {
            own: self.own,
            now: self.now,
            family: self.family,
            trust: self.trust,
            account: row.map(|row| &row.account),
            is_admitted: known.is_admitted,
            is_suspended: row.is_some_and(|row| row.suspension.is_some()),
            ahead: known.ahead,
            settings: &known.settings,
            gas: known.gas,
            standing: known.standing.clone(),
            rules: &self.policy.rules,
            found,
        }
    }
}
