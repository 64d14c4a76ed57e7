//! Whether what a source gives can be a value of its column at all, where that can be told before any event comes.

use super::convert;
use super::key_pattern::KeyPattern;
use super::source::Source;
use crate::event::{Op, Rejection};
use crate::settings::{StreamSettings, TableSettings, WriteBehind, WriteMode};
use crate::table::{Column, ColumnKind};
use crate::value_format::ValueFormat;

/// An id and a time as Redis gives them in these years.
const ID: &str = "1718000000000-0";
const TIME_MS: u64 = 1_718_000_000_000;

/// Characters of the ids of a busy stream.
const ID_CHARS: u64 = 20;

/// Why no event could ever fill the column, if that is so.
pub fn never_fits(
    source: &Source,
    column: &Column,
    format: &ValueFormat,
    (stream, table): (&StreamSettings, &TableSettings),
    key_pattern: Option<&KeyPattern>,
) -> Option<String> {
    let text = |text: &str| convert::text(text, column, format).map(drop);
    let said = |example: &str, why: Rejection| {
        let Column { name, sql_type, .. } = column;
        format!("{source} gives `{example}` or the like, which {sql_type} `{name}` never takes: {why}")
    };
    match source {
        Source::EntryId => text(ID).err().map(|why| said(ID, why)),
        Source::Stream => text(&stream.stream_name).err().map(|why| said(&stream.stream_name, why)),
        Source::Timestamp => {
            convert::epoch_ms(TIME_MS, column, format).err().map(|why| said(&TIME_MS.to_string(), why))
        }
        Source::Op => {
            let refused: Option<Vec<_>> =
                written(table.write_behind, table.mode).map(|op| Some((op, text(op.name()).err()?))).collect();
            let (op, why) = refused?.into_iter().next()?;
            Some(said(op.name(), why))
        }
        Source::Key => {
            let shortest = key_pattern?.shortest();
            text(&shortest).err().map(|why| said(&shortest, why))
        }
        _ => None,
    }
}

/// What some events could not fill the column with, if that can be told.
pub fn may_not_fit(
    source: &Source,
    column: &Column,
    format: &ValueFormat,
    (write_behind, mode): (WriteBehind, WriteMode),
) -> Option<String> {
    let Column { name, sql_type, kind, .. } = column;
    let takes_any_text =
        matches!(kind, ColumnKind::Text { .. } | ColumnKind::Json | ColumnKind::Other | ColumnKind::NumberOrText);
    match source {
        Source::EntryId => match kind {
            ColumnKind::Text { max_chars: Some(most), .. } if *most < ID_CHARS => Some(format!(
                "`$id` can have {ID_CHARS} characters and more on a busy stream, and {sql_type} `{name}` takes {most}"
            )),
            _ => None,
        },
        Source::Op => {
            let refused = written(write_behind, mode).filter(|op| convert::text(op.name(), column, format).is_err());
            let refused: Vec<&str> = refused.map(Op::name).collect();
            (!refused.is_empty())
                .then(|| format!("`$op` can be {}, which {sql_type} `{name}` does not take", refused.join(", ")))
        }
        Source::Key if !takes_any_text => Some(format!(
            "`$key` is a text, and {sql_type} `{name}` takes only some of them: the others become dead letters"
        )),
        _ => None,
    }
}

/// The operations that can write a row, with all its columns.
fn written(write_behind: WriteBehind, mode: WriteMode) -> impl Iterator<Item = Op> {
    let is_written = move |op: &Op| *op != Op::Delete || mode == WriteMode::Log;
    Op::ALL.into_iter().filter(move |op| is_written(op) && write_behind.allows(*op))
}
