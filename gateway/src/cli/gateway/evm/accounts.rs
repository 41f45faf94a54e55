//! `distpos-gateway evm account, settle, deposit`: what is counted with a peer, at the contract. A
//! command changes what it names and nothing else, and prints what was and what is.

use std::time::Duration;

use alloy_primitives::Address;
use clap::{ArgGroup, Args};
use distpos_proto::{
    account::{Change, Window},
    amount::Amount,
    chain::ChainId,
    message::{Asset, TermsHash},
};
use serde_json::{Value as Json, json};

use super::{
    super::{Exit, Failure, accounts::whole_seconds, say, say_json},
    Owner, account as address,
    owner::Act,
    signed,
};
use crate::{
    admin::Reason,
    chain::evm::{AccountChange, AccountMove, AccountStatus, Operator, TermsChange, user::Wallet},
    cli::{amount, evm_key},
};

/// Longest note that goes onto the chain with a settlement, in bytes.
const NOTE_BYTES_MAX: usize = 200;

/// Which account.
#[derive(Args)]
struct Which {
    /// The peer's chain-id.
    chain: ChainId,
    /// What is counted, such as e2e4/coin.
    asset: Asset,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct AccountArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    act: Act,
    /// What backs it here: an ERC-20 contract, or coin. Said when it is opened; it never changes.
    #[arg(long, value_name = "0x…|coin", value_parser = token)]
    token: Option<Address>,
    /// The hash of the terms that both sides signed: opens the account, or changes its terms.
    #[arg(long, value_name = "64 HEX DIGITS", conflicts_with = "close")]
    terms: Option<TermsHash>,
    /// Most that may arrive beyond what has left and what the peer has deposited, in the smallest
    /// unit or, for the coin, with a unit; 0, fully prefunded, unless it was ever said.
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    credit_limit: Option<String>,
    /// Most that may arrive within the window.
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    window_max: Option<String>,
    /// How long a used-up --window-max takes to be free again, such as 24h; 0s: no window.
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    window: Option<Duration>,
    /// Close it: no value arrives from the peer any more. Its figures stay.
    #[arg(long)]
    close: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("sum").args(["add", "take"]).required(true)))]
pub(in crate::cli::gateway) struct SettleArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    act: Act,
    /// Add to the peer's reserve here, out of the community's own float: it has paid elsewhere.
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    add: Option<String>,
    /// Take from it: it was paid elsewhere, or is paid now --to an account.
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    take: Option<String>,
    /// Who is paid what is taken; without it, it becomes the community's float.
    #[arg(long, value_name = "0x…", value_parser = payee, requires = "take")]
    to: Option<Address>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(in crate::cli::gateway) struct DepositArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    owner: Owner,
    /// The contract.
    #[arg(long, value_name = "0x…", value_parser = address)]
    contract: Address,
    /// How much, in the smallest unit or, for the coin, with a unit (1.5eth).
    #[arg(long, allow_hyphen_values = true)]
    amount: String,
    /// Refuse unless the account is backed by this ERC-20 contract, or by the coin.
    #[arg(long, value_name = "0x…|coin", value_parser = token)]
    token: Option<Address>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn account(arguments: &AccountArguments) -> Result<Exit, Failure> {
    let Which { chain, asset } = &arguments.which;
    let (operator, contract) = arguments.act.connect().await?;
    let before = operator.account(contract, *chain, asset).await?;
    if arguments.terms.is_some() && before.terms.is_none() && arguments.token.is_none() {
        return Err(Failure::usage(format_args!(
            "the account with {chain} in {asset} is not open: say what backs it here for good, \
             --token 0x… or --token coin"
        )));
    }
    let token = arguments.token.unwrap_or(before.token);
    let sum = |text: &Option<String>| -> Result<Option<Amount>, Failure> {
        text.as_deref().map(|text| sum(text, token)).transpose()
    };
    let change = AccountChange {
        token: arguments.token,
        terms: match (arguments.terms, arguments.close) {
            (Some(terms), _) => Some(TermsChange::Agreed(terms)),
            (None, true) => Some(TermsChange::Closed),
            (None, false) => None,
        },
        credit_limit: sum(&arguments.credit_limit)?,
        window_max: sum(&arguments.window_max)?,
        window_seconds: arguments.window.map(|window| window.as_secs()),
    };
    checked(&change)?;
    let changed = operator.change_account(contract, *chain, asset, &change).await?;
    told(&changed, arguments.act.reason.as_str(), arguments.json)
}

pub(super) async fn settle(arguments: &SettleArguments) -> Result<Exit, Failure> {
    let Which { chain, asset } = &arguments.which;
    let reason = note(&arguments.act.reason)?;
    let (operator, contract) = arguments.act.connect().await?;
    let before = operator.account(contract, *chain, asset).await?;
    let change = match (&arguments.add, &arguments.take) {
        (Some(text), _) => Change::Added(more(sum(text, before.token)?, "--add")?),
        (None, Some(text)) => Change::Taken(more(sum(text, before.token)?, "--take")?),
        (None, None) => return Err(Failure::usage("expected --add or --take")),
    };
    let which = (*chain, asset);
    let settled = operator.settle(contract, which, change, arguments.to, reason).await?;
    told(&settled, reason, arguments.json)
}

pub(super) async fn deposit(arguments: &DepositArguments) -> Result<Exit, Failure> {
    let Which { chain, asset } = &arguments.which;
    let Owner { rpc, key, password } = &arguments.owner;
    let key = evm_key::load(key, password.as_deref())?;
    let contract = arguments.contract;
    let operator = Operator::connect(rpc, key.clone()).await?;
    operator.check_contract(contract).await?;
    operator.check_idle().await?;
    let wallet = Wallet::connect(rpc, key).await?;
    let found = wallet.reader().peer_account(contract, *chain, asset).await?;
    if let Some(token) = arguments.token
        && token != found.token
    {
        let what = format!(
            "--token is {}, the account is backed by {}",
            token_word(token),
            found.backing()
        );
        return Err(Failure::usage(what));
    }
    let sum = more(sum(&arguments.amount, found.token)?, "--amount")?;
    let (_, paid) = wallet.deposit(contract, (*chain, asset), sum, &signed).await?;
    told(&paid, "a deposit", arguments.json)
}

/// A sum of what backs the account.
fn sum(text: &str, token: Address) -> Result<Amount, Failure> {
    amount::parse(text, token.is_zero()).map_err(Failure::usage)
}

fn more(sum: Amount, flag: &str) -> Result<Amount, Failure> {
    match sum.is_zero() {
        true => Err(Failure::usage(format_args!("{flag} is 0, expected more"))),
        false => Ok(sum),
    }
}

/// Refuses a window that is none: what `distpos-gateway account limit` refuses on a ledger, too.
pub(in crate::cli::gateway) fn checked(change: &AccountChange) -> Result<(), Failure> {
    match (change.window_max, change.window_seconds) {
        (Some(max), _) if max.is_zero() => {
            Err(Failure::usage("--window-max is 0, expected more; --window 0s takes it away"))
        }
        (Some(_), Some(0)) => {
            Err(Failure::usage("--window-max stands beside --window 0s, which takes it away"))
        }
        _ => Ok(()),
    }
}

/// A reason that goes onto the chain.
pub(in crate::cli::gateway) fn note(reason: &Reason) -> Result<&str, Failure> {
    match reason.as_str().len() {
        0..=NOTE_BYTES_MAX => Ok(reason.as_str()),
        found => Err(Failure::usage(format_args!(
            "--reason has {found} bytes, expected at most {NOTE_BYTES_MAX}: it goes onto the chain"
        ))),
    }
}

/// What backs an account; zero is the coin.
fn token(text: &str) -> Result<Address, String> {
    match text {
        "coin" => Ok(Address::ZERO),
        contract => address(contract).map_err(|what| format!("{what}; or coin")),
    }
}

/// The same, as it is typed.
pub(in crate::cli::gateway) fn token_word(token: Address) -> String {
    if token.is_zero() { "coin".into() } else { token.to_checksum(None) }
}

/// Who is paid. Zero is nobody: the contract reads it as "becomes float".
pub(in crate::cli::gateway) fn payee(text: &str) -> Result<Address, String> {
    match address(text)? {
        Address::ZERO => Err("found the zero address, which is nobody's".into()),
        payee => Ok(payee),
    }
}

/// Tells what changed, and why.
pub(in crate::cli::gateway) fn told(
    moved: &AccountMove,
    reason: &str,
    as_json: bool,
) -> Result<Exit, Failure> {
    let AccountMove { before, after } = moved;
    if as_json {
        say_json(&json!({ "before": view(before), "after": view(after), "reason": reason }))?;
        return Ok(Exit::Done);
    }
    let changes = changes(before, after);
    let what = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
    say(format_args!("{} {} ({}): {what}: {reason}", after.chain, after.asset, after.backing()))?;
    Ok(Exit::Done)
}

/// `credit_limit 0 -> 5` and the like, of all that differs.
fn changes(before: &AccountStatus, after: &AccountStatus) -> Vec<String> {
    let pairs = [
        ("terms", terms(before), terms(after)),
        ("credit_limit", limit(before.limits.credit_limit), limit(after.limits.credit_limit)),
        ("window", window(before.limits.window), window(after.limits.window)),
        ("reserve", before.figures.reserve.to_string(), after.figures.reserve.to_string()),
    ];
    let changed = pairs.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(name, before, after)| format!("{name} {before} -> {after}")).collect()
}

pub(super) fn terms(account: &AccountStatus) -> String {
    account.terms.map_or("none (closed)".into(), |terms| terms.to_string())
}

pub(super) fn limit(limit: Amount) -> String {
    if limit == Amount::MAX { "unlimited".into() } else { limit.to_string() }
}

pub(super) fn window(window: Option<Window>) -> String {
    window.map_or("none".into(), |window| format!("{} in {} s", limit(window.max), window.seconds))
}

/// An account, with sums as texts: JSON's numbers cannot hold them.
pub(super) fn view(account: &AccountStatus) -> Json {
    let AccountStatus { figures, limits, .. } = account;
    json!({
        "chain": account.chain.to_string(),
        "asset": account.asset.to_string(),
        "token": account.token.to_string(),
        "open": account.terms.is_some(),
        "terms": account.terms.map(|terms| terms.to_string()),
        "credit_limit": limit(limits.credit_limit),
        "window_max": limits.window.map(|window| limit(window.max)),
        "window_seconds": limits.window.map(|window| window.seconds),
        "window_used": account.window_used.to_string(),
        "reserve": figures.reserve.to_string(),
        "received": figures.received.to_string(),
        "sent": figures.sent.to_string(),
        "pending_out": figures.pending_out.to_string(),
        "cover": account.cover().to_string(),
    })
}
