//! The statements of one event: their text, and what the database says of them in a transaction that is rolled back.

use std::time::Duration;

use write_behind::error::PipelineError;
use write_behind::mapping::Step;
use write_behind::sink::{ErrorClass, Session, SqlError, within};
use write_behind::table::TablePlan;

use super::told::DryRun;

/// The SQL of the steps.
pub fn statements(session: &mut dyn Session, steps: &[Step<'_>]) -> Result<Vec<String>, PipelineError> {
    let mut told = Vec::new();
    for step in steps {
        told.extend(session.statements(step)?.iter().map(|sql| sql.to_string()));
    }
    Ok(told)
}

/// Runs the steps and rolls them back. After it the session may be out of step: drop it.
pub async fn dry_run(
    session: &mut dyn Session,
    steps: &[Step<'_>],
    plans: &[TablePlan],
    limit: Duration,
) -> Result<DryRun, PipelineError> {
    session.control(session.begin_statement()).await?;
    let mut counted = Vec::new();
    let outcome = async {
        for step in steps {
            let table = plans[step.table].table.name.to_string();
            let written = within(limit, session.write(step)).await;
            let rows = written.map_err(|error| match plans.len() {
                1 => error,
                _ => SqlError { message: format!("table {table}: {}", error.message), ..error },
            })?;
            counted.push((table, rows));
        }
        within(limit, session.check_deferred()).await
    };
    let outcome = outcome.await;
    // A statement that took too long still runs, and would have to end first: the session is dropped instead.
    if !matches!(&outcome, Err(SqlError { class: ErrorClass::Transient, .. })) {
        within(limit, session.control("ROLLBACK")).await?;
    }
    Ok(match outcome {
        Ok(()) => DryRun { counted, error: None, outcome: "the database takes it".to_owned() },
        Err(error) => DryRun { counted, outcome: consequence(&error), error: Some(error.message) },
    })
}

/// What the pipeline does after such an error.
fn consequence(error: &SqlError) -> String {
    match error.class {
        ErrorClass::Data(class) => format!("it would become a dead letter of the class {}", class.name()),
        ErrorClass::Transient => "it would be tried again, after a while".to_owned(),
        ErrorClass::Conflict => "it would be tried again, at once".to_owned(),
        ErrorClass::Configuration => {
            "the stream would pause until a person has mended that; no event would be lost".to_owned()
        }
    }
}
