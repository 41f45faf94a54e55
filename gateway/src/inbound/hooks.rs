//! The operator's own programs, asked about each message over HTTP (`docs/operators.md`, *Hooks*).
//!
//! A hook gets the message as JSON and answers with an [action](Answered). Whatever else happens, a
//! time-out, an error, an answer that is none, the message waits (`4.7.1`): a hook that is down lets
//! nothing through, and refuses nothing for good.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use distpos_proto::{
    code::{Code, Reply},
    message::Message,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::config;

mod answer;
mod exchange;
#[cfg(test)]
mod tests;

pub use answer::{Answered, Question};

/// Most questions to a hook at once; more wait for their turn. As many as a batch's messages would
/// be asked side by side, and few enough for a script.
pub const QUESTIONS_MAX: usize = 16;
/// Longest answer, in bytes: a text of 200 bytes and what is around it, generously.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// After so many questions in a row that nobody answered, a hook is not asked for a while: else a
/// batch of a thousand would wait for a thousand time-outs.
const SILENCES_MAX: u32 = 3;
/// That while. Shorter than the first retry of a deferred message.
const PAUSE: Duration = Duration::from_secs(5);

/// When a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// A message is proven; nothing of it is reserved yet.
    Accept,
    /// A message is about to be handed to the chain.
    BeforeDeliver,
}

impl Hook {
    /// Its name in the configuration, in questions and in logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::BeforeDeliver => "before_deliver",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a message does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAnswer {
    /// Not now: the hook says so, or did not answer.
    Defer(Reply),
    /// Never; the reply's code may void.
    Refuse(Reply),
}

/// The operator's hooks, as configured.
#[derive(Debug)]
pub struct Hooks {
    settings: config::Hooks,
    turns: Semaphore,
    accept: Mutex<Condition>,
    before_deliver: Mutex<Condition>,
}

/// How a hook fares.
#[derive(Debug, Default)]
struct Condition {
    /// Whether the last question failed; the log has said so.
    down: bool,
    /// Questions in a row that nobody answered.
    silences: u32,
    /// Not asked before.
    paused_until: Option<Instant>,
}

/// Why a question has no answer. The hook's fault, or its host's; asked again later.
#[derive(Debug, thiserror::Error)]
enum HookError {
    /// No connection, or it broke off.
    #[error("does not answer: {0}")]
    Silent(anyhow::Error),
    /// Too slow.
    #[error("gave no answer within {0:?}")]
    Slow(Duration),
    /// An answer that is none.
    #[error("gave no usable answer: {0}")]
    Odd(String),
    /// It was silent a moment ago.
    #[error("is not asked for a moment, after {SILENCES_MAX} questions without an answer")]
    Paused,
}

impl Hooks {
    /// The hooks of a configuration; without any, everything passes.
    #[must_use]
    pub fn new(settings: config::Hooks) -> Self {
        Self {
            settings,
            turns: Semaphore::new(QUESTIONS_MAX),
            accept: Mutex::default(),
            before_deliver: Mutex::default(),
        }
    }

    /// Whether anybody is asked.
    #[must_use]
    pub fn is_set(&self, hook: Hook) -> bool {
        self.url(hook).is_some()
    }

    /// Asks a hook; passes where none is configured. Takes as long as the configured time-out, and
    /// for its turn as long as the questions before it.
    ///
    /// # Errors
    /// [`HookAnswer`]: the message waits, or is refused.
    pub async fn ask(&self, hook: Hook, message: &Message) -> Result<(), HookAnswer> {
        let Some(url) = self.url(hook) else { return Ok(()) };
        match self.answered(hook, url, message).await {
            Ok(answered) => {
                self.note_answer(hook, url);
                answered.into_result()
            }
            Err(error) => {
                self.note_failure(hook, url, &error);
                let text = format!("the {hook} hook of the destination does not answer");
                Err(HookAnswer::Defer(Reply::new(Code::NOT_NOW, text)))
            }
        }
    }

    fn url(&self, hook: Hook) -> Option<&config::HookUrl> {
        match hook {
            Hook::Accept => self.settings.accept.as_ref(),
            Hook::BeforeDeliver => self.settings.before_deliver.as_ref(),
        }
    }

    async fn answered(
        &self,
        hook: Hook,
        url: &config::HookUrl,
        message: &Message,
    ) -> Result<Answered, HookError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        if self.condition(hook, |condition| condition.paused_until).is_some_and(is_ahead) {
            return Err(HookError::Paused);
        }
        let question = Question::new(hook, message);
        let body = serde_json::to_vec(&question)
            .map_err(|error| HookError::Odd(format!("question: {error}")))?;
        let time_max = self.settings.timeout;
        let answer = timeout(time_max, exchange::post(url, body)).await;
        let body = answer.map_err(|_| HookError::Slow(time_max))??;
        Answered::read(&body).map_err(HookError::Odd)
    }

    fn note_answer(&self, hook: Hook, url: &config::HookUrl) {
        let was_down = self.condition(hook, |condition| std::mem::take(condition).down);
        if was_down {
            tracing::info!(target: "distpos", "hook {hook} at {url} answers again");
        }
    }

    fn note_failure(&self, hook: Hook, url: &config::HookUrl, error: &HookError) {
        let is_new = self.condition(hook, |condition| {
            match error {
                HookError::Silent(_) | HookError::Slow(_) => {
                    condition.silences = condition.silences.saturating_add(1);
                    if condition.silences >= SILENCES_MAX {
                        condition.paused_until = Some(Instant::now() + PAUSE);
                    }
                }
                HookError::Odd(_) => condition.silences = 0,
                HookError::Paused => {}
            }
            !std::mem::replace(&mut condition.down, true)
        });
        if is_new {
            tracing::warn!(target: "distpos", "hook {hook} at {url} {error:#}; messages wait for it (4.7.1)");
        }
    }

    fn condition<T>(&self, hook: Hook, with: impl FnOnce(&mut Condition) -> T) -> T {
        let condition = match hook {
            Hook::Accept => &self.accept,
            Hook::BeforeDeliver => &self.before_deliver,
        };
        // A panic elsewhere leaves the condition usable.
        with(&mut condition.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_ahead(at: Instant) -> bool {
    at > Instant::now()
}
