//! Stories of one ledger and of two that prove messages to each other.

mod ends;
mod machine;
mod recovery;
mod sends;
mod support;
mod transfers;
