//! Counters: their names in Redis, what is kept in this process, and what the log streams say.

pub mod log_entry;
pub mod names;
pub mod publication;
pub mod stats;
