//! The calls of the submission listener.

use bytes::Bytes;
use distpos_proto::{
    address::Local,
    amount::Amount,
    code::{Code, Reply},
    message::{Asset, MessageId, OnFail},
    time::UnixSeconds,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header};

use super::{
    AccountView, BODY_BYTES_MAX, ChainView, Fails, HeadView, MessagesView, RefusedView, Service,
    SimulationAsked, SimulationView, SubmittedView,
    answer::{self, Body},
    events,
};
use crate::{
    chain::{ChainError, Submission, Submitted},
    config::text::parse_hex,
    outbound::simulate::Asked,
};

pub(super) type Answer = Result<Response<Body>, Refusal>;

/// What is answered in place of what was asked for.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) Reply);

/// Checks who asks, then answers.
pub(super) async fn answer(service: &Service, request: Request<Incoming>) -> Response<Body> {
    let answered = match admitted(service, &request) {
        Ok(()) => routed(service, request).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|Refusal(status, reply)| answer::refusal(status, &reply))
}

/// A page in a browser must not talk to the gateway in its user's name: it may neither come from
/// another origin, nor under a name that somebody's DNS pointed at loopback.
fn admitted(service: &Service, request: &Request<Incoming>) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Err(policy("requests from web pages are not served"));
    }
    if let Some(token) = &service.token {
        let shown = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        let shown = shown.and_then(|value| value.strip_prefix(b"Bearer "));
        return match shown.is_some_and(|shown| token.is(shown)) {
            true => Ok(()),
            false => {
                let reply = Reply::new(Code::POLICY, "expected Authorization: Bearer <token>");
                Err(Refusal(StatusCode::UNAUTHORIZED, reply))
            }
        };
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match is_loopback_name(host) {
        true => Ok(()),
        false => Err(policy("expected a Host field of localhost, 127.0.0.1 or [::1]")),
    }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || literal.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn routed(service: &Service, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let get = request.method() == Method::GET;
    match (get, path.as_str()) {
        (true, "/v1/chain") => chain(service).await,
        (true, "/v1/messages") => by_transaction(service, request.uri().query()),
        (false, "/v1/transactions") if request.method() == Method::POST => {
            transaction(service, request.into_body()).await
        }
        (false, "/v1/simulations") if request.method() == Method::POST => {
            simulation(service, request.into_body()).await
        }
        (true, path) => {
            if let Some(local) = path.strip_prefix("/v1/accounts/") {
                account(service, local).await
            } else if let Some(id) = path.strip_prefix("/v1/messages/") {
                match id.strip_suffix("/events") {
                    Some(id) => followed(service, id, request.headers()),
                    None => message(service, id),
                }
            } else {
                Err(nothing_there())
            }
        }
        (false, _) => Err(nothing_there()),
    }
}

async fn chain(service: &Service) -> Answer {
    let facts = service.chain.facts();
    let head = service.chain.head().await.map_err(|error| failed(&error))?;
    Ok(answer::object(&ChainView {
        chain: facts.chain.to_string(),
        tag: facts.tag.to_string(),
        family: facts.family.to_string(),
        outbox: hex(&facts.outbox),
        head: HeadView { height: head.height.0, block: head.block.to_string(), time: head.time.0 },
    }))
}

async fn account(service: &Service, text: &str) -> Answer {
    let local: Local = percent_decoded(text)
        .and_then(|text| text.parse().map_err(|error| format!("{error}")))
        .map_err(|what| malformed(Code::BAD_ADDRESS, what))?;
    let account = service.chain.account(&local).await.map_err(|error| failed(&error))?;
    let Some(account) = account else {
        let reply = Reply::new(Code::UNKNOWN_RECIPIENT, "the chain has no such account");
        return Err(Refusal(StatusCode::NOT_FOUND, reply));
    };
    Ok(answer::object(&AccountView {
        account: local.to_string(),
        balance: account.balance.to_string(),
        nonce: account.nonce,
    }))
}

async fn whole(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("body is longer than {BODY_BYTES_MAX} bytes");
            let reply = Reply::new(Code::TOO_BIG, text);
            Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, reply))
        }
        Err(error) => Err(malformed(Code::MALFORMED, format!("body: {error}"))),
    }
}

async fn simulation(service: &Service, body: Incoming) -> Answer {
    let body = whole(body).await?;
    let asked: SimulationAsked = serde_json::from_slice(&body)
        .map_err(|error| malformed(Code::MALFORMED, format!("body: {error}")))?;
    let asked = asked_of(asked).map_err(|what| malformed(Code::MALFORMED, what))?;
    let forecast = service.dry_runs.dry_run(asked).await;
    let forecast = forecast.map_err(|reply| Refusal(StatusCode::UNPROCESSABLE_ENTITY, reply))?;
    Ok(answer::object(&SimulationView {
        gateway: forecast.gateway,
        code: forecast.reply.code.to_string(),
        text: forecast.reply.text().into(),
        retry_after: forecast.reply.retry_after,
        gas: forecast.gas,
    }))
}

fn asked_of(asked: SimulationAsked) -> Result<Asked, String> {
    let field = |name: &'static str| move |error: String| format!("{name}: {error}");
    let to = asked.to.parse().map_err(|error| format!("to: {error}"))?;
    let from = asked.from.parse().map_err(|error| format!("from: {error}"))?;
    let amount = asked.amount.as_deref().unwrap_or("0").parse::<Amount>();
    let asset = asked.asset.as_deref().map(str::parse::<Asset>).transpose();
    Ok(Asked {
        from,
        to,
        amount: amount.map_err(|error| format!("amount: {error}"))?,
        asset: asset.map_err(|error| format!("asset: {error}"))?,
        data: parse_hex(&asked.data).map_err(field("data"))?,
        gas: asked.gas,
        on_fail: match asked.on_fail {
            Fails::Return => OnFail::Return,
            Fails::Keep => OnFail::Keep,
        },
        expires: asked.expires.map(UnixSeconds),
    })
}

async fn transaction(service: &Service, body: Incoming) -> Answer {
    let bytes = whole(body).await?;
    if bytes.is_empty() {
        return Err(malformed(Code::MALFORMED, "body is empty, expected a signed transaction"));
    }
    let submission = Submission::User(bytes.into());
    let Submitted { transaction, refused } =
        service.chain.submit(submission).await.map_err(|error| failed(&error))?;
    let refused = refused.iter().map(|(id, reply)| RefusedView {
        id: id.to_string(),
        code: reply.code.to_string(),
        text: reply.text().into(),
    });
    Ok(answer::object(&SubmittedView {
        transaction: hex(&transaction),
        refused: refused.collect(),
    }))
}

fn message(service: &Service, text: &str) -> Answer {
    let id: MessageId = text.parse().map_err(|error| malformed(Code::MALFORMED, error))?;
    service.status.message(id).map(|view| answer::object(&view)).ok_or_else(no_such_message)
}

pub(super) fn no_such_message() -> Refusal {
    let reply = Reply::new(Code::UNKNOWN_RECIPIENT, "no such message here");
    Refusal(StatusCode::NOT_FOUND, reply)
}

fn followed(service: &Service, text: &str, headers: &HeaderMap) -> Answer {
    let id: MessageId = text.parse().map_err(|error| malformed(Code::MALFORMED, error))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    events::follow(service, id, last)
}

fn by_transaction(service: &Service, query: Option<&str>) -> Answer {
    let transaction = query
        .and_then(|query| query.strip_prefix("transaction="))
        .and_then(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).ok())
        .ok_or_else(|| malformed(Code::MALFORMED, "expected ?transaction=<lower-case hex>"))?;
    let messages = service.status.by_transaction(&transaction);
    let messages = messages.iter().map(ToString::to_string).collect();
    Ok(answer::object(&MessagesView { messages }))
}

/// What the chain says, with the status that tells a client whether to come again.
fn failed(error: &ChainError) -> Refusal {
    match error {
        ChainError::Refused(reply) => Refusal(StatusCode::UNPROCESSABLE_ENTITY, reply.clone()),
        temporary if temporary.is_temporary() => {
            tracing::warn!(%error, "submission");
            let reply = Reply::new(Code::NO_ANSWER, "the chain's node cannot answer now");
            Refusal(StatusCode::SERVICE_UNAVAILABLE, reply)
        }
        _ => {
            tracing::error!(%error, "submission");
            let reply = Reply::new(Code::NOT_NOW, "the gateway's operator has to look at its node");
            Refusal(StatusCode::SERVICE_UNAVAILABLE, reply)
        }
    }
}

fn malformed(code: Code, what: impl ToString) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, Reply::new(code, what.to_string()))
}

fn policy(what: &str) -> Refusal {
    Refusal(StatusCode::FORBIDDEN, Reply::new(Code::POLICY, what))
}

fn nothing_there() -> Refusal {
    let reply = Reply::new(Code::MALFORMED, "no such call; see docs/operators.md");
    Refusal(StatusCode::NOT_FOUND, reply)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// RFC 3986, section 2.1: local addresses may hold `/`, `+` and `=`, which some clients escape.
fn percent_decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("found {:?}, expected % and two hex digits", shortened(text));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(bytes.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(wrong()) };
        out.push(high << 4 | low);
    }
    String::from_utf8(out).map_err(|_| wrong())
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
