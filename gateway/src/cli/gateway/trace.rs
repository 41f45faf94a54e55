//! `distpos-gateway trace`: a message's whole life in one look.

use std::time::Duration;

use clap::Args;
use distpos_proto::{message::MessageId, time::UnixSeconds};

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{admin::TraceView, clock::moment, keyring::walk::human, submit};

#[derive(Args)]
pub(super) struct Arguments {
    /// The message's id.
    id: MessageId,
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let admin = AdminClient::new(&arguments.from.load()?);
    let id = &arguments.id;
    let found: Option<TraceView> = admin.get(&format!("/v1/messages/{id}")).await?;
    let found = found.ok_or_else(|| {
        let what = format!("no message {id} is known to this gateway");
        Failure::of(Exit::Unavailable, what)
    })?;
    if arguments.json {
        say_json(&found)?;
    } else {
        tell(&found)?;
    }
    Ok(Exit::Done)
}

fn tell(TraceView { message, waiting, envelope }: &TraceView) -> Result<(), Failure> {
    say(format_args!("message   {}", message.id))?;
    let way = match message.direction {
        submit::Direction::Out => "to",
        submit::Direction::In => "from",
    };
    say(format_args!("way       {way} chain {}", message.peer))?;
    if let Some(envelope) = envelope {
        say(format_args!("from      {}", envelope.from))?;
        say(format_args!("to        {}", envelope.to))?;
        if let Some(value) = &envelope.value {
            say(format_args!("value     {value}"))?;
        }
        let (sequence, height) = (envelope.sequence, envelope.height);
        say(format_args!("place     number {sequence} between the chains, block {height}"))?;
        let expires = moment(UnixSeconds(envelope.expires).millis().0);
        say(format_args!("expires   {expires}"))?;
    }
    say(format_args!("state     {}", message.state))?;
    if let Some(code) = &message.code {
        let text = message.text.as_deref().unwrap_or_default();
        say(format_args!("reason    {code} {text}"))?;
    }
    if let Some(waiting) = waiting {
        let next = waiting.due_ms.map_or_else(|| "when something happens".to_owned(), moment);
        say(format_args!("next      {next}, tried {} times", waiting.attempts))?;
    }
    let mut before = None;
    for step in &message.steps {
        let took = before.map_or_else(String::new, |before| {
            let took = Duration::from_millis(step.at_ms.saturating_sub(before));
            if took < Duration::from_secs(2) {
                format!("  after {} ms", took.as_millis())
            } else {
                format!("  after {}", human(took))
            }
        });
        say(format_args!("{}  {:<10}{took}", moment(step.at_ms), step.state))?;
        before = Some(step.at_ms);
    }
    Ok(())
}
