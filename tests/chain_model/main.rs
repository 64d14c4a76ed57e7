//! The chain, exhausted: every order of steps and faults within small bounds, and what must hold in every state.
//!
//! Modelled are the checkpoint's rows with their locks, transactions that the server commits or rolls back after their
//! client is gone, the settling of a lost answer, readers and writers with what waits between them, the start of a
//! generation, two processes at once, a database that goes back to a backup, another number of lanes, and a stream that
//! loses its end. Splitting into lanes, joining spans and the lanes of keys are the crate's own functions.
//!
//! Not modelled are dead letters (they are rows like others here), what a document says, credits, time, and how the
//! first rows of a stream come to be. A transaction takes its lock and commits in two steps: under row locks nobody can
//! see what is between them.
//!
//! `cargo test --test chain_model -- --nocapture` prints the number of states; WRITE_BEHIND_CHAOS=full takes larger bounds.

mod actions;
mod bounds;
mod checker;
mod database;
mod environment;
mod model;
mod mutations;
mod owner;
mod promises;
mod properties;
mod reading;
mod situations;
mod starting;
mod stream;
mod way_out;
mod writing;
