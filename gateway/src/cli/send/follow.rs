//! Following a message to its end.

use std::time::Duration;

use distpos_proto::message::MessageId;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    super::{Exit, Failure, say},
    client::{Client, Events},
};
use crate::submit::{KEEP_ALIVE, MessageView, Outcome, StepView};

/// How often a gateway without events is asked.
const EVERY: Duration = Duration::from_millis(200);
/// A stream that is silent for longer than two of its keep-alives is dead.
const SILENT_MAX: Duration = KEEP_ALIVE.saturating_mul(2);

/// How far a message was followed.
pub(super) struct Followed {
    pub(super) view: Option<MessageView>,
}

impl Followed {
    pub(super) fn exit(&self) -> Exit {
        match self.view.as_ref().and_then(|view| view.outcome) {
            Some(Outcome::Delivered) => Exit::Done,
            Some(Outcome::Refunded) => Exit::Unavailable,
            None => Exit::Temporary,
        }
    }
}

/// Asks until the message has ended or the time is up: whenever the gateway's events say that there
/// is something new, or every [`EVERY`] at a gateway that offers none. A gateway that does not answer
/// meanwhile is asked again: the message is in its spool, and it may be restarting.
pub(super) async fn to_the_end(
    client: &Client,
    id: MessageId,
    time_max: Duration,
    tell: bool,
) -> Result<Followed, Failure> {
    let deadline = Instant::now() + time_max;
    let mut followed = Followed { view: None };
    let (mut told, mut news) = (0, News::default());
    loop {
        let silent = match client.message(id).await {
            Ok(view) => {
                followed.view = view.or(followed.view);
                None
            }
            Err(failure) => Some(failure),
        };
        if let Some(view) = &followed.view {
            if tell {
                // A gateway may shorten its list of steps; what was told is not told again.
                for step in view.steps.iter().skip(told) {
                    show_step(step)?;
                }
            }
            told = told.max(view.steps.len());
            if view.outcome.is_some() {
                if tell {
                    show_end(view)?;
                }
                return Ok(followed);
            }
        }
        if Instant::now() + EVERY > deadline {
            return match silent {
                Some(failure) => Err(failure),
                None => {
                    if tell {
                        eprintln!(
                            "distpos-send: still under way; ask again: distpos-send status {id}"
                        );
                    }
                    Ok(followed)
                }
            };
        }
        news.wait(client, id, followed.view.is_some(), deadline).await;
    }
}

/// What wakes whoever follows a message.
#[derive(Default)]
enum News {
    /// It was not asked for events yet.
    #[default]
    Unasked,
    Streamed(Events),
    /// An older gateway, or one with too many followers.
    Polled,
}

impl News {
    /// Ends when there may be something new, and before `deadline`.
    async fn wait(&mut self, client: &Client, id: MessageId, known: bool, deadline: Instant) {
        if matches!(self, Self::Unasked) && known {
            *self = client.events(id).await.map_or(Self::Polled, Self::Streamed);
        }
        if let Self::Streamed(events) = self {
            let silent_max = (Instant::now() + SILENT_MAX).min(deadline);
            match timeout_at(silent_max, events.next()).await {
                Ok(true) => return,
                Err(_) if silent_max == deadline => return,
                // It broke off, has ended, or says nothing any more.
                Ok(false) | Err(_) => *self = Self::Polled,
            }
        }
        sleep(EVERY).await;
    }
}

/// A message in lines for people.
pub(super) fn show(view: &MessageView) -> Result<(), Failure> {
    let direction = match view.direction {
        crate::submit::Direction::Out => "to",
        crate::submit::Direction::In => "from",
    };
    say(&view.id)?;
    view.steps.iter().try_for_each(show_step)?;
    say(format_args!("now {} ({direction} {})", view.state, view.peer))?;
    show_end(view)
}

fn show_step(step: &StepView) -> Result<(), Failure> {
    say(format_args!("{} {}", clock_time(step.at_ms), step.state))
}

fn show_end(view: &MessageView) -> Result<(), Failure> {
    let reply = match (&view.code, &view.text) {
        (Some(code), Some(text)) => format!(" {code} {text}"),
        (Some(code), None) => format!(" {code}"),
        (None, _) => String::new(),
    };
    match view.outcome {
        Some(Outcome::Delivered) => say(format_args!("delivered{reply}")),
        Some(Outcome::Refunded) => say(format_args!("refused and refunded{reply}")),
        None if reply.is_empty() => Ok(()),
        None => say(format_args!("last reply{reply}")),
    }
}

/// Time of day in UTC.
fn clock_time(at_ms: u64) -> String {
    let (seconds, millis) = (at_ms / 1000, at_ms % 1000);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}.{millis:03}", seconds % 60)
}
