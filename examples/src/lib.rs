//! What the runnable examples share; the examples themselves are in `examples/` beside this folder.

pub mod dns;
pub mod economy;
pub mod simulation;
pub mod village;
