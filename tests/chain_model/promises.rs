//! The protocol as it is keeps its promises, whatever happens within the bounds.

use crate::bounds::{Bounds, Faults, Ids};
use crate::checker::{always_has_a_way_out, bounds, holds, sized};
use crate::situations::Situation::*;

const NONE: Faults =
    Faults { crashes: 0, failures: 0, lost_messages: 0, restores: 0, lane_changes: 0, lost_tails: 0, additions: 0 };

#[test]
fn one_process_survives_crashes_lost_answers_and_lost_messages() {
    let faults = Faults { crashes: 1, failures: sized(1, 2), lost_messages: 1, ..NONE };
    let bounds = Bounds { queue: 2, ..bounds(1, 4, faults) };
    let situations =
        [FoundCommitted, FoundNotCommitted, FoundCommittedAtLast, GapRefused, BatchesMerged, IdleLaneMoved];
    holds("one process", bounds, &situations);
}

#[test]
fn two_processes_lose_and_repeat_nothing() {
    let faults = Faults { crashes: sized(0, 1), failures: 1, ..NONE };
    let situations =
        [RaceLost, FoundCommitted, FoundNotCommitted, FoundCommittedAtLast, FoundElsewhere, ZombieCommitted];
    holds("two processes", bounds(2, 4, faults), &situations);
}

#[test]
fn two_processes_that_merge_batches_lose_and_repeat_nothing() {
    let faults = Faults { crashes: sized(0, 1), ..NONE };
    let bounds = Bounds { queue: 2, ..bounds(2, 4, faults) };
    holds("two processes, merging", bounds, &[RaceLost, BatchesMerged, ZombieCommitted]);
}

#[test]
fn what_a_restored_database_lacks_is_applied_again() {
    let faults = Faults { restores: 1, failures: sized(1, 0), ..NONE };
    holds("a restored database", bounds(2, sized(2, 3), faults), &[RowsLostByRestore, RaceLost, FoundElsewhere]);
}

#[test]
fn lanes_can_be_made_fewer_while_two_processes_work() {
    let faults = Faults { lane_changes: 2, failures: sized(0, 1), ..NONE };
    holds("two lanes to one", bounds(2, sized(4, 3), faults), &[Aligned, Divided, DivisionRefused, RaceLost]);
}

#[test]
fn lanes_can_be_made_more_while_two_processes_work() {
    let faults = Faults { lane_changes: 2, failures: sized(0, 1), ..NONE };
    let bounds = Bounds { lanes: 1, ..bounds(2, sized(4, 3), faults) };
    holds("one lane to two", bounds, &[Aligned, Divided, DivisionRefused, RaceLost]);
}

#[test]
fn a_stream_that_lost_its_end_is_followed_by_two_processes() {
    let faults = Faults { lost_tails: 1, additions: 1, crashes: sized(0, 1), ..NONE };
    let situations = [WentBack, FollowedBack, FollowBackRefused, OldNewestIgnored];
    holds("a lost tail", bounds(2, 2, faults), &situations);
}

#[test]
fn ids_that_are_given_out_again_are_read_once_the_loss_was_noticed() {
    let faults = Faults { lost_tails: 1, additions: 2, failures: 1, ..NONE };
    let bounds = Bounds { ids: Ids::AgainOnceNoticed, ..bounds(1, 3, faults) };
    holds("ids given out again", bounds, &[WentBack, FollowedBack]);
}

#[test]
fn one_process_survives_everything_at_once() {
    let faults = Faults {
        crashes: 0,
        failures: sized(0, 1),
        lost_messages: 1,
        restores: 1,
        lane_changes: 1,
        lost_tails: 1,
        additions: 1,
    };
    holds(
        "everything at once",
        bounds(1, 2, faults),
        &[GapRefused, RowsLostByRestore, Divided, FollowedBack, FoundElsewhere],
    );
}

#[test]
fn everything_can_still_be_applied_whatever_has_happened() {
    let two = |entries, faults| bounds(2, entries, faults);
    let kinds = [
        ("answers and crashes", two(sized(2, 3), Faults { failures: 1, crashes: sized(1, 0), ..NONE })),
        ("a restore", two(2, Faults { restores: 1, ..NONE })),
        ("other lanes", two(sized(2, 3), Faults { lane_changes: 2, ..NONE })),
        ("a lost tail", two(1, Faults { lost_tails: 1, additions: 1, ..NONE })),
        ("a lost message", Bounds { queue: 2, ..bounds(1, 4, Faults { lost_messages: 1, ..NONE }) }),
    ];
    for (name, bounds) in kinds {
        always_has_a_way_out(name, bounds);
    }
}
