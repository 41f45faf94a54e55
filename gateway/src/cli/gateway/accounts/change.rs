//! What changes accounts.

use std::time::{Duration, Instant};

use super::{
    ActArguments, AdminClient, Exit, Failure, LimitArguments, Limits, MarkArguments, OpenArguments,
    OwnerKey, SettleArguments, Which, contract::Contract, say, say_json,
};
use crate::{
    admin::{
        AccountDetail, AccountState, DoneView, LimitAsked, LimitsAsked, OpenAsked, Reasoned,
        SettleAsked,
    },
    config::{Config, Node},
};

/// How often it is looked whether the peer has signed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn open(arguments: &OpenArguments) -> Result<Exit, Failure> {
    let OpenArguments { which, why, limits, owner, .. } = arguments;
    let config = which.from.load()?;
    is_for_evm(&config, owner)?;
    let admin = AdminClient::new(&config);
    let asked = OpenAsked {
        reason: why.reason.to_string(),
        terms: arguments.terms.map(|terms| terms.to_string()),
        backing: arguments.backing.map(|backing| backing.to_string()),
        peer_backing: arguments.peer_backing.map(|backing| backing.to_string()),
        decimals: arguments.decimals,
        limits: limits.asked(),
    };
    let path = format!("{}/open", which.path());
    let mut done: DoneView = admin.post(&path, &asked).await?;
    if let Some(wait) = arguments.wait.filter(|_| !is_agreed(done.state)) {
        if !which.json {
            told(&done)?;
        }
        agreed(&admin, which, wait).await?;
        done = admin.post(&path, &asked).await?;
    }
    let is_late = arguments.wait.is_some() && !is_agreed(done.state);
    match Contract::of(&config).filter(|_| done.state == AccountState::Agreed) {
        Some(contract) => contract.open(which, &why.reason, owner, done).await?,
        None => tell(which, &done)?,
    }
    Ok(if is_late { Exit::Temporary } else { Exit::Done })
}

fn is_agreed(state: AccountState) -> bool {
    !matches!(state, AccountState::Awaiting | AccountState::Proposed | AccountState::Closed)
}

/// Waits until the peer has signed the same terms, or the time is up.
async fn agreed(admin: &AdminClient, which: &Which, wait: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        let view: Option<AccountDetail> = admin.get(&format!("{}?entries=0", which.path())).await?;
        if view.is_some_and(|view| is_agreed(view.line.state)) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

pub(super) async fn limit(arguments: &LimitArguments) -> Result<Exit, Failure> {
    let LimitArguments { which, why, limits, owner } = arguments;
    let config = which.from.load()?;
    is_for_evm(&config, owner)?;
    let limits = limits.asked();
    if limits == LimitsAsked::default() {
        let what = "no limit is named: --credit-limit, --window-max, --window";
        return Err(Failure::usage(what));
    }
    if let Some(contract) = Contract::of(&config) {
        contract.limit(which, &why.reason, owner, &limits).await?;
        return Ok(Exit::Done);
    }
    let body = LimitAsked { reason: why.reason.to_string(), limits };
    act(&config, which, "limit", &body).await
}

pub(super) async fn close(arguments: &ActArguments) -> Result<Exit, Failure> {
    let ActArguments { which, why, owner } = arguments;
    let config = which.from.load()?;
    is_for_evm(&config, owner)?;
    if let Some(contract) = Contract::of(&config) {
        contract.close(which, &why.reason, owner).await?;
        return Ok(Exit::Done);
    }
    act(&config, which, "close", &Reasoned { reason: why.reason.to_string() }).await
}

pub(super) async fn settle(arguments: &SettleArguments) -> Result<Exit, Failure> {
    let SettleArguments { which, why, add, take, to, owner } = arguments;
    let config = which.from.load()?;
    is_for_evm(&config, owner)?;
    let body = SettleAsked {
        reason: why.reason.to_string(),
        add: add.map(|amount| amount.to_string()),
        take: take.map(|amount| amount.to_string()),
        to: to.as_ref().map(ToString::to_string),
    };
    if let Some(contract) = Contract::of(&config) {
        contract.settle(which, &why.reason, owner, &body).await?;
        return Ok(Exit::Done);
    }
    act(&config, which, "settle", &body).await
}

pub(super) async fn mark(arguments: &MarkArguments, act_word: &str) -> Result<Exit, Failure> {
    let MarkArguments { which, why } = arguments;
    let body = Reasoned { reason: why.reason.to_string() };
    act(&which.from.load()?, which, act_word, &body).await
}

/// Has the running gateway do it.
async fn act(
    config: &Config,
    which: &Which,
    act: &str,
    body: &impl serde::Serialize,
) -> Result<Exit, Failure> {
    let admin = AdminClient::new(config);
    let done: DoneView = admin.post(&format!("{}/{act}", which.path()), body).await?;
    tell(which, &done)?;
    Ok(Exit::Done)
}

/// A key that is not needed was not meant for this gateway.
fn is_for_evm(config: &Config, owner: &OwnerKey) -> Result<(), Failure> {
    match (&config.chain.node, &owner.key) {
        (Node::Ledger(_), Some(_)) => Err(Failure::usage(format_args!(
            "--key is for an EVM chain; {} is a ledger, which this gateway's own key signs for",
            config.chain.id
        ))),
        (Node::Ledger(_) | Node::Evm(_), _) => Ok(()),
    }
}

pub(super) fn tell(which: &Which, done: &DoneView) -> Result<(), Failure> {
    if which.json { say_json(done) } else { told(done) }
}

fn told(done: &DoneView) -> Result<(), Failure> {
    let DoneView { chain, asset, state, terms, limits, transaction, note, .. } = done;
    say(format_args!("account      {asset} with {chain}: {}", state.word()))?;
    if let Some(terms) = terms {
        say(format_args!("terms        {terms}"))?;
    }
    if let Some(LimitsAsked { credit_limit: Some(credit), window_max, window_seconds }) = limits {
        say(format_args!("credit limit {credit}"))?;
        if let (Some(max), Some(seconds)) = (window_max, window_seconds) {
            say(format_args!("window       {max} in {seconds} s"))?;
        }
    }
    if let Some(transaction) = transaction {
        say(format_args!("transaction  {transaction}"))?;
    }
    note.iter().try_for_each(say)
}

impl Limits {
    fn asked(&self) -> LimitsAsked {
        LimitsAsked {
            credit_limit: self.credit_limit.map(|amount| amount.to_string()),
            window_max: self.window_max.map(|amount| amount.to_string()),
            window_seconds: self.window.map(|window| window.as_secs()),
        }
    }
}
