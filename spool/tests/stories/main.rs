//! Stories about the spool: what each operation does, and what is left after a crash.

mod commit;
mod disk;
mod facts;
mod kill;
mod model;
mod queue;
mod support;
