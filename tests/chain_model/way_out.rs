//! Whether everything can still be applied, whatever has happened: from every state, without another fault.
//!
//! A checker of invariants cannot see two processes that hinder each other for ever, as their states form a circle in
//! which something can always be done. Here all states are kept, and those from which a way leads to a complete one
//! are found by going backwards.

use std::collections::HashMap;

use stateright::Model;

use crate::model::{Chain, State};

/// The number of states, and one from which nothing leads to a complete state, if there is any.
pub fn find_trap(chain: &Chain) -> (usize, Option<State>) {
    let mut states = chain.init_states();
    let mut numbers: HashMap<State, u32> = states.iter().copied().zip(0..).collect();
    // Steps that are no faults, as pairs of states: to, from.
    let mut back: Vec<(u32, u32)> = Vec::new();
    let mut actions = Vec::new();
    let mut from = 0;
    while let Some(state) = states.get(from).copied() {
        chain.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = chain.next_state(&state, action) else { continue };
            let to = *numbers.entry(next).or_insert_with(|| {
                states.push(next);
                states.len() as u32 - 1
            });
            if !action.is_fault() {
                back.push((to, from as u32));
            }
        }
        from += 1;
    }
    back.sort_unstable();
    let mut leads_out: Vec<bool> = states.iter().map(|state| chain.is_complete(state)).collect();
    let mut todo: Vec<u32> = (0..).zip(&leads_out).filter(|(_, out)| **out).map(|(number, _)| number).collect();
    while let Some(to) = todo.pop() {
        let begin = back.partition_point(|step| step.0 < to);
        for (_, from) in back[begin..].iter().take_while(|step| step.0 == to) {
            if !std::mem::replace(&mut leads_out[*from as usize], true) {
                todo.push(*from);
            }
        }
    }
    let trap = leads_out.iter().position(|out| !out).map(|number| states[number]);
    (states.len(), trap)
}
