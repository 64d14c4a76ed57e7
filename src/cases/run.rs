//! Running the cases of a file, each in a transaction of its own that is never committed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sea_orm::ConnectionTrait;

use super::case::{Case, Event, Outcome};
use super::compare::differences;
use super::file::TestFile;
use crate::batch::{MappedBatch, MappedEvent};
use crate::decode::decode;
use crate::error::PipelineError;
use crate::event::{Entry, Rejection, StreamId};
use crate::lane::Span;
use crate::mapping::{Changes, Mapped, Mapping};
use crate::row::RowWriter;
use crate::settings::{RdbmsKind, RdbmsSettings, StreamSettings, nearest};
use crate::sink::{
    Applied, Applier, ApplyError, LaneIdentity, Session, SqlError, Target, Trial, catalogue, select_sql,
};
use crate::startup::{compile_mapping, migrate};
use crate::supervision::progress::Progress;
use crate::table::{Column, Table, TableName};

/// A file with its mappings compiled, and the database for it.
pub struct Runner<'a> {
    file: &'a TestFile,
    target: Target,
    settings: RdbmsSettings,
    mappings: BTreeMap<&'a str, Mapping>,
}

/// What came of a case: lines that say what is not as it should be. Those that begin with `-` are of what was expected,
/// with `+` of what there was instead.
pub type Verdict = Vec<String>;

impl<'a> Runner<'a> {
    /// For an SQLite database in `folder`, which is made, with the tables of the file's `schema`.
    ///
    /// # Errors
    /// What is wrong with the schema or with the settings of the streams.
    pub async fn on_file(file: &'a TestFile, folder: &Path) -> Result<Runner<'a>, PipelineError> {
        let database = folder.join("test.db").to_string_lossy().into_owned();
        let settings =
            RdbmsSettings { kind: RdbmsKind::Sqlite, database, url_options: None, ..file.settings.rdbms.clone() };
        let said = |text: String| PipelineError::Configuration(format!("{}: {text}", file.name));
        let Some(schema) = file.schema(RdbmsKind::Sqlite) else {
            return Err(said("it needs `schema`, the CREATE TABLE statements for SQLite (or --database)".to_owned()));
        };
        let target = Target::connect(&settings).await?;
        let made = target.db().execute_unprepared(schema).await;
        made.map_err(|error| said(format!("`schema` is not as SQLite wants it: {}", SqlError::from(error))))?;
        migrate(&target).await.map_err(|error| said(error.to_string()))?;
        Runner::on(file, target, settings).await
    }

    /// For a database whose tables are there, and empty.
    ///
    /// # Errors
    /// It cannot be reached, or the settings of the streams do not fit it.
    pub async fn on_database(
        file: &'a TestFile,
        target: Target,
        settings: RdbmsSettings,
    ) -> Result<Runner<'a>, PipelineError> {
        Runner::on(file, target, settings).await
    }

    async fn on(file: &'a TestFile, target: Target, settings: RdbmsSettings) -> Result<Runner<'a>, PipelineError> {
        let (mut mappings, mut problems) = (BTreeMap::new(), Vec::new());
        let tested = |stream: &&StreamSettings| file.cases.iter().any(|case| case.entity == stream.entity);
        for stream in file.settings.streams.iter().filter(tested) {
            match compile_mapping(&target, stream).await? {
                Ok(mapping) => drop(mappings.insert(stream.entity.as_str(), mapping)),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            return Ok(Runner { file, target, settings, mappings });
        }
        let said: Vec<_> = problems.iter().map(|problem| format!("{}: {problem}", file.name)).collect();
        Err(PipelineError::Configuration(said.join("\n")))
    }

    /// Runs one case.
    ///
    /// # Errors
    /// The database failed, or the case names what is not there.
    pub async fn run(&self, case: &Case) -> Result<Verdict, PipelineError> {
        let (Some(stream), Some(mapping)) =
            (self.file.settings.stream(&case.entity), self.mappings.get(case.entity.as_str()))
        else {
            return Err(self.wrong(case.line, "its stream is not compiled"));
        };
        let tables = self.tables(case, mapping).await?;
        let plans: Arc<[_]> = mapping.plans().into();
        let mut trial = Trial::begin(self.target.open_session(&plans).await?).await?;
        for table in &tables {
            let sql = select_sql(trial.backend(), &table.name, table.columns.iter(), Some(1));
            if !trial.rows(sql).await?.is_empty() {
                let name = &table.name;
                return Err(self.wrong(case.line, &format!("table {name} holds rows already: cases need empty tables")));
            }
        }
        let (batch, skipped) = mapped(&case.events, stream, mapping);
        let lane = identity(&self.file.settings.app.name, stream, mapping);
        trial.make_checkpoint(&lane, batch.span.after).await?;
        let limit = self.settings.statement_timeout;
        let mut applier = Applier::new(Box::new(trial), self.target.clone(), lane, plans, limit, Progress::default());
        let applied = applier.apply(&batch).await.map_err(|error| match error {
            ApplyError::Sql(error) => error.into(),
            error => PipelineError::Failed(error.to_string()),
        })?;
        let mut lines = outcomes(&case.events, &applied, &skipped);
        let mut session = applier.into_session();
        for table in &tables {
            lines.extend(self.compared(case, table, mapping, session.as_mut()).await?);
        }
        Ok(lines)
    }

    /// The tables of the mapping, and what else the case names.
    async fn tables(&self, case: &Case, mapping: &Mapping) -> Result<Vec<Table>, PipelineError> {
        let mut tables: Vec<Table> = mapping.tables().iter().map(|table| (*table.table).clone()).collect();
        for (name, rows) in &case.rows {
            let name = TableName::parse(name);
            if !tables.iter().any(|table| table.name == name) {
                let line = rows.first().map_or(case.line, |row| row.line);
                let found = catalogue::read(self.target.db(), &name).await?;
                tables.push(found.ok_or_else(|| self.wrong(line, &format!("there is no table `{name}`")))?);
            }
        }
        Ok(tables)
    }

    async fn compared(
        &self,
        case: &Case,
        table: &Table,
        mapping: &Mapping,
        session: &mut dyn Session,
    ) -> Result<Vec<String>, PipelineError> {
        let expected = case.rows_of(&table.name);
        for row in expected {
            if let Some((name, _)) = row.columns.iter().find(|(name, _)| table.column(name).is_none()) {
                let known = table.columns.iter().map(|column| column.name.as_str());
                let hint = nearest(name, known).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                return Err(self.wrong(row.line, &format!("table {} has no column `{name}`{hint}", table.name)));
            }
        }
        let written = |column: &&Column| {
            let of_mapping = mapping.tables().iter().filter(|mapped| mapped.table.name == table.name);
            let mapped = of_mapping.flat_map(|mapped| &mapped.columns).any(|mapped| mapped.column.name == column.name);
            mapped || case.names(&table.name, &column.name)
        };
        let columns: Vec<Column> = table.columns.iter().filter(written).cloned().collect();
        let columns = if columns.is_empty() { table.columns.clone() } else { columns };
        let sql = select_sql(session.backend(), &table.name, columns.iter(), None);
        let actual = session.rows(sql).await?;
        Ok(differences(&table.name.to_string(), expected, &columns, &actual))
    }

    fn wrong(&self, line: usize, message: &str) -> PipelineError {
        PipelineError::Configuration(format!("{}:{line}: {message}", self.file.name))
    }
}

/// The lane of a stream that nobody else works on.
fn identity(pipeline: &str, stream: &StreamSettings, mapping: &Mapping) -> LaneIdentity {
    LaneIdentity {
        pipeline: pipeline.to_owned(),
        owner: "test-mapping".to_owned(),
        stream: format!("test-mapping:{}", stream.entity),
        entity: stream.entity.clone(),
        lane: 0,
        generation: 0,
        fields: stream.fields.clone(),
        masked_copies: mapping.masked_copies().cloned(),
    }
}

/// All events as one batch, and the ids of those that are passed over.
fn mapped(events: &[Event], stream: &StreamSettings, mapping: &Mapping) -> (MappedBatch, Vec<StreamId>) {
    let mut rows = RowWriter::default();
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for event in events {
        let entry = event.entry(stream);
        let mut document = crate::event::Document::None;
        let mut changes = |entry: &Entry| -> Result<Option<Changes>, Rejection> {
            let decoded = decode(entry, &stream.fields, stream.document)?;
            document = decoded.located.clone().document(|| Ok(event.at_key(stream)))?;
            Ok(match mapping.map(entry, &decoded, &document, &mut rows)? {
                Mapped::Changes(changes) => Some(changes),
                Mapped::Skip => None,
            })
        };
        match changes(&entry).transpose() {
            Some(outcome) => {
                let outcome = outcome.map_err(|why| mapping.told(why));
                kept.push(MappedEvent { entry, document, outcome });
            }
            None => skipped.push(entry.id),
        }
    }
    let upto = events.last().map_or(StreamId::ZERO, |event| event.id);
    let batch =
        MappedBatch { span: Span { after: StreamId::ZERO, upto }, events: kept, skipped: skipped.len(), credits: 0 };
    (batch, skipped)
}

/// What became of events that should have become something else.
fn outcomes(events: &[Event], applied: &Applied, skipped: &[StreamId]) -> Vec<String> {
    let mut lines = Vec::new();
    for event in events {
        let dead = applied.dead.iter().find(|(id, _)| *id == event.id).map(|(_, why)| why);
        let as_expected = match (dead, skipped.contains(&event.id)) {
            (Some(why), _) => event.outcome.allows(why),
            (None, true) => event.outcome == Outcome::Skipped,
            (None, false) => event.outcome == Outcome::Applied,
        };
        if as_expected {
            continue;
        }
        let expected = match &event.outcome {
            Outcome::Applied => "applied".to_owned(),
            Outcome::Skipped => "skipped".to_owned(),
            Outcome::Rejected { class, column, message } => {
                rejected(class.as_deref(), column.as_deref(), message.as_deref())
            }
        };
        let actual = match dead {
            Some(why) => rejected(Some(why.class.name()), why.column.as_deref(), Some(&why.message)),
            None if skipped.contains(&event.id) => "skipped".to_owned(),
            None => "applied".to_owned(),
        };
        lines.extend([format!("the event of line {}", event.line), format!("- {expected}"), format!("+ {actual}")]);
    }
    lines
}

fn rejected(class: Option<&str>, column: Option<&str>, message: Option<&str>) -> String {
    let parts = [("", class), ("column ", column), ("", message)];
    let parts = parts.iter().filter_map(|(before, part)| Some(format!("{before}{}", (*part)?)));
    format!("rejected: {}", parts.collect::<Vec<_>>().join(", "))
}
