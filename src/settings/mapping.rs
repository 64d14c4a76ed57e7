//! What is written where: the settings of tables and columns.

use super::WriteBehind;
use crate::value_format::ValueFormat;

/// `streams.<entity>.tables.<name>.*`, or the same keys at the stream itself: one table and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Where in the settings it stands, for messages: `streams.order.tables.items`.
    pub setting: String,
    /// Target table, as `table` or `schema.table`.
    pub table: String,
    /// How inserts reach it.
    pub mode: WriteMode,
    /// Columns that identify a row: for `upsert`, `update` and `delete`.
    pub key: Vec<String>,
    /// With which options columns that are not named take the member of their name, if they do: `"*": auto`.
    pub auto: Option<ColumnSettings>,
    /// Which operations reach it.
    pub write_behind: WriteBehind,
    /// Which of the stream's events reach it, in jq.
    pub filter: Option<String>,
    /// The named columns, ordered by name.
    pub columns: Vec<ColumnSettings>,
    /// Columns to which nothing is to be written, also where others are taken by themselves: `COLUMN: null`.
    pub left_out: Vec<String>,
    /// A list in the document: each of its items is a row.
    pub for_each: Option<String>,
    /// The column that keeps an older document from overwriting a newer row.
    pub version: Option<String>,
    /// The column in which a delete marks the row, which stays.
    pub soft_delete: Option<String>,
}

/// One entry of `columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSettings {
    /// Column of the table.
    pub column: String,
    /// Where its value comes from.
    pub source: ColumnSource,
    /// Taken where the source gives nothing, as JSON.
    pub default: Option<String>,
    /// Whether an event without a value is refused, even if the column may be NULL.
    pub required: bool,
    /// What a `null` in the document means.
    pub on_null: OnNull,
    /// What is written instead of the value itself.
    pub mask: Option<Mask>,
    /// How documents write its values: `zone`, `epoch` and `encoding`.
    pub format: ValueFormat,
    /// The type that `pipeline schema` gives the column, in the database's own words.
    pub sql_type: Option<String>,
}

impl ColumnSettings {
    /// A column with nothing but a source.
    pub fn from(column: impl Into<String>, from: impl Into<String>) -> Self {
        ColumnSettings {
            column: column.into(),
            source: ColumnSource::From(from.into()),
            default: None,
            required: false,
            on_null: OnNull::Write,
            mask: None,
            format: ValueFormat::default(),
            sql_type: None,
        }
    }
}

/// Where the value of a column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// `from`: a path into the document (`user.address.city`, `items[0].sku`), or a name that begins with `$`.
    From(String),
    /// `value`: a constant, as JSON.
    Constant(String),
    /// `expr`: computed, in jq.
    Expression(String),
    /// `add`: like `from`, but added to what the column holds.
    Add(String),
}

/// What a `null` in the document means: `on_null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNull {
    /// NULL is written.
    Write,
    /// It is as if there were nothing: the default is written, if there is one.
    Default,
    /// The event is refused.
    Reject,
}

/// What is written instead of a value that is not to be seen: `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Its SHA-256.
    Hash,
    /// The same for every value.
    Redact,
    /// Stars, and its last four characters.
    Last4,
}

impl Mask {
    /// What stands for a text that is not shown.
    pub const REDACTED: &str = "***";

    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Mask::Hash => "hash",
            Mask::Redact => "redact",
            Mask::Last4 => "last4",
        }
    }
}

/// How `insert` and `upsert` reach the table: `streams.<entity>.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Every insert is a new row; a row that is there already is a constraint violation.
    Append,
    /// Every event is a new row, whatever its operation: what happened, not what is.
    Log,
    /// An insert replaces the row with the same key.
    Upsert,
}

impl WriteMode {
    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            WriteMode::Append => "append",
            WriteMode::Upsert => "upsert",
            WriteMode::Log => "log",
        }
    }
}
