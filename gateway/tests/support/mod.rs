//! A world of chains, gateways and a DNS zone in one thread, on virtual time and without sockets.
//!
//! The pipelines are the real ones; ledgers, spools and DNS live in memory, and calls between
//! gateways go through [`network::Network`], which encodes and decodes them as the wire does.

// Each test binary uses its own part of this, and none is a library to others.
#![allow(dead_code, unreachable_pub)]

pub mod audit;
pub mod held;
pub mod network;
pub mod node;
pub mod site;
pub mod world;
