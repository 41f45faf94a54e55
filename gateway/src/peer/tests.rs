//! Stories of two gateways over real sockets on the loopback interface.

mod asking;
mod refusing;
mod support;
mod waiting;
