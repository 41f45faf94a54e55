//! The daemon: builds a [`Gateway`] out of a configuration and runs its parts until told to stop.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail};
use distpos_resolver::{HickoryLookup, Resolver};
use distpos_spool::{Direction, Spool, SpoolError};
use futures_util::FutureExt;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::timeout};

use crate::{
    account,
    admin::{self, Admin, Socket},
    chain::ledger::Ledger,
    clock,
    config::{self, Config},
    correspondence,
    destinations::Destinations,
    event::{Event, Events, Found, Log},
    gateway::{Gateway, Identity},
    inbound::{self, hooks::Hooks},
    keyring::Keyring,
    load::{self, Load},
    metrics::{self, Metrics, dns::CountedLookup, events::Counted},
    outbound,
    peer::{
        client::{ClientLimits, PeerClient},
        server::{self, ServerLimits},
    },
    service::Service,
    stop::{self, Stop, Stopper},
    submit, trust, upkeep,
    watchdog::{self, Task, TaskFailed, Tasks, states::Worked},
};

mod correspondents;
mod keys;
mod node;
mod own;
pub(crate) mod status;

use keys::OwnKeys;
pub(crate) use keys::key_set;

pub use correspondents::Configured;
pub(crate) use node::evm_config;
pub use own::OwnChainError;

/// How long stopping may take: what is under way then is taken up at the next start.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(4);

/// How often it is looked whether the spool has failed for good.
const SPOOL_LOOKED_AT: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct Daemon {
    /// What its pipelines work with.
    pub gateway: Arc<Gateway>,
    /// The embedded chain, if that is what it fronts.
    pub ledger: Option<Arc<Ledger>>,
    /// Where it listens for peers.
    pub peers: SocketAddr,
    /// Where it listens for users.
    pub submission: SocketAddr,
    /// Where it tells metrics and health; none if that is off.
    pub metrics: Option<SocketAddr>,
    stopper: Stopper,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Runs the gateway until SIGTERM or SIGINT, then stops it within five seconds.
///
/// # Errors
/// What kept it from starting, or stopped it: the configuration, a key file, the spool, the chain.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let mut daemon = tokio::select! { biased;
        () = &mut stop => return Ok(()),
        daemon = start(config, Arc::new(Log)) => daemon?,
    };
    tracing::info!(
        target: "distpos",
        "chain {} ready: peers at {}, users at {}, metrics at {}",
        daemon.gateway.facts().chain, daemon.peers, daemon.submission,
        daemon.metrics.map_or_else(|| config::Metrics::OFF.to_owned(), |at| at.to_string()),
    );
    tokio::select! { biased;
        () = &mut stop => {}
        ended = daemon.tasks.join_next() => {
            daemon.stop().await;
            return match ended {
                Some(Ok(Err(error))) => Err(error),
                Some(Err(cancelled)) => Err(cancelled).context("a task of the gateway failed"),
                Some(Ok(Ok(()))) | None => bail!("a task of the gateway ended by itself"),
            };
        }
    }
    tracing::info!(target: "distpos", "stopping");
    daemon.stop().await;
    Ok(())
}

/// Starts the gateway: opens the spool and the chain, binds both listeners, runs the pipelines.
///
/// # Errors
/// What kept it from starting.
pub async fn start(config: Config, events: Arc<dyn Events>) -> anyhow::Result<Daemon> {
    let directory = &config.identity.directory;
    let keys = Keyring::load(directory).with_context(|| config.place("identity.directory"))?;
    let tls = keys.tls()?;
    let own_keys = OwnKeys::of(&config);
    let chain_keys = own_keys.read(&keys).map_err(|fault| fault.of(&config))?;
    let spool = Spool::open(&config.spool.directory)
        .with_context(|| at_path(&config, "spool.directory", &config.spool.directory))?;
    let clock = clock::system();
    let (stopper, stop) = stop::channel();
    let memory_max = config.limits.memory_max.0;
    let limits = peer_limits(&config);
    let counted = Arc::new(Metrics::default());
    let events: Arc<dyn Events> = Arc::new(Counted::new(counted.clone(), events));
    let opened = node::open(&config, &keys, clock.clone(), &spool, &events).await?;
    let resolver = resolver(&config, &clock, &spool, &counted)?;
    let peers = TcpListener::bind(config.listen.peers)
        .await
        .with_context(|| format!("{} {}", config.place("listen.peers"), config.listen.peers))?;
    let submission = TcpListener::bind(config.listen.submission).await.with_context(|| {
        format!("{} {}", config.place("listen.submission"), config.listen.submission)
    })?;
    let scrapes = match config.metrics.listen {
        None => None,
        Some(at) => Some(
            TcpListener::bind(at)
                .await
                .with_context(|| format!("{} {at}", config.place("metrics.listen")))?,
        ),
    };
    let socket =
        Socket::bind(&config.admin_socket()).await.with_context(|| config.place("admin.socket"))?;
    let token = config.token()?;
    let gateway = Arc::new(Gateway {
        clock,
        random: Mutex::new(Box::new(StdRng::try_from_rng(&mut rand::rngs::SysRng)?)),
        spool,
        resolver: Arc::new(resolver),
        peers: Arc::new(PeerClient::new(tls.clone(), ClientLimits::default())),
        chain: opened.chain,
        identity: Identity::new(chain_keys, tls.pin()),
        papers: Notify::new(),
        progress: Mutex::default(),
        hooks: Hooks::new(config.policy.hooks.clone()),
        correspondents: Arc::new(Configured::new(config)?),
        metrics: counted,
        tasks: Tasks::default(),
        worked: Worked::default(),
        events,
        answers: Mutex::default(),
        destinations: Destinations::default(),
        load: Load::new(memory_max, Box::new(load::resident)),
        authenticated: Mutex::default(),
    });
    let mut daemon = Daemon {
        ledger: opened.ledger,
        peers: peers.local_addr()?,
        submission: submission.local_addr()?,
        metrics: scrapes.as_ref().map(TcpListener::local_addr).transpose()?,
        gateway,
        stopper,
        tasks: JoinSet::new(),
    };
    daemon.spawn(&stop, tls, (peers, limits), submission, token);
    daemon.follow_keys(own_keys, stop.clone());
    daemon.spawn_admin(socket, stop.clone());
    daemon.spawn_watch(scrapes, stop);
    Ok(daemon)
}

impl Daemon {
    /// Runs a task until it is asked to stop. That it ends before is told, and ends the gateway.
    fn task(
        &mut self,
        task: Task,
        stop: &Stop,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let (gateway, stop) = (self.gateway.clone(), stop.clone());
        gateway.tasks.beat(task);
        self.tasks.spawn(async move {
            let done = std::panic::AssertUnwindSafe(work).catch_unwind().await;
            if stop.is_asked() {
                return done.unwrap_or(Ok(()));
            }
            gateway.tasks.ended(task);
            let panicked = done.is_err();
            gateway.emit(Event::Watchdog(Found::Ended { task, panicked }));
            match done {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) => Err(TaskFailed::Ended(task).into()),
                Err(_) => Err(TaskFailed::Panicked(task).into()),
            }
        });
    }

    fn spawn(
        &mut self,
        stop: &Stop,
        tls: distpos_certs::TlsIdentity,
        (peers, limits): (TcpListener, ServerLimits),
        submission: TcpListener,
        token: Option<config::Token>,
    ) {
        let own = || (self.gateway.clone(), stop.clone());
        let (gateway, stopped) = own();
        let outbound = outbound::run(gateway, stopped).map(Ok);
        let (gateway, stopped) = own();
        let inbound = inbound::run(gateway, stopped).map(Ok);
        let (gateway, stopped) = own();
        let papers = correspondence::run(gateway, stopped).map(Ok);
        let (gateway, stopped) = own();
        let trust = trust::dns::run(gateway, stopped).map(Ok);
        let (gateway, stopped) = own();
        let spool = async move { spool_failed(&gateway, &stopped).await };
        let (gateway, stopped) = own();
        let load = async move { Ok(load::run(&gateway, &stopped).await?) };
        let (gateway, stopped) = own();
        let upkeep = upkeep::run(gateway, stopped).map(Ok);
        let (gateway, stopped) = own();
        let listening = async move {
            let service = Arc::new(Service::new(gateway.clone()));
            let stopped = stopped.receiver();
            let served = server::serve(peers, &tls, service, limits, stopped);
            gateway.tasks.pulse(Task::Peers, served).await.context("peers' listener")
        };
        let status = Arc::new(status::FromSpool::new(self.gateway.clone(), self.ledger.clone()));
        let (gateway, stopped) = own();
        let answering = async move {
            let (chain, dry_runs) = (gateway.chain.clone(), gateway.clone());
            let stopped = stopped.receiver();
            let served = submit::serve(submission, chain, status, dry_runs, token, stopped);
            gateway.tasks.pulse(Task::Submission, served).await.context("submission listener")
        };
        self.task(Task::Outbound, stop, outbound);
        self.task(Task::Inbound, stop, inbound);
        self.task(Task::Papers, stop, papers);
        self.task(Task::Trust, stop, trust);
        self.task(Task::Spool, stop, spool);
        self.task(Task::Load, stop, load);
        self.task(Task::Upkeep, stop, upkeep);
        self.task(Task::Peers, stop, listening);
        self.task(Task::Submission, stop, answering);
    }

    /// Keys that turn over are taken up while it runs.
    fn follow_keys(&mut self, own: OwnKeys, stop: Stop) {
        let (gateway, ledger, stopped) = (self.gateway.clone(), self.ledger.clone(), stop.clone());
        self.task(Task::Keys, &stop, async move {
            own.follow(&gateway, ledger.as_deref(), &stopped).await;
            Ok(())
        });
    }

    /// What is for the operator: commands, and notices of what only people can do.
    fn spawn_admin(&mut self, socket: Socket, stop: Stop) {
        let (gateway, stopped) = (self.gateway.clone(), stop.clone());
        self.task(Task::Settlement, &stop, async move {
            account::settlement::run(gateway, stopped).await;
            Ok(())
        });
        let (gateway, stopped) = (self.gateway.clone(), stop.clone());
        self.task(Task::Admin, &stop, async move {
            let admin = Admin::new(gateway.clone());
            let served = admin::serve(socket, admin, stopped);
            gateway.tasks.pulse(Task::Admin, served).await.context("admin socket")
        });
    }

    /// Watchdogs, and what tells how all of it is.
    fn spawn_watch(&mut self, scrapes: Option<TcpListener>, stop: Stop) {
        let (gateway, stopped) = (self.gateway.clone(), stop.clone());
        self.task(Task::Stuck, &stop, async move {
            let looking = watchdog::states::run(&gateway, &stopped);
            let (watching, ()) = tokio::join!(watchdog::tasks::run(&gateway, &stopped), looking);
            Ok(watching?)
        });
        let Some(scrapes) = scrapes else { return };
        let (gateway, stopped) = (self.gateway.clone(), stop.clone());
        self.task(Task::Metrics, &stop, async move {
            metrics::sample::run(&gateway, &stopped).await;
            Ok(())
        });
        let (gateway, stopped) = (self.gateway.clone(), stop.clone());
        self.task(Task::Scrapes, &stop, async move {
            let served = metrics::serve::serve(scrapes, gateway.clone(), stopped);
            gateway.tasks.pulse(Task::Scrapes, served).await.context("metrics listener")
        });
    }

    /// Stops it, within [`STOP_TIME_MAX`]: what is being done is finished if it can be, and what is
    /// not is in the spool.
    pub async fn stop(mut self) {
        self.stopper.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP_TIME_MAX, ended).await.is_err() {
            let what = "stopped with work under way; it is taken up at the next start".to_owned();
            self.gateway.emit(Event::Alert { what });
            self.tasks.abort_all();
        }
    }

    /// Stops at once, as a crash would: for tests of what a restart takes up.
    pub fn abort(mut self) {
        self.tasks.abort_all();
    }
}

/// Where a key stands, and the path that it names.
fn at_path(config: &Config, key: &str, path: &Path) -> String {
    format!("{} {}", config.place(key), path.display())
}

/// What peers may use of this gateway.
fn peer_limits(config: &Config) -> ServerLimits {
    ServerLimits {
        connections_per_address_max: config.limits.connections_per_address_max.get(),
        ..ServerLimits::default()
    }
}

/// Ends when asked to stop, or with an error once the spool has failed for good and opening it anew
/// may help: a flush that failed is not repeated, so the process has to be started again. While the
/// disk is still full it keeps answering peers `4.3.1`, which tells them more than silence.
async fn spool_failed(gateway: &Gateway, stop: &Stop) -> anyhow::Result<()> {
    let spool = &gateway.spool;
    loop {
        gateway.tasks.beat(Task::Spool);
        tokio::select! { biased;
            () = stop.asked() => return Ok(()),
            () = tokio::time::sleep(SPOOL_LOOKED_AT) => {}
        }
        let Err(error @ SpoolError::Flush(_)) = spool.healthy() else { continue };
        if spool.space()?.is_none_or(|space| space.free >= space.reserve()) {
            return Err(error).context("start it again: the spool is whole, and opened anew then");
        }
    }
}

fn resolver(
    config: &Config,
    clock: &clock::Clock,
    spool: &Spool,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Resolver<CountedLookup<HickoryLookup>>> {
    let lookup = CountedLookup::new(config.lookup()?, metrics.clone());
    let random = Box::new(StdRng::try_from_rng(&mut rand::rngs::SysRng)?);
    let resolver = Resolver::new(lookup, config.resolver_options(), clock.clone(), random);
    // A chain with messages in the spool is known: that its name is gone is temporary for a day.
    let known = spool.read(|tx| {
        let mut known = Vec::new();
        for direction in Direction::BOTH {
            known.extend(tx.count(direction)?.into_iter().map(|count| count.0.0));
        }
        Ok::<_, SpoolError>(known)
    })?;
    for chain in known {
        if spool.read(|tx| tx.seen(chain))?.is_some() {
            resolver.remember(chain);
        }
    }
    Ok(resolver)
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
