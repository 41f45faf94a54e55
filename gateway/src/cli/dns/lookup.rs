//! `distpos-dns lookup`: the route to a chain as a gateway sees it.

use clap::Args;
use distpos_proto::{address::AddressInput, chain::ChainId};
use distpos_resolver::{Resolve, ResolveError, Resolver, Route, RouteSource};
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;

use super::{Exit, Failure, FromConfig};
use crate::{
    cli::{say, say_json},
    clock,
    config::Config,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// A chain-id, or an address with one.
    #[arg(value_name = "CHAIN-ID|ADDRESS")]
    of: String,
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let (chain, config) = (chain_of(&arguments.of)?, arguments.from.load()?);
    let view = look_up(&config, chain).await?;
    if arguments.json {
        say_json(&view)?
    } else {
        view.print()?
    }
    Ok(Exit::Done)
}

fn chain_of(text: &str) -> Result<ChainId, Failure> {
    if let Ok(chain) = ChainId::parse_input(text) {
        return Ok(chain);
    }
    match text.parse() {
        Ok(AddressInput::At(address)) => Ok(address.chain()),
        Ok(AddressInput::Here(_)) | Err(_) => Err(Failure::usage(format_args!(
            "found {text:?}, expected a chain-id such as e2e4, or an address with one"
        ))),
    }
}

/// The route, in the order in which its gateways would be tried now.
#[derive(Serialize)]
struct RouteView {
    chain: String,
    source: String,
    level: String,
    stale: bool,
    seconds: u64,
    gateways: Vec<GatewayView>,
    policy: Option<String>,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct GatewayView {
    gateway: String,
    pri: u16,
    weight: u16,
    spki: Vec<String>,
    /// Those that would be dialled.
    addresses: Vec<String>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn look_up(config: &Config, chain: ChainId) -> Result<RouteView, Failure> {
    let lookup = config.lookup().map_err(Failure::configuration)?;
    let random = Box::new(StdRng::from_rng(&mut rand::rng()));
    let resolver = Resolver::new(lookup, config.resolver_options(), clock::system(), random);
    let route = resolver.route(chain).await.map_err(|error: ResolveError| {
        let exit = if error.is_permanent() { Exit::Unavailable } else { Exit::Temporary };
        Failure::new(exit, error)
    })?;
    let mut gateways = Vec::with_capacity(route.gateways.len());
    for gateway in &route.gateways {
        let found = resolver.addresses(gateway).await;
        let (addresses, error) = match found {
            Ok(addresses) => (addresses.iter().map(ToString::to_string).collect(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        gateways.push(GatewayView {
            gateway: gateway.to_string(),
            pri: gateway.pri,
            weight: gateway.weight,
            spki: gateway.pins.iter().map(ToString::to_string).collect(),
            addresses,
            error,
        });
    }
    Ok(RouteView::of(&route, gateways))
}

impl RouteView {
    fn of(route: &Route, gateways: Vec<GatewayView>) -> Self {
        Self {
            chain: route.chain.to_string(),
            source: match &route.source {
                RouteSource::Static => "configuration".to_owned(),
                RouteSource::Dns { name } => format!("TXT {name}"),
            },
            level: route.level.to_string(),
            stale: route.stale,
            seconds: route.expires.since(route.fetched).as_secs(),
            gateways,
            policy: route.policy.as_ref().map(ToString::to_string),
            keys: route.keys.iter().map(ToString::to_string).collect(),
        }
    }

    fn print(&self) -> Result<(), Failure> {
        say(format_args!("chain    {}", self.chain))?;
        say(format_args!("source   {}", self.source))?;
        say(format_args!("level    {}", self.level))?;
        say(format_args!("kept     {} s", self.seconds))?;
        for one in &self.gateways {
            let GatewayView { gateway, pri, weight, addresses, error, .. } = one;
            let reached = error.clone().unwrap_or_else(|| addresses.join(", "));
            say(format_args!("gateway  {gateway} pri {pri} w {weight}: {reached}"))?;
        }
        say(format_args!("policy   {}", self.policy.as_deref().unwrap_or("none")))?;
        self.keys.iter().try_for_each(|key| say(format_args!("key      {key}")))
    }
}
