//! Tests of mappings, by people who write no Rust: a file names the settings of a stream, events, and the rows that must come
//! of them. The events take the way of real ones (decoding, [`Mapping`](crate::mapping::Mapping),
//! [`Applier`](crate::sink::Applier)) into a real database, in transactions that are never committed.

mod case;
mod compare;
mod file;
mod reader;
mod run;
mod yaml;

pub use case::{Case, Event, ExpectedRow, Outcome};
pub use compare::differences;
pub use file::TestFile;
pub use run::{Runner, Verdict};
