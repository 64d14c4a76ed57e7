//! Why actors end, how that is noticed, and when they come back.
//!
//! actix itself restarts nothing after a panic and has no back-off (see ARCHITECTURE.md): each actor runs in a
//! [`cell`], which reports every way it can end; [`strategy`] decides what then; [`retry`] is the writer's patience.

pub mod cell;
pub mod exit;
pub mod progress;
pub mod retry;
pub mod strategy;
