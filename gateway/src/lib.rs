//! The DistPOS relay daemon and its commands.

pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod submit;
pub mod trust;
