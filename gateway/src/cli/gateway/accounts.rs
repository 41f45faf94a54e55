//! `distpos-gateway account`: the correspondent accounts of a running gateway.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};
use distpos_proto::{
    address::Local,
    amount::Amount,
    chain::ChainId,
    message::{Asset, TermsHash},
    terms::{Backing, Terms},
};

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    admin::Reason,
    config::text::{parse_asset, parse_duration, parse_sum},
};

mod change;
mod contract;
mod show;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Every account in one line: how it stands, its figures, and requests for reserve.
    List(ListArguments),
    /// One account with its terms, papers and journal.
    Show(ShowArguments),
    /// Sign an account's terms, and open it once the peer has signed the same.
    Open(OpenArguments),
    /// Change an account's limits.
    Limit(LimitArguments),
    /// Close an account: value from the peer is refused from then on. Its figures stay.
    Close(ActArguments),
    /// Note a settlement that happened elsewhere, or pay out of what the peer keeps here.
    Settle(SettleArguments),
    /// The newest statements of both sides, and how they compare.
    Statement(StatementArguments),
    /// Let value wait, whatever room there is.
    Suspend(MarkArguments),
    /// Let a suspended account go on; what waits is woken in order.
    Resume(MarkArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which account of which gateway.
#[derive(Args)]
struct Which {
    /// The peer's chain-id.
    chain: ChainId,
    /// What it counts in, such as e2e4/coin.
    #[arg(value_parser = parse_asset)]
    asset: Asset,
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why, for whoever reads the journal later.
#[derive(Args)]
struct Why {
    /// Why, in one line of up to 200 characters; it is kept with what was done.
    #[arg(long)]
    reason: Reason,
}

/// Why, for whoever reads the log later.
#[derive(Args)]
struct WhyLogged {
    /// Why, in one line of up to 200 characters; the gateway logs it, and on EVM it is printed with
    /// what was done.
    #[arg(long)]
    reason: Reason,
}

/// The key of the contract's owner, where the own chain is an EVM chain.
#[derive(Args)]
struct OwnerKey {
    /// On EVM: the file with the key of the contract's owner.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// File with the password of that key's keystore.
    #[arg(long, value_name = "FILE", requires = "key")]
    password: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    which: Which,
    /// How many entries of the journal.
    #[arg(long, default_value_t = 20)]
    entries: u64,
    /// From this entry on; the newest unless said otherwise.
    #[arg(long, value_name = "NUMBER")]
    since: Option<u64>,
}

/// Limits; what is not named stays as it is.
#[derive(Args)]
struct Limits {
    /// Most that may arrive beyond what has left and what the peer has deposited, in the asset's
    /// smallest unit; 0: fully prefunded.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_sum, allow_hyphen_values = true)]
    credit_limit: Option<Amount>,
    /// Most that may arrive within the window, in the asset's smallest unit.
    #[arg(long, value_name = "AMOUNT", value_parser = positive, allow_hyphen_values = true)]
    window_max: Option<Amount>,
    /// How long a used-up --window-max takes to be free again, such as 24h; 0s: no window.
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds)]
    window: Option<Duration>,
}

#[derive(Args)]
pub(super) struct OpenArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: WhyLogged,
    #[command(flatten)]
    limits: Limits,
    /// Agree with terms that the peer has signed: their hash, as `account show` prints it.
    #[arg(long, value_name = "64 HEX DIGITS", conflicts_with_all = ["backing", "peer_backing", "decimals"])]
    terms: Option<TermsHash>,
    /// What the asset is here: coin, ledger or erc20:<40 hex digits>; the chain's own coin unless
    /// said otherwise.
    #[arg(long)]
    backing: Option<Backing>,
    /// What it is on the peer's chain.
    #[arg(long, value_name = "BACKING")]
    peer_backing: Option<Backing>,
    /// Digits behind the point, for people; the issuer's coin's unless said otherwise.
    #[arg(long, value_name = "0-77", value_parser = clap::value_parser!(u8).range(..=i64::from(Terms::DECIMALS_MAX)))]
    decimals: Option<u8>,
    /// How long to wait for the peer's signature, such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    owner: OwnerKey,
}

#[derive(Args)]
pub(super) struct LimitArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: WhyLogged,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    owner: OwnerKey,
}

#[derive(Args)]
pub(super) struct ActArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: WhyLogged,
    #[command(flatten)]
    owner: OwnerKey,
}

#[derive(Args)]
#[command(group(ArgGroup::new("sum").args(["add", "take"]).required(true)))]
pub(super) struct SettleArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    /// The peer has paid so much elsewhere: its reserve here grows, out of the community's float.
    #[arg(long, value_name = "AMOUNT", value_parser = positive, allow_hyphen_values = true)]
    add: Option<Amount>,
    /// It was paid so much elsewhere, or is paid it now --to an account: its reserve here shrinks.
    #[arg(long, value_name = "AMOUNT", value_parser = positive, allow_hyphen_values = true)]
    take: Option<Amount>,
    /// Who is paid what is taken, on the own chain; without it, it becomes the community's float.
    #[arg(long, value_name = "ADDRESS", requires = "take")]
    to: Option<Local>,
    #[command(flatten)]
    owner: OwnerKey,
}

#[derive(Args)]
pub(super) struct StatementArguments {
    #[command(flatten)]
    which: Which,
    /// Make and send a new one now, instead of with the hour; needs --reason.
    #[arg(long, requires = "reason")]
    now: bool,
    /// Why, for --now.
    #[arg(long, requires = "now")]
    reason: Option<Reason>,
}

#[derive(Args)]
pub(super) struct MarkArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(arguments) => show::list(&arguments).await,
        Command::Show(arguments) => show::show(&arguments).await,
        Command::Statement(arguments) => show::statement(&arguments).await,
        Command::Open(arguments) => change::open(&arguments).await,
        Command::Limit(arguments) => change::limit(&arguments).await,
        Command::Close(arguments) => change::close(&arguments).await,
        Command::Settle(arguments) => change::settle(&arguments).await,
        Command::Suspend(arguments) => change::mark(&arguments, "suspend").await,
        Command::Resume(arguments) => change::mark(&arguments, "resume").await,
    }
}

impl Which {
    fn path(&self) -> String {
        format!("/v1/accounts/{}/{}", self.chain, self.asset)
    }
}

/// A sum of more than nothing.
fn positive(text: &str) -> Result<Amount, String> {
    match parse_sum(text)? {
        zero if zero.is_zero() => Err("found 0, expected more than zero".into()),
        sum => Ok(sum),
    }
}

/// What a chain counts time in.
pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    match duration.subsec_nanos() {
        0 => Ok(duration),
        _ => Err(format!("found {text:?}, expected whole seconds, such as \"24h\"")),
    }
}
