//! Tests against real servers.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_events;
mod cli;
mod demo;
mod faults;
mod hard_cases;
mod harness_selftest;
mod keys;
mod mapping;
mod original_demo;
mod postgres_writing;
mod reading;
mod redis_side;
mod rows_match_model;
#[allow(dead_code, reason = "the harness offers more than each state of the tests uses")]
mod support;
mod thing;
mod types;
#[allow(dead_code, reason = "each test takes its part")]
mod workload;
