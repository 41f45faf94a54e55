//! When to try again, by cause: a pure schedule.
