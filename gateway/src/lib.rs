//! The DistPOS relay daemon and its commands.

pub mod account;
pub mod admin;
mod amount;
pub mod bytes;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contact;
pub mod correspondence;
pub mod daemon;
pub mod destinations;
pub mod event;
pub mod gateway;
pub mod health;
pub mod inbound;
pub mod keyring;
pub mod load;
pub mod metrics;
pub mod outbound;
pub mod peer;
pub mod queue;
pub mod service;
pub mod standing;
pub mod stop;
pub mod submit;
pub mod suspension;
#[cfg(test)]
mod testing;
pub mod transition;
pub mod trust;
pub mod upkeep;
pub mod watchdog;
pub mod work;
