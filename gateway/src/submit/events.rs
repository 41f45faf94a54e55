//! Server-sent events that follow a message (WHATWG HTML, 9.2): `GET /v1/messages/{id}/events`.
//!
//! ```text
//! retry: 1000
//!
//! id: 1764209345120.queued
//! event: step
//! data: {"state":"queued","at_ms":1764209345120}
//!
//! id: end
//! event: end
//! data: {…the message, as GET /v1/messages/{id} tells it…}
//! ```
//! The spool is asked, not a channel of events: what is in it is never missed, and a client that
//! comes back with `Last-Event-ID` goes on where it was, also after the gateway was restarted. The
//! stream ends after `end`; whoever comes back after that gets 204, which tells a browser's
//! `EventSource` to stay away.

use std::{fmt::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use distpos_proto::{
    code::{Code, Reply},
    message::MessageId,
};
use futures_util::stream;
use hyper::{
    StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};

use super::{
    MessageStatus, MessageView, Service, StepView, answer,
    calls::{Answer, no_such_message},
    stopped,
};

/// Most followers at once: half of the connections, so that submissions always find one.
pub const FOLLOWERS_MAX: usize = super::CONNECTIONS_MAX / 2;
/// How often a follower looks: as often as a client would ask, at a hundredth of the cost.
pub const EVERY: Duration = Duration::from_millis(200);
/// A comment is sent after so long without an event: proxies cut what is silent for 30 to 60 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After so long a stream ends, and its client comes back: places are not kept for the days that a
/// message may wait.
pub const FOLLOWED_FOR: Duration = Duration::from_secs(3600);

/// The id of the last event.
const END: &str = "end";
/// When a client comes back by itself after its stream broke off, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";
/// When to come again if all places are taken, in seconds.
const BUSY_RETRY_AFTER: u32 = 10;

/// Follows a message, from behind the event `last` if the client had one.
pub(super) fn follow(service: &Service, id: MessageId, last: Option<&str>) -> Answer {
    if service.status.message(id).is_none() {
        return Err(no_such_message());
    }
    if last == Some(END) {
        return Ok(answer::nothing(StatusCode::NO_CONTENT));
    }
    let Ok(permit) = Arc::clone(&service.followers).try_acquire_owned() else {
        return Ok(busy());
    };
    let now = Instant::now();
    let follower = Follower {
        status: Arc::clone(&service.status),
        id,
        told: last.map(str::to_owned),
        begun: false,
        ended: false,
        said: now,
        until: now + FOLLOWED_FOR,
        shutdown: service.shutdown.clone(),
        _permit: permit,
    };
    Ok(answer::events(stream::unfold(follower, Follower::next)))
}

fn busy() -> hyper::Response<answer::Body> {
    let text = format!("{FOLLOWERS_MAX} messages are followed already: ask for the status instead");
    let reply = Reply::new(Code::RATE_LIMIT, text).retry_after(BUSY_RETRY_AFTER);
    let mut response = answer::refusal(StatusCode::SERVICE_UNAVAILABLE, &reply);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(BUSY_RETRY_AFTER));
    response
}

struct Follower {
    status: Arc<dyn MessageStatus>,
    id: MessageId,
    /// The id of the last event that was told.
    told: Option<String>,
    begun: bool,
    ended: bool,
    /// When something was sent last.
    said: Instant,
    until: Instant,
    shutdown: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// What is sent next. It is asked for only once the client has taken what was sent before: a
    /// slow one is told several steps at once, and nothing is kept for it.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.begun {
            self.begun = true;
            return Some((Bytes::from_static(RETRY.as_bytes()), self));
        }
        while !self.ended {
            // It may have been pruned meanwhile.
            let view = self.status.message(self.id)?;
            let text = self.news(&view);
            let now = Instant::now();
            if !text.is_empty() {
                self.said = now;
                return Some((Bytes::from(text), self));
            }
            if now >= self.until {
                return None;
            }
            if now >= self.said + KEEP_ALIVE {
                self.said = now;
                return Some((Bytes::from_static(b": still there\n\n"), self));
            }
            tokio::select! { biased;
                () = stopped(&mut self.shutdown) => return None,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        None
    }

    /// The events that were not told yet.
    fn news(&mut self, view: &MessageView) -> String {
        let mut text = String::new();
        for step in untold(&view.steps, self.told.as_deref()) {
            write_event(&mut text, &step_id(step), "step", step);
        }
        if let Some(step) = view.steps.last() {
            self.told = Some(step_id(step));
        }
        if view.outcome.is_some() {
            self.ended = true;
            write_event(&mut text, END, "end", view);
        }
        text
    }
}

fn step_id(step: &StepView) -> String {
    format!("{}.{}", step.at_ms, step.state)
}

/// The steps behind the one with this id. The spool keeps the first step and the newest ones: an id
/// that is not there any more was of an older step than any but the first.
fn untold<'s>(steps: &'s [StepView], told: Option<&str>) -> &'s [StepView] {
    let Some(told) = told else { return steps };
    match steps.iter().rposition(|step| step_id(step) == told) {
        Some(at) => &steps[at + 1..],
        None if told.split_once('.').is_some_and(|(at, _)| at.parse::<u64>().is_ok()) => {
            steps.get(1..).unwrap_or_default()
        }
        // Nothing that came from here.
        None => steps,
    }
}

fn write_event(text: &mut String, id: &str, event: &str, data: &impl serde::Serialize) {
    // The views are plain structs of texts and numbers: one line of JSON each.
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(text, "id: {id}\nevent: {event}\ndata: {data}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_fell_out_of_the_list_are_neither_waited_for_nor_is_the_first_repeated() {
        let step = |at_ms, state: &str| StepView { state: state.into(), at_ms };
        let steps = [step(5, "queued"), step(9, "sending"), step(9, "accepted")];
        let after = |told: Option<&str>| untold(&steps, told).len();
        assert_eq!(after(None), 3);
        assert_eq!(after(Some("5.queued")), 2);
        assert_eq!(after(Some("9.sending")), 1);
        assert_eq!(after(Some("9.accepted")), 0);
        assert_eq!(after(Some("7.held")), 2);
        assert_eq!(after(Some("nonsense")), 3);
    }
}
