//! The actors, one a file. Each does its I/O asynchronously but handles one batch at a time, in order.
//!
//! ```text
//! StreamReader ──EntryBatch──► Transformer ──LaneBatch──► RdbmsWriter
//!      ▲  ▲                         │                         │ │
//!      │  └────DocumentsFetched─────┘                         │ └──BatchCommitted──► MetricsActor
//!      └───────────────────────Committed──────────────────────┘
//! TableWatch: ends the group when one of its tables was altered
//! Supervisor: starts them as a group, hears how each ends, restarts, drains
//! ```

pub mod dead_letter_report;
pub mod messages;
pub mod metrics;
pub mod rdbms_writer;
pub mod stream_group;
pub mod stream_reader;
pub mod supervisor;
pub mod table_watch;
pub mod transformer;
