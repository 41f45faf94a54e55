//! `--dry-run` and `--gas auto`: what both chains would say, with nothing sent.

use distpos_proto::{address::Address, message::OnFail};
use serde_json::json;

use super::{
    super::{Exit, Failure, say, say_json},
    Gas, Order,
    client::Client,
    own::{Purse, Quote},
};
use crate::submit::{Fails, SimulationAsked, SimulationView};

/// Gas with which a recipient's call is tried where its own need is not known yet: below what
/// contracts allow one message.
const PROBE_GAS: u64 = 3_000_000;

/// What was found out about an order.
pub(super) struct Forecast {
    /// What the destination would do; none for a transfer within the own chain.
    destination: Option<SimulationView>,
    quote: Quote,
}

/// Fills in the gas of the recipient's call where the user left it to the destination.
pub(super) async fn settle_gas(
    client: &Client,
    from: &Address,
    order: &mut Order,
    gas: Gas,
) -> Result<(), Failure> {
    order.gas = match gas {
        Gas::Of(gas) => gas,
        // Without data there is no call to pay for.
        Gas::Auto if order.data.is_empty() || order.to.chain() == from.chain() => 0,
        Gas::Auto => {
            order.gas = PROBE_GAS;
            let view = ask(client, from, order).await?;
            view.gas.ok_or_else(|| {
                let what = format!("--gas auto: no estimate for the call: {}", told(&view));
                Failure::of(exit_of(&view), what)
            })?
        }
    };
    Ok(())
}

/// Asks both chains about an order.
pub(super) async fn run(
    client: &Client,
    purse: &Purse<'_>,
    order: &Order,
) -> Result<Forecast, Failure> {
    let quote = purse.quote(order).await?;
    let destination = match order.to.chain() == purse.from().chain() {
        true => None,
        false => Some(ask(client, purse.from(), order).await?),
    };
    Ok(Forecast { destination, quote })
}

/// Tells what was found out; the exit code is that of the first that would say no.
pub(super) fn tell(
    forecast: &Forecast,
    from: &Address,
    order: &Order,
    as_json: bool,
) -> Result<Exit, Failure> {
    let Forecast { destination, quote } = forecast;
    if as_json {
        say_json(&json!({
            "dry_run": true,
            "from": from.to_string(),
            "to": order.to.to_string(),
            "gas": order.gas,
            "own": {
                "accepted": quote.refused.is_none(),
                "text": quote.refused,
                "gas": quote.cost.as_ref().map(|(gas, _)| gas),
                "fee": quote.cost.as_ref().map(|(_, fee)| fee),
                "note": quote.note,
            },
            "destination": destination,
        }))?;
    } else {
        say("dry run: nothing was sent")?;
        say(format_args!("own chain    {}", own(quote)))?;
        if let Some(note) = quote.note {
            say(format_args!("             {note}"))?;
        }
        if let Some(view) = destination {
            let route = view.gateway.as_deref().unwrap_or("no gateway answered");
            say(format_args!("route        {route}"))?;
            say(format_args!("destination  {}", told(view)))?;
            say(format_args!("call         {}", call(view, order)))?;
        }
    }
    Ok(match (&quote.refused, destination) {
        (Some(_), _) => Exit::Unavailable,
        (None, Some(view)) => exit_of(view),
        (None, None) => Exit::Done,
    })
}

fn own(quote: &Quote) -> String {
    match (&quote.refused, &quote.cost) {
        (Some(why), _) => format!("would refuse it: {why}"),
        (None, Some((gas, fee))) => {
            format!("would take it: about {gas} gas, at the price of now a fee of {fee} wei")
        }
        (None, None) => "would take it, without a fee".into(),
    }
}

fn told(view: &SimulationView) -> String {
    format!("{} {}", view.code, view.text)
}

fn call(view: &SimulationView, order: &Order) -> String {
    match (view.gas, order.gas) {
        (Some(0), _) => "none: the recipient is only paid".into(),
        (Some(needs), 0) => format!("none asked for (--gas 0); it would need about {needs} gas"),
        (Some(needs), given) => format!("needs about {needs} gas, is given {given}"),
        (None, given) => format!("no estimate, is given {given} gas"),
    }
}

fn exit_of(view: &SimulationView) -> Exit {
    match view.code.as_bytes().first() {
        Some(b'2') => Exit::Done,
        Some(b'5') => Exit::Unavailable,
        _ => Exit::Temporary,
    }
}

async fn ask(client: &Client, from: &Address, order: &Order) -> Result<SimulationView, Failure> {
    let asked = SimulationAsked {
        from: from.local().to_string(),
        to: order.to.to_string(),
        amount: Some(order.amount.to_string()),
        asset: order.asset.as_ref().map(ToString::to_string),
        data: super::hex(&order.data),
        gas: order.gas,
        on_fail: match order.on_fail {
            OnFail::Return => Fails::Return,
            OnFail::Keep => Fails::Keep,
        },
        expires: Some(order.expires.0),
    };
    client.simulate(&asked).await
}
