//! A dry run: what the destination would do with a message that a user has not sent yet.
//!
//! The message is built as the outbox would build it, as far as this gateway knows; a gateway of the
//! destination says what would become of it. Nothing is queued, and nothing remembered.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use distpos_proto::{
    address::{Address, Local},
    amount::Amount,
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    message::{Asset, Fields, Message, OnFail, TermsHash, Value},
    time::UnixSeconds,
    wire::{Request, Response, Simulated},
};
use tokio::time::timeout;

use crate::{
    contact::{self, Contacted},
    gateway::Gateway,
    submit::DryRuns,
    trust::dns,
};

/// How long the destination may take: less than a user waits for this gateway's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(25);

/// The outbox gives the sequence; until then a message has one that no outbox ever reaches, so that
/// its id is no other's.
pub const SEQUENCE: u64 = u64::MAX;

/// What a user would send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who would send it, on this chain.
    pub from: Local,
    /// Who it would be for.
    pub to: Address,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
    /// What the amount counts; none: what this chain's own coin is counted in with that chain.
    pub asset: Option<Asset>,
    /// Call data, or with `gas` 0 a note.
    pub data: Vec<u8>,
    /// Gas for the recipient's call; 0 for none.
    pub gas: u64,
    /// What happens when that call fails.
    pub on_fail: OnFail,
    /// Not delivered after this time; none means in 24 hours.
    pub expires: Option<UnixSeconds>,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The gateway of the destination that answered, `host:port`; none if none did.
    pub gateway: Option<String>,
    /// `2.0.0`: it would be delivered. Else what is in the way, there or on the way there.
    pub reply: Reply,
    /// What the recipient's call would use of gas; see [`Simulated::gas`].
    pub gas: Option<u64>,
}

#[async_trait]
impl DryRuns for Gateway {
    async fn dry_run(&self, asked: Asked) -> Result<Forecast, Reply> {
        simulate(self, asked).await
    }
}

/// Asks the destination's gateways in order until one answers.
///
/// # Errors
/// The reply says what is wrong with the question itself.
pub async fn simulate(gateway: &Gateway, asked: Asked) -> Result<Forecast, Reply> {
    let peer = asked.to.chain();
    if peer == gateway.facts().chain {
        return Err(Reply::new(Code::LOOP, "recipient is on this chain: no message goes there"));
    }
    let message = message(gateway, asked)?;
    let answered = async {
        let route = contact::route(gateway, peer).await?;
        contact::call(gateway, &route, 0, &Request::Simulations(message)).await
    };
    Ok(match timeout(ANSWER_TIME_MAX, answered).await {
        Ok(Ok(contacted)) => read(contacted),
        Ok(Err(reply)) => Forecast { gateway: None, reply, gas: None },
        Err(_) => {
            let seconds = ANSWER_TIME_MAX.as_secs();
            let text = format!("no gateway of {peer} answered in {seconds} s");
            Forecast { gateway: None, reply: Reply::new(Code::NO_ANSWER, text), gas: None }
        }
    })
}

fn read(Contacted { gateway, response }: Contacted) -> Forecast {
    let (reply, gas) = match response {
        Response::Simulations(Simulated { reply, gas }) => (reply, gas),
        // What was asked is well formed, so it is the call that is not understood.
        Response::Refused(reply) if reply.code == Code::MALFORMED => {
            let text = "the destination's gateway does not offer dry runs";
            (Reply::new(Code::NO_ANSWER, text), None)
        }
        Response::Refused(reply) => (reply, None),
        _ => (Reply::new(Code::NO_ANSWER, "the gateway answered something else"), None),
    };
    Forecast { gateway: Some(gateway), reply, gas }
}

/// The message as the outbox would write it.
fn message(gateway: &Gateway, asked: Asked) -> Result<Message, Reply> {
    let (facts, peer) = (gateway.facts(), asked.to.chain());
    let value = match asked.amount.is_zero() {
        true => None,
        false => Some(value(gateway, peer, asked.asset, asked.amount)?),
    };
    let trusted = dns::believed(gateway, peer).ok().map(|believed| believed.trusted);
    let default = Duration::from_secs(Message::EXPIRES_AFTER_DEFAULT);
    let message = Message::new(Fields {
        source: facts.chain,
        source_tag: facts.tag,
        destination: peer,
        destination_tag: trusted.map_or(GenesisTag::UNSET, |trusted| trusted.tag),
        outbox: facts.outbox.clone(),
        sequence: SEQUENCE,
        sender: asked.from,
        recipient: asked.to.local().clone(),
        value,
        data: asked.data,
        gas: asked.gas,
        on_fail: asked.on_fail,
        expires: asked.expires.unwrap_or_else(|| gateway.now().after(default).seconds()),
    });
    message.map_err(|error| Reply::new(Code::MALFORMED, error.to_string()))
}

/// A sum as the outbox would write it: in the asset that is asked for, else in what this chain's own
/// coin is counted in with the peer, and under the account's terms.
fn value(
    gateway: &Gateway,
    peer: ChainId,
    asked: Option<Asset>,
    amount: Amount,
) -> Result<Value, Reply> {
    let own: Asset = format!("{}/coin", gateway.facts().chain)
        .parse()
        .map_err(|error| Reply::new(Code::MALFORMED, format!("{error}")))?;
    let accounts = gateway.spool.read(|tx| tx.accounts_with(peer)).map_err(|error| {
        tracing::warn!(target: "distpos", "a dry run: {error}");
        Reply::new(Code::SPOOL_FULL, "not now").retry_after(60)
    })?;
    let open: BTreeMap<Asset, TermsHash> =
        accounts.into_iter().filter_map(|(asset, row)| Some((asset, row.account.terms?))).collect();
    let asset = match asked {
        Some(asset) => asset,
        None if open.contains_key(&own) => own,
        None => open.keys().next().cloned().unwrap_or(own),
    };
    let terms = open.get(&asset).copied();
    Ok(Value { asset, amount, terms })
}
