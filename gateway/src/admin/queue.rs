//! The queue's calls (`docs/queue.md`).

use std::{str::FromStr, time::Duration};

use distpos_proto::message::{Message, MessageId};
use distpos_spool::{Direction, SpoolError, Tx};
use hyper::Response;
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    calls::{Call, parsed},
};
use crate::{
    daemon::status,
    gateway::Gateway,
    queue::{
        Cursor, Selection, Verb,
        change::{self, Asked, DoneView, HELD_FOR, HELD_FOR_MAX},
        filter::{Filter, FilterView},
        look::{self, WaitingView},
    },
    submit::{
        MessageView,
        answer::{self, Body},
    },
};

type Answer = Result<Response<Body>, Refusal>;

/// Messages on a page if nothing is said.
const PAGE_DEFAULT: usize = 100;
/// Most messages on a page: the answer is made in memory.
const PAGE_MAX: usize = 10_000;
/// Most ids in one call; what fits into its body.
const IDS_MAX: usize = 500;

/// The body of a call that changes what waits. One of `ids`, `filter` and `all` says what is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueAsked {
    /// Why it is done.
    pub reason: String,
    /// These messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Those that are like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterView>,
    /// Everything.
    pub all: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How long a hold lasts, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
}

/// Everything that is known of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceView {
    /// How it stands, or has ended.
    pub message: MessageView,
    /// What it waits for; none once it has left the queue.
    pub waiting: Option<WaitingView>,
    /// What it says; none once its body is gone.
    pub envelope: Option<EnvelopeView>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeView {
    /// Its chain, and the account there that sent it.
    pub from: String,
    /// The chain it goes to, and the account there.
    pub to: String,
    /// Its number between the two chains.
    pub sequence: u64,
    /// The block of its chain that it was in.
    pub height: u64,
    /// What it carries, in the smallest unit, and of what; none without value.
    pub value: Option<String>,
    /// Bytes of call data.
    pub data_bytes: u64,
    /// When it expires, in Unix seconds.
    pub expires: u64,
}

/// What a question asks for.
struct Question {
    filter: Filter,
    cursor: Option<Cursor>,
    messages: usize,
}

impl Question {
    /// Reads `filter={…}&cursor=…&messages=100`, each value percent-encoded.
    fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut asked = Self { filter: Filter::default(), cursor: None, messages: PAGE_DEFAULT };
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).ok_or_else(|| {
                Refusal::malformed(format_args!("{name}: expected percent-encoded UTF-8"))
            })?;
            match name {
                "filter" => {
                    let view: FilterView = serde_json::from_str(&value)
                        .map_err(|error| Refusal::malformed(format_args!("filter: {error}")))?;
                    asked.filter = view.read().map_err(Refusal::malformed)?;
                }
                "cursor" => asked.cursor = Some(parsed("cursor", &value)?),
                "messages" => asked.messages = parsed::<usize>("messages", &value)?.min(PAGE_MAX),
                _ => {
                    let what = "expected filter=, cursor= or messages=";
                    return Err(Refusal::malformed(format_args!("found {name:?}, {what}")));
                }
            }
        }
        Ok(asked)
    }
}

/// A percent-encoded text (RFC 3986, 2.1); none if it is none.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn list(gateway: &Gateway, query: Option<&str>) -> Answer {
    let Question { filter, cursor, messages } = Question::read(query)?;
    let now = gateway.now();
    let view = gateway.spool.read(|tx| {
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => look::start(tx, &filter)?,
        };
        look::list(tx, &filter, cursor, now, messages)
    })?;
    Ok(answer::object(&view))
}

pub(super) fn summary(gateway: &Gateway, query: Option<&str>) -> Answer {
    let (filter, now) = (Question::read(query)?.filter, gateway.now());
    Ok(answer::object(&gateway.spool.read(|tx| look::summary(tx, &filter, now))?))
}

pub(super) fn reasons(gateway: &Gateway, query: Option<&str>) -> Answer {
    let (filter, now) = (Question::read(query)?.filter, gateway.now());
    Ok(answer::object(&gateway.spool.read(|tx| look::reasons(tx, &filter, now))?))
}

pub(super) fn trace(gateway: &Gateway, id: &str) -> Answer {
    let id: MessageId = parsed("id", id)?;
    let now = gateway.now();
    let found = gateway.spool.read(|tx| {
        let Some(message) = status::message(tx, id)? else { return Ok(None) };
        let (waiting, envelope) = (look::one(tx, &id, now)?, envelope(tx, &id)?);
        Ok::<_, SpoolError>(Some(TraceView { message, waiting, envelope }))
    })?;
    let found =
        found.ok_or_else(|| Refusal::absent(format_args!("no message {id} is known here")))?;
    Ok(answer::object(&found))
}

fn envelope(tx: &Tx<'_>, id: &MessageId) -> Result<Option<EnvelopeView>, SpoolError> {
    for direction in Direction::BOTH {
        let Some((batch, position)) = tx.find(direction, id)? else { continue };
        let Some(envelope) = tx.messages(direction, batch)?.into_iter().nth(position) else {
            continue;
        };
        return Ok(Some(view(&envelope.message, envelope.origin.height.0)));
    }
    Ok(None)
}

fn view(message: &Message, height: u64) -> EnvelopeView {
    let fields = message.fields();
    EnvelopeView {
        from: format!("{}x{}", fields.source, fields.sender),
        to: format!("{}x{}", fields.destination, fields.recipient),
        sequence: fields.sequence,
        height,
        value: fields.value.as_ref().map(|value| format!("{} {}", value.amount, value.asset)),
        data_bytes: fields.data.len() as u64,
        expires: fields.expires.0,
    }
}

/// Does something to what waits.
pub(super) async fn act(call: &mut Call<'_>, verb: &str) -> Result<DoneView, Refusal> {
    let verb = Verb::ALL.into_iter().find(|one| one.word() == verb);
    let verb = verb.ok_or_else(|| {
        let all: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
        Refusal::malformed(format_args!("no such act, expected one of {}", all.join(", ")))
    })?;
    let (body, reason) = call.read(|body: &QueueAsked| &body.reason)?;
    let lasts = match (verb, body.for_seconds) {
        (_, None) => HELD_FOR,
        (Verb::Hold, Some(seconds)) if (1..=HELD_FOR_MAX.as_secs()).contains(&seconds) => {
            Duration::from_secs(seconds)
        }
        (Verb::Hold, Some(found)) => {
            let most = HELD_FOR_MAX.as_secs();
            let what = format!("for_seconds: found {found}, expected 1 to {most}");
            return Err(Refusal::malformed(what));
        }
        (_, Some(_)) => return Err(Refusal::malformed("for_seconds: a hold alone has an end")),
    };
    let cursor = body.cursor.as_deref().map(|text| parsed("cursor", text)).transpose()?;
    let asked = Asked { verb, selection: selection(&body)?, cursor, lasts, reason };
    Ok(change::change(&call.admin.gateway, &asked).await?)
}

fn selection(body: &QueueAsked) -> Result<Selection, Refusal> {
    match (body.ids.as_slice(), &body.filter, body.all) {
        ([], None, true) => Ok(Selection::Filter(Filter::default())),
        ([], Some(filter), false) => {
            let filter = filter.read().map_err(Refusal::malformed)?;
            if filter.is_all() {
                let what = "filter: it names nothing; all=true means everything";
                return Err(Refusal::malformed(what));
            }
            Ok(Selection::Filter(filter))
        }
        (ids @ [_, ..], None, false) if ids.len() <= IDS_MAX => {
            let ids = ids.iter().map(|id| MessageId::from_str(id));
            let ids = ids.collect::<Result<_, _>>();
            let ids = ids.map_err(|error| Refusal::malformed(format_args!("ids: {error}")))?;
            Ok(Selection::Ids(ids))
        }
        (ids, None, false) if ids.len() > IDS_MAX => {
            let what = format!("ids: found {}, expected at most {IDS_MAX} in a call", ids.len());
            Err(Refusal::malformed(what))
        }
        _ => Err(Refusal::malformed("expected one of ids, filter and all=true")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_way_through_a_query() {
        let query =
            "messages=7&filter=%7B%22chain%22%3A%22e2e4%22%2C%22sender%22%3A%22a%3D%26%C3%A9%22%7D";
        assert!(Question::read(Some(query)).is_err(), "no account has such letters");
        let query =
            "messages=7&filter=%7B%22chain%22%3A%22e2e4%22%2C%22sender%22%3A%22a%3D%2F%40%22%7D";
        let asked = Question::read(Some(query)).ok().unwrap();
        assert_eq!(asked.messages, 7);
        assert_eq!(asked.filter.chain, "e2e4".parse().ok());
        assert_eq!(asked.filter.sender, "a=/@".parse().ok());
        for wrong in
            ["filter=%7", "filter=%zz", "filter=%ff", "filter={", "x=1", "cursor=1", "messages=-1"]
        {
            assert!(Question::read(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_thing_says_what_is_meant() {
        let chain = FilterView { chain: Some("e2e4".into()), ..FilterView::default() };
        let id = "ab".repeat(32);
        let asked = |ids: &[&str], filter: Option<&FilterView>, all| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            selection(&QueueAsked { ids, filter: filter.cloned(), all, ..QueueAsked::default() })
        };
        assert!(matches!(asked(&[&id], None, false), Ok(Selection::Ids(ids)) if ids.len() == 1));
        assert!(matches!(asked(&[], Some(&chain), false), Ok(Selection::Filter(_))));
        assert!(matches!(asked(&[], None, true), Ok(Selection::Filter(filter)) if filter.is_all()));
        let wrong = [
            asked(&[], None, false),
            asked(&[&id], None, true),
            asked(&[&id], Some(&chain), false),
            asked(&[], Some(&chain), true),
            asked(&[], Some(&FilterView::default()), false),
            asked(&["xyz"], None, false),
            asked(&vec![id.as_str(); 501], None, false),
        ];
        for wrong in wrong {
            assert!(wrong.is_err(), "{wrong:?}");
        }
    }
}
