//! Stories of one ledger and of two that prove messages to each other.

mod accounts;
mod ends;
mod machine;
mod recovery;
mod sends;
mod settlements;
mod support;
mod transfers;
