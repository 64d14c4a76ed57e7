//! Runs the checker over bounds, and says what it went through.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::bounds::{Bounds, Faults, Ids, Mutation};
use crate::model::Chain;
use crate::situations::Situation;
use crate::way_out;

/// Two lanes, one batch that waits, and nothing that goes wrong.
pub fn bounds(owners: usize, entries: u8, faults: Faults) -> Bounds {
    Bounds { owners, lanes: 2, entries, queue: 1, faults, ids: Ids::Fresh, mutation: Mutation::None }
}

/// Full bounds if the environment variable WRITE_BEHIND_CHAOS is `full`.
pub fn sized<T>(short: T, full: T) -> T {
    if std::env::var("WRITE_BEHIND_CHAOS").is_ok_and(|chaos| chaos == "full") { full } else { short }
}

/// Goes through every state within the bounds: the properties hold in each, and each situation really comes up.
pub fn holds(name: &str, bounds: Bounds, situations: &[Situation]) {
    assert!(bounds.fits(), "{bounds:?}");
    let began = Instant::now();
    let checker = Chain::new(bounds).checker().spawn_dfs().join();
    assert!(checker.is_done());
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{name}: {states} states, {steps} steps, depth {}, {:.1?}", checker.max_depth(), began.elapsed());
    checker.assert_properties();
    for situation in situations {
        let times = checker.model().situations.times(*situation);
        println!("  {situation:?}: {times} times");
        assert!(times > 0, "{name}: the model never came through {situation:?}");
    }
}

/// From every state within the bounds everything can still be applied, without another fault.
pub fn always_has_a_way_out(name: &str, bounds: Bounds) {
    assert!(bounds.fits(), "{bounds:?}");
    let (states, trap) = way_out::find_trap(&Chain::new(bounds));
    println!("{name}: {states} states, all with a way out");
    assert!(trap.is_none(), "{name}: no way leads out of {trap:#?}");
}

/// With a rule broken, the checker finds a state in which `property` does not hold, by a shortest way.
pub fn breaks(mutation: Mutation, bounds: Bounds, property: &'static str) {
    let bounds = Bounds { mutation, ..bounds };
    assert!(bounds.fits(), "{bounds:?}");
    let enough = HasDiscoveries::AnyOf([property].into());
    let checker = Chain::new(bounds).checker().finish_when(enough).spawn_bfs().join();
    let steps = checker.discovery(property).map(|path| path.into_actions());
    let states = checker.unique_state_count();
    let steps = steps.unwrap_or_else(|| panic!("{mutation:?}: {states} states, and in all of them {property}"));
    println!("{mutation:?}: not true that {property}, after {states} states, by {steps:?}");
}
