//! The entities under short names.

pub use crate::checkpoint::Entity as Checkpoint;
pub use crate::dead_letter::Entity as DeadLetter;
pub use crate::user_action::Entity as UserAction;
