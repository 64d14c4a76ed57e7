//! `pipeline dead-letters`: events that could not be written, and why.

mod show;
mod table;

use clap::Subcommand;
use entity::dead_letter::{Column, Entity};
use migration::Migrator;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use write_behind::error::PipelineError;
use write_behind::settings::Settings;
use write_behind::sink::Target;

use crate::database::{connect_existing, failed, migrations};
use crate::output;
use crate::runtime::block_on;

/// Arguments of `pipeline dead-letters`.
#[derive(Debug, clap::Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The newest dead letters of this pipeline (app.name), the newest last
    List(ListArgs),
    /// All that is known of one dead letter
    #[command(after_help = "\
With --json, `entry` is an object and `document` a text, as it was received: `pipeline dead-letters show 7 --json | jq \
-r .document` gives it back.")]
    Show {
        /// Number of the dead letter, as in the list
        id: i64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those of this stream: the name under `streams` in the settings
    #[arg(long, value_name = "ENTITY")]
    stream: Option<String>,
    /// Most dead letters to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// A JSON array of objects
    #[arg(long)]
    json: bool,
}

/// What the list tells of a dead letter. Entries and documents may be large, and stay where they are.
#[derive(Debug, FromQueryResult)]
struct Summary {
    id: i64,
    entry_id: String,
    entity: String,
    op: Option<String>,
    doc_key: Option<String>,
    error_class: String,
    error_column: Option<String>,
    message: String,
}

/// Lists dead letters or shows one.
pub fn dead_letters(args: &DeadLettersArgs, settings: &Settings) -> Result<(), PipelineError> {
    block_on(async {
        let target = connect_existing(settings).await?;
        if !migrations::<Migrator>(&target, settings).await?.pending().is_empty() {
            return Err(PipelineError::Configuration(format!(
                "the table write_behind_dead_letter is not there, or not up to date, in {}: run `pipeline migrate up`",
                settings.rdbms.address()
            )));
        }
        match &args.action {
            Action::List(args) => list(args, settings, &target).await,
            Action::Show { id, json } => show::show(*id, *json, settings, &target).await,
        }
    })
}

async fn list(args: &ListArgs, settings: &Settings, target: &Target) -> Result<(), PipelineError> {
    let mut query = Entity::find().filter(Column::Pipeline.eq(&settings.app.name));
    if let Some(entity) = &args.stream {
        query = query.filter(Column::Entity.eq(entity));
    }
    let found = query
        .select_only()
        .columns([Column::Id, Column::EntryId, Column::Entity, Column::Op, Column::DocKey])
        .columns([Column::ErrorClass, Column::ErrorColumn, Column::Message])
        .order_by_desc(Column::Id)
        .limit(args.limit)
        .into_model::<Summary>()
        .all(target.db())
        .await;
    let mut found = found.map_err(|error| failed(settings, "the dead letters cannot be read", error))?;
    found.reverse();
    if args.json {
        return print_json(&found);
    }
    if found.is_empty() {
        let of_stream = args.stream.as_ref().map(|entity| format!(", stream `{entity}`")).unwrap_or_default();
        return output::line(format_args!("no dead letters of pipeline `{}`{of_stream}", settings.app.name));
    }
    table::lines(&found).iter().try_for_each(output::line)
}

/// A JSON array with a line for each element.
fn print_json(found: &[Summary]) -> Result<(), PipelineError> {
    output::line("[")?;
    for (place, one) in found.iter().enumerate() {
        let end = if place + 1 < found.len() { "," } else { "" };
        let object = json!({
            "id": one.id,
            "entry_id": one.entry_id,
            "entity": one.entity,
            "op": one.op,
            "key": one.doc_key,
            "class": one.error_class,
            "column": one.error_column,
            "message": one.message,
        });
        output::line(format_args!("{object}{end}"))?;
    }
    output::line("]")
}
