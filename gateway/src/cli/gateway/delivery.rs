//! `distpos-gateway delivery check`: every stage on the way to another chain, timed; nothing is sent.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand};
use distpos_proto::{
    address::AddressInput,
    chain::ChainId,
    wire::{Request, Response},
};
use distpos_resolver::{Gateway, Host, Resolve, Resolver, Route, RouteSource};
use rand::{SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{Exit, Failure, FromConfig, admin_client::AdminClient, say, say_json};
use crate::{
    admin::{AccountState, AccountsView},
    clock,
    config::Config,
    keyring::Keyring,
    peer::{
        PeerTransport, Target,
        client::{ClientLimits, PeerClient},
    },
};

mod advice;
mod belief;

use belief::Belief;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Look the chain up, call its gateways in the order in which they would be tried, and see
    /// whether value would find an account.
    Check(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    /// An address on the other chain, or its chain-id.
    #[arg(value_name = "ADDRESS|CHAIN-ID")]
    to: String,
    #[command(flatten)]
    from: FromConfig,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One stage: what came of it, and how long it took.
#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    /// Which gateway or address.
    of: String,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    what: String,
    ms: f64,
}

struct Report {
    stages: Vec<Stage>,
    exit: Exit,
}

pub(super) async fn execute(command: Command) -> Result<Exit, Failure> {
    let Command::Check(arguments) = command;
    let (chain, config) = (chain_of(&arguments.to)?, arguments.from.load()?);
    let mut report = Report { stages: Vec::new(), exit: Exit::Done };
    if !arguments.json {
        say(format_args!("to {chain}; nothing is sent"))?;
    }
    walk(&config, chain, &mut report).await?;
    if arguments.json {
        let reached = report.exit == Exit::Done;
        say_json(&serde_json::json!({
            "chain": chain.to_string(), "ok": reached, "stages": report.stages,
        }))?;
    } else {
        report.stages.iter().try_for_each(print)?;
    }
    Ok(report.exit)
}

fn chain_of(text: &str) -> Result<ChainId, Failure> {
    match (text.parse(), ChainId::parse_input(text)) {
        (Ok(AddressInput::At(address)), _) => Ok(address.chain()),
        (_, Ok(chain)) => Ok(chain),
        _ => Err(Failure::usage(format_args!(
            "found {text:?}, expected an address with a chain-id, or a chain-id"
        ))),
    }
}

async fn walk(config: &Config, chain: ChainId, report: &mut Report) -> Result<(), Failure> {
    let lookup = config.lookup().map_err(Failure::configuration)?;
    let random = Box::new(StdRng::from_rng(&mut rand::rng()));
    let resolver = Resolver::new(lookup, config.resolver_options(), clock::system(), random);
    let start = Instant::now();
    let route = match resolver.route(chain).await {
        Ok(route) => route,
        Err(error) => {
            let exit = if error.is_permanent() { Exit::Unavailable } else { Exit::Temporary };
            let what = format!("{error}: {}", advice::of_route(&error));
            report.failed("look-up", chain, what, start, exit);
            return Ok(());
        }
    };
    if let (RouteSource::Dns { .. }, least) = (&route.source, config.trust.route)
        && route.level < least
    {
        let what = format!(
            "{}, and [trust] route wants {least}: their zone is not signed, or is not validated \
             here ([resolver] trust_anchors or trust_ad)",
            told(&route)
        );
        report.failed("look-up", chain, what, start, Exit::Temporary);
        return Ok(());
    }
    report.done("look-up", chain, told(&route), start);
    let ring = Keyring::load(&config.identity.directory).map_err(Failure::configuration)?;
    let tls = ring.tls().map_err(Failure::configuration)?;
    if route.admits(&tls.pin()) {
        let what = "its records name this gateway's own key: a loop (5.4.6)";
        report.failed("look-up", chain, what, start, Exit::Unavailable);
        return Ok(());
    }
    let start = Instant::now();
    let (belief, believing) = (Belief::of(config, &route).await?, start.elapsed());
    let client = PeerClient::new(tls, ClientLimits::default());
    let caller = Caller { client: &client, own: config.chain.id, route: &route, belief: &belief };
    let mut is_reached = false;
    for gateway in route.to_try() {
        is_reached |= caller.call(&resolver, gateway, report).await;
    }
    // One gateway that answers is enough.
    if is_reached {
        report.exit = Exit::Done;
    }
    let start = Instant::now().checked_sub(believing).unwrap_or(start);
    match belief.keys {
        Ok(what) => report.done("keys", chain, what, start),
        Err(what) => report.failed("keys", chain, what, start, Exit::Temporary),
    }
    account(config, chain, report).await;
    Ok(())
}

fn told(route: &Route) -> String {
    let source = match &route.source {
        RouteSource::Static => "configuration".to_owned(),
        RouteSource::Dns { name } => format!("TXT {name}"),
    };
    format!(
        "{source} ({}), {} gateways, {} keys",
        route.level,
        route.gateways.len(),
        route.keys.len()
    )
}

/// Who calls, and what is expected there.
struct Caller<'a> {
    client: &'a PeerClient,
    own: ChainId,
    route: &'a Route,
    belief: &'a Belief,
}

impl Caller<'_> {
    /// Every address of one gateway; whether any of them answered as it should.
    async fn call(&self, resolver: &dyn Resolve, gateway: &Gateway, report: &mut Report) -> bool {
        let start = Instant::now();
        let addresses = match resolver.addresses(gateway).await {
            Ok(addresses) => addresses,
            Err(error) => {
                let what = format!("{error}: {}", advice::of_route(&error));
                report.failed("addresses", gateway, what, start, Exit::Temporary);
                return false;
            }
        };
        let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        report.done("addresses", gateway, list.join(", "), start);
        let mut is_reached = false;
        for address in addresses {
            is_reached |= self.call_one(gateway, address, report).await;
        }
        is_reached
    }

    async fn call_one(&self, gateway: &Gateway, address: SocketAddr, report: &mut Report) -> bool {
        let of = format!("{gateway} {address}");
        let limit = ClientLimits::default().connect;
        let start = Instant::now();
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => report.done("tcp", &of, "connected", start),
            Ok(Err(error)) => {
                let what =
                    format!("{error}: is the gateway running, and the port open on the way?");
                report.failed("tcp", &of, what, start, Exit::Temporary);
                return false;
            }
            Err(_) => {
                let what =
                    format!("no answer within {} s: does a firewall drop it?", limit.as_secs());
                report.failed("tcp", &of, what, start, Exit::Temporary);
                return false;
            }
        }
        let host = match &gateway.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let target = Target { addresses: vec![address], host, pins: gateway.pins.clone() };
        let start = Instant::now();
        if let Err(error) = self.client.connect(&target).await {
            let what = format!("{error}: {}", advice::of_call(&error));
            report.failed("tls", &of, what, start, Exit::Temporary);
            return false;
        }
        report.done("tls", &of, "its key is the one that is pinned", start);
        let start = Instant::now();
        match self.hello(&target).await {
            Ok(what) => {
                report.done("hello", &of, what, start);
                true
            }
            Err(what) => {
                report.failed("hello", &of, what, start, Exit::Temporary);
                false
            }
        }
    }

    /// What it says of itself, or what is wrong with that.
    async fn hello(&self, target: &Target) -> Result<String, String> {
        let chain = self.route.chain;
        let answer = self.client.call(target, self.own, chain, Request::Hello).await;
        let hello = match answer {
            Ok(Response::Hello(hello)) => hello,
            Ok(Response::Refused(reply)) => {
                let (code, text) = (reply.code, reply.text());
                return Err(format!("{code} {text}: {}", advice::of_refusal(&reply, self.own)));
            }
            Ok(_) => return Err("it answers something else: for their operator".to_owned()),
            Err(error) => return Err(format!("{error}: {}", advice::of_call(&error))),
        };
        if hello.chain != chain {
            return Err(format!("it serves the chain {}: for their operator", hello.chain));
        }
        if let Some(expected) = self.belief.genesis.filter(|tag| *tag != hello.tag) {
            return Err(format!(
                "it serves another chain of that id: genesis {}, expected {expected}; ask their \
                 operator by a way you trust",
                hello.tag
            ));
        }
        Ok(format!(
            "chain {} genesis {}, head {}, up to {} messages a request",
            hello.chain, hello.tag, hello.head.height, hello.request_messages_max
        ))
    }
}

/// Whether value would find an open account on this side; the running gateway knows.
async fn account(config: &Config, chain: ChainId, report: &mut Report) {
    let (admin, start) = (AdminClient::new(config), Instant::now());
    if !admin.is_there().await {
        let what = "not known: the gateway of this configuration is not running";
        report.done("account", chain, what, start);
        return;
    }
    let view: Option<AccountsView> = match admin.get("/v1/accounts").await {
        Ok(view) => view,
        Err(failure) => {
            report.done("account", chain, format!("not known: {failure}"), start);
            return;
        }
    };
    let name = chain.to_string();
    let accounts = view.into_iter().flat_map(|view| view.accounts);
    let accounts: Vec<_> = accounts.filter(|account| account.chain == name).collect();
    let passes = |state| matches!(state, AccountState::Open | AccountState::Strained);
    let open = accounts.iter().filter(|account| passes(account.state));
    let open: Vec<_> = open.map(|account| account.asset.as_str()).collect();
    let what = match (open.is_empty(), accounts.is_empty()) {
        (false, _) => format!("open in {}", open.join(", ")),
        (true, false) => "none is open: value waits or is refused (`account list`)".to_owned(),
        (true, true) => {
            "none: messages without value pass, value does not (`account open`)".to_owned()
        }
    };
    report.done("account", chain, what, start);
}

impl Report {
    fn done(
        &mut self,
        stage: &'static str,
        of: impl std::fmt::Display,
        what: impl std::fmt::Display,
        start: Instant,
    ) {
        let (of, what, ms) = (of.to_string(), what.to_string(), millis(start.elapsed()));
        self.stages.push(Stage { stage, of, ok: true, what, ms });
    }

    fn failed(
        &mut self,
        stage: &'static str,
        of: impl std::fmt::Display,
        what: impl std::fmt::Display,
        start: Instant,
        exit: Exit,
    ) {
        let (of, what, ms) = (of.to_string(), what.to_string(), millis(start.elapsed()));
        self.stages.push(Stage { stage, of, ok: false, what, ms });
        self.exit = exit;
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn print(stage: &Stage) -> Result<(), Failure> {
    let Stage { stage, of, ok, what, ms } = stage;
    let verdict = if *ok { "ok" } else { "FAILED" };
    say(format_args!("{stage:<10} {ms:>8.1} ms  {verdict:<6} {of}: {what}"))
}
