//! `distpos-gateway queue`: what waits, why, and what is done about it.

use clap::{Args, Subcommand};
use distpos_proto::{address::Local, chain::ChainId, code::Code, message::MessageId};
use distpos_spool::State;

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    admin::Reason,
    config::text::parse_duration,
    queue::{Verb, filter::FilterView},
};

mod act;
mod look;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show what waits, the oldest first.
    List(ListArguments),
    /// Show everything about one message, as `trace` does.
    Show(super::trace::Arguments),
    /// How many messages of each chain are in each state, and since when the oldest.
    Summary(LookArguments),
    /// What messages wait for, the most frequent first.
    Reasons(LookArguments),
    /// Try messages now.
    Flush(ActArguments),
    /// Let messages wait until they are released, or the time is up.
    Hold(HoldArguments),
    /// Let held messages go on.
    Release(ActArguments),
    /// Begin anew with messages, as if they had just come.
    Requeue(ActArguments),
    /// Give messages up to whose chain nothing was ever sent: their senders are paid back.
    Expire(ActArguments),
    /// Forget messages of other chains that are not proven, or whose receipts are on the way: their
    /// chains tell of them again.
    Drop(ActArguments),
}

/// What is meant. All of what is given has to hold.
#[derive(Args)]
struct Like {
    /// To other chains, or from them.
    #[arg(long, value_name = "out|in", value_parser = ["out", "in"])]
    direction: Option<String>,
    /// To or from this chain.
    #[arg(long, value_name = "CHAIN")]
    chain: Option<ChainId>,
    /// In this state; may be given several times.
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Vec<String>,
    /// Waiting for this reason: a reply code such as 4.4.1.
    #[arg(long, value_name = "CODE")]
    code: Option<Code>,
    /// Here for longer than this: 15m, 4h, 2d.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<std::time::Duration>,
    /// Whose time is up.
    #[arg(long)]
    expired: bool,
    /// Sent by this account of its chain.
    #[arg(long, value_name = "ACCOUNT")]
    sender: Option<Local>,
}

fn states() -> Vec<&'static str> {
    State::ALL.into_iter().map(State::word).collect()
}

impl Like {
    fn view(&self) -> FilterView {
        FilterView {
            direction: self.direction.clone(),
            chain: self.chain.map(|chain| chain.to_string()),
            states: self.state.clone(),
            code: self.code.map(|code| code.to_string()),
            older_than: self.older_than.map(|age| age.as_secs()),
            expired: self.expired,
            sender: self.sender.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    like: Like,
    /// How many messages, or a few more.
    #[arg(long, value_name = "N", default_value_t = 100)]
    messages: usize,
    /// Where to go on: what the last page gave as `next`.
    #[arg(long, value_name = "NEXT")]
    after: Option<crate::queue::Cursor>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct LookArguments {
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    like: Like,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ActArguments {
    /// Ids of messages, or ALL; else what the options say.
    #[arg(value_name = "ID|ALL")]
    what: Vec<What>,
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    like: Like,
    /// Why, for whoever reads it later.
    #[arg(long)]
    reason: Reason,
    /// Do not ask before it is done to more than the named messages.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct HoldArguments {
    #[command(flatten)]
    act: ActArguments,
    /// How long at most; five days if nothing is said.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasts: Option<std::time::Duration>,
}

/// One message, or everything.
#[derive(Debug, Clone)]
enum What {
    All,
    Id(MessageId),
}

impl std::str::FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ALL" => Ok(Self::All),
            id => id.parse().map(Self::Id).map_err(|error| {
                format!("{error}; expected the id of a message, or ALL in capitals")
            }),
        }
    }
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(arguments) => look::list(&arguments).await,
        Command::Show(arguments) => super::trace::execute(&arguments).await,
        Command::Summary(arguments) => look::summary(&arguments).await,
        Command::Reasons(arguments) => look::reasons(&arguments).await,
        Command::Flush(arguments) => act::act(Verb::Flush, &arguments, None).await,
        Command::Hold(hold) => act::act(Verb::Hold, &hold.act, hold.lasts).await,
        Command::Release(arguments) => act::act(Verb::Release, &arguments, None).await,
        Command::Requeue(arguments) => act::act(Verb::Requeue, &arguments, None).await,
        Command::Expire(arguments) => act::act(Verb::Expire, &arguments, None).await,
        Command::Drop(arguments) => act::act(Verb::Drop, &arguments, None).await,
    }
}
