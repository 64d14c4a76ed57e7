//! The model: its state, and how stateright asks for what comes next.

use stateright::{Model, Property};

use crate::actions::Action;
use crate::bounds::{Bounds, Faults, Mutation, OWNERS_MAX};
use crate::database::{Database, bit};
use crate::owner::Owner;
use crate::properties;
use crate::situations::{Situation, Situations};
use crate::stream::{LanesOfEntries, Stream, keys_and_lanes};

/// The stream, the database and the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Redis.
    pub stream: Stream,
    /// The database.
    pub database: Database,
    /// The processes; those that the bounds do not have are never started.
    pub owners: [Owner; OWNERS_MAX],
    /// What can still go wrong.
    pub left: Faults,
    /// Nothing more can happen, and not everything is applied.
    pub stuck: bool,
}

/// The protocol within bounds.
pub struct Chain {
    /// The bounds.
    pub bounds: Bounds,
    /// Keys of the entries.
    pub keys: [String; 2],
    /// Lanes of the entries.
    pub lanes: LanesOfEntries,
    /// What the checker came through.
    pub situations: Situations,
}

impl Chain {
    /// The protocol within `bounds`.
    pub fn new(bounds: Bounds) -> Chain {
        let (keys, lanes) = keys_and_lanes();
        Chain { bounds, keys, lanes, situations: Situations::default() }
    }

    /// Whether this is the rule that is broken.
    pub fn broken(&self, mutation: Mutation) -> bool {
        self.bounds.mutation == mutation
    }

    /// The processes that the bounds have.
    pub fn owners<'a>(&self, state: &'a State) -> &'a [Owner] {
        &state.owners[..self.bounds.owners]
    }

    /// Whether all entries of the stream are in the table, and no more will come.
    pub fn is_complete(&self, state: &State) -> bool {
        let is_applied = |(entry, _)| state.database.now.applied & bit(entry) != 0;
        let no_more = state.left.additions == 0 || !self.may_add(state);
        no_more && state.stream.after(0).all(is_applied)
    }

    /// Notes that the checker came through a situation.
    pub fn came_through(&self, situation: Situation) {
        self.situations.note(situation);
    }
}

impl State {
    /// Processes do not differ but in name: of two states that differ only in that, one stands for both.
    fn with_owners_in_order(mut self) -> State {
        if self.owners[1] < self.owners[0] {
            self.owners.swap(0, 1);
            self.database.rename_owners();
        }
        self
    }
}

impl Model for Chain {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { lanes, entries, faults, .. } = self.bounds;
        vec![State {
            stream: Stream::new(entries),
            database: Database::new(lanes),
            owners: [Owner::down(lanes); OWNERS_MAX],
            left: faults,
            stuck: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.stuck {
            return;
        }
        self.ordinary_actions(state, actions);
        if actions.is_empty() && !self.is_complete(state) {
            actions.push(Action::Stuck);
        }
        self.faults(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.perform(&mut next, action)
            .then(|| if self.bounds.owners == 2 { next.with_owners_in_order() } else { next })
    }

    fn properties(&self) -> Vec<Property<Chain>> {
        properties::all()
    }
}
