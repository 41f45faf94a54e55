//! Tells the operator when an account has come so far to one side that it is time to settle
//! (`settle_threshold`). People settle: nothing here moves money.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use distpos_proto::{
    account::{Account, Figures},
    amount::Amount,
};
use distpos_spool::SpoolError;
use tokio::time::sleep;

use super::Name;
use crate::{config::AccountPolicy, event::Event, gateway::Gateway, stop::Stop, watchdog::Task};

/// How often the accounts are looked at: settling takes hours.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Who owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debtor {
    /// More arrived here than left.
    Peer,
    /// More left here than arrived.
    Here,
}

/// What is owed beyond the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    debtor: Debtor,
    owed: Amount,
    threshold: Amount,
    pay_to: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { debtor, owed, threshold, pay_to } = self;
        match debtor {
            Debtor::Peer => write!(f, "the peer owes {owed}")?,
            Debtor::Here => write!(f, "{owed} is owed to the peer")?,
        }
        write!(f, ", settle_threshold is {threshold}: it is time to settle")?;
        match (debtor, pay_to) {
            (Debtor::Peer, Some(to)) => write!(f, "; the peer is to pay to {to}"),
            (Debtor::Peer | Debtor::Here, _) => Ok(()),
        }
    }
}

/// Looks at the accounts until asked to stop, and tells of each once while it stays so.
pub async fn run(gateway: Arc<Gateway>, stop: Stop) {
    let mut told = BTreeSet::new();
    while !stop.is_asked() {
        gateway.tasks.beat(Task::Settlement);
        // A spool that fails is told of by whoever has to write.
        if let Ok(found) = look(&gateway) {
            told.retain(|name| found.contains_key(name));
            for ((chain, asset), notice) in found {
                if told.insert((chain, asset.clone())) {
                    let what = format!("account {asset} with {chain}: {notice}");
                    gateway.emit(Event::Alert { what });
                }
            }
        }
        tokio::select! { biased;
            () = stop.asked() => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

fn look(gateway: &Gateway) -> Result<BTreeMap<Name, Notice>, SpoolError> {
    let accounts = gateway.spool.read(|tx| tx.accounts())?;
    let notices = accounts.into_iter().filter_map(|(chain, asset, row)| {
        let notice = notice(&row.account, &gateway.correspondents.account(chain, &asset))?;
        Some(((chain, asset), notice))
    });
    Ok(notices.collect())
}

/// Whether it is time: a pure decision. What the peer has deposited, or settled elsewhere, is paid.
fn notice(account: &Account, policy: &AccountPolicy) -> Option<Notice> {
    let threshold = policy.settle_threshold?;
    let Figures { received, sent, pending_out, .. } = account.figures;
    let here = sent.saturating_add(pending_out).saturating_sub(received);
    let (debtor, owed) = match account.owed().saturating_sub(account.figures.reserve) {
        owed if owed >= threshold => (Debtor::Peer, owed),
        _ if here >= threshold => (Debtor::Here, here),
        _ => return None,
    };
    Some(Notice { debtor, owed, threshold, pay_to: policy.settle_to.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(received: u64, sent: u64, threshold: Option<u64>) -> Option<String> {
        let figures = Figures {
            received: Amount::from(received),
            sent: Amount::from(sent),
            reserve: Amount::from(9u64),
            ..Figures::default()
        };
        let policy = AccountPolicy {
            settle_threshold: threshold.map(Amount::from),
            settle_to: Some("account 7".into()),
            ..AccountPolicy::default()
        };
        let account = Account { figures, ..Account::default() };
        notice(&account, &policy).map(|notice| notice.to_string())
    }

    #[test]
    fn it_is_time_to_settle_when_so_much_is_owed_on_either_side() {
        assert_eq!(found(1_000, 0, None), None);
        assert_eq!(found(158, 50, Some(100)), None, "nine of it are paid");
        assert_eq!(
            found(159, 50, Some(100)).unwrap(),
            "the peer owes 100, settle_threshold is 100: it is time to settle; the peer is to pay \
             to account 7"
        );
        assert_eq!(
            found(50, 151, Some(100)).unwrap(),
            "101 is owed to the peer, settle_threshold is 100: it is time to settle"
        );
    }
}
