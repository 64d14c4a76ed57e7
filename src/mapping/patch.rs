//! A patch brings only the members of a document that changed. What is made of members that it does not bring stays as
//! it is: nobody knows here what it would be.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::context::Context;
use super::source::Source;
use super::table_mapping::{MappedColumn, TableMapping};
use super::{ChangeKind, Places};
use crate::event::{Op, Rejection, RejectionClass};
use crate::expression::{Expression, Reads};
use crate::row::{Row, RowWriter, Value};

/// How much a patch has of what an expression takes from the document.
enum Brought {
    /// All of it. What is taken cannot be told of every expression; then that is what the patch has.
    All,
    /// Nothing.
    None,
    /// One member is there, and the other one is not.
    Some(String, String),
}

impl Brought {
    fn of(reads: &Reads, context: &Context<'_>) -> Result<Brought, Rejection> {
        let Reads::Members(members) = reads else { return Ok(Brought::All) };
        if members.is_empty() {
            return Ok(Brought::All);
        }
        let input = context.input()?;
        let (there, missing): (Vec<&String>, Vec<&String>) = members.iter().partition(|member| input.has(member));
        Ok(match (there.first(), missing.first()) {
            (_, None) => Brought::All,
            (None, _) => Brought::None,
            (Some(there), Some(missing)) => Brought::Some((*there).clone(), (*missing).clone()),
        })
    }

    /// Whether all is there. Half of it is an error: the outcome would be wrong, and without it the row.
    fn is_all(&self) -> Result<bool, Rejection> {
        match self {
            Brought::All => Ok(true),
            Brought::None => Ok(false),
            Brought::Some(there, missing) => {
                let message = format!(
                    "it is computed from `{there}` and `{missing}`, and the patch has `{there}` without `{missing}`: add \
                     that to the patch"
                );
                Err(Rejection::new(RejectionClass::MissingValue, message))
            }
        }
    }
}

/// What a filter answers; `None` if it is not asked: a patch without what it looks at changes only rows that came through it
/// before.
pub fn answer(filter: &Expression, op: Op, context: &Context<'_>) -> Result<Option<bool>, Rejection> {
    let is_asked =
        op != Op::Patch || filter.uses("$op") || matches!(Brought::of(filter.reads(), context)?, Brought::All);
    is_asked.then(|| context.holds(filter)).transpose()
}

/// What an expression makes in place of the document, if anything. If it makes an object, what it makes of members that a
/// patch does not have is not among its members.
pub fn reshaped(reshape: &Expression, op: Op, context: &Context<'_>) -> Result<Option<String>, Rejection> {
    let made = context.evaluate(reshape).map_err(|why| why.told_of("`reshape`"))?;
    let (Some(json), Op::Patch, Some(members)) = (&made, op, reshape.made()) else { return Ok(made) };
    let Ok(mut object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else { return Ok(made) };
    for (name, reads) in members {
        let all = Brought::of(reads, context)?.is_all();
        if !all.map_err(|why| why.told_of(&format!("`reshape`, `{name}`")))? {
            object.remove(name);
        }
    }
    Ok(serde_json::to_string(&object).ok())
}

/// Whether a patch has what the column is computed from; of one that is not computed it is not known yet.
fn is_brought(MappedColumn { column, source, .. }: &MappedColumn, context: &Context<'_>) -> Result<bool, Rejection> {
    let Source::Expression(expression) = source.unmasked() else { return Ok(true) };
    Brought::of(expression.reads(), context)?.is_all().map_err(|why| Rejection {
        column: Some(column.name.clone()),
        message: format!("column `{}`: {}", column.name, why.message),
        ..why
    })
}

impl TableMapping {
    /// A row of the columns for which the patch has something; `None` if it has nothing for the table.
    ///
    /// # Errors
    /// As [`Context::value`], and if only a part of what a column is computed from is in the patch.
    pub(super) fn patch(
        &self,
        context: &Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<Option<(Row, Places)>, Rejection> {
        let mark = self.soft_delete.as_ref().map(|soft| soft.place);
        let always = |place: &usize| self.key.contains(place) || Some(*place) == self.version;
        let others = || (0..self.columns.len()).filter(|place| !always(place) && Some(*place) != mark);
        let value = |place: usize| match is_brought(&self.columns[place], context)? {
            true => context.value_if_given(&self.columns[place], self.adds.contains(&place)),
            false => Ok(None),
        };
        let given = others().map(|place| Ok((place, value(place)?)));
        let given: Vec<(usize, Option<Value<'_>>)> = given.collect::<Result<_, Rejection>>()?;
        // What every event has does not make a change of one that has nothing else for the table.
        let is_own = |place: usize| self.columns[place].source.is_of_event();
        let has_own = others().any(is_own);
        if !given.iter().any(|(place, value)| value.is_some() && (is_own(*place) || !has_own)) {
            return Ok(None);
        }
        let mut given = given.into_iter().peekable();
        let mut places = Vec::with_capacity(self.columns.len());
        for place in 0..self.columns.len() {
            if always(&place) {
                self.push(place, ChangeKind::Update, context, rows)?;
            } else if let Some((_, Some(value))) = given.next_if(|(other, _)| *other == place) {
                rows.push(&value);
            } else {
                continue;
            }
            places.push(place);
        }
        Ok(Some((rows.finish(), places.into())))
    }

    /// The rows of a list are written as a whole: a patch that has the list must have what they take from beside it.
    pub(super) fn see_the_rest_is_there(&self, context: &Context<'_>) -> Result<(), Rejection> {
        for column in &self.columns {
            let name = &column.column.name;
            let is_there = match column.source.unmasked() {
                Source::Member(..) => context.value_if_given(column, false)?.is_some(),
                Source::Expression(_) => is_brought(column, context)?,
                _ => true,
            };
            if !is_there {
                let message = format!(
                    "column `{name}` comes from beside the list, and the patch has the list without it: add {} to the patch",
                    column.source
                );
                return Err(Rejection::of_column(RejectionClass::MissingValue, name, message));
            }
        }
        Ok(())
    }
}
