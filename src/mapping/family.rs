//! One document, many rows: a row for each item of a list in it.

use std::collections::HashMap;

use super::ChangeKind;
use super::context::{Context, Item};
use super::members::Paths;
use super::source::Source;
use super::table_mapping::TableMapping;
use crate::event::{Op, Rejection, RejectionClass};
use crate::row::{Row, RowWriter, Value};
use crate::table::{Family, Owner};

/// How one document becomes many rows of a table.
#[derive(Clone, Debug)]
pub struct FamilyMapping {
    /// The list, a member of the document.
    pub(super) list: Source,
    /// Where in an item the columns find their values.
    pub(super) paths: Paths,
    /// The columns of the key that do not come from the item.
    pub(super) parent: Vec<usize>,
    /// The table of the document's own row, if the stream has one.
    pub(super) owner: Option<Owner>,
}

impl FamilyMapping {
    /// What the writers need to know.
    pub fn plan(&self) -> Family {
        Family { parent: self.parent.clone(), owner: self.owner.clone() }
    }

    /// Whether rows have no key of their own, so that all of a document go when it changes.
    pub fn replaces_all(&self, key: &[usize]) -> bool {
        self.parent.len() == key.len()
    }

    /// Maps an event to the rows that its document has from now on, or to rows to append.
    pub(super) fn map(
        &self,
        of: &TableMapping,
        (op, kind): (Op, ChangeKind),
        context: &mut Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<FamilyChange, Rejection> {
        if kind == ChangeKind::Delete {
            // Where the document's own row stays, marked, its other rows stay too.
            let stays = self.owner.as_ref().is_some_and(|owner| owner.soft_delete.is_some());
            return Ok(if stays {
                FamilyChange::None
            } else {
                FamilyChange::Delete(of.some(&self.parent, kind, context, rows)?)
            });
        }
        if op == Op::Patch && !context.finds(&self.list) {
            return Ok(FamilyChange::None);
        }
        let list = context.list(&self.list)?;
        if op == Op::Patch {
            of.see_the_rest_is_there(context)?;
        }
        let parent = match kind {
            ChangeKind::Append => None,
            _ => Some(of.some(&self.parent, kind, context, rows)?),
        };
        let items = list.unwrap_or_default();
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            context.look_at(Item::find(item, &self.paths, index)?);
            all.push(of.whole(kind, context, rows).map_err(|why| why.told_of(&format!("item {index}")))?);
        }
        let Some(parent) = parent else { return Ok(FamilyChange::Append(all)) };
        if !self.replaces_all(&of.key) {
            see_keys_differ(&all, of)?;
        }
        Ok(FamilyChange::Replace { parent, rows: all })
    }
}

/// What an event does to the rows of its document.
pub enum FamilyChange {
    /// Nothing.
    None,
    /// These come to them.
    Append(Vec<Row>),
    /// They are these from now on.
    Replace {
        /// The columns that they have in common.
        parent: Row,
        /// Whole rows.
        rows: Vec<Row>,
    },
    /// All with these common columns go.
    Delete(Row),
}

/// Two items with one key would be one row: which of them is lost would be chance.
fn see_keys_differ(rows: &[Row], of: &TableMapping) -> Result<(), Rejection> {
    let exact = of.key.iter().all(|place| of.columns[*place].column.compares_exactly);
    // Texts that the database may take for one are compared without their case here; what else it ignores is not known.
    let key = |row: &Row| match exact {
        true => row.key(&of.key).into_owned(),
        false => row.some(&of.key).map(without_case).collect::<Row>().as_bytes().to_vec(),
    };
    let mut seen = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        if let Some(first) = seen.insert(key(row), index) {
            let names: Vec<&str> = of.key.iter().map(|place| of.columns[*place].column.name.as_str()).collect();
            let message = format!(
                "items {first} and {index} have the same key ({}) in {}: only one of them could stay",
                names.join(", "),
                of.table.name
            );
            return Err(Rejection::new(RejectionClass::Constraint, message));
        }
    }
    Ok(())
}

fn without_case(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::text(text.trim_end_matches(' ').to_lowercase()),
        value => value.into_owned(),
    }
}
