//! Pure: the changes of a batch, folded into few statements with the same result.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::change::{Change, ChangeKind, Extent, Places};
use super::left::{Left, Write};
use crate::row::Row;
use crate::table::TablePlan;

/// Rows that go to the database together.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// Number of the table in its mapping.
    pub table: usize,
    /// What is done with each of them.
    pub kind: ChangeKind,
    /// The places of the columns of an update, if the rows do not have all.
    pub columns: Option<Places>,
    /// The rows; no two of one key unless they are appended, or the database takes them in order.
    pub rows: Vec<Cow<'a, Row>>,
    /// The documents whose rows these are, in their order, where a document has many. Those that it had before and that
    /// are not among these are deleted first.
    pub families: Vec<FamilyRows<'a>>,
}

/// Rows of one document, in a [`Step`].
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyRows<'a> {
    /// The columns that they have in common.
    pub parent: Cow<'a, Row>,
    /// How many of the step's rows are of this document.
    pub rows: usize,
}

impl<'a> Step<'a> {
    /// A step of whole rows.
    pub fn new(table: usize, kind: ChangeKind, rows: Vec<Cow<'a, Row>>) -> Self {
        Step { table, kind, columns: None, rows, families: Vec::new() }
    }
}

/// Folds changes into steps which, run in order, leave the tables as the changes one by one would have.
///
/// Changes of one key collapse to the last ones that count: an upsert or a delete makes all earlier ones void, an
/// update after an upsert is an upsert of the new values, an update after a delete is nothing. What is added is summed up,
/// and of two versions the older one is left out, where that is the same for every row that may be there. Appended rows
/// never collapse, and hold the order against the changes around them. Where two keys that differ here may be one row for
/// the database, nothing collapses and everything keeps its order; a step then holds no key twice, unless the database
/// takes its rows in order.
///
/// Room is made for as many changes as the iterator says there are at least.
///
/// Of several tables, in whose order `plans` are, the last one's rows are deleted first and written last: a row can refer
/// to rows of the tables before it.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>, plans: &[TablePlan]) -> Vec<Step<'a>> {
    let changes = changes.into_iter();
    let expected = changes.size_hint().0 / plans.len().max(1);
    let fold = |(number, plan)| TableFold::new(number, plan, expected);
    let mut tables: Vec<_> = plans.iter().enumerate().map(fold).collect();
    let alone = tables.len() == 1;
    let leaving: Vec<Vec<usize>> = plans.iter().map(|plan| that_may_leave(plan, plans)).collect();
    let marks_matter: Vec<bool> = plans.iter().map(|plan| owns_rows_while_alive(plan, plans)).collect();
    let mut steps = Vec::new();
    for change in changes {
        let table = usize::from(change.table);
        // What was written must be written before a row is deleted now, of whichever table: they may refer to each other. What
        // is folded can wait, unless its rows would be deleted too because of what they refer to until then.
        if change.kind == ChangeKind::Delete
            && (!alone && tables.iter().any(TableFold::has_written)
                || leaving[table].iter().any(|other| tables[*other].has_to_write()))
        {
            flush(&mut tables, &mut steps);
        }
        // Rows of a document that is marked as deleted stay as they are: what came before must be written before it is.
        if marks_matter[table] && change.is_soft_delete(&plans[table]) {
            flush(&mut tables, &mut steps);
        }
        tables[table].add(change);
    }
    flush(&mut tables, &mut steps);
    steps
}

/// The places of the tables, be it itself, whose rows go with those of this one that they refer to, unless they refer to
/// another by then.
fn that_may_leave(plan: &TablePlan, plans: &[TablePlan]) -> Vec<usize> {
    let refers = |(_, other): &(usize, &TablePlan)| {
        let key: Vec<&str> = other.key.iter().map(|place| other.columns[*place].name.as_str()).collect();
        other.table.may_leave(&plan.table.name, &key)
    };
    plans.iter().enumerate().filter(refers).map(|(place, _)| place).collect()
}

/// Whether rows of other tables are only written while their document's row in this one is not marked as deleted.
fn owns_rows_while_alive(plan: &TablePlan, plans: &[TablePlan]) -> bool {
    let mut owners = plans.iter().filter_map(|other| other.family.as_ref()?.owner.as_ref());
    plan.soft_delete.is_some() && owners.any(|owner| owner.table == plan.table.name)
}

/// Deletes of the last table first, then all else of the first table first.
fn flush<'a>(tables: &mut [TableFold<'a, '_>], steps: &mut Vec<Step<'a>>) {
    tables.iter_mut().for_each(TableFold::finish);
    if let [alone] = tables {
        return steps.append(&mut alone.steps);
    }
    for table in tables.iter_mut().rev() {
        let deletes = table.steps.iter().take_while(|step| step.kind == ChangeKind::Delete).count();
        steps.extend(table.steps.drain(..deletes));
    }
    tables.iter_mut().for_each(|table| steps.append(&mut table.steps));
}

/// The changes of one table.
struct TableFold<'a, 'p> {
    number: usize,
    plan: &'p TablePlan,
    exact: bool,
    /// How many changes there may be, until there is room for them.
    expected: usize,
    steps: Vec<Step<'a>>,
    run: KeyedRun<'a>,
    /// The keys of the last step, where keys are not exact.
    seen: HashSet<Cow<'a, [u8]>>,
}

impl<'a, 'p> TableFold<'a, 'p> {
    fn new(number: usize, plan: &'p TablePlan, expected: usize) -> Self {
        let exact = plan.keys_are_exact();
        TableFold { number, plan, exact, expected, steps: Vec::new(), run: KeyedRun::default(), seen: HashSet::new() }
    }

    /// Whether there is something that deletes can no longer go before.
    fn has_written(&self) -> bool {
        self.steps.iter().any(|step| step.kind != ChangeKind::Delete)
    }

    /// Whether there is anything but deletes.
    fn has_to_write(&self) -> bool {
        self.has_written() || self.run.writes
    }

    fn add(&mut self, change: &'a Change) {
        if change.kind == ChangeKind::Append {
            if !self.run.left.is_empty() {
                self.run.flush(self.number, &mut self.steps);
            }
            let rows = &mut step_for(&mut self.steps, self.number, ChangeKind::Append, None).rows;
            rows.reserve(std::mem::take(&mut self.expected));
            return rows.push(Cow::Borrowed(&change.row));
        }
        let key = key_of(change, self.plan);
        if self.exact {
            self.run.reserve(std::mem::take(&mut self.expected));
            if !self.run.add(key, change, self.plan) {
                self.run.flush(self.number, &mut self.steps);
                self.run.add(key_of(change, self.plan), change, self.plan);
            }
            return;
        }
        if self.needs_a_step(change) || (!self.plan.rows_in_order && self.seen.contains(&key)) {
            self.seen.clear();
            let columns = change.extent.columns().cloned();
            self.steps.push(Step { columns, ..Step::new(self.number, change.kind, Vec::new()) });
        }
        self.seen.insert(key);
        let step = step_for(&mut self.steps, self.number, change.kind, change.extent.columns());
        put(step, Cow::Borrowed(&change.row), &change.extent);
    }

    /// Whether a change must not join the last step, whatever its key, where keys are not exact.
    fn needs_a_step(&self, change: &Change) -> bool {
        let same = |step: &Step| step.kind == change.kind && step.columns.as_ref() == change.extent.columns();
        let families = matches!(change.extent, Extent::Family(_));
        // Of two rows for one that is there PostgreSQL takes any.
        let ambiguous = change.kind == ChangeKind::Update && !self.plan.rows_in_order;
        families || ambiguous || !self.steps.last().is_some_and(same)
    }

    fn finish(&mut self) {
        self.run.flush(self.number, &mut self.steps);
        self.seen.clear();
    }
}

fn key_of<'a>(change: &'a Change, plan: &TablePlan) -> Cow<'a, [u8]> {
    match (&change.extent, change.kind) {
        (Extent::Family(_), _) | (_, ChangeKind::Delete) => change.row.as_bytes().into(),
        (Extent::Whole, _) => change.row.key(&plan.key),
        (Extent::Columns(columns), _) => {
            let place = |key: &usize| columns.iter().position(|column| column == key);
            let places: Vec<usize> = plan.key.iter().filter_map(place).collect();
            change.row.key(&places)
        }
    }
}

/// What is left of the changes of each key since the last appended row.
#[derive(Default)]
struct KeyedRun<'a> {
    place: HashMap<Cow<'a, [u8]>, usize>,
    left: Vec<Left<'a>>,
    /// Whether there was anything but deletes.
    writes: bool,
}

impl<'a> KeyedRun<'a> {
    fn reserve(&mut self, changes: usize) {
        self.place.reserve(changes);
        self.left.reserve(changes);
    }

    /// Answers whether the change could be added: else what is here must be written first.
    fn add(&mut self, key: Cow<'a, [u8]>, change: &'a Change, plan: &TablePlan) -> bool {
        let place = *self.place.entry(key).or_insert_with(|| {
            self.left.push(Left::default());
            self.left.len() - 1
        });
        self.writes |= change.kind != ChangeKind::Delete;
        self.left[place].add(change, plan)
    }

    /// Deletes go first: they can only make room for the values of a unique column that the others want.
    fn flush(&mut self, table: usize, steps: &mut Vec<Step<'a>>) {
        self.place.clear();
        self.writes = false;
        // No row joins a step from before: its key may be there already.
        let mut new = Vec::new();
        let left = std::mem::take(&mut self.left);
        for row in left.iter().filter_map(|left| left.delete) {
            step_for(&mut new, table, ChangeKind::Delete, None).rows.push(Cow::Borrowed(row));
        }
        let of_kind = |kind| move |write: &&Write<'a>| write.kind == kind;
        // Those that set the same columns go together.
        let mut of_columns: HashMap<Places, usize> = HashMap::new();
        for write in left.iter().filter_map(|left| left.write.as_ref()).filter(of_kind(ChangeKind::Update)) {
            let (extent, columns) = (write.extent(), write.extent().columns());
            match columns.and_then(|columns| of_columns.get(columns)) {
                Some(place) => put(&mut new[*place], write.row(), extent),
                None => put(step_for(&mut new, table, write.kind, columns), write.row(), extent),
            }
            if let Some(columns) = columns.filter(|columns| !of_columns.contains_key(*columns)) {
                of_columns.insert(columns.clone(), new.len() - 1);
            }
        }
        let mut upserts =
            left.iter().filter_map(|left| left.write.as_ref()).filter(of_kind(ChangeKind::Upsert)).peekable();
        if upserts.peek().is_some() {
            let step = step_for(&mut new, table, ChangeKind::Upsert, None);
            step.rows.reserve(left.len());
            upserts.for_each(|write| put(step, write.row(), write.extent()));
        }
        steps.append(&mut new);
    }
}

/// The last step if it is of this kind, or a new one.
fn step_for<'s, 'a>(
    steps: &'s mut Vec<Step<'a>>,
    table: usize,
    kind: ChangeKind,
    columns: Option<&Places>,
) -> &'s mut Step<'a> {
    let same = |step: &Step| step.kind == kind && step.columns.as_ref() == columns;
    if !steps.last().is_some_and(same) {
        steps.push(Step { columns: columns.cloned(), ..Step::new(table, kind, Vec::new()) });
    }
    let last = steps.len() - 1;
    &mut steps[last]
}

fn put<'a>(step: &mut Step<'a>, row: Cow<'a, Row>, extent: &Extent) {
    match extent {
        Extent::Whole | Extent::Columns(_) => step.rows.push(row),
        Extent::Family(rows) => {
            step.families.push(FamilyRows { parent: row, rows: rows.len() });
            step.rows.extend(rows.iter().cloned().map(Cow::Owned));
        }
    }
}
