//! Takes one entry through the pipeline's own steps and notes what comes of each.

use chrono::{DateTime, SecondsFormat};
use migration::Migrator;
use write_behind::decode::{Located, decode};
use write_behind::error::PipelineError;
use write_behind::event::{Document, Entry, Rejection, StreamId};
use write_behind::fields::Fields;
use write_behind::lane::lane_of_entry;
use write_behind::mapping::{Change, ChangeKind, Changes, Explanation, Extent, Mapped, Mapping, Skipped, fold};
use write_behind::row::Value;
use write_behind::settings::{OnMissing, Settings, StreamSettings};
use write_behind::sink::{Target, checkpoint};
use write_behind::stream::capabilities::Capabilities;
use write_behind::stream::connection::RedisClient;
use write_behind::stream::documents::DocumentFetcher;
use write_behind::stream::read_connection::ReadConnection;
use write_behind::table::TablePlan;

use super::told::{Cell, Explained, Found, Lane, PassedOver, Rejected, Row, Step};
use super::{trial, value};
use crate::database::migrations;

/// What it takes to explain entries of one stream.
pub struct Gatherer<'a> {
    settings: &'a Settings,
    stream: &'a StreamSettings,
    mapping: &'a Mapping,
    target: &'a Target,
    connection: ReadConnection,
    fetcher: DocumentFetcher,
    /// How far each lane has come; nothing if that is not known.
    positions: Vec<StreamId>,
}

impl<'a> Gatherer<'a> {
    /// Looks at the checkpoints, and connects to Redis for documents.
    pub async fn new(
        settings: &'a Settings,
        stream: &'a StreamSettings,
        mapping: &'a Mapping,
        target: &'a Target,
        redis: RedisClient,
        capabilities: &Capabilities,
    ) -> Result<Gatherer<'a>, PipelineError> {
        let connection = redis.dedicated(std::time::Duration::ZERO).await?;
        let fetcher = DocumentFetcher::new(stream.document, capabilities.json);
        // Without bookkeeping tables nothing was ever applied.
        let bookkept = migrations::<Migrator>(target, settings).await?.pending().is_empty();
        let lanes = match bookkept {
            true => checkpoint::load(target.db(), &settings.app.name, &stream.stream_name).await?,
            false => Vec::new(),
        };
        let positions = lanes.iter().map(|lane| lane.last_id).collect();
        Ok(Gatherer { settings, stream, mapping, target, connection, fetcher, positions })
    }

    /// Explains one entry.
    pub async fn explain(&mut self, entry: &Entry, dry_run: bool) -> Result<Explained, PipelineError> {
        let mut told = Explained {
            stream: self.stream.stream_name.clone(),
            entity: self.stream.entity.clone(),
            id: entry.id.to_string(),
            taken_at: time_of(entry.id),
            fields: texts(&self.copy(entry).fields),
            lane: self.lane(entry),
            ..Explained::default()
        };
        match self.changes(entry, &mut told).await? {
            Err(why) => told.rejected = Some(self.told(why)),
            Ok(None) => {}
            Ok(Some(changes)) => self.sql(&changes, dry_run, &mut told).await?,
        }
        Ok(told)
    }

    fn lane(&self, entry: &Entry) -> Lane {
        let order_by = self.stream.order_by.as_ref().unwrap_or(&self.stream.fields.key);
        let lanes = self.mapping.usable_lanes(self.stream.lanes);
        let number = lane_of_entry(entry, order_by, lanes);
        let by = match entry.field(order_by) {
            Some(_) => format!("its field `{order_by}`"),
            None => format!("its id, because it has no field `{order_by}`"),
        };
        let position = self.positions.get(number as usize).filter(|_| self.positions.len() == lanes as usize);
        Lane { number, lanes, wanted: self.stream.lanes, by, passed: position.map(|position| entry.id <= *position) }
    }

    /// What the mapping makes of an entry; `None` if it is passed over.
    async fn changes(
        &mut self,
        entry: &Entry,
        told: &mut Explained,
    ) -> Result<Result<Option<Changes>, Rejection>, PipelineError> {
        let event = match decode(entry, &self.stream.fields, self.stream.document) {
            Ok(event) => event,
            Err(why) => return Ok(Err(why)),
        };
        told.op = Some(event.op.name());
        told.key = event.key.is_some().then(|| self.copy(entry).field(&self.stream.fields.key).map(text)).flatten();
        let fetched = match (&event.located, &event.key) {
            (Located::AtKey, Some(key)) => {
                self.fetcher.fetch(&mut self.connection, std::slice::from_ref(key)).await?.pop()
            }
            _ => None,
        };
        let place = match &event.located {
            Located::Here(Document::Fields(_)) => "the fields of the entry".to_owned(),
            Located::Here(_) => format!("in the field `{}` of the entry", self.stream.fields.payload),
            Located::AtKey => format!("at the key `{}`", told.key.as_deref().unwrap_or_default()),
            Located::NotNeeded => "none: the operation needs none".to_owned(),
        };
        let document = match event.located.clone().document(|| fetched.unwrap_or(Ok(Document::Missing))) {
            Ok(document) => document,
            Err(why) => {
                told.document = Some(Found { place, content: None });
                return Ok(Err(why));
            }
        };
        told.document = Some(match &document {
            Document::Missing => Found { place: format!("gone: {}", self.gone(&place)), content: None },
            document => {
                let copy = self.mapping.masked_copies().map(|copies| copies.document(document));
                Found { place, content: content(copy.as_ref().unwrap_or(document)) }
            }
        });
        let Explanation { filter, reshape, skipped, tables, outcome } = self.mapping.explain(entry, &event, &document);
        told.filter = filter.map(|(expression, answer)| {
            let words = |answer: Option<bool>| match answer {
                Some(answer) => answer.to_string(),
                None => "no answer: it is not asked, because the patch has not all members that it looks at".to_owned(),
            };
            Step { expression, result: self.result(answer.map(words)) }
        });
        told.reshape = reshape.map(|(expression, made)| {
            let masked = self.mapping.masked_copies().is_some();
            let shown = |json| if masked { "what is not shown, because columns are masked".to_owned() } else { json };
            let made = made.map(|json| json.map_or_else(|| "nothing".to_owned(), shown));
            Step { expression, result: self.result(made) }
        });
        told.skipped = skipped.map(|why| why.to_string());
        let passed_over = |(place, why): (usize, Skipped)| PassedOver {
            table: self.mapping.tables()[place].table.name.to_string(),
            why: why.to_string(),
        };
        told.passed_over = tables.into_iter().map(passed_over).collect();
        Ok(outcome.map(|mapped| match mapped {
            Mapped::Changes(changes) => Some(changes),
            Mapped::Skip => None,
        }))
    }

    /// What it means that a document is not there.
    fn gone(&self, place: &str) -> String {
        let means = match self.stream.on_missing {
            OnMissing::DeadLetter => "`on_missing` makes a dead letter of the event",
            OnMissing::Skip => "`on_missing` passes the event over",
            OnMissing::Delete => "`on_missing` deletes the row",
        };
        format!("there is nothing {place}; {means}")
    }

    async fn sql(&self, changes: &Changes, dry_run: bool, told: &mut Explained) -> Result<(), PipelineError> {
        let plans = self.mapping.plans();
        told.rows = changes.iter().flat_map(|change| self.rows(change, &plans[usize::from(change.table)])).collect();
        let steps = fold(changes, &plans);
        let mut session = self.target.open_session(&plans).await?;
        told.statements = trial::statements(session.as_mut(), &steps)?;
        if dry_run {
            let limit = self.settings.rdbms.statement_timeout;
            told.dry_run = Some(trial::dry_run(session.as_mut(), &steps, &plans, limit).await?);
        }
        Ok(())
    }

    /// The rows of a change. What all rows of a document have in common, if there are none, is one that goes.
    fn rows(&self, change: &Change, plan: &TablePlan) -> Vec<Row> {
        let whole = || (0..plan.columns.len()).collect::<Vec<_>>();
        let (places, rows): (Vec<usize>, Vec<&write_behind::row::Row>) = match (&change.extent, change.kind) {
            (Extent::Family(rows), _) if !rows.is_empty() => (whole(), rows.iter().collect()),
            (Extent::Family(_), _) | (Extent::Whole, ChangeKind::Delete) => {
                (plan.identity().to_vec(), vec![&change.row])
            }
            (Extent::Whole, _) => (whole(), vec![&change.row]),
            (Extent::Columns(places), _) => (places.to_vec(), vec![&change.row]),
        };
        let what = match (&change.extent, change.kind) {
            (Extent::Family(rows), _) if rows.is_empty() => "no rows of this document any more",
            (_, ChangeKind::Delete) if plan.family.is_some() => "all rows of this document are deleted",
            (Extent::Family(_), ChangeKind::Update) => {
                "a row of this document, if it has its own; others of it are deleted"
            }
            (Extent::Family(_), _) => "a row of this document; others of it are deleted",
            (_, ChangeKind::Append) => "a new row",
            (_, ChangeKind::Upsert) => "a new row, or the new values of the one with this key",
            (_, ChangeKind::Update) => "the new values of the row with this key, if there is one",
            (_, ChangeKind::Delete) => "the row with this key is deleted",
        };
        let table = &self.mapping.tables()[usize::from(change.table)];
        let cell = |(place, value): (&usize, Value<'_>)| {
            let mapped = &table.columns[*place];
            Cell {
                column: mapped.column.name.clone(),
                sql_type: mapped.column.sql_type.clone(),
                source: mapped.source_text(),
                value: value::shown(&value, &mapped.column),
            }
        };
        let row = |row: &write_behind::row::Row| Row {
            table: table.table.name.to_string(),
            change: what.to_owned(),
            columns: places.iter().zip(row.values()).map(cell).collect(),
        };
        rows.into_iter().map(row).collect()
    }

    fn result<T: ToString>(&self, result: Result<T, Rejection>) -> String {
        match result {
            Ok(value) => value.to_string(),
            Err(why) => format!("an error: {}", self.told(why).message),
        }
    }

    /// The entry as it may be shown.
    fn copy(&self, entry: &Entry) -> Entry {
        self.mapping.masked_copies().map_or_else(|| entry.clone(), |copies| copies.entry(entry))
    }

    /// Why it is a dead letter, as others may be told.
    fn told(&self, why: Rejection) -> Rejected {
        Rejected::from(&self.mapping.told(why))
    }
}

fn time_of(id: StreamId) -> String {
    let time = i64::try_from(id.ms).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or_else(|| format!("{} ms", id.ms), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn texts(fields: &Fields) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// A document as JSON.
fn content(document: &Document) -> Option<String> {
    match document {
        Document::Json(json) => Some(String::from_utf8_lossy(json).into_owned()),
        Document::Fields(fields) => {
            let members = texts(fields).into_iter().map(|(name, value)| (name, value.into()));
            Some(serde_json::Value::Object(members.collect()).to_string())
        }
        Document::Missing | Document::None => None,
    }
}
