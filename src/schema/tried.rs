//! What a mapping makes of sample events: those that it would refuse, and those that it would pass over.

use std::collections::{BTreeMap, BTreeSet};

use super::Sample;
use crate::event::{Op, Rejection, RejectionClass, StreamId};
use crate::mapping::{ChangeKind, Changes, Explanation, Extent, Mapped, Mapping, Skipped};
use crate::row::{Row, Value};
use crate::settings::StreamSettings;

/// What became of the samples, before any SQL runs.
#[derive(Debug, Default)]
pub struct Tried {
    /// How many there were.
    pub all: usize,
    /// How many would be written.
    pub fit: usize,
    /// How many would be passed over, by the reason.
    pub passed_over: BTreeMap<Skipped, usize>,
    /// Those that would become dead letters, by setting and class, those with the newest event first.
    pub refused: Vec<Refused>,
    /// How many of those that fit have a whole document, so that filters are asked about them.
    pub whole: usize,
    /// The numbers, in the settings, of the tables that some of these reach.
    pub reached: BTreeSet<usize>,
    /// Columns that hold a value of an event that fits: the number of the table in the settings, and the name.
    pub(super) held: BTreeSet<(usize, String)>,
}

/// Events that would become dead letters for one cause.
#[derive(Debug)]
pub struct Refused {
    /// The setting that it is about, as far as that is known.
    pub setting: String,
    /// How many.
    pub events: usize,
    /// The newest of them.
    pub newest: StreamId,
    /// Why it is refused, as it may be told.
    pub why: Rejection,
}

impl Refused {
    /// It in words, which begin with the setting. `all` events were tried.
    pub fn text(&self, all: usize) -> String {
        let Refused { setting, events, newest, why } = self;
        let class = why.class.name();
        match events {
            1 => format!("{setting}: event {newest} would become a dead letter ({class}): {why}"),
            _ => format!(
                "{setting}: {events} of the newest {all} events would become dead letters ({class}), the newest is \
                 {newest}: {why}"
            ),
        }
    }
}

/// Lets the mapping of a stream try the samples, which are in stream order.
pub fn try_out(stream: &StreamSettings, mapping: &Mapping, samples: &[Sample]) -> Tried {
    let mut tried = Tried { all: samples.len(), ..Tried::default() };
    let mut causes: BTreeMap<(String, &str), Refused> = BTreeMap::new();
    for Sample { entry, event } in samples {
        let explained = event.as_ref().map_err(Clone::clone).and_then(|(event, document)| {
            let Explanation { outcome, skipped, tables, .. } = mapping.explain(entry, event, document);
            Ok((event.op, outcome?, skipped, tables))
        });
        match explained {
            Ok((op, Mapped::Changes(changes), _, passed)) => {
                tried.fit += 1;
                if !matches!(op, Op::Patch | Op::Delete) {
                    tried.whole += 1;
                    let takes = |place: &usize| !passed.iter().any(|(other, _)| other == place);
                    let takers = (0..mapping.tables().len()).filter(takes);
                    tried.reached.extend(takers.map(|place| mapping.tables()[place].number));
                }
                each_value(mapping, &changes, |table, column, value| {
                    if *value != Value::Null {
                        tried.held.insert((table, column.to_owned()));
                    }
                });
            }
            Ok((_, Mapped::Skip, why, _)) => *tried.passed_over.entry(why.unwrap_or(Skipped::Filter)).or_default() += 1,
            Err(why) => {
                let why = mapping.told(why);
                let setting = setting_of(stream, &why);
                let cause = causes.entry((setting.clone(), why.class.name()));
                let refused =
                    cause.or_insert_with(|| Refused { setting, events: 0, newest: entry.id, why: why.clone() });
                (refused.events, refused.newest, refused.why) = (refused.events + 1, entry.id, why);
            }
        }
    }
    tried.refused = causes.into_values().collect();
    tried.refused.sort_by_key(|refused| std::cmp::Reverse(refused.newest));
    tried
}

/// Where in the settings a rejection has its cause.
fn setting_of(stream: &StreamSettings, why: &Rejection) -> String {
    let table = why.table.and_then(|number| stream.tables.get(usize::from(number)));
    match (table, &why.column) {
        (Some(table), Some(column)) => format!("{}.columns.{column}", table.setting),
        (Some(table), None) => table.setting.clone(),
        (None, _) => format!("streams.{}", stream.entity),
    }
}

/// Tells of every value that is written, not of those that find rows to be deleted: the number of its table in the settings, its column, and itself.
pub(super) fn each_value(mapping: &Mapping, changes: &Changes, mut tell: impl FnMut(usize, &str, &Value<'_>)) {
    for change in changes.iter().filter(|change| change.kind != ChangeKind::Delete) {
        let table = &mapping.tables()[usize::from(change.table)];
        let mut tell_row = |row: &Row, places: &mut dyn Iterator<Item = usize>| {
            for (place, value) in places.zip(row.values()) {
                tell(table.number, &table.columns[place].column.name, &value);
            }
        };
        let all = 0..table.columns.len();
        match &change.extent {
            Extent::Whole => tell_row(&change.row, &mut all.clone()),
            Extent::Columns(places) => tell_row(&change.row, &mut places.iter().copied()),
            Extent::Family(rows) => rows.iter().for_each(|row| tell_row(row, &mut all.clone())),
        }
    }
}

impl Tried {
    /// Whether the column itself is at fault: it has no room for a value, or takes none that was seen.
    pub(super) fn is_of_column(&self, refused: &Refused) -> bool {
        use RejectionClass::{MissingValue, OutOfRange, TooLong, WrongType};
        let Rejection { class, table: Some(table), column: Some(column), .. } = &refused.why else { return false };
        match class {
            OutOfRange | TooLong => true,
            WrongType | MissingValue => !self.held.contains(&(usize::from(*table), column.clone())),
            _ => false,
        }
    }
}
