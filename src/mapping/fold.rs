//! Pure: the changes of a batch, folded into few statements with the same result.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::row::Row;
use crate::table::TablePlan;

/// What an event does to a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Number of the table in its mapping.
    pub table: usize,
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
    /// Number of the table in its mapping.
    pub table: usize,
    /// What is done with each of them.
    pub kind: ChangeKind,
    /// The rows; no two of one key unless they are appended, or the database takes them in order.
    pub rows: Vec<&'a Row>,
}

/// Folds changes into steps which, run in order, leave the tables as the changes one by one would have.
///
/// Changes of one key collapse to the last ones that count: an upsert or a delete makes all earlier ones void, an
/// update after an upsert is an upsert of the new values, an update after a delete is nothing. Appended rows never
/// collapse, and hold the order against the changes around them. Where two keys that differ here may be one row for
/// the database, nothing collapses and everything keeps its order; a step then holds no key twice, unless the database
/// takes its rows in order.
///
/// Of several tables, in whose order `plans` are, the last one's rows are deleted first and written last: a row can refer
/// to rows of the tables before it.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>, plans: &[TablePlan]) -> Vec<Step<'a>> {
    let mut tables: Vec<_> = plans.iter().enumerate().map(|(number, plan)| TableFold::new(number, plan)).collect();
    let alone = tables.len() == 1;
    let mut steps = Vec::new();
    for change in changes {
        if !alone && tables[change.table].must_write_before(change) {
            flush(&mut tables, &mut steps);
        }
        tables[change.table].add(change);
    }
    flush(&mut tables, &mut steps);
    steps
}

/// Deletes of the last table first, then all else of the first table first.
fn flush<'a>(tables: &mut [TableFold<'a, '_>], steps: &mut Vec<Step<'a>>) {
    tables.iter_mut().for_each(TableFold::finish);
    if let [alone] = tables {
        return steps.append(&mut alone.steps);
    }
    for table in tables.iter_mut().rev() {
        if table.steps.first().is_some_and(|step| step.kind == ChangeKind::Delete) {
            steps.push(table.steps.remove(0));
        }
    }
    tables.iter_mut().for_each(|table| steps.append(&mut table.steps));
}

/// The changes of one table.
struct TableFold<'a, 'p> {
    number: usize,
    plan: &'p TablePlan,
    exact: bool,
    steps: Vec<Step<'a>>,
    run: KeyedRun<'a>,
    /// The keys of the last step, where keys are not exact.
    seen: HashSet<Cow<'a, [u8]>>,
}

impl<'a, 'p> TableFold<'a, 'p> {
    fn new(number: usize, plan: &'p TablePlan) -> Self {
        let exact = plan.keys_are_exact();
        TableFold { number, plan, exact, steps: Vec::new(), run: KeyedRun::default(), seen: HashSet::new() }
    }

    /// Whether what was added must be written before a row is deleted now: it cannot be deleted first.
    fn must_write_before(&self, change: &Change) -> bool {
        let written = self.steps.iter().any(|step| step.kind != ChangeKind::Delete);
        change.kind == ChangeKind::Delete && written
    }

    fn add(&mut self, change: &'a Change) {
        if change.kind == ChangeKind::Append {
            if !self.run.left.is_empty() {
                self.run.flush(self.number, &mut self.steps);
            }
            push(&mut self.steps, self.number, ChangeKind::Append, &change.row);
            return;
        }
        let key = key_of(change, &self.plan.key);
        if self.exact {
            self.run.add(key, change);
            return;
        }
        let same_kind = self.steps.last().is_some_and(|step| step.kind == change.kind);
        if !same_kind || (!self.plan.rows_in_order && self.seen.contains(&key)) {
            self.seen.clear();
            self.steps.push(Step { table: self.number, kind: change.kind, rows: Vec::new() });
        }
        self.seen.insert(key);
        push(&mut self.steps, self.number, change.kind, &change.row);
    }

    fn finish(&mut self) {
        self.run.flush(self.number, &mut self.steps);
        self.seen.clear();
    }
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
    fn flush(&mut self, table: usize, steps: &mut Vec<Step<'a>>) {
        let deletes = self.left.iter().filter_map(|left| left.delete);
        deletes.for_each(|row| push(steps, table, ChangeKind::Delete, row));
        for kind in [ChangeKind::Update, ChangeKind::Upsert] {
            for (_, row) in self.left.iter().filter_map(|left| left.write).filter(|(of, _)| *of == kind) {
                push(steps, table, kind, row);
            }
        }
        self.place.clear();
        self.left.clear();
    }
}

fn push<'a>(steps: &mut Vec<Step<'a>>, table: usize, kind: ChangeKind, row: &'a Row) {
    match steps.last_mut() {
        Some(step) if step.kind == kind => step.rows.push(row),
        _ => steps.push(Step { table, kind, rows: vec![row] }),
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
            references: Vec::new(),
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
        Change { table: 0, kind, row: values.into_iter().take(width).collect() }
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
            let steps = fold(&changes, &[plan(true)]);
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
        let steps = fold(&changes, &[plan(false)]);
        let kinds: Vec<_> = steps.iter().map(|step| (step.kind, step.rows.len())).collect();
        assert_eq!(kinds, [(Upsert, 2), (Upsert, 1), (Delete, 1), (Upsert, 1)]);
        let steps = fold(&changes, &[TablePlan { rows_in_order: true, ..plan(false) }]);
        let kinds: Vec<_> = steps.iter().map(|step| (step.kind, step.rows.len())).collect();
        assert_eq!(kinds, [(Upsert, 3), (Delete, 1), (Upsert, 1)]);
    }

    #[test]
    fn rows_are_written_after_those_that_they_refer_to_and_deleted_before_them() {
        use ChangeKind::{Append, Delete, Upsert};
        let of = |table, kind, key| Change { table, ..change(kind, key, 0) };
        for (exact, changes, expected) in [
            (true, vec![of(0, Upsert, 1), of(1, Upsert, 1)], vec![(0, Upsert, 1), (1, Upsert, 1)]),
            (true, vec![of(1, Upsert, 1), of(0, Upsert, 1)], vec![(0, Upsert, 1), (1, Upsert, 1)]),
            (true, vec![of(0, Delete, 1), of(1, Delete, 1)], vec![(1, Delete, 1), (0, Delete, 1)]),
            (
                true,
                vec![of(0, Upsert, 1), of(1, Upsert, 1), of(0, Delete, 1), of(1, Delete, 1), of(0, Upsert, 1)],
                vec![(1, Delete, 1), (0, Delete, 1), (0, Upsert, 1)],
            ),
            (
                false,
                vec![of(0, Upsert, 1), of(1, Upsert, 1), of(0, Delete, 1), of(1, Delete, 1), of(0, Upsert, 2)],
                vec![(0, Upsert, 1), (1, Upsert, 1), (1, Delete, 1), (0, Delete, 1), (0, Upsert, 1)],
            ),
            (
                true,
                vec![of(0, Append, 1), of(1, Append, 1), of(1, Append, 2), of(0, Delete, 1), of(0, Append, 3)],
                vec![(0, Append, 1), (1, Append, 2), (0, Delete, 1), (0, Append, 1)],
            ),
        ] {
            let steps = fold(&changes, &[plan(exact), plan(exact)]);
            let seen: Vec<_> = steps.iter().map(|step| (step.table, step.kind, step.rows.len())).collect();
            assert_eq!(seen, expected, "{changes:?}");
        }
    }

    proptest! {
        /// Each of two tables ends as if it were alone.
        #[test]
        fn folding_several_tables_changes_nothing(
            changes in proptest::collection::vec((0usize..2, 0usize..4, 0i64..4), 0..40),
            exact in any::<[bool; 2]>(),
        ) {
            let kinds = [ChangeKind::Append, ChangeKind::Upsert, ChangeKind::Update, ChangeKind::Delete];
            let numbered = changes.iter().zip(100..);
            let changes: Vec<Change> =
                numbered.map(|((table, kind, key), n)| Change { table: *table, ..change(kinds[*kind], *key, n) }).collect();
            let (mut plain, mut folded) = (<[Model; 2]>::default(), <[Model; 2]>::default());
            changes.iter().for_each(|change| plain[change.table].apply(change.kind, &change.row));
            for step in fold(&changes, &exact.map(plan)) {
                step.rows.iter().for_each(|row| folded[step.table].apply(step.kind, row));
            }
            prop_assert_eq!(plain, folded);
        }

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
            for step in fold(&changes, &[TablePlan { rows_in_order, ..plan(exact) }]) {
                step.rows.iter().for_each(|row| folded.apply(step.kind, row));
            }
            prop_assert_eq!(plain, folded);
        }
    }
}
