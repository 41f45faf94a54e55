//! The calls, one function each.

use bytes::Bytes;
use distpos_proto::{
    chain::ChainId, code::Code, light::Authenticated, standing::Subject, trust::DnsTrust,
};
use distpos_spool::SpoolError;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde::de::DeserializeOwned;

use super::{
    Admin, BODY_BYTES_MAX, Caller, ForgottenView, FrozenView, GatewayView, Reason, Reasoned,
    Refusal, ThawedView, accounts, chains, queue,
};
use crate::{
    gateway::Anchor,
    standing::view,
    submit::answer::{self, Body},
    trust::{dns, view::TrustView},
};

type Answer = Result<Response<Body>, Refusal>;

/// Answers a call, and logs it if it changes something.
pub(super) async fn answer(
    admin: &Admin,
    caller: Caller,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let answered = match *request.method() {
        Method::GET => read(admin, &path, request.uri().query()),
        Method::POST => match whole(request.into_body()).await {
            Ok(body) => change(admin, caller, &path, &body).await,
            Err(refusal) => Err(refusal),
        },
        _ => Err(nothing_there()),
    };
    answered.unwrap_or_else(|refusal| refusal.response())
}

/// What changes nothing.
fn read(admin: &Admin, path: &str, query: Option<&str>) -> Answer {
    match segments(path)?.as_slice() {
        ["gateway"] => gateway(admin),
        ["standing"] => standings(admin),
        ["trust"] => trust(admin),
        ["standing", subject] => standing(admin, subject, query),
        ["chains", "suspended"] => chains::suspended(&admin.gateway),
        ["queue"] => queue::list(&admin.gateway, query),
        ["queue", "summary"] => queue::summary(&admin.gateway, query),
        ["queue", "reasons"] => queue::reasons(&admin.gateway, query),
        ["messages", id] => queue::trace(&admin.gateway, id),
        ["accounts"] => Ok(answer::object(&accounts::list(&admin.gateway)?)),
        ["accounts", chain, issuer, label] => {
            let name = accounts::Name::read(chain, issuer, label)?;
            let wanted = accounts::Wanted::read(query)?;
            Ok(answer::object(&accounts::show(&admin.gateway, &name, wanted)?))
        }
        _ => Err(nothing_there()),
    }
}

/// What changes something: never without a reason, and never without a line in the log.
async fn change(admin: &Admin, caller: Caller, path: &str, body: &[u8]) -> Answer {
    let segments = segments(path)?;
    let mut call = Call { admin, caller, body, path, reason: None };
    let answered = match segments.as_slice() {
        ["chains", chain, "suspend"] => chains::suspend(&mut call, chain).await,
        ["chains", chain, "resume"] => chains::resume(&mut call, chain).await,
        ["chains", chain, "thaw"] => thaw(&mut call, chain).await,
        ["trust", chain, "forget"] => forget(&mut call, chain).await,
        ["queue", verb] => queue::act(&mut call, verb).await.map(|done| answer::object(&done)),
        ["accounts", chain, issuer, label, act] => {
            account(&mut call, (chain, issuer, label), act).await
        }
        _ => return Err(nothing_there()),
    };
    call.log(&answered);
    answered
}

/// A call that changes something, on its way.
pub(super) struct Call<'a> {
    pub(super) admin: &'a Admin,
    pub(super) caller: Caller,
    body: &'a [u8],
    path: &'a str,
    reason: Option<Reason>,
}

impl Call<'_> {
    /// The body. `reason` finds the reason in it; without a good one nothing is done.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        reason: impl Fn(&T) -> &str,
    ) -> Result<(T, Reason), Refusal> {
        let body: T = serde_json::from_slice(self.body)
            .map_err(|error| Refusal::malformed(format_args!("body: {error}")))?;
        let reason: Reason = reason(&body).parse().map_err(Refusal::malformed)?;
        self.reason = Some(reason.clone());
        Ok((body, reason))
    }

    fn log(&self, answered: &Answer) {
        let Self { caller, path, reason, .. } = self;
        let pid = caller.pid.unwrap_or_default();
        let reason = reason.as_ref().map_or("", Reason::as_str);
        match answered {
            Ok(_) => {
                tracing::info!(target: "distpos", pid, "admin: POST {path} by {caller}: {reason:?}: done");
            }
            Err(refusal) => {
                let why = refusal.text();
                tracing::warn!(target: "distpos", pid, "admin: POST {path} by {caller}: {reason:?}: not done: {why}");
            }
        }
    }
}

fn standings(admin: &Admin) -> Answer {
    let now = admin.gateway.now();
    let standing = admin.gateway.spool.read(|tx| view::list(tx, now))?;
    Ok(answer::object(&serde_json::json!({ "standing": standing })))
}

fn standing(admin: &Admin, subject: &str, query: Option<&str>) -> Answer {
    let subject: Subject = parsed("subject", subject)?;
    let (now, limit) = (admin.gateway.now(), accounts::Wanted::read(query)?.entries());
    let found = admin.gateway.spool.read(|tx| view::show(tx, &subject, limit, now))?;
    let found = found.ok_or_else(|| {
        Refusal::absent(format_args!("nothing is known of {subject}: it has a newcomer's standing"))
    })?;
    Ok(answer::object(&found))
}

async fn account(
    call: &mut Call<'_>,
    (chain, issuer, label): (&str, &str, &str),
    act: &str,
) -> Answer {
    let name = accounts::Name::read(chain, issuer, label)?;
    let done = match act {
        "open" => accounts::open(call, &name).await,
        "limit" => accounts::limit(call, &name).await,
        "close" => accounts::close(call, &name).await,
        "settle" => accounts::settle(call, &name).await,
        "statement" => accounts::statement(call, &name).await,
        "suspend" => accounts::suspend(call, &name).await,
        "resume" => accounts::resume(call, &name).await,
        _ => Err(nothing_there()),
    };
    Ok(answer::object(&done?))
}

fn gateway(admin: &Admin) -> Answer {
    let facts = admin.gateway.facts();
    let frozen = admin.gateway.spool.read(|tx| tx.frozen_chains())?;
    let frozen = frozen.into_iter().map(|(chain, evidence)| FrozenView {
        chain: chain.to_string(),
        evidence: shown(evidence),
    });
    let keys = admin.gateway.identity.keys();
    Ok(answer::object(&GatewayView {
        version: env!("CARGO_PKG_VERSION").into(),
        chain: facts.chain.to_string(),
        tag: facts.tag.to_string(),
        family: facts.family.to_string(),
        pid: std::process::id(),
        keys: keys.secrets.iter().map(|key| key.public().to_string()).collect(),
        frozen: frozen.collect(),
    }))
}

fn trust(admin: &Admin) -> Answer {
    let gateway = &admin.gateway;
    let (kept, now) = (gateway.spool.read(|tx| tx.dns_trusts())?, gateway.now_seconds());
    let least = gateway.correspondents.least().keys;
    let view = |(chain, state): (ChainId, DnsTrust)| {
        let anchor = gateway.correspondents.anchor(chain);
        let operator = anchor.as_ref().map(Anchor::as_operators);
        TrustView::of(chain, &state, operator, least, now)
    };
    Ok(answer::object(&kept.into_iter().map(view).collect::<Vec<_>>()))
}

async fn forget(call: &mut Call<'_>, chain: &str) -> Answer {
    let chain: ChainId = parsed("chain", chain)?;
    call.read(|body: &Reasoned| &body.reason)?;
    let was_there = dns::forget(&call.admin.gateway, chain).await?;
    Ok(answer::object(&ForgottenView { chain: chain.to_string(), was_there }))
}

async fn thaw(call: &mut Call<'_>, chain: &str) -> Answer {
    let chain: ChainId = parsed("chain", chain)?;
    call.read(|body: &Reasoned| &body.reason)?;
    let gateway = &call.admin.gateway;
    let thawed = gateway.spool.transact(move |tx| {
        let evidence = tx.frozen(chain)?;
        if evidence.is_some() {
            tx.thaw(chain);
        }
        Ok::<_, SpoolError>(evidence)
    });
    let Some(evidence) = thawed.await? else {
        return Err(Refusal::absent(format_args!("{chain} is not frozen")));
    };
    // Headers that were believed before are judged anew, as after a restart: the one that was kept
    // may be the false one.
    *gateway.authenticated.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
        Authenticated::default();
    Ok(answer::object(&ThawedView { chain: chain.to_string(), evidence: shown(evidence) }))
}

/// Evidence is mostly text.
fn shown(evidence: Vec<u8>) -> String {
    String::from_utf8(evidence)
        .unwrap_or_else(|error| data_encoding::HEXLOWER.encode(error.as_bytes()))
}

/// A part of the path, or of a body.
pub(super) fn parsed<T>(field: &str, text: &str) -> Result<T, Refusal>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Refusal::malformed(format_args!("{field}: {error}")))
}

/// The path behind `/v1/`.
fn segments(path: &str) -> Result<Vec<&str>, Refusal> {
    let rest = path.strip_prefix("/v1/").ok_or_else(nothing_there)?;
    Ok(rest.split('/').collect())
}

async fn whole(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("body is longer than {BODY_BYTES_MAX} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TOO_BIG, text))
        }
        Err(error) => Err(Refusal::malformed(format_args!("body: {error}"))),
    }
}

fn nothing_there() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::MALFORMED, "no such call; see docs/operators.md")
}
