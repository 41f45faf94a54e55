//! A world of chains, gateways and a DNS zone in one thread, on virtual time and without sockets.
//!
//! The pipelines are the real ones; ledgers, spools and DNS live in memory, and calls between
//! gateways go through [`network::Network`], which encodes and decodes them as the wire does.

//! The stories of `gateway/tests` and the example `economy` are told in it.

#![allow(clippy::unwrap_used, reason = "a world that cannot go on fails as tests do: at once")]

pub mod audit;
pub mod held;
pub mod network;
pub mod node;
pub mod site;
pub mod world;
