//! `pipeline schema`: the tables that the mappings need, printed, compared with those that there are, or made.

use clap::Subcommand;
use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
use write_behind::error::PipelineError;
use write_behind::schema::{Change, NewIndex, Sample, StreamPlan, plan};
use write_behind::settings::{RdbmsKind, Settings, StreamSettings};
use write_behind::sink::{Refusal, SqlError, Target, catalogue, ddl};
use write_behind::startup::{connect_redis, connect_target};
use write_behind::stream::samples::newest_events;
use write_behind::table::{Table, TableName};

use crate::confirm::confirm;
use crate::database::connect_without_creating;
use crate::output::{self, printable};
use crate::runtime::block_on;

/// Arguments of `pipeline schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = SCHEMA)]
pub struct SchemaArgs {
    #[command(subcommand)]
    action: Action,
    /// Only the tables of this stream
    #[arg(long, global = true, value_name = "ENTITY")]
    stream: Option<String>,
    /// Infer types from so many of the newest documents of each stream; 0 looks at none, and needs no Redis
    #[arg(long, global = true, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    sample: u32,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the statements that make what is missing, for the database's own client; changes nothing
    Print,
    /// Say what is missing and what cannot hold what the mappings give; changes nothing
    Diff,
    /// Make what is missing, after asking: tables, columns, and the unique index of an upsert's key
    Apply {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

const SCHEMA: &str = "\
Nothing is ever dropped, narrowed or changed: what is there and does not fit is said, and left to a person. A sampled \
event that would become a dead letter though the tables are as they must be is a note.

The type of a column is what its `type` says; else what its source gives; else what the newest documents in Redis hold. \
docs/MAPPING.md has the rules.

Exit codes: 0 done, or nothing differs; 1 `diff` found differences, `apply` left some to a person, or the database \
refused a statement; 69 a server cannot be reached; 78 settings, credentials or rights.";

/// Does what was asked for with the tables.
pub fn schema(args: &SchemaArgs, settings: &Settings) -> Result<(), PipelineError> {
    block_on(async {
        let streams = chosen(args, settings)?;
        let samples = samples(args, settings, &streams).await?;
        let target = connect_without_creating(settings).await?;
        let found = compare(&target, &streams, &samples).await?;
        match args.action {
            Action::Print => print(&target, &found),
            Action::Diff => diff(settings, &found),
            Action::Apply { yes } => apply(settings, &streams, &samples, &found, yes).await,
        }
    })
}

/// All that was found out about the streams.
struct Found {
    changes: Vec<Change>,
    by_hand: Vec<String>,
    notes: Vec<String>,
}

fn chosen<'s>(args: &SchemaArgs, settings: &'s Settings) -> Result<Vec<&'s StreamSettings>, PipelineError> {
    let Some(entity) = &args.stream else { return Ok(settings.streams.iter().collect()) };
    settings.stream(entity).map(|stream| vec![stream]).ok_or_else(|| {
        let known: Vec<_> = settings.streams.iter().map(|stream| stream.entity.as_str()).collect();
        PipelineError::Configuration(format!("--stream: there is no stream `{entity}`; there are {}", known.join(", ")))
    })
}

/// The newest events of each stream, in the order of the streams.
async fn samples(
    args: &SchemaArgs,
    settings: &Settings,
    streams: &[&StreamSettings],
) -> Result<Vec<Vec<Sample>>, PipelineError> {
    if args.sample == 0 {
        return Ok(streams.iter().map(|_| Vec::new()).collect());
    }
    let hint = |error: PipelineError| match error {
        PipelineError::Unavailable(text) => PipelineError::Unavailable(format!("{text}; or infer nothing: --sample 0")),
        error => error,
    };
    let (client, capabilities) = connect_redis(settings).await.map_err(hint)?;
    let mut samples = Vec::new();
    for stream in streams {
        let found = newest_events(&client, stream, capabilities.json, args.sample as usize).await;
        samples.push(found.map_err(|failure| hint(failure.into()))?);
    }
    Ok(samples)
}

async fn compare(
    target: &Target,
    streams: &[&StreamSettings],
    samples: &[Vec<Sample>],
) -> Result<Found, PipelineError> {
    let names = catalogue::names::read(target.db(), target.kind()).await?;
    // Two streams may share a table: what one of them adds the other finds there.
    let mut known: Vec<Table> = Vec::new();
    let mut found = Found { changes: Vec::new(), by_hand: Vec::new(), notes: Vec::new() };
    for (stream, samples) in streams.iter().zip(samples) {
        let mut live = Vec::new();
        for settings in &stream.tables {
            let name = TableName::parse(&settings.table);
            live.push(match known.iter().find(|table| names.same_table(&table.name, &name)) {
                Some(table) => Some(Table { name, ..table.clone() }),
                None => catalogue::read(target.db(), &name).await?,
            });
        }
        let StreamPlan { changes, by_hand, notes, tables } = plan(stream, &live, samples, &names);
        known.retain(|known| !tables.iter().any(|table| names.same_table(&table.name, &known.name)));
        known.extend(tables);
        found.changes.extend(changes);
        found.by_hand.extend(by_hand);
        found.notes.extend(notes);
    }
    name_indexes(target, &mut found.changes).await?;
    Ok(found)
}

/// Gives each index a name that nothing there has, and no other of these.
async fn name_indexes(target: &Target, changes: &mut [Change]) -> Result<(), PipelineError> {
    let mut given = Vec::new();
    for change in changes {
        if let Change::AddUniqueIndex(index) = change {
            let taken = catalogue::names::taken(target.db(), &index.table).await?;
            index.avoid(&[taken, given.clone()].concat());
            given.push(index.name.clone());
        }
    }
    Ok(())
}

fn print(target: &Target, found: &Found) -> Result<(), PipelineError> {
    for change in &found.changes {
        output::line(format_args!("{}\n", ddl::statement(change, target.kind())))?;
    }
    // What is left may be the reason why nothing could be looked at.
    if found.changes.is_empty() && found.by_hand.is_empty() {
        output::line("-- no table, column or index is missing")?;
    }
    found.by_hand.iter().try_for_each(|text| output::line(format_args!("-- left to you: {}", printable(text))))?;
    found.notes.iter().try_for_each(|text| output::line(format_args!("-- note: {}", printable(text))))
}

fn diff(settings: &Settings, found: &Found) -> Result<(), PipelineError> {
    for change in &found.changes {
        output::line(printable(&match change {
            Change::Create(table) => format!("missing  {}: table {}", table.setting, table.name),
            Change::AddColumn(table, column) => {
                format!("missing  column {} of {table}, {}", column.name, column.sql_type)
            }
            Change::AddUniqueIndex(NewIndex { table, key, .. }) => {
                format!("missing  unique index of {table} on ({})", key.join(", "))
            }
        }))?;
    }
    found.by_hand.iter().try_for_each(|text| output::line(format_args!("differs  {}", printable(text))))?;
    found.notes.iter().try_for_each(|text| output::line(format_args!("note  {}", printable(text))))?;
    match (found.changes.len(), found.by_hand.len()) {
        (0, 0) => output::line(format_args!("nothing differs: the mappings fit {}", settings.rdbms.address())),
        (0, left) => Err(PipelineError::Failed(format!("{}, which `apply` leaves to you", differences(left)))),
        (missing, 0) => Err(PipelineError::Failed(format!("{}, which `pipeline schema apply` adds", things(missing)))),
        (missing, left) => Err(PipelineError::Failed(format!(
            "{}, which `pipeline schema apply` adds, and {}, which it leaves to you",
            things(missing),
            differences(left)
        ))),
    }
}

fn differences(count: usize) -> String {
    if count == 1 { "1 difference".to_owned() } else { format!("{count} differences") }
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing is missing".to_owned() } else { format!("{count} things are missing") }
}

async fn apply(
    settings: &Settings,
    streams: &[&StreamSettings],
    samples: &[Vec<Sample>],
    found: &Found,
    yes: bool,
) -> Result<(), PipelineError> {
    let kind = settings.rdbms.kind;
    let statements: Vec<String> = found.changes.iter().map(|change| ddl::statement(change, kind)).collect();
    if statements.is_empty() {
        if found.by_hand.is_empty() {
            let address = settings.rdbms.address();
            output::line(format_args!("nothing to do: no table, column or index is missing in {address}"))?;
        }
        return left(&found.by_hand, &found.notes);
    }
    output::remark(format_args!("this runs, in {}:\n\n{}\n", settings.rdbms.address(), statements.join("\n\n")));
    if !yes {
        confirm::<SchemaArgs>("pipeline schema apply", "nothing was changed", "to run these statements")?;
    }
    let target = connect_target(settings).await?;
    // All or nothing, except in MySQL, where each of these statements commits by itself.
    let commits_each = matches!(kind, RdbmsKind::MySql | RdbmsKind::MariaDb);
    let transaction = target.db().begin().await.map_err(|error| not_done(settings, "nothing was changed", &error))?;
    for (number, (change, statement)) in found.changes.iter().zip(&statements).enumerate() {
        let kept = match number {
            done @ 1.. if commits_each => {
                format!("{done} of {} statements were done, and MySQL keeps what they did", statements.len())
            }
            _ => "nothing was changed".to_owned(),
        };
        transaction.execute_unprepared(statement).await.map_err(|error| not_done(settings, &kept, &error))?;
        if commits_each {
            tell(change)?;
        }
    }
    transaction.commit().await.map_err(|error| not_done(settings, "it is not known what was changed", &error))?;
    if !commits_each {
        found.changes.iter().try_for_each(tell)?;
    }
    // What the database made of it, not what was meant.
    let now = compare(&target, streams, samples).await?;
    let missing = now.changes.iter().map(|change| format!("still missing: {}", ddl::statement(change, kind)));
    // A member that `auto` could make no column of is not asked for any more, now that there is a table.
    let still = found.by_hand.iter().filter(|text| !now.by_hand.contains(text)).cloned();
    left(&missing.chain(still).chain(now.by_hand.iter().cloned()).collect::<Vec<_>>(), &now.notes)
}

/// Tells of a change that was made.
fn tell(change: &Change) -> Result<(), PipelineError> {
    output::line(printable(&match change {
        Change::Create(table) => format!("created table {}", table.name),
        Change::AddColumn(table, column) => format!("added column {} to {table}", column.name),
        Change::AddUniqueIndex(NewIndex { table, key, .. }) => {
            format!("added a unique index to {table} on ({})", key.join(", "))
        }
    }))
}

/// Why the statements were not all done, and what is there now.
fn not_done(settings: &Settings, kept: &str, error: &DbErr) -> PipelineError {
    let refusal = Refusal::from(error);
    let text = format!("{}: {}; {kept}", settings.rdbms.address(), SqlError::from(error.clone()));
    match refusal {
        Refusal::Rights => PipelineError::Configuration(format!("{text}. Check the rights of rdbms.user")),
        Refusal::Statement => PipelineError::Failed(text),
        Refusal::Unanswered => PipelineError::Unavailable(text),
    }
}

fn left(by_hand: &[String], notes: &[String]) -> Result<(), PipelineError> {
    notes.iter().try_for_each(|text| output::line(format_args!("note: {}", printable(text))))?;
    if by_hand.is_empty() {
        return Ok(());
    }
    by_hand.iter().try_for_each(|text| output::line(format_args!("left to you: {}", printable(text))))?;
    let are = if by_hand.len() == 1 { "is" } else { "are" };
    Err(PipelineError::Failed(format!("{} {are} left to you", differences(by_hand.len()))))
}
