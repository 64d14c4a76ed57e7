//! Writes JSON documents behind from Redis Streams to SQL databases.

pub mod actors;
pub mod audit;
pub mod batch;
pub mod cases;
pub mod credits;
pub mod decode;
pub mod error;
pub mod event;
pub mod expression;
pub mod fields;
pub mod lane;
pub mod logging;
pub mod mapping;
pub mod metrics;
pub mod pipeline;
pub mod row;
pub mod schema;
pub mod settings;
pub mod sink;
pub mod startup;
pub mod stream;
pub mod supervision;
pub mod table;
pub mod value_format;
pub mod wire;
