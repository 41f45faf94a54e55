//! Stories about the spool: what each operation does, and what is left after a crash.

#![allow(clippy::unwrap_used, reason = "in a test's helper a failed unwrap is a failed test")]

mod accounts;
mod commit;
mod correspondence;
mod disk;
mod facts;
mod kill;
mod model;
mod queue;
mod signed;
mod standing;
mod support;
