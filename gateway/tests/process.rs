//! Stories with real processes: `distpos-gateway run` from configuration files, on embedded
//! ledgers, over real sockets and TLS, with a name server in this process. Nothing is installed.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

#[path = "process/daemon.rs"]
mod daemon;

#[path = "process/world.rs"]
mod world;

#[path = "process/http.rs"]
mod http;

#[path = "process/proxy.rs"]
mod proxy;

#[path = "process/accounts.rs"]
mod accounts;

#[path = "process/admin.rs"]
mod admin;

#[path = "process/administrator.rs"]
mod administrator;

#[path = "process/chain.rs"]
mod chain;

#[path = "process/crash.rs"]
mod crash;

#[path = "process/delivery.rs"]
mod delivery;

#[path = "process/disk.rs"]
mod disk;

#[path = "process/hooks.rs"]
mod hooks;

#[path = "process/lookup.rs"]
mod lookup;

#[path = "process/metrics.rs"]
mod metrics;

#[path = "process/overload.rs"]
mod overload;

#[path = "process/pin.rs"]
mod pin;

#[path = "process/queue.rs"]
mod queue;

#[path = "process/refuse.rs"]
mod refuse;

#[path = "process/send.rs"]
mod send;

#[path = "process/stop.rs"]
mod stop;
