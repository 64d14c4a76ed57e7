//! What folding changes: nothing. Tables that take the changes one by one are compared with tables that take the steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::row::Value;
use crate::table::{Column, ColumnKind, Family, Owner, Reference, Table, TableName};

use ChangeKind::{Append, Delete, Update, Upsert};

const NAMES: [&str; 6] = ["key", "a", "b", "number", "version", "deleted"];
const KEY: usize = 0;
const NUMBER: usize = 3;
const VERSION: usize = 4;
const DELETED: usize = 5;

fn plan(exact: bool) -> TablePlan {
    let column = |name: &str| Column { compares_exactly: exact, ..Column::new(name, "bigint", ColumnKind::Other) };
    let table = Table::new(TableName::parse("t"), Vec::new());
    TablePlan { rows_in_order: false, ..TablePlan::new(table, NAMES.map(column).into(), vec![KEY]) }
}

fn row(values: &[i64]) -> Row {
    values.iter().map(|value| Value::Int(*value)).collect()
}

fn ints(row: &Row) -> Vec<i64> {
    let int = |value| if let Value::Int(n) = value { n } else { panic!("{row:?}") };
    row.values().map(int).collect()
}

/// A change of a whole row whose columns are all `value`.
fn change(kind: ChangeKind, key: i64, value: i64) -> Change {
    let values = [key, value, value, value, value, 0];
    let row = row(if kind == Delete { &values[..1] } else { &values });
    Change { table: 0, kind, row, extent: Extent::Whole }
}

/// A table as the database would have it. Only appended rows can have the key of another.
#[derive(Debug, Default, PartialEq)]
struct Model(BTreeMap<i64, Vec<Vec<i64>>>);

impl Model {
    /// Does what the statement of a step does with one of its rows.
    fn apply(&mut self, kind: ChangeKind, row: &Row, columns: Option<&Places>, plan: &TablePlan) {
        let values = ints(row);
        let places: Vec<usize> = columns.map_or((0..values.len()).collect(), |columns| columns.to_vec());
        let new = |place: usize| places.iter().position(|other| *other == place).map(|nth| values[nth]);
        let key = new(KEY).expect("a key");
        let alive = |old: &[i64]| plan.soft_delete.is_none_or(|mark| old[mark] == 0);
        let is_older =
            |old: &[i64]| plan.version.is_none_or(|version| new(version).is_none_or(|new| old[version] <= new));
        let set = |old: &mut Vec<i64>| {
            let begins = if alive(old) { 1 } else { 0 };
            for place in &places {
                let value = new(*place).expect("a value");
                old[*place] = if plan.adds.contains(place) { begins * old[*place] + value } else { value };
            }
        };
        match kind {
            Append => self.0.entry(key).or_default().push(values),
            Delete => drop(self.0.remove(&key)),
            Update => {
                let rows = self.0.get_mut(&key).into_iter().flatten();
                rows.filter(|old| alive(old) && is_older(old)).for_each(set);
            }
            Upsert => match self.0.get_mut(&key) {
                None => drop(self.0.insert(key, vec![values])),
                Some(rows) => rows.iter_mut().filter(|old| is_older(old)).for_each(set),
            },
        }
    }

    fn take(&mut self, change: &Change, plan: &TablePlan) {
        self.apply(change.kind, &change.row, change.extent.columns(), plan);
    }

    fn run(&mut self, step: &Step<'_>, plan: &TablePlan) {
        let keys: HashSet<i64> = step.rows.iter().map(|row| ints(row)[KEY]).collect();
        assert!(step.kind == Append || plan.rows_in_order || keys.len() == step.rows.len(), "a key twice: {step:?}");
        step.rows.iter().for_each(|row| self.apply(step.kind, row, step.columns.as_ref(), plan));
    }
}

#[test]
fn what_collapses_and_what_stays() {
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
        let rows: Vec<_> =
            steps.iter().flat_map(|step| step.rows.iter().map(|row| (step.kind, row.as_ref()))).collect();
        let expected: Vec<_> = expected.iter().map(|(kind, n)| (*kind, &changes[*n].row)).collect();
        assert_eq!(rows, expected, "{kinds:?}");
    }
}

#[test]
fn what_is_added_to_one_row_is_summed_up() {
    let changes: Vec<Change> = (1..=1_000).map(|n| change(Upsert, 1, n)).collect();
    let counter = TablePlan { adds: vec![NUMBER], ..plan(true) };
    let steps = fold(&changes, &[counter]);
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].rows.iter().map(|row| ints(row)).collect::<Vec<_>>(), [[1, 1_000, 1_000, 500_500, 1_000, 0]]);
}

#[test]
fn keys_that_may_be_one_row_keep_their_order() {
    let changes = [
        change(Upsert, 1, 0),
        change(Upsert, 2, 0),
        change(Upsert, 1, 1),
        change(Delete, 2, 0),
        change(Upsert, 1, 2),
        change(Update, 1, 3),
        change(Update, 2, 3),
    ];
    let kinds = |plan: TablePlan| -> Vec<(ChangeKind, usize)> {
        fold(&changes, &[plan]).iter().map(|step| (step.kind, step.rows.len())).collect()
    };
    assert_eq!(
        kinds(plan(false)),
        [(Upsert, 2), (Upsert, 1), (Delete, 1), (Upsert, 1), (Update, 1), (Update, 1)],
        "of two rows for one that is there an UPDATE would take any"
    );
    let in_order = TablePlan { rows_in_order: true, ..plan(false) };
    assert_eq!(kinds(in_order), [(Upsert, 3), (Delete, 1), (Upsert, 1), (Update, 2)]);
}

#[test]
fn a_row_that_refers_to_another_one_by_now_is_written_before_its_former_one_goes() {
    let table = |name: &str, cascading: &[(&str, &str)]| {
        let reference = |(table, column): &(&str, &str)| Reference {
            table: (*table).to_owned(),
            column: (*column).to_owned(),
            cascades: true,
        };
        let references = cascading.iter().map(reference).collect();
        let table = Table { references, ..Table::new(TableName::parse(name), Vec::new()) };
        TablePlan { table: table.into(), ..plan(true) }
    };
    let of = |table, kind, key| Change { table, ..change(kind, key, 0) };
    let moved = [of(1, Update, 1), of(0, Delete, 7)];
    for (plans, changes, expected) in [
        (vec![table("p", &[]), table("c", &[("P", "a")])], &moved, [(1, Update), (0, Delete)]),
        // A key stays as it is, and so does what it refers to.
        (vec![table("p", &[]), table("c", &[("p", "key")])], &moved, [(0, Delete), (1, Update)]),
        (vec![table("p", &[]), table("c", &[])], &moved, [(0, Delete), (1, Update)]),
        (vec![table("c", &[("c", "a")])], &[of(0, Upsert, 1), of(0, Delete, 7)], [(0, Upsert), (0, Delete)]),
    ] {
        let steps: Vec<_> = fold(changes, &plans).iter().map(|step| (step.table, step.kind)).collect();
        assert_eq!(steps, expected, "{:?}", plans.last().map(|plan| &plan.table.references));
    }
}

#[test]
fn rows_are_written_after_those_that_they_refer_to_and_deleted_before_them() {
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
            false,
            vec![of(0, Delete, 1), of(1, Delete, 1), of(0, Delete, 1), of(1, Delete, 1)],
            vec![(1, Delete, 1), (1, Delete, 1), (0, Delete, 1), (0, Delete, 1)],
        ),
        (
            true,
            vec![of(0, Append, 1), of(1, Append, 1), of(1, Append, 2), of(0, Delete, 1), of(0, Append, 3)],
            vec![(0, Append, 1), (1, Append, 2), (0, Delete, 1), (0, Append, 1)],
        ),
        // Appended rows must be there before the row that they refer to goes.
        (
            true,
            vec![of(0, Upsert, 1), of(1, Append, 1), of(0, Delete, 1), of(1, Delete, 1)],
            vec![(0, Upsert, 1), (1, Append, 1), (1, Delete, 1), (0, Delete, 1)],
        ),
    ] {
        let steps = fold(&changes, &[plan(exact), plan(exact)]);
        let seen: Vec<_> = steps.iter().map(|step| (step.table, step.kind, step.rows.len())).collect();
        assert_eq!(seen, expected, "{changes:?}");
    }
}

/// An operation as the mapping makes a change of it: `columns` are those of a patch besides the key.
fn operation(number: usize, key: i64, value: i64, version: i64, columns: &[usize], plan: &TablePlan) -> Change {
    let values = [key, value, -value, value, version, 0];
    let of_places = |places: Vec<usize>| {
        let row = row(&places.iter().map(|place| values[*place]).collect::<Vec<_>>());
        Change { table: 0, kind: Update, row, extent: Extent::Columns(places.into()) }
    };
    match number {
        0 => Change { table: 0, kind: Upsert, row: row(&values), extent: Extent::Whole },
        1 if plan.soft_delete.is_some() => of_places((0..DELETED).collect()),
        1 => Change { table: 0, kind: Update, row: row(&values), extent: Extent::Whole },
        2 => {
            let mut places = [&[KEY], columns].concat();
            places.extend(plan.version);
            places.sort_unstable();
            places.dedup();
            of_places(places)
        }
        _ if plan.soft_delete.is_some() => {
            let places: Places = vec![KEY, DELETED].into();
            Change { table: 0, kind: Update, row: row(&[key, 1]), extent: Extent::Columns(places) }
        }
        _ => Change { table: 0, kind: Delete, row: row(&[key]), extent: Extent::Whole },
    }
}

/// Tables with rows that have many: an owner, and its family.
#[derive(Debug, Default, PartialEq)]
struct Families {
    owners: Model,
    rows: BTreeMap<i64, BTreeMap<i64, i64>>,
}

impl Families {
    fn replace(&mut self, kind: ChangeKind, parent: i64, rows: &[Row]) {
        let is_alive = |row: &Vec<i64>| row[DELETED] == 0;
        let has_owner = self.owners.0.get(&parent).is_some_and(|rows| rows.iter().any(is_alive));
        if kind == Update && !has_owner {
            return;
        }
        let own = self.rows.entry(parent).or_default();
        own.retain(|item, _| rows.iter().any(|row| ints(row)[1] == *item));
        own.extend(rows.iter().map(|row| (ints(row)[1], ints(row)[2])));
        self.rows.retain(|_, items| !items.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Each of two tables ends as if it were alone.
    #[test]
    fn folding_several_tables_changes_nothing(
        changes in proptest::collection::vec((0u16..2, 0usize..4, 0i64..4), 0..40),
        exact in any::<[bool; 2]>(),
    ) {
        let kinds = [Append, Upsert, Update, Delete];
        let numbered = changes.iter().zip(100..);
        let changes: Vec<Change> =
            numbered.map(|((table, kind, key), n)| Change { table: *table, ..change(kinds[*kind], *key, n) }).collect();
        let (mut plain, mut folded) = (<[Model; 2]>::default(), <[Model; 2]>::default());
        let plans = exact.map(plan);
        changes.iter().for_each(|change| plain[usize::from(change.table)].take(change, &plans[usize::from(change.table)]));
        fold(&changes, &plans).iter().for_each(|step| folded[step.table].run(step, &plans[step.table]));
        prop_assert_eq!(plain, folded);
    }

    #[test]
    fn folding_changes_nothing(
        before in proptest::collection::vec((0i64..4, 0i64..9), 0..6),
        changes in proptest::collection::vec((0usize..4, 0i64..4), 0..40),
        exact in any::<bool>(),
        rows_in_order in any::<bool>(),
    ) {
        let kinds = [Append, Upsert, Update, Delete];
        let changes: Vec<Change> =
            changes.iter().zip(100..).map(|((kind, key), n)| change(kinds[*kind], *key, n)).collect();
        let plan = TablePlan { rows_in_order, ..plan(exact) };
        let (mut plain, mut folded) = (Model::default(), Model::default());
        for (key, value) in before {
            plain.take(&change(Upsert, key, value), &plan);
            folded.take(&change(Upsert, key, value), &plan);
        }
        changes.iter().for_each(|change| plain.take(change, &plan));
        fold(&changes, std::slice::from_ref(&plan)).iter().for_each(|step| folded.run(step, &plan));
        prop_assert_eq!(plain, folded);
    }

    /// Upserts, updates, patches and deletes of tables that add, that keep the newest version, that only mark what is
    /// deleted, and any mixture.
    #[test]
    fn folding_keeps_every_rule_of_a_table(
        before in proptest::collection::vec((0usize..4, 0i64..3, 0i64..9, 0i64..4), 0..6),
        changes in proptest::collection::vec(
            (0usize..4, 0i64..3, 1i64..9, 0i64..4, proptest::sample::subsequence(vec![1, 2, NUMBER], 1..=3)),
            0..30,
        ),
        [adds, version, soft_delete, exact, rows_in_order] in any::<[bool; 5]>(),
    ) {
        let plan = TablePlan {
            adds: adds.then_some(NUMBER).into_iter().collect(),
            version: version.then_some(VERSION),
            soft_delete: soft_delete.then_some(DELETED),
            rows_in_order,
            ..plan(exact)
        };
        let (mut plain, mut folded) = (Model::default(), Model::default());
        for (number, key, value, version) in before {
            let change = operation(number, key, value, version, &[1], &plan);
            plain.take(&change, &plan);
            folded.take(&change, &plan);
        }
        let change = |(number, key, value, version, columns): &(usize, i64, i64, i64, Vec<usize>)| {
            operation(*number, *key, *value, *version, columns, &plan)
        };
        let changes: Vec<Change> = changes.iter().map(change).collect();
        changes.iter().for_each(|change| plain.take(change, &plan));
        fold(&changes, std::slice::from_ref(&plan)).iter().for_each(|step| folded.run(step, &plan));
        prop_assert_eq!(plain, folded);
    }

    /// A document's rows are those of its last event that found the document's own row, which may only be marked when it is
    /// deleted: then they stay as they are.
    #[test]
    fn folding_families_changes_nothing(
        events in proptest::collection::vec(
            (0usize..3, 0i64..3, proptest::collection::btree_map(0i64..4, 0i64..9, 0..4)),
            0..30,
        ),
        [owner_is_exact, exact, soft] in any::<[bool; 3]>(),
    ) {
        let owners = TablePlan { soft_delete: soft.then_some(DELETED), ..plan(owner_is_exact) };
        let mark = soft.then(|| owners.columns[DELETED].clone());
        let owner = Owner { table: TableName::parse("t"), key: vec!["key".to_owned()], soft_delete: mark };
        let family = Family { parent: vec![0], owner: Some(owner) };
        let plans = [owners, TablePlan { key: vec![0, 1], family: Some(family), ..plan(exact) }];
        let mut changes = Vec::new();
        for (kind, parent, items) in &events {
            let of_owner = operation([0, 1, 3][*kind], *parent, 7, 0, &[], &plans[0]);
            let kind = [Upsert, Update, Delete][*kind];
            changes.push(of_owner);
            let rows = items.iter().map(|(item, value)| row(&[*parent, *item, *value])).collect();
            let extent = if kind == Delete { Extent::Whole } else { Extent::Family(Arc::new(rows)) };
            if kind != Delete || !soft {
                changes.push(Change { table: 1, kind, row: row(&[*parent]), extent });
            }
        }
        let (mut plain, mut folded) = (Families::default(), Families::default());
        for change in &changes {
            match &change.extent {
                Extent::Family(rows) => plain.replace(change.kind, ints(&change.row)[0], rows),
                _ if change.table == 1 => plain.replace(change.kind, ints(&change.row)[0], &[]),
                _ => plain.owners.take(change, &plans[0]),
            }
        }
        for step in fold(&changes, &plans) {
            if step.table == 0 {
                folded.owners.run(&step, &plans[0]);
            } else if step.kind == Delete {
                step.rows.iter().for_each(|row| folded.replace(Delete, ints(row)[0], &[]));
            } else {
                let parents: HashSet<i64> = step.families.iter().map(|family| ints(&family.parent)[0]).collect();
                prop_assert_eq!(parents.len(), step.families.len());
                let mut rest = step.rows.iter().map(|row| row.as_ref().clone());
                for family in &step.families {
                    let rows: Vec<Row> = rest.by_ref().take(family.rows).collect();
                    folded.replace(step.kind, ints(&family.parent)[0], &rows);
                }
                prop_assert_eq!(rest.next(), None);
            }
        }
        prop_assert_eq!(plain, folded);
    }
}
