//! Runnable examples of DistPOS; see the `examples/` beside this file.
