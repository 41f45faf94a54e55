//! The DistPOS relay daemon and its commands.

pub mod peer;
