//! What the pipeline knows of a target table: its columns and their types, read from the database's catalogue.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};

/// A table's name, with its schema where one was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Schema (PostgreSQL) or database (MySQL); the connection's own if absent.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads `table` or `schema.table`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((schema, table)) => TableName { schema: Some(schema.to_owned()), table: table.to_owned() },
            None => TableName { schema: None, table: text.to_owned() },
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// A table as the catalogue describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its columns, in the order of the table.
    pub columns: Vec<Column>,
    /// The columns of each unique index without a condition, the primary key among them.
    pub unique_keys: Vec<Vec<String>>,
    /// What else can refuse a row, in the database's own words: constraints and triggers. They are only compared.
    pub rules: Vec<String>,
    /// The columns of its foreign keys.
    pub references: Vec<Reference>,
    /// Whether PostgreSQL's `COPY` does with it what `INSERT` does, which knows rules, policies and views.
    pub takes_copy: bool,
    /// Why rows in it cannot be part of a transaction (`MyISAM`), if they cannot.
    pub not_transactional: Option<String>,
    /// What of it can be altered.
    pub form: TableForm,
}

/// A column of a foreign key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The table that the key refers to, without its schema.
    pub table: String,
    /// The column.
    pub column: String,
    /// Whether a row goes with the one that it refers to (`ON DELETE CASCADE`).
    pub cascades: bool,
}

/// What of a table can be altered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableForm {
    /// Columns of every type can be added.
    #[default]
    Plain,
    /// Only columns of SQLite's own types (`STRICT`).
    Strict,
    /// It is a view: nothing.
    View,
}

impl Table {
    /// A table with nothing but columns: no keys, no rules, and not known to take `COPY`.
    pub fn new(name: TableName, columns: Vec<Column>) -> Self {
        let (unique_keys, rules, references) = Default::default();
        let form = TableForm::Plain;
        Table { name, columns, unique_keys, rules, references, takes_copy: false, not_transactional: None, form }
    }

    /// Whether it may have foreign keys to a table. The schemas of both are not looked at, nor is the case of their names,
    /// which some databases change: an order that nobody needs costs nothing.
    pub fn refers_to(&self, other: &TableName) -> bool {
        self.references_to(other).next().is_some()
    }

    /// Whether a row that goes with one of another table may come to refer to another row of it, which it then stays with:
    /// by a column that is not one of `key`.
    pub fn may_leave(&self, other: &TableName, key: &[&str]) -> bool {
        let is_key = |column: &str| key.iter().any(|key| key.to_lowercase() == column.to_lowercase());
        self.references_to(other).any(|reference| reference.cascades && !is_key(&reference.column))
    }

    fn references_to(&self, other: &TableName) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(|reference| reference.table.to_lowercase() == other.table.to_lowercase())
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column as the catalogue describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type in the database's own words, for messages.
    pub sql_type: String,
    /// The type's quoted name without a length, for casts from text (PostgreSQL; empty elsewhere). A cast to a type
    /// *with* a length would cut silently.
    pub cast_type: String,
    /// What values it takes.
    pub kind: ColumnKind,
    /// Whether values that differ here differ for the database too. Where case or accents do not count, or the type is
    /// one that only the database understands, two of our keys may be one row.
    pub compares_exactly: bool,
    /// What blanks at the end of a text mean.
    pub end_blanks: EndBlanks,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether the database fills it when it is left out.
    pub has_default: bool,
    /// Whether it fills it with a number that no other row has (`AUTO_INCREMENT`).
    pub counts: bool,
    /// Whether the database computes it always, so that nobody may write it.
    pub generated: bool,
}

impl Column {
    /// A column that may be NULL, has no default, and keeps values apart.
    pub fn new(name: impl Into<String>, sql_type: impl Into<String>, kind: ColumnKind) -> Self {
        Column {
            name: name.into(),
            sql_type: sql_type.into(),
            cast_type: String::new(),
            kind,
            compares_exactly: true,
            end_blanks: EndBlanks::Count,
            nullable: true,
            has_default: false,
            counts: false,
            generated: false,
        }
    }

    /// Whether two texts are two values here.
    pub fn keeps_texts_apart(&self) -> bool {
        matches!(self.kind, ColumnKind::Text { .. }) && self.compares_exactly && self.end_blanks != EndBlanks::Padding
    }
}

/// What blanks at the end of a text mean to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndBlanks {
    /// They are a part of it.
    Count,
    /// It has as many as the column is wide, whatever was written (`CHAR`).
    Padding,
    /// They are kept, but do not count when texts are compared (MySQL's collations with PAD SPACE).
    Kept,
}

/// What values a column takes.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnKind {
    /// `true` and `false`
    Bool,
    /// Whole numbers from `min` to `max`.
    Int {
        /// Least value.
        min: i128,
        /// Greatest value.
        max: i128,
        /// Whether the database writes booleans as 0 and 1 into this type.
        takes_bool: bool,
    },
    /// Binary floating point of 64 bits, or 32 (`single`).
    Float {
        /// Of 32 bits.
        single: bool,
    },
    /// Exact decimals.
    Decimal {
        /// All digits; `None` is no limit.
        precision: Option<u32>,
        /// Digits after the point; below zero, as many before it that must be 0.
        scale: Option<i32>,
        /// Whether what is no 64-bit integer becomes a float, which keeps 15 digits (SQLite).
        as_float: bool,
    },
    /// Text of at most so many characters and bytes.
    Text {
        /// Characters; `None` is the database's own limit.
        max_chars: Option<u64>,
        /// Bytes of UTF-8; `None` is the database's own limit.
        max_bytes: Option<u64>,
    },
    /// Bytes.
    Bytes {
        /// Most of them; `None` is the database's own limit.
        max: Option<u64>,
        /// Whether the database makes fewer as many by zeros at the end (`BINARY`).
        padded: bool,
    },
    /// JSON.
    Json,
    /// UUID.
    Uuid,
    /// Day without time.
    Date,
    /// Time without day.
    Time {
        /// What the time is one of.
        clock: Clock,
        /// Digits of a second's fraction, 0 to 6; what is finer is cut off.
        fraction_digits: u32,
    },
    /// Day and time, in UTC.
    Timestamp {
        /// Digits of a second's fraction, 0 to 6; what is finer is cut off.
        fraction_digits: u32,
        /// The first that the database takes, in microseconds since 1970.
        first: i64,
        /// The last.
        last: i64,
    },
    /// A length of time in months, days and microseconds (PostgreSQL).
    Interval {
        /// The database drops whatever is less than one of these.
        smallest: IntervalPart,
        /// Digits of a second's fraction, 0 to 6.
        fraction_digits: u32,
    },
    /// An address in a network.
    Address(Address),
    /// A list of values, or a list of lists of equal lengths (PostgreSQL).
    Array {
        /// What each of them must be.
        element: Box<Column>,
    },
    /// One of these texts, or several of them with commas between (`ENUM`, `SET`).
    Choice {
        /// The texts.
        members: Vec<String>,
        /// Whether there may be several.
        several: bool,
    },
    /// Numbers, and texts unless they look like a number: those would become one (SQLite, for type names it does not know).
    NumberOrText,
    /// Any other type: the database reads the value from its text.
    Other,
}

impl ColumnKind {
    /// Day and time in these years, in UTC.
    pub fn timestamp(fraction_digits: u32, years: RangeInclusive<i32>) -> Self {
        let start_of = |year| NaiveDate::from_yo_opt(year, 1).unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN);
        let micros = |year| start_of(year).and_utc().timestamp_micros();
        ColumnKind::Timestamp { fraction_digits, first: micros(*years.start()), last: micros(years.end() + 1) - 1 }
    }
}

/// What a time without a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// A time of the day, from 00:00 up to 24:00.
    Day,
    /// The same, with an offset from UTC.
    DayWithOffset,
    /// A time that has passed, up to 838:59:59 in both directions (MySQL).
    Span,
}

/// The parts of an interval, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "known to everyone")]
pub enum IntervalPart {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// The kinds of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Of a host, of either version of IP, maybe with the length of its network's prefix (`inet`).
    Host,
    /// Of a network, of either version of IP (`cidr`).
    Network,
    /// Of IP version 4, alone (`inet4`).
    V4,
    /// Of IP version 6, alone (`inet6`).
    V6,
    /// Of a device, with 6 bytes (`macaddr`).
    Mac,
    /// Of a device, with 8 bytes (`macaddr8`).
    Mac8,
}

/// What the writers need to know of the target table.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// The table, as the catalogue described it when the mapping was compiled.
    pub table: Arc<Table>,
    /// The mapped columns, in the order of every row.
    pub columns: Vec<Column>,
    /// Which of them identify a row.
    pub key: Vec<usize>,
    /// Whether rows may have to replace those with the same key.
    pub upserts: bool,
    /// Whether the database takes the rows of a statement one after another, so that two of them may have one key. Else
    /// it refuses such a statement (PostgreSQL).
    pub rows_in_order: bool,
    /// The columns whose values are added to what is there.
    pub adds: Vec<usize>,
    /// The column that keeps an older document from overwriting a newer row.
    pub version: Option<usize>,
    /// The column that says that a row is deleted: NULL, `false` or 0 in one that is not.
    pub soft_delete: Option<usize>,
    /// How the rows of one document are found, where it has many.
    pub family: Option<Family>,
}

/// The rows that one document has in a table: one for each item of a list in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The columns of the key that all of them have in common. None where rows are only appended.
    pub parent: Vec<usize>,
    /// Where the document's own row is.
    pub owner: Option<Owner>,
}

/// The row of a document to which others of the same document belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Its table.
    pub table: TableName,
    /// Its key's columns, in the order of [`Family::parent`].
    pub key: Vec<String>,
    /// The column that says that it is deleted.
    pub soft_delete: Option<Column>,
}

/// The names of the tables, for messages.
pub fn names_of(plans: &[TablePlan]) -> String {
    plans.iter().map(|plan| plan.table.name.to_string()).collect::<Vec<_>>().join(", ")
}

impl TablePlan {
    /// Rows of these columns, identified by those at `key`, each new one replacing the old.
    pub fn new(table: impl Into<Arc<Table>>, columns: Vec<Column>, key: Vec<usize>) -> Self {
        let (table, adds) = (table.into(), Vec::new());
        let (upserts, rows_in_order) = (true, true);
        let (version, soft_delete, family) = Default::default();
        TablePlan { table, columns, key, upserts, rows_in_order, adds, version, soft_delete, family }
    }

    /// What identifies that which one event changes: a row, or the rows of a document.
    pub fn identity(&self) -> &[usize] {
        self.family.as_ref().map_or(&self.key, |family| &family.parent)
    }

    /// Whether the rows of a document have no key of their own, so that all of them go when it changes.
    pub fn replaces_all(&self) -> bool {
        self.family.as_ref().is_some_and(|family| family.parent.len() == self.key.len())
    }

    /// Whether identities that differ here are of different rows.
    pub fn keys_are_exact(&self) -> bool {
        self.identity().iter().all(|place| self.columns[*place].compares_exactly)
    }
}
