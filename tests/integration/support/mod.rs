//! The test harness: real servers and the real binary, started privately, gone when the test process is gone.
//!
//! Starting and stopping a server blocks the calling thread, so that servers can be shared through statics and killed
//! in `drop`; a test with tasks of its own (a proxy, a producer) therefore runs on the multi-thread runtime. Everything
//! that talks to the pipeline or to a database is async.

pub mod account;
pub mod cache;
pub mod database;
pub mod disk;
pub mod folder;
pub mod mariadb;
pub mod pipeline;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod python;
pub mod random;
pub mod redis;
pub mod server;
pub mod wait;
