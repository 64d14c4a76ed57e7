//! What has to be done to the tables of a stream, and what only a person can do.

use super::holds::holds;
use super::observe::{SeenColumns, observe};
use super::shape::{Seen, Shape};
use super::types::{Place, choose, choose_for_sums};
use super::{Change, NewColumn, NewTable, Sample, try_out};
use crate::mapping::Mapping;
use crate::settings::{ColumnSettings, ColumnSource, RdbmsKind, StreamSettings, TableSettings, WriteMode};
use crate::sink::catalogue::declared;
use crate::table::{Column, ColumnKind, Table, TableName};

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
pub fn plan(stream: &StreamSettings, live: &[Option<Table>], samples: &[Sample], rdbms: RdbmsKind) -> StreamPlan {
    let seen = match observe(stream, live, samples, rdbms) {
        Ok(seen) => seen,
        Err(by_hand) => {
            let tables = live.iter().flatten().cloned().collect();
            return StreamPlan { changes: Vec::new(), by_hand, notes: Vec::new(), tables };
        }
    };
    let (mut changes, mut by_hand, mut notes, mut tables) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((settings, live), seen) in stream.tables.iter().zip(live).zip(&seen) {
        let planner = Planner { settings, seen, rdbms };
        match live {
            None => {
                let new = planner.new_table();
                tables.push(planned(&new, rdbms));
                changes.push(Change::Create(new));
            }
            Some(live) => {
                by_hand.extend(planner.too_narrow(live));
                let additions = planner.additions(live);
                tables.push(extended(live, &additions, rdbms));
                changes.extend(additions);
            }
        }
    }
    match Mapping::compile(stream, &tables, rdbms) {
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

/// One table of the settings.
struct Planner<'a> {
    settings: &'a TableSettings,
    seen: &'a SeenColumns,
    rdbms: RdbmsKind,
}

impl Planner<'_> {
    fn new_table(&self) -> NewTable {
        let key = &self.settings.key;
        let others = self.seen.columns.keys().filter(|name| !key.contains(name));
        let columns: Vec<NewColumn> = key.iter().chain(others).map(|name| self.column(name)).collect();
        let has_id = columns.iter().any(|column| column.name.eq_ignore_ascii_case(COUNTED));
        NewTable {
            name: TableName::parse(&self.settings.table),
            setting: self.settings.setting.clone(),
            columns,
            counted: self.row_key().is_empty() && !has_id,
            key: self.row_key().to_vec(),
        }
    }

    /// The columns that tell one row from all others.
    fn row_key(&self) -> &[String] {
        if self.seen.key_is_shared { &[] } else { &self.settings.key }
    }

    /// What the mapping needs and the table lacks.
    fn additions(&self, live: &Table) -> Vec<Change> {
        let ignores_case = self.rdbms != RdbmsKind::Postgres;
        let same = |one: &str, two: &str| one == two || ignores_case && one.eq_ignore_ascii_case(two);
        let missing =
            self.seen.columns.keys().filter(|name| !live.columns.iter().any(|column| same(&column.name, name)));
        let columns = missing.map(|name| {
            let column = self.column(name);
            // The rows that are there have no value yet.
            let remark =
                (!column.nullable).then(|| "must have a value: set NOT NULL when every row has one".to_owned());
            let remark = remark.or(column.remark);
            Change::AddColumn(live.name.clone(), NewColumn { nullable: true, remark, ..column })
        });
        let key = self.row_key();
        let is_unique =
            live.unique_keys.iter().any(|index| index.len() == key.len() && index.iter().all(|c| key.contains(c)));
        let wants_index =
            self.settings.mode == WriteMode::Upsert && !key.is_empty() && !is_unique && self.can_be_indexed(live);
        let index = wants_index.then(|| Change::AddUniqueIndex(live.name.clone(), key.to_vec()));
        columns.chain(index).collect()
    }

    /// MySQL takes no second unique index beside the upsert's, and none of texts without a length.
    fn can_be_indexed(&self, live: &Table) -> bool {
        let unlimited = |name: &String| {
            let column = live.column(name);
            column.is_some_and(|column| {
                matches!(column.kind, ColumnKind::Text { max_chars: None, .. } | ColumnKind::Json)
            })
        };
        !is_mysql(self.rdbms) || live.unique_keys.is_empty() && !self.settings.key.iter().any(unlimited)
    }

    /// Columns that do not hold what their declared type does.
    fn too_narrow(&self, live: &Table) -> Vec<String> {
        let declared = self.settings.columns.iter().filter_map(|column| Some((column, column.sql_type.as_deref()?)));
        let narrow = declared.filter_map(|(column, sql_type)| {
            let there = live.column(&column.column)?;
            let wanted = declared::column(&column.column, sql_type, self.rdbms);
            let (setting, name) = (&self.settings.setting, &column.column);
            (!holds(&there.kind, &wanted.kind)).then(|| {
                format!(
                    "{setting}.columns.{name}.type: is {sql_type}, and column `{name}` of {} is {}, which does not hold \
                     all of that: alter one of the two",
                    live.name, there.sql_type
                )
            })
        });
        narrow.collect()
    }

    fn column(&self, name: &str) -> NewColumn {
        let settings = self.settings_of(name);
        let in_key = self.settings.key.iter().any(|key| key == name);
        let is_version = self.settings.version.as_deref() == Some(name);
        let nullable = !in_key && !is_version && !settings.is_some_and(|column| column.required);
        let (sql_type, remark) = match settings.and_then(|column| column.sql_type.clone()) {
            Some(declared) => (declared, None),
            None => {
                let place = if in_key { Place::Key { room: self.key_room() } } else { Place::Plain };
                let is_added = settings.is_some_and(|column| matches!(column.source, ColumnSource::Add(_)));
                let chosen = match is_added {
                    true => choose_for_sums(self.seen_of(name), self.rdbms),
                    false => choose(self.seen_of(name), place, self.rdbms),
                };
                (chosen.sql_type, chosen.remark.map(str::to_owned))
            }
        };
        let mut column = NewColumn { name: name.to_owned(), sql_type, nullable, remark };
        if in_key && is_mysql(self.rdbms) && self.is_text(&column.sql_type) && !collates(&column.sql_type) {
            // Else `A` and `a` would be one key, and two documents one row.
            column.sql_type += " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        }
        column
    }

    /// Characters that InnoDB's index, of at most 3072 bytes, has room for in each text of the key.
    fn key_room(&self) -> u64 {
        const BYTES: u64 = 3072;
        const BYTES_OF_OTHERS: u64 = 40;
        const BYTES_OF_CHAR: u64 = 4;
        let is_inferred = |name: &&String| self.settings_of(name).is_none_or(|column| column.sql_type.is_none());
        let is_text = |name: &&String| {
            matches!(self.seen_of(name).shape, Shape::Nothing | Shape::Text | Shape::Json | Shape::Bytes)
                && is_inferred(name)
        };
        let texts = self.settings.key.iter().filter(is_text).count() as u64;
        let others = self.settings.key.len() as u64 - texts;
        BYTES.saturating_sub(others * BYTES_OF_OTHERS) / BYTES_OF_CHAR / texts.max(1)
    }

    fn is_text(&self, sql_type: &str) -> bool {
        matches!(declared::column("", sql_type, self.rdbms).kind, ColumnKind::Text { .. })
    }

    fn settings_of(&self, name: &str) -> Option<&ColumnSettings> {
        self.settings.columns.iter().find(|column| column.column == name)
    }

    fn seen_of(&self, name: &str) -> Seen {
        self.seen.columns.get(name).copied().unwrap_or_default()
    }
}

/// The column that counts rows which nothing else tells apart.
const COUNTED: &str = "id";

fn is_mysql(rdbms: RdbmsKind) -> bool {
    matches!(rdbms, RdbmsKind::MySql | RdbmsKind::MariaDb)
}

fn collates(sql_type: &str) -> bool {
    let words = sql_type.to_lowercase();
    ["collate", "character set", "charset", " binary"].iter().any(|word| words.contains(word))
}

/// A table as it will be when it is made.
fn planned(new: &NewTable, rdbms: RdbmsKind) -> Table {
    let counted = new.counted.then(|| Column {
        nullable: false,
        has_default: true,
        generated: rdbms == RdbmsKind::Postgres,
        ..declared::column(COUNTED, "bigint", rdbms)
    });
    let columns = new.columns.iter().map(|column| of_new(column, rdbms));
    let key = if new.counted { vec![COUNTED.to_owned()] } else { new.key.clone() };
    let unique_keys = Some(key).filter(|key| !key.is_empty()).into_iter().collect();
    Table { unique_keys, ..Table::new(new.name.clone(), counted.into_iter().chain(columns).collect()) }
}

/// A table as it will be with the changes.
fn extended(live: &Table, changes: &[Change], rdbms: RdbmsKind) -> Table {
    let mut table = live.clone();
    for change in changes {
        match change {
            Change::AddColumn(_, column) => table.columns.push(of_new(column, rdbms)),
            Change::AddUniqueIndex(_, key) => table.unique_keys.push(key.clone()),
            Change::Create(_) => {}
        }
    }
    table
}

fn of_new(column: &NewColumn, rdbms: RdbmsKind) -> Column {
    Column { nullable: column.nullable, ..declared::column(&column.name, &column.sql_type, rdbms) }
}
