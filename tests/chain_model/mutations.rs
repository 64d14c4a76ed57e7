//! Each rule of the protocol is needed: without it the checker finds a way to lose or repeat an entry.

use crate::bounds::{Bounds, Faults, Ids, Mutation};
use crate::checker::{bounds, breaks};
use crate::properties::{NOT_LOST, NOT_STUCK, ONCE};

#[test]
fn the_checkpoint_must_be_compared() {
    breaks(Mutation::NoCompare, bounds(2, 2, Faults::default()), ONCE);
}

#[test]
fn the_generation_must_be_compared_where_lanes_are_divided() {
    let faults = Faults { lane_changes: 1, ..Faults::default() };
    breaks(Mutation::GenerationNotCompared, bounds(2, 2, faults), NOT_LOST);
}

#[test]
fn the_generation_must_be_compared_where_a_stream_goes_back() {
    let faults = Faults { lost_tails: 1, ..Faults::default() };
    breaks(Mutation::GenerationNotCompared, bounds(2, 1, faults), ONCE);
}

#[test]
fn rows_must_not_be_committed_before_the_checkpoint() {
    let faults = Faults { crashes: 1, ..Faults::default() };
    breaks(Mutation::RowsBeforeCheckpoint, bounds(1, 2, faults), ONCE);
}

#[test]
fn the_checkpoint_must_not_be_committed_before_the_rows() {
    let faults = Faults { crashes: 1, ..Faults::default() };
    breaks(Mutation::CheckpointBeforeRows, bounds(1, 2, faults), NOT_STUCK);
}

#[test]
fn a_gap_must_be_refused() {
    let faults = Faults { lost_messages: 1, ..Faults::default() };
    breaks(Mutation::GapAccepted, Bounds { queue: 2, ..bounds(1, 4, faults) }, NOT_LOST);
}

#[test]
fn a_lost_answer_must_not_be_taken_for_a_failure() {
    let faults = Faults { failures: 1, ..Faults::default() };
    breaks(Mutation::DoubtWritesAgain, bounds(1, 1, faults), ONCE);
}

#[test]
fn a_lost_answer_must_not_be_taken_for_success() {
    let faults = Faults { failures: 1, ..Faults::default() };
    breaks(Mutation::DoubtTakenForDone, bounds(1, 1, faults), NOT_STUCK);
}

#[test]
fn lanes_that_stand_apart_must_not_be_divided() {
    let faults = Faults { lane_changes: 1, ..Faults::default() };
    breaks(Mutation::DividedApart, bounds(1, 2, faults), ONCE);
    breaks(Mutation::DividedApart, bounds(1, 2, faults), NOT_LOST);
}

#[test]
fn rows_that_were_moved_must_not_be_replaced() {
    let faults = Faults { lane_changes: 1, ..Faults::default() };
    breaks(Mutation::ReplacedUnseen, bounds(2, 2, faults), ONCE);
}

#[test]
fn a_stream_that_lost_its_end_must_be_followed() {
    let faults = Faults { lost_tails: 1, additions: 1, ..Faults::default() };
    let bounds = Bounds { ids: Ids::AgainOnceNoticed, ..bounds(1, 2, faults) };
    breaks(Mutation::NotFollowedBack, bounds, NOT_LOST);
}

#[test]
fn the_checkpoint_must_be_read_before_the_streams_end() {
    let faults = Faults { additions: 1, ..Faults::default() };
    breaks(Mutation::NewestBeforeCheckpoint, bounds(2, 0, faults), ONCE);
}

#[test]
fn an_end_that_was_seen_before_others_read_on_must_not_count() {
    let faults = Faults { lost_tails: 1, additions: 1, ..Faults::default() };
    breaks(Mutation::OldNewestCounts, bounds(2, 1, faults), ONCE);
}

/// No rule is broken here: nobody can tell an entry from another that had its id and was applied.
#[test]
fn ids_that_are_given_out_again_before_the_loss_is_noticed_are_the_limit() {
    let faults = Faults { lost_tails: 1, additions: 1, ..Faults::default() };
    breaks(Mutation::None, Bounds { ids: Ids::Again, ..bounds(1, 1, faults) }, NOT_LOST);
}
