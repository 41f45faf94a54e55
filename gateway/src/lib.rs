//! The DistPOS relay daemon and its commands.
