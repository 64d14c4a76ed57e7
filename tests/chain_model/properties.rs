//! What must hold in every state.

use stateright::Property;

use crate::database::bit;
use crate::model::{Chain, State};

/// No entry is in the table twice.
pub const ONCE: &str = "no entry is applied twice";
/// The entries of a key come into the table in the order of the stream.
pub const IN_ORDER: &str = "entries of a key are applied in stream order";
/// The checkpoint promises no more than was done.
pub const NOT_LOST: &str = "what is at or below its lane's checkpoint is applied";
/// The checkpoint promises no less than was done.
pub const NOT_AHEAD: &str = "what is above its lane's checkpoint is not applied";
/// There is always something that can be done until everything is.
pub const NOT_STUCK: &str = "everything is applied when nothing more can happen";

/// All of them.
pub fn all() -> Vec<Property<Chain>> {
    vec![
        Property::always(ONCE, |_, state: &State| state.database.now.twice == 0),
        Property::always(IN_ORDER, |_, state: &State| !state.database.now.disorder),
        Property::always(NOT_LOST, |chain: &Chain, state: &State| {
            chain.must_follow(state) || entries(chain, state).all(|(is_covered, is_applied)| is_applied || !is_covered)
        }),
        Property::always(NOT_AHEAD, |chain: &Chain, state: &State| {
            entries(chain, state).all(|(is_covered, is_applied)| is_covered || !is_applied)
        }),
        Property::always(NOT_STUCK, |_, state: &State| !state.stuck),
    ]
}

/// For each entry that the stream holds: whether it is at or below its lane's checkpoint, and whether it is applied.
fn entries(chain: &Chain, state: &State) -> impl Iterator<Item = (bool, bool)> {
    let now = state.database.now;
    let lanes = chain.lanes[now.rows.lanes as usize - 1];
    let found = state.stream.ids.into_iter().enumerate().filter(|(_, id)| *id != 0);
    found.map(move |(entry, id)| (id <= now.rows.last[lanes[entry] as usize], now.applied & bit(entry) != 0))
}
