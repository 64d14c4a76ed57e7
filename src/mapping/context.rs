//! What a column's value can come from, for one event.

use std::cell::OnceCell;
use std::fmt;

use serde_json::value::RawValue;

use super::convert;
use super::key_pattern::KeyPattern;
use super::members::{Found, Paths};
use super::path::Path;
use super::source::Source;
use super::table_mapping::MappedColumn;
use crate::decode::{Decoded, shown};
use crate::event::{Document, Entry, Op, Rejection, RejectionClass};
use crate::expression::{Expression, ExpressionFault, Input, Variable};
use crate::fields::Fields;
use crate::row::Value;
use crate::settings::OnNull;
use crate::table::Column;
use crate::value_format::ValueFormat;

/// The variables of expressions.
pub const VARIABLES: [&str; 6] = ["$id", "$key", "$op", "$parts", "$stream", "$timestamp"];

/// Those that the columns of a row for each item have besides.
pub const ITEM_VARIABLES: [&str; 2] = ["$index", "$item"];

/// What an event is beside its document.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// The entry, understood.
    pub event: &'a Decoded,
    /// The stream's key in Redis.
    pub stream_name: &'a str,
    /// How keys are made up.
    pub key_pattern: Option<&'a KeyPattern>,
}

/// All that a column's value can come from.
pub struct Context<'a> {
    entry: &'a Entry,
    event: &'a Decoded,
    document: &'a Document,
    members: Option<Members<'a>>,
    stream_name: &'a str,
    key_pattern: Option<&'a KeyPattern>,
    key_parts: OnceCell<Vec<&'a str>>,
    /// The document for expressions, read when the first one needs it.
    input: OnceCell<Input>,
    /// The item that the row is for.
    item: Option<Item<'a>>,
    /// Whether paths need a document, so that an operation that brings none is an error.
    needs_document: bool,
}

/// An item of a list in the document.
pub struct Item<'a> {
    json: &'a str,
    found: Found<'a>,
    index: usize,
    input: OnceCell<Input>,
}

impl<'a> Item<'a> {
    /// The item of number `index`, in which `paths` lead to the values of columns.
    pub fn find(json: &'a str, paths: &Paths, index: usize) -> Result<Self, Rejection> {
        let not_json =
            |error| Rejection::new(RejectionClass::BadJson, format!("item {index} is not valid JSON: {error}"));
        Ok(Item { json, found: paths.find(json).map_err(not_json)?, index, input: OnceCell::new() })
    }

    /// Whether a path leads to something.
    pub fn finds(&self, source: &Source) -> bool {
        matches!(source, Source::ItemMember(_, number) if self.found[*number].is_some())
    }

    fn input(&self) -> Result<&Input, Rejection> {
        if let Some(input) = self.input.get() {
            return Ok(input);
        }
        let bad = |fault: ExpressionFault| Rejection::new(RejectionClass::BadJson, fault.to_string());
        let input = Input::read(self.json).map_err(bad)?;
        Ok(self.input.get_or_init(|| input))
    }
}

/// What the paths of the mapping lead to in one document.
pub enum Members<'a> {
    /// JSON texts.
    Json(Found<'a>),
    /// Plain texts.
    Flat(Found<'a>),
}

impl<'a> Members<'a> {
    /// What `paths` lead to; `None` where the operation has no document.
    pub fn find(document: &'a Document, paths: &Paths) -> Result<Option<Self>, Rejection> {
        let bad = |message: String| Rejection::new(RejectionClass::BadJson, message);
        match document {
            Document::None | Document::Missing => Ok(None),
            Document::Json(json) => {
                let not_json = |error: &dyn fmt::Display| bad(format!("the document is not valid JSON: {error}"));
                let json = std::str::from_utf8(json).map_err(|error| not_json(&error))?;
                let found = paths.find(json).map_err(|error| not_json(&error))?;
                match json.trim_start() {
                    object if object.starts_with('{') => Ok(Some(Members::Json(found))),
                    other => Err(bad(format!("the document is {}, not a JSON object", convert::json_type(other)))),
                }
            }
            Document::Fields(fields) => Ok(Some(Members::Flat(paths.find_flat(texts(fields)?)))),
        }
    }
}

impl<'a> Context<'a> {
    /// Of one event, in whose document the paths lead to `members`.
    pub fn new(origin: Origin<'a>, document: &'a Document, members: Option<Members<'a>>) -> Self {
        let Origin { entry, event, stream_name, key_pattern } = origin;
        let (key_parts, input) = Default::default();
        Context {
            entry,
            event,
            document,
            members,
            stream_name,
            key_pattern,
            key_parts,
            input,
            item: None,
            needs_document: true,
        }
    }

    /// What `make` makes, with paths that give nothing where there is no document.
    pub fn without_need<T>(&mut self, make: impl FnOnce(&Self) -> T) -> T {
        self.needs_document = false;
        let made = make(self);
        self.needs_document = true;
        made
    }

    /// From now on columns take their values from this item too.
    pub fn look_at(&mut self, item: Item<'a>) {
        self.item = Some(item);
    }

    /// Whether a path leads to something.
    pub fn finds(&self, source: &Source) -> bool {
        match (source, &self.members) {
            (Source::Member(_, number), Some(Members::Json(found) | Members::Flat(found))) => found[*number].is_some(),
            _ => false,
        }
    }

    /// The items of a list; `None` if there is no list.
    pub fn list(&self, source: &Source) -> Result<Option<Vec<&'a str>>, Rejection> {
        let Source::Member(path, number) = source else { return Ok(None) };
        let json = match &self.members {
            Some(Members::Json(found) | Members::Flat(found)) => found[*number],
            None => return Err(self.no_document(path)),
        };
        let Some(json) = json.filter(|json| json.trim() != "null") else { return Ok(None) };
        let no_list = |_| {
            let message = format!("the document's `{path}` is {}, not a list", convert::json_type(json));
            Rejection::new(RejectionClass::WrongType, message)
        };
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(no_list)?;
        Ok(Some(items.into_iter().map(RawValue::get).collect()))
    }

    /// The value of a column that is written only if the document has something for it; a default is nothing, nor is a null
    /// to a column that is added to.
    ///
    /// # Errors
    /// As [`Context::value`].
    pub fn value_if_given<'v>(&'v self, mapped: &'v MappedColumn, adds: bool) -> Result<Option<Value<'v>>, Rejection> {
        match self.given_to(mapped)? {
            Some(Value::Null) if adds => Ok(None),
            Some(given) => self.settled(Some(given), mapped).map(Some),
            None => Ok(None),
        }
    }

    /// The value of a column.
    ///
    /// # Errors
    /// A [`Rejection`] that names the column, its source and the fault.
    pub fn value<'v>(&'v self, mapped: &'v MappedColumn) -> Result<Value<'v>, Rejection> {
        // What almost every value is goes a short way, and is made where it is returned.
        let mut value = match (&mapped.source, &self.members) {
            (Source::Member(_, number), Some(Members::Json(found))) => match found[*number] {
                Some(json) => convert::json(json, &mapped.column, &mapped.format),
                None => Ok(Value::Null),
            },
            _ => Ok(Value::Null),
        };
        if !matches!(&value, Ok(value) if *value != Value::Null) {
            value = self.any_value(mapped);
        }
        value
    }

    /// The same, of whatever source, also where there is no value or none that fits.
    #[inline(never)]
    fn any_value<'v>(&'v self, mapped: &'v MappedColumn) -> Result<Value<'v>, Rejection> {
        self.settled(self.given_to(mapped)?, mapped)
    }

    fn given_to<'v>(&'v self, mapped: &'v MappedColumn) -> Result<Option<Value<'v>>, Rejection> {
        let MappedColumn { column, source, format, .. } = mapped;
        self.given(source, column, format).map_err(|rejection| Rejection {
            column: Some(column.name.clone()),
            message: format!("column `{}` ({}): {}", column.name, column.sql_type, rejection.message),
            ..rejection
        })
    }

    /// What is written for what the source has given.
    fn settled<'v>(&'v self, given: Option<Value<'v>>, mapped: &'v MappedColumn) -> Result<Value<'v>, Rejection> {
        let MappedColumn { column, source, default, required, on_null, is_version, .. } = mapped;
        let name = &column.name;
        let is_null = given == Some(Value::Null);
        let value = match (given, on_null) {
            (Some(Value::Null), OnNull::Reject) => {
                let message = format!("column `{name}` takes no null, and {source} is null");
                return Err(Rejection::of_column(RejectionClass::MissingValue, name, message));
            }
            (Some(Value::Null), OnNull::Default) | (None, _) => default.as_ref().map_or(Value::Null, Value::borrowed),
            (Some(value), _) => value,
        };
        if value == Value::Null && (*required || !column.nullable) {
            let rule = match (is_version, column.nullable) {
                (true, _) => "is the `version` of its row",
                (false, true) => "is required",
                (false, false) => "must not be NULL",
            };
            let gives = if is_null { "is null" } else { "gives no value" };
            let hint = match default {
                Some(_) => ": `on_null: default` takes its default for null too",
                None if column.has_default => {
                    ": the database's own default is for columns that are not mapped, here the setting `default` gives one"
                }
                None => "",
            };
            let message = format!("column `{name}` {rule}, and {source} {gives}{hint}");
            return Err(Rejection::of_column(RejectionClass::MissingValue, name, message));
        }
        Ok(value)
    }

    /// What the source gives: nothing, a null, or another value.
    fn given<'v>(
        &'v self,
        source: &'v Source,
        column: &Column,
        format: &ValueFormat,
    ) -> Result<Option<Value<'v>>, Rejection> {
        let value = match source {
            Source::Member(path, number) => match &self.members {
                Some(Members::Json(found)) => {
                    return found[*number].map(|json| convert::json(json, column, format)).transpose();
                }
                Some(Members::Flat(found)) => {
                    return found[*number].map(|text| convert::text(text, column, format)).transpose();
                }
                None if self.needs_document => return Err(self.no_document(path)),
                None => return Ok(None),
            },
            Source::ItemMember(_, number) => {
                let json = self.item.as_ref().and_then(|item| item.found[*number]);
                return json.map(|json| convert::json(json, column, format)).transpose();
            }
            Source::Item => {
                return self.item.as_ref().map(|item| convert::json(item.json, column, format)).transpose();
            }
            Source::Index => match &self.item {
                Some(item) => convert::json(&item.index.to_string(), column, format).map(Value::into_owned),
                None => return Ok(None),
            },
            Source::EntryId => convert::text(&self.entry.id.to_string(), column, format).map(Value::into_owned),
            Source::Key => self.key().and_then(|key| convert::text(key, column, format)),
            Source::KeyPart(_, place) => self.key_part(*place).and_then(|part| convert::text(part, column, format)),
            Source::Op => convert::text(self.event.op.name(), column, format),
            Source::Stream => convert::text(self.stream_name, column, format),
            Source::Timestamp => convert::epoch_ms(self.entry.id.ms, column, format),
            Source::Field(field) => {
                let Some(value) = self.entry.field(field) else { return Ok(None) };
                let not_text =
                    |_| Rejection::new(RejectionClass::WrongType, format!("the field `{field}` is not UTF-8"));
                std::str::from_utf8(value).map_err(not_text).and_then(|text| convert::text(text, column, format))
            }
            Source::Constant(value) => Ok(value.borrowed()),
            Source::Masked(masked) => {
                let Some(value) = self.given(&masked.source, &masked.read_as, format)? else { return Ok(None) };
                masked.masker.value(&value, column)
            }
            Source::Expression(expression) => match self.evaluate(expression)? {
                Some(json) => convert::json(&json, column, format).map(Value::into_owned),
                None => return Ok(None),
            },
        };
        value.map(Some)
    }

    #[cold]
    fn no_document(&self, path: &Path) -> Rejection {
        let message = format!(
            "it comes from the document's `{path}`, and operation `{}` brings no document: map the column from `$key`, or \
             put the document into the entry",
            self.event.op
        );
        Rejection::new(RejectionClass::MissingDocument, message)
    }

    /// The JSON text that comes out of an expression, if anything does.
    pub fn evaluate(&self, expression: &Expression) -> Result<Option<String>, Rejection> {
        self.with_variables(expression, |input, variables| expression.evaluate(input, variables))
    }

    /// Whether filters and reshaping have to do with an event that does `op`. A delete may bring a document, but only for the
    /// columns of its key.
    pub fn is_asked_about(&self, op: Op) -> bool {
        !matches!(self.document, Document::None | Document::Missing) && op != Op::Delete
    }

    /// Whether a filter lets the document through.
    pub fn holds(&self, filter: &Expression) -> Result<bool, Rejection> {
        let answer = self.with_variables(filter, |input, variables| filter.holds(input, variables));
        answer.map_err(|why| why.told_of("`filter`"))
    }

    fn with_variables<T>(
        &self,
        expression: &Expression,
        run: impl FnOnce(&Input, &[(&str, Variable<'_>)]) -> Result<T, ExpressionFault>,
    ) -> Result<T, Rejection> {
        let input = self.input()?;
        let id = self.entry.id.to_string();
        // What stands for bytes that are no text would be one key for many.
        let key = if expression.uses("$key") && self.event.key.is_some() { Some(self.key()?) } else { None };
        let parts = match self.key_pattern.filter(|_| expression.uses("$parts")) {
            Some(pattern) => Some(Input::of_fields(pattern.names().zip(self.all_key_parts()?.iter().copied()))),
            None => None,
        };
        let item = self.item.as_ref().filter(|_| expression.uses("$item")).map(Item::input).transpose()?;
        let index = self.item.as_ref().and_then(|item| i64::try_from(item.index).ok());
        let variables = [
            ("$index", index.map_or(Variable::None, Variable::Integer)),
            ("$item", item.map_or(Variable::None, Variable::Value)),
            ("$id", Variable::Text(&id)),
            ("$key", key.map_or(Variable::None, Variable::Text)),
            ("$op", Variable::Text(self.event.op.name())),
            ("$parts", parts.as_ref().map_or(Variable::None, Variable::Value)),
            ("$stream", Variable::Text(self.stream_name)),
            ("$timestamp", Variable::Integer(i64::try_from(self.entry.id.ms).unwrap_or(i64::MAX))),
        ];
        run(input, &variables).map_err(|fault| Rejection::new(RejectionClass::Expression, fault.to_string()))
    }

    /// The document for expressions.
    pub fn input(&self) -> Result<&Input, Rejection> {
        if let Some(input) = self.input.get() {
            return Ok(input);
        }
        let bad = |message: String| Rejection::new(RejectionClass::BadJson, message);
        let input = match self.document {
            Document::Json(json) => {
                let json =
                    std::str::from_utf8(json).map_err(|error| bad(format!("the document is not UTF-8: {error}")))?;
                Input::read(json).map_err(|fault| bad(fault.to_string()))?
            }
            Document::Fields(fields) => Input::of_fields(texts(fields)?),
            Document::Missing | Document::None => Input::of_fields([]),
        };
        Ok(self.input.get_or_init(|| input))
    }

    fn key(&self) -> Result<&'a str, Rejection> {
        let Some(key) = &self.event.key else {
            return Err(Rejection::new(RejectionClass::MissingKey, "the entry has no key"));
        };
        std::str::from_utf8(key).map_err(|_| Rejection::new(RejectionClass::WrongType, "the key is not UTF-8"))
    }

    fn key_part(&self, place: usize) -> Result<&'a str, Rejection> {
        // The pattern has as many parts as a column can ask for.
        Ok(self.all_key_parts()?.get(place).copied().unwrap_or_default())
    }

    fn all_key_parts(&self) -> Result<&[&'a str], Rejection> {
        if let Some(parts) = self.key_parts.get() {
            return Ok(parts);
        }
        let key = self.key()?;
        let parts = self.key_pattern.and_then(|pattern| pattern.parts(key)).ok_or_else(|| {
            let pattern = self.key_pattern.map(KeyPattern::to_string).unwrap_or_default();
            let message = format!("the key `{}` is not made up like key_pattern `{pattern}`", shown(key.as_bytes()));
            Rejection::new(RejectionClass::MissingKey, message)
        })?;
        Ok(self.key_parts.get_or_init(|| parts))
    }
}

/// Flat names and values as texts.
fn texts(fields: &Fields) -> Result<Vec<(&str, &str)>, Rejection> {
    let text = |bytes, what| {
        let not_text = |_| Rejection::new(RejectionClass::BadJson, format!("the {what} of a field is not UTF-8"));
        std::str::from_utf8(bytes).map_err(not_text)
    };
    fields.iter().map(|(name, value)| Ok((text(name, "name")?, text(value, "value")?))).collect()
}
