//! What has to be done to the tables of a stream, and what only a person can do.

use super::names::Names;
use super::observe::observe;
use super::planner::{Planned, Planner};
use super::{Change, Sample, try_out};
use crate::mapping::Mapping;
use crate::settings::StreamSettings;
use crate::table::{Table, TableName};

/// What has to be done to the tables of a stream.
#[derive(Debug)]
pub struct StreamPlan {
    /// What can be done by adding.
    pub changes: Vec<Change>,
    /// What would still be wrong after it, each beginning with its setting: what a person must do.
    pub by_hand: Vec<String>,
    /// Sampled events that would become dead letters though the tables are as they must be.
    pub notes: Vec<String>,
    /// The tables as they are after the changes, in the order of the settings.
    pub tables: Vec<Table>,
}

/// Compares what the mapping of a stream needs with the tables that there are, in the order of the settings; `None` is one
/// that is not there.
pub fn plan(stream: &StreamSettings, live: &[Option<Table>], samples: &[Sample], names: &Names) -> StreamPlan {
    let seen = match observe(stream, live, samples, names.rdbms) {
        Ok(seen) => seen,
        Err(by_hand) => {
            let tables = live.iter().flatten().cloned().collect();
            return StreamPlan { changes: Vec::new(), by_hand, notes: Vec::new(), tables };
        }
    };
    let (mut changes, mut by_hand, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut tables: Vec<Table> = Vec::new();
    for ((settings, live), seen) in stream.tables.iter().zip(live).zip(&seen) {
        let name = TableName::parse(&settings.table);
        // Two names may be of one table: what is planned for the first is there for the second.
        let before = tables.iter().find(|table| names.same_table(&table.name, &name));
        let before = before.map(|table| Table { name: name.clone(), ..table.clone() });
        let Planned { changes: more, by_hand: left, table } =
            Planner { settings, seen, names }.plan(before.as_ref().or(live.as_ref()));
        for same in tables.iter_mut().filter(|table| names.same_table(&table.name, &name)) {
            *same = Table { name: same.name.clone(), ..table.clone() };
        }
        tables.push(table);
        changes.extend(more);
        by_hand.extend(left);
    }
    match Mapping::compile(stream, &tables, names.rdbms) {
        Ok(mapping) => {
            let tried = try_out(stream, &mapping, samples);
            for refused in &tried.refused {
                let said = if tried.is_of_column(refused) { &mut by_hand } else { &mut notes };
                said.push(refused.text(tried.all));
            }
        }
        Err(problems) => by_hand.extend(problems),
    }
    StreamPlan { changes, by_hand, notes, tables }
}
