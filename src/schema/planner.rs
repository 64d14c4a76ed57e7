//! What has to be done to one table, and what only a person can do.

use super::holds::holds;
use super::index;
use super::names::Names;
use super::observe::SeenColumns;
use super::shape::{Seen, Shape};
use super::types::{Place, choose, choose_for_sums};
use super::{Change, NewColumn, NewTable};
use crate::settings::{ColumnSettings, ColumnSource, RdbmsKind, TableSettings, WriteMode};
use crate::sink::catalogue::declared;
use crate::table::{Column, ColumnKind, Table, TableForm, TableName};

/// One table of the settings.
pub struct Planner<'a> {
    /// Its settings.
    pub settings: &'a TableSettings,
    /// What is known of its columns.
    pub seen: &'a SeenColumns,
    /// How the database reads names.
    pub names: &'a Names,
}

/// What was found out about one table.
pub struct Planned {
    /// What can be done by adding.
    pub changes: Vec<Change>,
    /// What a person must do.
    pub by_hand: Vec<String>,
    /// The table when both have been done.
    pub table: Table,
}

impl Planner<'_> {
    /// Compares what is needed with the table, if it is there.
    pub fn plan(&self, live: Option<&Table>) -> Planned {
        match live {
            None => self.creation(),
            Some(live) => self.additions(live),
        }
    }

    fn creation(&self) -> Planned {
        let mut by_hand = self.wrong_name();
        let key = &self.settings.key;
        let others = self.seen.columns.keys().filter(|name| !key.contains(name));
        let all: Vec<NewColumn> = key.iter().chain(others).map(|name| self.column(name)).collect();
        let has_id = all.iter().any(|column| self.names.same_column(&column.name, COUNTED));
        let new = NewTable {
            name: TableName::parse(&self.settings.table),
            setting: self.settings.setting.clone(),
            counted: self.row_key().is_empty() && !has_id,
            key: self.row_key().to_vec(),
            columns: all,
        };
        let table = planned(&new, self.names.rdbms);
        by_hand.extend(self.not_indexed(&new.key, &new.columns));
        let (columns, wrong) = self.with_names_of_their_own(new.columns);
        let has_all_of_key = key.iter().all(|name| columns.iter().any(|column| column.name == *name));
        let can_be_made = by_hand.is_empty() && has_all_of_key;
        by_hand.extend(wrong);
        let changes = can_be_made.then_some(Change::Create(NewTable { columns, ..new }));
        Planned { changes: changes.into_iter().collect(), by_hand, table }
    }

    /// The columns that tell one row from all others.
    fn row_key(&self) -> &[String] {
        if self.seen.key_is_shared { &[] } else { &self.settings.key }
    }

    /// What the mapping needs and the table lacks.
    fn additions(&self, live: &Table) -> Planned {
        let is_there = |name: &str| live.columns.iter().any(|column| self.names.same_column(&column.name, name));
        let missing = self.seen.columns.keys().filter(|name| !is_there(name)).map(|name| {
            let column = self.column(name);
            // The rows that are there have no value yet.
            let remark =
                (!column.nullable).then(|| "must have a value: set NOT NULL when every row has one".to_owned());
            let remark = remark.or(column.remark);
            let sql_type = self.with_character_set(column.sql_type);
            NewColumn { nullable: true, remark, sql_type, ..column }
        });
        let missing: Vec<NewColumn> = missing.collect();
        let mut table = live.clone();
        table.columns.extend(missing.iter().map(|column| of_new(column, self.names.rdbms)));

        let mut by_hand = self.too_narrow(live);
        let not_indexed = self.not_indexed(self.row_key(), &missing);
        let wants_index = not_indexed.is_empty() && self.wants_index(live);
        by_hand.extend(not_indexed);
        let (missing, wrong) = self.with_names_of_their_own(missing);
        by_hand.extend(wrong);
        let mut changes = Vec::new();
        for column in missing {
            match self.why_not_added(live, &column) {
                None => changes.push(Change::AddColumn(live.name.clone(), column)),
                Some(why) => by_hand.push(format!("{}.columns.{}: {why}", self.settings.setting, column.name)),
            }
        }
        if wants_index {
            table.unique_keys.push(self.row_key().to_vec());
            changes.push(Change::add_unique_index(live.name.clone(), self.row_key().to_vec()));
        }
        Planned { changes, by_hand, table }
    }

    /// MySQL takes no second unique index beside the upsert's, and none of texts without a length; a view takes none.
    fn wants_index(&self, live: &Table) -> bool {
        let key = self.row_key();
        let is_unique =
            live.unique_keys.iter().any(|index| index.len() == key.len() && index.iter().all(|c| key.contains(c)));
        let unlimited = |name: &String| {
            let column = live.column(name);
            column.is_some_and(|column| index::bytes(&column.sql_type, &column.kind).is_none())
        };
        let has_room = !self.is_mysql() || live.unique_keys.is_empty() && !key.iter().any(unlimited);
        let wanted = self.settings.mode == WriteMode::Upsert && !key.is_empty() && !is_unique;
        wanted && has_room && live.form != TableForm::View
    }

    /// Why the column cannot be added to the table that is there.
    fn why_not_added(&self, live: &Table, column: &NewColumn) -> Option<String> {
        const STRICT_TYPES: [&str; 6] = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
        let is_strict_type = || STRICT_TYPES.iter().any(|name| column.sql_type.eq_ignore_ascii_case(name));
        match live.form {
            TableForm::View => {
                Some(format!("{} is a view without it: add it to the view and to what is under it", live.name))
            }
            TableForm::Strict if !is_strict_type() => Some(format!(
                "{} is STRICT and lacks it: declare its `type` as one of {}",
                live.name,
                STRICT_TYPES.join(", ")
            )),
            TableForm::Strict | TableForm::Plain => None,
        }
    }

    /// Columns that do not hold what their declared type does.
    fn too_narrow(&self, live: &Table) -> Vec<String> {
        let declared = self.settings.columns.iter().filter_map(|column| Some((column, column.sql_type.as_deref()?)));
        let narrow = declared.filter_map(|(column, sql_type)| {
            let there = live.column(&column.column)?;
            let wanted = declared::column(&column.column, sql_type, self.names.rdbms);
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

    /// A name of the table that there cannot be.
    fn wrong_name(&self) -> Vec<String> {
        let TableSettings { setting, table, .. } = self.settings;
        let TableName { schema, table: own } = TableName::parse(table);
        let wrong = schema.iter().chain([&own]).filter_map(|name| self.names.too_long(name));
        wrong.map(|why| format!("{setting}.table: `{table}` {why}: give it a shorter one")).collect()
    }

    /// Those of the columns that can have their names, and what is wrong with the others'.
    fn with_names_of_their_own(&self, columns: Vec<NewColumn>) -> (Vec<NewColumn>, Vec<String>) {
        let setting = &self.settings.setting;
        let (mut good, mut wrong): (Vec<NewColumn>, Vec<String>) = (Vec::new(), Vec::new());
        for column in columns {
            let name = &column.name;
            if let Some(why) = self.names.too_long(name) {
                wrong.push(format!(
                    "{setting}.columns: `{name}` {why}: call the column otherwise, or let `reshape` give the member a \
                     shorter name"
                ));
            } else if let Some(other) = good.iter().find(|other| self.names.same_column(&other.name, name)) {
                wrong.push(format!(
                    "{setting}.columns: `{}` and `{name}` are one name to the database: call one of the columns \
                     otherwise, or let `reshape` rename or drop the member",
                    other.name
                ));
            } else {
                good.push(column);
            }
        }
        (good, wrong)
    }

    /// What keeps MySQL from making an index of the key, of the columns that are to be made.
    fn not_indexed(&self, key: &[String], new: &[NewColumn]) -> Vec<String> {
        if !self.is_mysql() {
            return Vec::new();
        }
        let setting = &self.settings.setting;
        let (mut wrong, mut sum) = (Vec::new(), 0);
        for column in new.iter().filter(|column| key.contains(&column.name)) {
            match index::bytes(&column.sql_type, &of_new(column, self.names.rdbms).kind) {
                Some(bytes) => sum += bytes,
                None => {
                    let declared = self.settings_of(&column.name).and_then(|settings| settings.sql_type.as_ref());
                    wrong.push(format!(
                        "{setting}.columns.{}.type: a column of the key cannot be {}, which has no length that an index \
                         could have: declare varchar(n), or varbinary(n) for bytes",
                        column.name,
                        declared.unwrap_or(&column.sql_type)
                    ));
                }
            }
        }
        if sum > index::ROOM {
            wrong.push(format!(
                "{setting}.key: its columns take up to {sum} bytes ({} a character), and an index has room for {}: declare \
                 shorter ones by their `type`, or with `CHARACTER SET ascii COLLATE ascii_bin`",
                index::BYTES_OF_CHAR,
                index::ROOM
            ));
        }
        wrong
    }

    fn column(&self, name: &str) -> NewColumn {
        let rdbms = self.names.rdbms;
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
                    true => choose_for_sums(self.seen_of(name), rdbms),
                    false => choose(self.seen_of(name), place, rdbms),
                };
                (chosen.sql_type, chosen.remark.map(str::to_owned))
            }
        };
        let mut column = NewColumn { name: name.to_owned(), sql_type, nullable, remark };
        if in_key && self.has_characters(&column.sql_type) {
            // Else `A` and `a` would be one key, and two documents one row.
            column.sql_type += " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        }
        column
    }

    /// In a table that is there, whose own character set may lack most characters.
    fn with_character_set(&self, sql_type: String) -> String {
        if self.has_characters(&sql_type) { sql_type + " CHARACTER SET utf8mb4" } else { sql_type }
    }

    /// Whether it is a type of MySQL's that has a character set, and does not say which.
    fn has_characters(&self, sql_type: &str) -> bool {
        let kind = declared::column("", sql_type, self.names.rdbms).kind;
        let words = sql_type.to_lowercase();
        let says = ["collate", "character set", "charset", " binary"].iter().any(|word| words.contains(word));
        self.is_mysql() && matches!(kind, ColumnKind::Text { .. } | ColumnKind::Choice { .. }) && !says
    }

    /// Characters that MySQL's index has room for in each text of the key whose length nobody declares.
    fn key_room(&self) -> u64 {
        let (mut texts, mut others) = (0, 0);
        for name in &self.settings.key {
            let declared = self.settings_of(name).and_then(|column| column.sql_type.as_deref());
            let sql_type = match (declared, self.seen_of(name).shape) {
                (Some(declared), _) => declared,
                (None, Shape::Nothing | Shape::Text | Shape::Json | Shape::Bytes) => {
                    texts += 1;
                    continue;
                }
                (None, Shape::Uuid) => "char(36)",
                (None, _) => "bigint",
            };
            let kind = declared::column(name, sql_type, self.names.rdbms).kind;
            others += index::bytes(sql_type, &kind).unwrap_or(0);
        }
        (index::ROOM.saturating_sub(others) / index::BYTES_OF_CHAR / texts.max(1)).max(1)
    }

    fn is_mysql(&self) -> bool {
        matches!(self.names.rdbms, RdbmsKind::MySql | RdbmsKind::MariaDb)
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

fn of_new(column: &NewColumn, rdbms: RdbmsKind) -> Column {
    Column { nullable: column.nullable, ..declared::column(&column.name, &column.sql_type, rdbms) }
}
