//! Pure: the changes of a batch, folded into few statements with the same result.

use std::collections::HashMap;

use crate::table::Value;

/// What an event does to the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The values: all mapped columns in their order, for [`ChangeKind::Delete`] only those of the key.
    pub row: Vec<Value>,
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
    /// The rows; no two of one key unless they are appended.
    pub rows: Vec<&'a [Value]>,
}

/// Folds changes into steps which, run in order, leave the table as the changes one by one would have.
///
/// Changes of one key collapse to the last one that counts: an upsert or a delete makes all earlier ones void, an
/// update after an upsert is an upsert of the new values, an update after a delete is nothing. Appended rows never
/// collapse, and hold the order against the changes around them. `key` gives the places of the key in a row.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>, key: &[usize]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut run = KeyedRun::default();
    for change in changes {
        if change.kind == ChangeKind::Append {
            run.flush(&mut steps);
            push(&mut steps, ChangeKind::Append, &change.row);
        } else {
            run.add(change, key);
        }
    }
    run.flush(&mut steps);
    steps
}

/// The last change of each key since the last appended row.
#[derive(Default)]
struct KeyedRun<'a> {
    place: HashMap<Vec<u8>, usize>,
    last: Vec<(ChangeKind, &'a [Value])>,
}

impl<'a> KeyedRun<'a> {
    fn add(&mut self, change: &'a Change, key: &[usize]) {
        let mut bytes = Vec::with_capacity(64);
        match change.kind {
            ChangeKind::Delete => change.row.iter().for_each(|value| value.key_bytes(&mut bytes)),
            _ => key.iter().for_each(|place| change.row[*place].key_bytes(&mut bytes)),
        }
        let new = (change.kind, change.row.as_slice());
        match self.place.get(&bytes) {
            None => {
                self.place.insert(bytes, self.last.len());
                self.last.push(new);
            }
            Some(place) => {
                let before = &mut self.last[*place];
                *before = match (before.0, change.kind) {
                    (ChangeKind::Upsert, ChangeKind::Update) => (ChangeKind::Upsert, new.1),
                    (ChangeKind::Delete, ChangeKind::Update) => *before,
                    _ => new,
                };
            }
        }
    }

    /// Deletes go first: they can only make room for the values of a unique column that the others want.
    fn flush(&mut self, steps: &mut Vec<Step<'a>>) {
        for kind in [ChangeKind::Delete, ChangeKind::Update, ChangeKind::Upsert] {
            for (_, row) in self.last.iter().filter(|(of, _)| *of == kind) {
                push(steps, kind, row);
            }
        }
        self.place.clear();
        self.last.clear();
    }
}

fn push<'a>(steps: &mut Vec<Step<'a>>, kind: ChangeKind, row: &'a [Value]) {
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

    /// A table with unique keys, or, for appended rows, without.
    #[derive(Debug, Default, PartialEq)]
    struct Model(BTreeMap<i64, Vec<i64>>);

    impl Model {
        fn apply(&mut self, kind: ChangeKind, row: &[Value]) {
            let int = |value: &Value| if let Value::Int(n) = value { *n } else { panic!("{value:?}") };
            let key = int(&row[0]);
            match kind {
                ChangeKind::Append => self.0.entry(key).or_default().push(int(&row[1])),
                ChangeKind::Upsert => drop(self.0.insert(key, vec![int(&row[1])])),
                ChangeKind::Update => {
                    if let Some(rows) = self.0.get_mut(&key) {
                        rows.iter_mut().for_each(|value| *value = int(&row[1]));
                    }
                }
                ChangeKind::Delete => drop(self.0.remove(&key)),
            }
        }
    }

    fn change(kind: ChangeKind, key: i64, value: i64) -> Change {
        let row =
            if kind == ChangeKind::Delete { vec![Value::Int(key)] } else { vec![Value::Int(key), Value::Int(value)] };
        Change { kind, row }
    }

    #[test]
    fn a_key_is_in_one_keyed_step_only() {
        use ChangeKind::{Delete, Update, Upsert};
        let changes = [change(Upsert, 1, 1), change(Delete, 1, 0), change(Upsert, 1, 3), change(Update, 1, 4)];
        let steps = fold(&changes, &[0]);
        assert_eq!(steps, [Step { kind: Upsert, rows: vec![&changes[3].row] }]);
    }

    proptest! {
        #[test]
        fn folding_changes_nothing(
            before in proptest::collection::vec((0i64..4, 0i64..9), 0..6),
            changes in proptest::collection::vec((0usize..4, 0i64..4), 0..40),
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
            for step in fold(&changes, &[0]) {
                step.rows.iter().for_each(|row| folded.apply(step.kind, row));
            }
            prop_assert_eq!(plain, folded);
        }
    }
}
