//! Stories over a simulated world: what users, operators and thieves would see. One theme a module.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as the tests do")]

use distpos_examples::simulation as support;

mod two_chains;

// Wrong input: refused, and nothing lost.
mod absent_proofs;
mod hostile;
mod proof_budget;
mod wrong_messages;
mod wrong_proofs;
mod wrong_receipts;
mod wrong_requests;

// Before a message is sent.
mod dry_run;

// How messages end.
mod expiry;
mod keys_turn_over;
mod routes;
mod value;

// What others do here is remembered.
mod standing;

// Correspondent accounts: the cases that have to be shown, and where each is.
mod cases;
mod credit_clocks;
mod credit_exhausted;
mod credit_expiry;
mod credit_no_receipt;
mod credit_refusals;
mod credit_restarts;
mod credit_turns;

// What breaks, and comes back.
mod chaos;
mod correspondence;
mod crowds;
mod destinations;
mod faults;
mod kills;
mod seeds;
mod siblings;
mod suspended;
mod waiting;
mod watchdog;
