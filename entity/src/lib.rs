//! SeaORM entities: one file per table.

pub mod checkpoint;
pub mod dead_letter;
pub mod prelude;
pub mod user_action;
