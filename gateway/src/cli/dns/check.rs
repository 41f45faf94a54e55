//! `distpos-dns check`: what is wrong with what a chain publishes, and what to do about it.

use clap::Args;
use distpos_certs::TlsIdentity;
use distpos_proto::{
    chain::ChainId,
    record::{Anchor, HostName},
    wire::{Request, Response},
};
use distpos_resolver::{
    HickoryLookup, Host, Options, Resolve, Resolver, StaticRoute,
    publish::{Finding, Findings, Own, lint, look},
};
use rand::{SeedableRng, rngs::StdRng};

use super::{Exit, Failure, FromConfig, Servers};
use crate::{
    cli::{say, say_json},
    clock,
    config::Config,
    keyring::Keyring,
    peer::{
        PeerTransport, Target,
        client::{ClientLimits, PeerClient},
    },
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The chain-id.
    chain: ChainId,
    #[command(flatten)]
    from: FromConfig,
    #[command(flatten)]
    servers: Servers,
    /// The domain under which the chain is listed; else the first of `resolver.roots`.
    #[arg(long, conflicts_with = "domain")]
    root: Option<HostName>,
    /// The chain's own domain.
    #[arg(long)]
    domain: Option<HostName>,
    /// Do not call the gateways.
    #[arg(long)]
    no_hello: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(arguments: &Arguments) -> Result<Exit, Failure> {
    let (chain, config) = (arguments.chain, arguments.from.load_if_there()?);
    let anchor = place(arguments, config.as_ref())?;
    let lookup = lookup(config.as_ref());
    let authority = match (arguments.servers.named(), &lookup) {
        ([], Err(_)) => return lookup.map(|_| Exit::Done),
        ([], Ok(lookup)) => arguments.servers.of(lookup, &anchor.gateways()).await?,
        (servers, _) => Servers::at(servers, &anchor.gateways()).await?,
    };
    let view = look(lookup.as_ref().ok(), &authority, chain, &anchor).await;
    let own = match &config {
        Some(config) => own(config, chain)?,
        None => None,
    };
    let mut findings = lint(&view, own.as_ref());
    if let Ok(lookup) = lookup
        && !arguments.no_hello
    {
        hello(arguments, config.as_ref(), lookup, &mut findings).await?;
    }
    tell(&findings, arguments.json)?;
    Ok(match (findings.errors.is_empty(), findings.is_temporary) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Temporary,
        (false, false) => Exit::Unavailable,
    })
}

/// The configured resolver; the system's, unvalidated, on a machine without a gateway.
fn lookup(config: Option<&Config>) -> Result<HickoryLookup, Failure> {
    match config {
        Some(config) => config.lookup().map_err(Failure::configuration),
        None => HickoryLookup::system(None).map_err(Failure::configuration),
    }
}

fn place(arguments: &Arguments, config: Option<&Config>) -> Result<Anchor, Failure> {
    if let Some(domain) = &arguments.domain {
        return Ok(Anchor::at(domain));
    }
    let options = options(arguments, config);
    if let Some(StaticRoute::Domain(domain)) = options.static_routes.get(&arguments.chain) {
        return Ok(Anchor::at(domain));
    }
    let root = options.roots.first().ok_or_else(|| {
        Failure::usage("--root is missing, and resolver.roots of a configuration, too")
    })?;
    Ok(Anchor::under(arguments.chain, root))
}

/// As a gateway would look the chain up at that place.
fn options(arguments: &Arguments, config: Option<&Config>) -> Options {
    let mut options = config.map_or_else(Options::default, Config::resolver_options);
    if let Some(root) = &arguments.root {
        options.roots = vec![root.clone()];
    }
    if let Some(domain) = &arguments.domain {
        options.static_routes.insert(arguments.chain, StaticRoute::Domain(domain.clone()));
    }
    options
}

/// What the records have to agree with, if it is the own chain.
fn own(config: &Config, chain: ChainId) -> Result<Option<Own>, Failure> {
    if chain != config.chain.id {
        return Ok(None);
    }
    let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
    let pin = ring.tls().map_err(Failure::configuration)?.pin();
    let keys = ring.in_use().map(|key| key.key).collect();
    Ok(Some(Own { pin, keys, family: config.chain.proof }))
}

/// Calls each gateway, as any peer would: does somebody answer there, with the key that is pinned?
async fn hello(
    arguments: &Arguments,
    config: Option<&Config>,
    lookup: HickoryLookup,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (chain, options) = (arguments.chain, options(arguments, config));
    let name = place(arguments, config)?.gateways();
    let random = Box::new(StdRng::from_rng(&mut rand::rng()));
    let resolver = Resolver::new(lookup, options, clock::system(), random);
    // What is wrong with the records has been told already.
    let Ok(route) = resolver.route(chain).await else { return Ok(()) };
    let tls = match config {
        Some(config) => {
            let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
            ring.tls().map_err(Failure::configuration)?
        }
        // A stranger is refused, and has seen the gateway's key by then.
        None => TlsIdentity::from_seed(&rand::random()),
    };
    let speaking_for = config.map_or(chain, |config| config.chain.id);
    let client = PeerClient::new(tls, ClientLimits::default());
    for gateway in &route.gateways {
        let addresses = match resolver.addresses(gateway).await {
            Ok(addresses) => addresses,
            Err(error) => {
                findings.errors.push(Finding { name: name.clone(), what: error.to_string() });
                continue;
            }
        };
        let host = match &gateway.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let target = Target { addresses, host, pins: gateway.pins.clone() };
        let what = match client.call(&target, speaking_for, chain, Request::Hello).await {
            // Refused or not: it has the key, and speaks the protocol.
            Ok(Response::Refused(_)) => continue,
            Ok(Response::Hello(hello)) if hello.chain == chain => continue,
            Ok(Response::Hello(hello)) => format!("{gateway} serves the chain {}", hello.chain),
            Ok(_) => format!("{gateway} answers something else"),
            Err(error) => format!("{gateway}: {error}"),
        };
        findings.errors.push(Finding { name: name.clone(), what });
    }
    Ok(())
}

fn tell(findings: &Findings, json: bool) -> Result<(), Failure> {
    if json {
        return say_json(findings);
    }
    let parts = [
        ("Errors", &findings.errors),
        ("Warnings", &findings.warnings),
        ("Instructions", &findings.instructions),
    ];
    for (title, list) in parts.into_iter().filter(|(_, list)| !list.is_empty()) {
        say(format_args!("{title}:"))?;
        for Finding { name, what } in list {
            say(format_args!("  {name}\n    {what}"))?;
        }
    }
    let is_fine = findings.errors.is_empty() && findings.warnings.is_empty();
    if is_fine { say("nothing is wrong") } else { Ok(()) }
}
