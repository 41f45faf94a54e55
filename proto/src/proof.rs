//! Inclusion proofs, each verifier written for its tree and tested on other people's vectors.

pub mod merkle;
pub mod patricia;
pub mod rlp;
