//! `pipeline migrate`: the bookkeeping tables, and the table of the example.

use clap::Subcommand;
use entity::prelude::{Checkpoint, DeadLetter, UserAction};
use migration::{ExampleMigrator, Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use write_behind::error::PipelineError;
use write_behind::settings::Settings;
use write_behind::sink::Target;
use write_behind::startup;

use crate::confirm::confirm;
use crate::database::{connect_existing, failed, migrations};
use crate::output;
use crate::runtime::block_on;

/// Arguments of `pipeline migrate`.
#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    #[command(subcommand)]
    action: Action,
    /// Not the bookkeeping tables, but the table of the shipped example: user_actions (user_id, action, ts)
    #[arg(long, global = true)]
    example: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create or upgrade write_behind_checkpoint and write_behind_dead_letter; `run` does so too, unless
    /// rdbms.migrate_on_start is false
    Up,
    /// Drop the tables with all that is in them; says what is lost, and wants --yes or a `y` on the terminal
    #[command(after_help = "\
Without its checkpoints a pipeline begins again at `start_id` and writes what is written already a second time. Stop \
the pipeline first.")]
    Down {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say which migrations are applied; changes nothing
    Status,
}

/// Does what was asked for with the tables.
pub fn migrate(args: &MigrateArgs, settings: &Settings) -> Result<(), PipelineError> {
    block_on(async {
        match args.example {
            false => act::<Migrator>(args, settings).await,
            true => act::<ExampleMigrator>(args, settings).await,
        }
    })
}

async fn act<M: MigratorTrait>(args: &MigrateArgs, settings: &Settings) -> Result<(), PipelineError> {
    match args.action {
        Action::Up => up::<M>(args.example, settings).await,
        Action::Down { yes } => down::<M>(args.example, settings, yes).await,
        Action::Status => status::<M>(settings).await,
    }
}

async fn up<M: MigratorTrait>(example: bool, settings: &Settings) -> Result<(), PipelineError> {
    let target = startup::connect_target(settings).await?;
    let before = migrations::<M>(&target, settings).await?;
    let done = match example {
        false => startup::migrate(&target).await,
        true => M::up(target.db(), None).await,
    };
    done.map_err(|error| failed(settings, "the tables cannot be made", error))?;
    for name in before.pending() {
        output::line(format_args!("applied {name}"))?;
    }
    if before.pending().is_empty() {
        output::line(format_args!("nothing to do: all is applied in {}", settings.rdbms.address()))?;
    }
    Ok(())
}

async fn down<M: MigratorTrait>(example: bool, settings: &Settings, yes: bool) -> Result<(), PipelineError> {
    let target = connect_existing(settings).await?;
    let before = migrations::<M>(&target, settings).await?;
    if before.applied().is_empty() {
        return output::line(format_args!("nothing to do: nothing is applied in {}", settings.rdbms.address()));
    }
    let lost = if example { example_loss(&target).await } else { bookkeeping_loss(&target).await };
    output::remark(format_args!("this drops, from {}:\n{lost}", settings.rdbms.address()));
    if !yes {
        confirm::<MigrateArgs>("pipeline migrate down", "nothing was dropped", "to drop these tables")?;
    }
    // With the table that remembers the migrations, so that nothing of the pipeline stays.
    M::reset(target.db()).await.map_err(|error| failed(settings, "the tables cannot be dropped", error))?;
    before.applied().iter().rev().try_for_each(|name| output::line(format_args!("reverted {name}")))
}

async fn status<M: MigratorTrait>(settings: &Settings) -> Result<(), PipelineError> {
    let target = connect_existing(settings).await?;
    for (name, applied) in migrations::<M>(&target, settings).await?.0 {
        output::line(format_args!("{} {name}", if applied { "applied" } else { "pending" }))?;
    }
    Ok(())
}

async fn bookkeeping_loss(target: &Target) -> String {
    let (checkpoints, dead_letters) = (rows::<Checkpoint>(target.db()).await, rows::<DeadLetter>(target.db()).await);
    format!(
        "  write_behind_checkpoint with {checkpoints} checkpoints (a pipeline that starts again begins at start_id, and \
         writes a second time what is written already)\n  write_behind_dead_letter with {dead_letters} dead letters"
    )
}

async fn example_loss(target: &Target) -> String {
    format!("  user_actions with {} rows", rows::<UserAction>(target.db()).await)
}

/// How many rows a table has, for a message.
async fn rows<E: EntityTrait>(db: &DatabaseConnection) -> String
where
    E::Model: Sync,
{
    match E::find().count(db).await {
        Ok(count) => count.to_string(),
        // Half a migration may have run: that table is not there, and the rest must go all the same.
        Err(_) => "no".to_owned(),
    }
}
