//! What of an event may be kept where its row is not: in dead letters. The sources of masked columns stand there masked.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::key_pattern::KeyPattern;
use super::mask::Masker;
use super::path::{Path, Step};
use super::source::{MaskedSource, Source};
use crate::event::{Document, Entry, Rejection, RejectionClass};
use crate::expression::Expression;
use crate::fields::Fields;
use crate::settings::{DocumentSource, FieldNames, Mask, StreamSettings};

/// Masks copies of the events of one stream.
#[derive(Clone, Debug)]
pub struct MaskedCopies {
    names: FieldNames,
    /// Whether the fields of an entry are its document.
    fields_are_document: bool,
    key: KeyMask,
    /// Fields of the entry by their names.
    fields: Vec<(String, Masker)>,
    document: DocumentMask,
}

/// What is masked of a document.
#[derive(Clone, Debug)]
enum DocumentMask {
    /// All of it: what a masked column is computed from cannot be told.
    Whole,
    /// What the paths to masked columns lead to.
    Members(Node),
}

/// A place in documents that a path of a masked column leads to or through.
#[derive(Clone, Debug, Default)]
struct Node {
    mask: Option<Masker>,
    below: Vec<(Step, Node)>,
}

/// What is masked of a document's key.
#[derive(Clone, Debug, Default)]
struct KeyMask {
    whole: Option<Masker>,
    parts: Vec<(usize, Masker)>,
    pattern: Option<KeyPattern>,
}

impl MaskedCopies {
    /// Those of a stream with these masked columns, some of them of the items of a list; `None` if there are none.
    pub fn new<'s>(
        stream: &StreamSettings,
        key_pattern: Option<&KeyPattern>,
        reshape: Option<&Expression>,
        masked: impl IntoIterator<Item = (&'s MaskedSource, Option<&'s Path>)>,
    ) -> Option<MaskedCopies> {
        let mut masked = masked.into_iter().peekable();
        masked.peek()?;
        let mut copies = MaskedCopies {
            names: stream.fields.clone(),
            fields_are_document: stream.document == DocumentSource::Fields,
            key: KeyMask { pattern: key_pattern.cloned(), ..KeyMask::default() },
            fields: Vec::new(),
            document: DocumentMask::Members(Node::default()),
        };
        for (MaskedSource { source, masker, .. }, list) in masked {
            match source {
                // The paths are those of what the expression makes.
                Source::Member(..) | Source::Item | Source::ItemMember(..) if reshape.is_some() => {
                    reshape.into_iter().for_each(|reshape| copies.computed(reshape))
                }
                Source::Member(path, _) => copies.members(path.steps(), masker),
                Source::Item => copies.members(&in_items(list, &[]), masker),
                Source::ItemMember(path, _) => copies.members(&in_items(list, path.steps()), masker),
                Source::Expression(expression) => copies.computed(expression),
                Source::Key => put(&mut copies.key.whole, masker),
                Source::KeyPart(_, place) => copies.key.parts.push((*place, masker.clone())),
                // The payload is the document.
                Source::Field(name) if *name == copies.names.payload => copies.document = DocumentMask::Whole,
                Source::Field(name) => copies.fields.push((name.clone(), masker.clone())),
                // No mask is put over these.
                Source::EntryId
                | Source::Op
                | Source::Stream
                | Source::Timestamp
                | Source::Index
                | Source::Constant(_)
                | Source::Masked(_) => {}
            }
        }
        Some(copies)
    }

    fn members(&mut self, steps: &[Step], masker: &Masker) {
        let DocumentMask::Members(root) = &mut self.document else { return };
        let node = steps.iter().fold(root, |node, step| {
            let place = node.below.iter().position(|(known, _)| known == step).unwrap_or_else(|| {
                node.below.push((step.clone(), Node::default()));
                node.below.len() - 1
            });
            &mut node.below[place].1
        });
        put(&mut node.mask, masker);
    }

    /// A masked column holds what the expression makes of all that it sees.
    fn computed(&mut self, expression: &Expression) {
        self.document = DocumentMask::Whole;
        if expression.uses("$key") || expression.uses("$parts") {
            self.key.whole = Some(Masker::new(Mask::Redact, None));
        }
    }

    /// The copy of an entry.
    pub fn entry(&self, entry: &Entry) -> Entry {
        Entry { id: entry.id, fields: self.flat(&entry.fields) }
    }

    /// The copy of a document.
    pub fn document(&self, document: &Document) -> Document {
        match (document, &self.document) {
            (Document::Json(json), _) => Document::Json(self.json(json).into()),
            (Document::Fields(_), DocumentMask::Whole) => Document::Json(Mask::REDACTED.into()),
            (Document::Fields(fields), DocumentMask::Members(_)) => Document::Fields(self.flat(fields)),
            (nothing @ (Document::Missing | Document::None), _) => nothing.clone(),
        }
    }

    fn flat(&self, fields: &Fields) -> Fields {
        let masked =
            |name, value| self.field(name, value).map_or(Cow::Borrowed(value), |text| text.into_bytes().into());
        fields.iter().map(|(name, value)| (name, masked(name, value))).collect()
    }

    /// What is kept instead of the value of a field.
    fn field(&self, name: &[u8], value: &[u8]) -> Option<String> {
        let is = |known: &str| name == known.as_bytes();
        let of_field = self.fields.iter().filter(|(known, _)| is(known)).map(|(_, masker)| masker.clone());
        if let Some(masker) = of_field.reduce(|all, masker| all.and(&masker)) {
            return Some(masked_text(&masker, value));
        }
        if is(&self.names.payload) && !self.fields_are_document {
            return Some(self.json(value));
        }
        let of_pipeline = is(&self.names.op) || is(&self.names.ack);
        let of_document = match &self.document {
            DocumentMask::Whole => (self.fields_are_document && !of_pipeline).then(|| Mask::REDACTED.to_owned()),
            DocumentMask::Members(root) => root.masked_member(name, value),
        };
        of_document.or_else(|| if is(&self.names.key) { self.key.masked(value) } else { None })
    }

    /// What is kept of a document in JSON. What cannot be read cannot be masked member by member.
    fn json(&self, json: &[u8]) -> String {
        match (&self.document, serde_json::from_slice::<Json>(json)) {
            (DocumentMask::Members(root), Ok(mut read @ Json::Object(_))) => {
                root.mask(&mut read);
                read.to_string()
            }
            _ => Mask::REDACTED.to_owned(),
        }
    }
}

impl Node {
    /// A document of another shape than the mapping looks for is mostly a dead letter, and holds the same values: a path goes
    /// through whatever stands where it leads, an object in place of a list, or a list in place of an object.
    fn mask(&self, json: &mut Json) {
        if let Some(masker) = &self.mask {
            return mask_json(masker, json);
        }
        let of_items = || self.below.iter().filter(|(step, _)| matches!(step, Step::Index(_))).map(|(_, node)| node);
        match json {
            Json::Object(members) => {
                for (step, node) in &self.below {
                    if let Step::Member(name) = step
                        && let Some(member) = members.get_mut(name)
                    {
                        node.mask(member);
                    }
                }
                members.values_mut().for_each(|member| of_items().for_each(|node| node.mask(member)));
                of_items().for_each(|node| node.mask(json));
            }
            // The items of an array are of one kind.
            Json::Array(items) => {
                let has_members = self.below.iter().any(|(step, _)| matches!(step, Step::Member(_)));
                for item in items {
                    of_items().for_each(|node| node.mask(item));
                    if has_members {
                        self.mask(item);
                    }
                }
            }
            // No path leads through it, but what it is a text of is not known.
            Json::String(text) => *text = Mask::REDACTED.to_owned(),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// What is kept instead of the value of a flat name, if it is masked or a part of it could be.
    fn masked_member(&self, name: &[u8], value: &[u8]) -> Option<String> {
        let is = |step: &Step| matches!(step, Step::Member(known) if known.as_bytes() == name);
        let (_, node) = self.below.iter().find(|(step, _)| is(step))?;
        Some(node.mask.as_ref().map_or_else(|| Mask::REDACTED.to_owned(), |masker| masked_text(masker, value)))
    }
}

impl KeyMask {
    fn masked(&self, key: &[u8]) -> Option<String> {
        if let Some(masker) = &self.whole {
            return Some(masked_text(masker, key));
        }
        if self.parts.is_empty() {
            return None;
        }
        let masked = |pattern: &KeyPattern| {
            pattern.with_parts(str::from_utf8(key).ok()?, |place, part| {
                let of_place = self.parts.iter().filter(|(of, _)| *of == place).map(|(_, masker)| masker.clone());
                of_place.reduce(|all, masker| all.and(&masker)).map(|masker| masker.text(part))
            })
        };
        Some(self.pattern.as_ref().and_then(masked).unwrap_or_else(|| Mask::REDACTED.to_owned()))
    }
}

/// The steps to what is in the items of a list.
fn in_items(list: Option<&Path>, steps: &[Step]) -> Vec<Step> {
    // An index stands for all items.
    list.into_iter().flat_map(Path::steps).chain([&Step::Index(0)]).chain(steps).cloned().collect()
}

fn put(place: &mut Option<Masker>, masker: &Masker) {
    *place = Some(place.take().map_or_else(|| masker.clone(), |other| other.and(masker)));
}

fn masked_text(masker: &Masker, value: &[u8]) -> String {
    str::from_utf8(value).map_or_else(|_| Mask::REDACTED.to_owned(), |text| masker.text(text))
}

/// As the column has it, where the column could have it.
fn mask_json(masker: &Masker, json: &mut Json) {
    let masked = match json {
        Json::Null => return,
        Json::String(text) => masker.text(text),
        Json::Number(_) | Json::Bool(_) => masker.text(&json.to_string()),
        Json::Array(_) | Json::Object(_) => Mask::REDACTED.to_owned(),
    };
    *json = Json::String(masked);
}

/// A rejection without what it quotes of the event.
pub fn without_quotes(why: Rejection) -> Rejection {
    let what = match why.class {
        // It says that there is no value.
        RejectionClass::MissingValue => return why,
        RejectionClass::BadJson => "the document is no JSON object, or holds what is no character",
        RejectionClass::MissingDocument => "there is no document",
        RejectionClass::MissingKey => "there is no key, or it is not made up like key_pattern",
        RejectionClass::UnknownOp => "the operation is unknown, or needs a `key`",
        RejectionClass::WrongType => "the value is of another type",
        RejectionClass::OutOfRange => "the value is not within the type",
        RejectionClass::TooLong => "the value is too long",
        RejectionClass::Expression => "the expression fails",
        RejectionClass::Constraint | RejectionClass::Refused => "it is refused",
    };
    let column = why.column.as_ref().map(|column| format!("column `{column}`: ")).unwrap_or_default();
    Rejection { message: format!("{column}{what}; values are not shown, because the stream has masks"), ..why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;
    use crate::settings::{Layers, Secret, Settings};
    use crate::table::{Column, ColumnKind};

    fn stream(document: DocumentSource) -> StreamSettings {
        let stream = Settings::load(&Layers::default()).unwrap().streams.remove(0);
        StreamSettings { document, ..stream }
    }

    fn masked(source: Source, mask: Mask) -> MaskedSource {
        let column = Column::new("c", "text", ColumnKind::Text { max_chars: None, max_bytes: None });
        let masker = Masker::new(mask, Some(&Secret::new("0123456789abcdef")));
        MaskedSource { source, read_as: column, masker }
    }

    fn member(path: &str, mask: Mask) -> MaskedSource {
        masked(Source::Member(Path::parse(path).unwrap(), 0), mask)
    }

    fn copies(document: DocumentSource, masked: &[MaskedSource]) -> MaskedCopies {
        let pattern = KeyPattern::parse("u:{tenant}:{mail}").unwrap();
        let list = Path::parse("of.list").unwrap();
        let masked = masked.iter().map(|masked| (masked, Some(&list)));
        MaskedCopies::new(&stream(document), Some(&pattern), None, masked).unwrap()
    }

    fn json(masked: &[MaskedSource], document: &str) -> String {
        match copies(DocumentSource::Auto, masked).document(&Document::Json(document.to_owned().into())) {
            Document::Json(copy) => String::from_utf8(copy.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sources_of_masked_columns_are_masked_wherever_they_stand() {
        let paths = [member("a.b", Mask::Last4), member("list[0].x", Mask::Redact), member("n", Mask::Last4)];
        for (document, copy) in [
            (r#"{"a": {"b": "secret", "c": 1.50}}"#, r#"{"a":{"b":"**cret","c":1.50}}"#),
            // Of members of one name the last one counts, and the others are no less secret.
            (r#"{"n": "secret1", "n": 123456}"#, r#"{"n":"**3456"}"#),
            (r#"{"list": [{"x": 1}, {"x": "secret", "y": null}]}"#, r#"{"list":[{"x":"***"},{"x":"***","y":null}]}"#),
            (r#"{"a": {"b": {"secret": "secret"}}}"#, r#"{"a":{"b":"***"}}"#),
            (r#"{"a": "{\"b\": \"secret\"}", "n": null}"#, r#"{"a":"***","n":null}"#),
            (r#"{"\u006e": true}"#, r#"{"n":"****"}"#),
            (r#"{"n": "secret""#, "***"),
            (r#"["secret"]"#, "***"),
            // Of another shape than the paths.
            (r#"{"a": [{"b": "secret"}, [{"b": "secret"}]]}"#, r#"{"a":[{"b":"**cret"},[{"b":"**cret"}]]}"#),
            (r#"{"list": {"x": "secret", "y": 1}}"#, r#"{"list":{"x":"***","y":1}}"#),
            (r#"{"list": {"0": {"x": "secret"}}}"#, r#"{"list":{"0":{"x":"***"}}}"#),
            (r#"{"list": [[{"x": "secret"}]]}"#, r#"{"list":[[{"x":"***"}]]}"#),
        ] {
            assert_eq!(json(&paths, document), copy, "{document}");
        }
    }

    #[test]
    fn the_items_of_a_list_are_masked_where_they_stand() {
        let path = Path::parse("a.b").unwrap();
        let document = r#"{"of": {"list": [{"a": {"b": "secret"}}, 1, {"a": 2}], "x": 3}}"#;
        let of_item = json(&[masked(Source::ItemMember(path, 0), Mask::Last4)], document);
        assert_eq!(of_item, r#"{"of":{"list":[{"a":{"b":"**cret"}},1,{"a":2}],"x":3}}"#);
        let item = json(&[masked(Source::Item, Mask::Last4)], document);
        assert_eq!(item, r#"{"of":{"list":["***","*","***"],"x":3}}"#);
    }

    #[test]
    fn one_source_with_two_masks_is_not_shown() {
        let paths =
            [member("a", Mask::Last4), member("a", Mask::Hash), member("b", Mask::Hash), member("b", Mask::Hash)];
        let copy = json(&paths, r#"{"a": "secret", "b": "secret"}"#);
        assert!(copy.starts_with(r#"{"a":"***","b":""#) && copy.len() == 82, "{copy}");
    }

    #[test]
    fn what_an_expression_sees_is_not_shown() {
        let expression = |text| masked(Source::Expression(Expression::compile(text, &["$key"]).unwrap()), Mask::Hash);
        let entry = Entry {
            id: StreamId::ZERO,
            fields: [("key", "u:t:m"), ("op", "insert"), ("payload", "{}"), ("x", "1")].into_iter().collect(),
        };
        for (document, text, copy) in [
            (DocumentSource::Auto, ".a", [("key", "u:t:m"), ("op", "insert"), ("payload", "***"), ("x", "1")]),
            (DocumentSource::Auto, ".a + $key", [("key", "***"), ("op", "insert"), ("payload", "***"), ("x", "1")]),
            (DocumentSource::Fields, ".a", [("key", "***"), ("op", "insert"), ("payload", "***"), ("x", "***")]),
        ] {
            let copies = copies(document, &[expression(text)]);
            assert_eq!(copies.entry(&entry).fields, copy.into_iter().collect(), "{text}");
            let flat = Document::Fields(entry.fields.clone());
            assert_eq!(copies.document(&flat), Document::Json("***".into()), "{text}");
        }
        // What a path leads to after the reshaping can be anything before it.
        let reshape = Expression::compile("{a: .b}", &[]).unwrap();
        let masked = member("a", Mask::Hash);
        let copies = MaskedCopies::new(&stream(DocumentSource::Auto), None, Some(&reshape), [(&masked, None)]);
        let document = Document::Json(r#"{"b": "secret"}"#.into());
        assert_eq!(copies.unwrap().document(&document), Document::Json("***".into()));
    }

    #[test]
    fn keys_and_fields_are_masked_by_their_names() {
        let of = |key: &'static str| [("key", key), ("who", "secret"), ("mail", "secret"), ("z", "\u{e9}")];
        for (source, key, copy) in [
            (Source::Key, "u:t:secret", ["******cret", "secret", "secret"]),
            (Source::KeyPart("mail".to_owned(), 1), "u:t:secret", ["u:t:**cret", "secret", "secret"]),
            (Source::KeyPart("mail".to_owned(), 1), "secret", ["***", "secret", "secret"]),
            (Source::Field("who".to_owned()), "u:t:secret", ["u:t:secret", "**cret", "secret"]),
            (Source::Member(Path::parse("mail").unwrap(), 0), "u:t:secret", ["u:t:secret", "secret", "**cret"]),
        ] {
            let copies = copies(DocumentSource::Fields, &[masked(source, Mask::Last4)]);
            let fields: Fields = of(key).into_iter().collect();
            let [key, who, mail] = copy;
            let expected: Fields = [("key", key), ("who", who), ("mail", mail), ("z", "\u{e9}")].into_iter().collect();
            let entry = Entry { id: StreamId::ZERO, fields };
            assert_eq!(copies.entry(&entry).fields, expected);
            assert_eq!(copies.document(&Document::Fields(entry.fields)), Document::Fields(expected));
        }
        let payload = copies(DocumentSource::Auto, &[masked(Source::Field("payload".to_owned()), Mask::Hash)]);
        assert_eq!(payload.document(&Document::Json("{}".into())), Document::Json("***".into()));
    }

    #[test]
    fn nothing_is_copied_otherwise_without_masks() {
        assert!(MaskedCopies::new(&stream(DocumentSource::Auto), None, None, []).is_none());
    }

    #[test]
    fn a_rejection_names_the_column_and_quotes_nothing() {
        let why = Rejection::of_column(RejectionClass::TooLong, "c", "`secret` has 6 characters".to_owned());
        let told = without_quotes(without_quotes(why));
        let expected = "column `c`: the value is too long; values are not shown, because the stream has masks";
        assert_eq!((told.message.as_str(), told.column.as_deref()), (expected, Some("c")));
    }
}
