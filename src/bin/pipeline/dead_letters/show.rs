//! `pipeline dead-letters show`: one dead letter with all that is known of it.

use chrono::SecondsFormat;
use entity::dead_letter::{Entity, Model};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use write_behind::error::PipelineError;
use write_behind::settings::Settings;
use write_behind::sink::Target;

use crate::database::failed;
use crate::output::{self, printable};

/// Prints the dead letter `id`.
pub async fn show(id: i64, as_json: bool, settings: &Settings, target: &Target) -> Result<(), PipelineError> {
    let found = Entity::find_by_id(id).one(target.db()).await;
    let found = found.map_err(|error| failed(settings, "the dead letter cannot be read", error))?;
    let Some(letter) = found else {
        let address = settings.rdbms.address();
        return Err(PipelineError::Failed(format!(
            "there is no dead letter {id} in {address}: see `pipeline dead-letters list`"
        )));
    };
    if as_json {
        return output::line(object(letter));
    }
    lines(letter).into_iter().try_for_each(output::line)
}

fn time(letter: &Model) -> String {
    letter.created_at.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn object(letter: Model) -> Value {
    let created_at = time(&letter);
    // The pipeline wrote it as an object; whatever else somebody put there is shown as it is.
    let entry = serde_json::from_str(&letter.entry).unwrap_or(Value::String(letter.entry));
    json!({
        "id": letter.id,
        "pipeline": letter.pipeline,
        "stream": letter.stream,
        "entry_id": letter.entry_id,
        "lane": letter.lane,
        "entity": letter.entity,
        "key": letter.doc_key,
        "op": letter.op,
        "class": letter.error_class,
        "column": letter.error_column,
        "message": letter.message,
        "attempts": letter.attempts,
        "created_at": created_at,
        "entry": entry,
        "document": letter.document,
    })
}

fn lines(letter: Model) -> Vec<String> {
    let created_at = time(&letter);
    let rows = [
        ("id", Some(letter.id.to_string())),
        ("pipeline", Some(letter.pipeline)),
        ("stream", Some(letter.stream)),
        ("entry id", Some(letter.entry_id)),
        ("lane", Some(letter.lane.to_string())),
        ("entity", Some(letter.entity)),
        ("key", letter.doc_key),
        ("op", letter.op),
        ("class", Some(letter.error_class)),
        ("column", letter.error_column),
        ("message", Some(letter.message)),
        ("attempts", Some(letter.attempts.to_string())),
        ("stored at", Some(created_at)),
        ("entry", Some(letter.entry)),
        ("document", letter.document),
    ];
    rows.into_iter().map(|(name, value)| format!("{name:<10}{}", printable(value.as_deref().unwrap_or("-")))).collect()
}
