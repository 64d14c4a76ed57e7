//! Pure: the changes of a batch, folded into few statements with the same result.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::row::Row;
use crate::table::TablePlan;

/// What an event does to the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The values: all mapped columns in their order, for [`ChangeKind::Delete`] only those of the key.
    pub row: Row,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A new row.
    Append,
    /// A new row, or the new values of the row with this key.
    Upsert,
    /// The new values of the row with this key, if there is one.
    Update,
    /// No row with this key.
    Delete,
}

/// Rows that go to the database together.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// What is done with each of them.
    pub kind: ChangeKind,
    /// The rows; no two of one key unless they are appended, or the database takes them in order.
    pub rows: Vec<&'a Row>,
}

/// Folds changes into steps which, run in order, leave the table as the changes one by one would have.
///
/// Changes of one key collapse to the last ones that count: an upsert or a delete makes all earlier ones void, an
/// update after an upsert is an upsert of the new values, an update after a delete is nothing. Appended rows never
/// collapse, and hold the order against the changes around them. Where two keys that differ here may be one row for
/// the database, nothing collapses and everything keeps its order; a step then holds no key twice, unless the database
/// takes its rows in order.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>, plan: &TablePlan) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let exact = plan.keys_are_exact();
    let mut run = KeyedRun::default();
    let mut seen = HashSet::new();
    for change in changes {
        if change.kind == ChangeKind::Append {
            run.flush(&mut steps);
            push(&mut steps, ChangeKind::Append, &change.row);
            continue;
        }
        let key = key_of(change, &plan.key);
        if exact {
            run.add(key, change);
            continue;
        }
        let same_kind = steps.last().is_some_and(|step: &Step| step.kind == change.kind);
        if !same_kind || (!plan.rows_in_order && seen.contains(&key)) {
            seen.clear();
            steps.push(Step { kind: change.kind, rows: Vec::new() });
        }
        seen.insert(key);
        push(&mut steps, change.kind, &change.row);
    }
    run.flush(&mut steps);
    steps
}

fn key_of<'a>(change: &'a Change, key: &[usize]) -> Cow<'a, [u8]> {
    match change.kind {
        ChangeKind::Delete => change.row.as_bytes().into(),
        _ => change.row.key(key),
    }
}

/// What is left of the changes of each key since the last appended row.
#[derive(Default)]
struct KeyedRun<'a> {
    place: HashMap<Cow<'a, [u8]>, usize>,
    left: Vec<Left<'a>>,
}

/// What is left of the changes of one key.
#[derive(Clone, Copy, Default)]
struct Left<'a> {
    /// The row is deleted first. This stays true if it is written again, for the columns that the mapping does not
    /// write: they begin anew with their defaults.
    delete: Option<&'a Row>,
    /// The row is written then.
    write: Option<(ChangeKind, &'a Row)>,
}

impl<'a> KeyedRun<'a> {
    fn add(&mut self, key: Cow<'a, [u8]>, change: &'a Change) {
        let place = *self.place.entry(key).or_insert_with(|| {
            self.left.push(Left::default());
            self.left.len() - 1
        });
        let left = &mut self.left[place];
        let row = &change.row;
        match (change.kind, left.write) {
            (ChangeKind::Delete, _) => *left = Left { delete: Some(row), write: None },
            (ChangeKind::Update, Some((kind, _))) => left.write = Some((kind, row)),
            (ChangeKind::Update, None) if left.delete.is_some() => {}
            (kind, _) => left.write = Some((kind, row)),
        }
    }

    /// Deletes go first: they can only make room for the values of a unique column that the others want.
    fn flush(&mut self, steps: &mut Vec<Step<'a>>) {
        let deletes = self.left.iter().filter_map(|left| left.delete);
        deletes.for_each(|row| push(steps, ChangeKind::Delete, row));
        for kind in [ChangeKind::Update, ChangeKind::Upsert] {
            for (_, row) in self.left.iter().filter_map(|left| left.write).filter(|(of, _)| *of == kind) {
                push(steps, kind, row);
            }
        }
        self.place.clear();
        self.left.clear();
    }
}

fn push<'a>(steps: &mut Vec<Step<'a>>, kind: ChangeKind, row: &'a Row) {
    match steps.last_mut() {
        Some(step) if step.kind == kind => step.rows.push(row),
        _ => steps.push(Step { kind, rows: vec![row] }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use std::sync::Arc;

    use crate::row::Value;
    use crate::table::{Column, ColumnKind, Table, TableName};

    /// A table with unique keys, or, for appended rows, without.
    #[derive(Debug, Default, PartialEq)]
    struct Model(BTreeMap<i64, Vec<i64>>);

    impl Model {
        fn apply(&mut self, kind: ChangeKind, row: &Row) {
            let int = |place| if let Some(Value::Int(n)) = row.value(place) { n } else { panic!("{row:?}") };
            let key = int(0);
            match kind {
                ChangeKind::Append => self.0.entry(key).or_default().push(int(1)),
                ChangeKind::Upsert => drop(self.0.insert(key, vec![int(1)])),
                ChangeKind::Update => {
                    if let Some(rows) = self.0.get_mut(&key) {
                        rows.iter_mut().for_each(|value| *value = int(1));
                    }
                }
                ChangeKind::Delete => drop(self.0.remove(&key)),
            }
        }
    }

    fn plan(exact: bool) -> TablePlan {
        let column = |name: &str| Column {
            name: name.into(),
            sql_type: "bigint".into(),
            cast_type: String::new(),
            kind: ColumnKind::Other,
            compares_exactly: exact,
            nullable: true,
            has_default: false,
            generated: false,
        };
        let name = TableName { schema: None, table: "t".into() };
        let table = Table {
            name,
            columns: Vec::new(),
            unique_keys: Vec::new(),
            rules: Vec::new(),
            takes_copy: false,
            not_transactional: None,
        };
        TablePlan {
            table: Arc::new(table),
            columns: vec![column("k"), column("v")],
            key: vec![0],
            upserts: true,
            rows_in_order: false,
        }
    }

    fn change(kind: ChangeKind, key: i64, value: i64) -> Change {
        let values = [Value::Int(key), Value::Int(value)];
        let width = if kind == ChangeKind::Delete { 1 } else { 2 };
        Change { kind, row: values.into_iter().take(width).collect() }
    }

    #[test]
    fn what_collapses_and_what_stays() {
        use ChangeKind::{Append, Delete, Update, Upsert};
        for (kinds, expected) in [
            (vec![Upsert, Upsert], vec![(Upsert, 1)]),
            (vec![Upsert, Update], vec![(Upsert, 1)]),
            (vec![Upsert, Delete], vec![(Delete, 1)]),
            (vec![Upsert, Delete, Upsert, Update], vec![(Delete, 1), (Upsert, 3)]),
            (vec![Delete, Update], vec![(Delete, 0)]),
            (vec![Update, Update], vec![(Update, 1)]),
            (vec![Update, Upsert], vec![(Upsert, 1)]),
            (vec![Append, Append], vec![(Append, 0), (Append, 1)]),
            (vec![Append, Delete, Append], vec![(Append, 0), (Delete, 1), (Append, 2)]),
        ] {
            let changes: Vec<Change> = kinds.iter().zip(0..).map(|(kind, n)| change(*kind, 1, n)).collect();
            let steps = fold(&changes, &plan(true));
            let rows: Vec<_> = steps.iter().flat_map(|step| step.rows.iter().map(|row| (step.kind, *row))).collect();
            let expected: Vec<_> = expected.iter().map(|(kind, n)| (*kind, &changes[*n].row)).collect();
            assert_eq!(rows, expected, "{kinds:?}");
        }
    }

    #[test]
    fn keys_that_may_be_one_row_keep_their_order() {
        use ChangeKind::{Delete, Upsert};
        let changes = [
            change(Upsert, 1, 0),
            change(Upsert, 2, 0),
            change(Upsert, 1, 1),
            change(Delete, 2, 0),
            change(Upsert, 1, 2),
        ];
        let steps = fold(&changes, &plan(false));
        let kinds: Vec<_> = steps.iter().map(|step| (step.kind, step.rows.len())).collect();
        assert_eq!(kinds, [(Upsert, 2), (Upsert, 1), (Delete, 1), (Upsert, 1)]);
        let steps = fold(&changes, &TablePlan { rows_in_order: true, ..plan(false) });
        let kinds: Vec<_> = steps.iter().map(|step| (step.kind, step.rows.len())).collect();
        assert_eq!(kinds, [(Upsert, 3), (Delete, 1), (Upsert, 1)]);
    }

    proptest! {
        #[test]
        fn folding_changes_nothing(
            before in proptest::collection::vec((0i64..4, 0i64..9), 0..6),
            changes in proptest::collection::vec((0usize..4, 0i64..4), 0..40),
            exact in any::<bool>(),
            rows_in_order in any::<bool>(),
        ) {
            let kinds = [ChangeKind::Append, ChangeKind::Upsert, ChangeKind::Update, ChangeKind::Delete];
            let changes: Vec<Change> =
                changes.iter().enumerate().map(|(n, (kind, key))| change(kinds[*kind], *key, 100 + n as i64)).collect();
            let (mut plain, mut folded) = (Model::default(), Model::default());
            for (key, value) in before {
                let row = change(ChangeKind::Upsert, key, value).row;
                plain.apply(ChangeKind::Upsert, &row);
                folded.apply(ChangeKind::Upsert, &row);
            }
            changes.iter().for_each(|change| plain.apply(change.kind, &change.row));
            for step in fold(&changes, &TablePlan { rows_in_order, ..plan(exact) }) {
                step.rows.iter().for_each(|row| folded.apply(step.kind, row));
            }
            prop_assert_eq!(plain, folded);
        }
    }
}
