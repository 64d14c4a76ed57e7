//! Paths of a mapping that lead to nothing in any of some documents: mostly they are misspelt.

use super::Mapping;
use super::context::{Context, Item, Members, Origin};
use super::source::Source;
use crate::decode::Decoded;
use crate::event::{Document, Entry, Op, Rejection};

/// A path that led to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfound {
    /// Number of its table in the settings.
    pub table: usize,
    /// The column; none if it is the list of `for_each`.
    pub column: Option<String>,
    /// Where it should have led, in words.
    pub source: String,
    /// How many documents, or items of their lists, were looked at.
    pub tried: usize,
}

impl Mapping {
    /// The lists and columns whose paths lead to nothing in any of these events' documents. Patches have only some members and do not
    /// count.
    pub fn unfound<'e>(
        &self,
        events: impl IntoIterator<Item = (&'e Entry, &'e Decoded, &'e Document)>,
    ) -> Vec<Unfound> {
        let mut tables: Vec<Paths> = self.tables.iter().map(|table| Paths::of(table.columns.len())).collect();
        for (entry, event, document) in events.into_iter().filter(|(_, event, _)| event.op != Op::Patch) {
            // What is refused or passed over tells nothing.
            let _ = self.look_for_paths(entry, event, document, &mut tables);
        }
        let unfound = self.tables.iter().zip(&tables).flat_map(|(table, paths)| {
            let columns = table.columns.iter().zip(&paths.found).filter(|(_, found)| !**found);
            let by_path = columns.filter(|(column, _)| {
                let source = column.source.unmasked();
                matches!(source, Source::Member(..)) && paths.documents > 0
                    || matches!(source, Source::ItemMember(..)) && paths.items > 0
            });
            let lists = table.family.iter().filter(|_| !paths.found_list && paths.documents > 0);
            let lists = lists.map(|family| Unfound {
                table: table.number,
                column: None,
                source: family.list.to_string(),
                tried: paths.documents,
            });
            let columns = by_path.map(|(column, _)| Unfound {
                table: table.number,
                column: Some(column.column.name.clone()),
                source: column.source.to_string(),
                tried: if column.source.is_of_item() { paths.items } else { paths.documents },
            });
            lists.chain(columns)
        });
        unfound.collect()
    }

    fn look_for_paths(
        &self,
        entry: &Entry,
        event: &Decoded,
        document: &Document,
        tables: &mut [Paths],
    ) -> Result<(), Rejection> {
        let origin = Origin { entry, event, stream_name: &self.stream_name, key_pattern: self.key_pattern.as_ref() };
        let seen = self.seen(document, origin)?;
        let Some(document) = seen.document(document) else { return Ok(()) };
        let Some(members) = Members::find(document, &self.paths)? else { return Ok(()) };
        let context = Context::new(origin, document, Some(members));
        for (table, paths) in self.tables.iter().zip(tables) {
            if table.passes_over(event.op, &context)?.is_some() {
                continue;
            }
            paths.documents += 1;
            for (column, found) in table.columns.iter().zip(&mut paths.found) {
                *found |= context.finds(column.source.unmasked());
            }
            let Some(family) = &table.family else { continue };
            paths.found_list |= context.finds(&family.list);
            for (index, json) in context.list(&family.list)?.unwrap_or_default().into_iter().enumerate() {
                let item = Item::find(json, &family.paths, index)?;
                paths.items += 1;
                for (column, found) in table.columns.iter().zip(&mut paths.found) {
                    *found |= item.finds(column.source.unmasked());
                }
            }
        }
        Ok(())
    }
}

/// What was found for one table.
struct Paths {
    /// For each column.
    found: Vec<bool>,
    /// The list of `for_each`.
    found_list: bool,
    documents: usize,
    items: usize,
}

impl Paths {
    fn of(columns: usize) -> Self {
        Paths { found: vec![false; columns], found_list: false, documents: 0, items: 0 }
    }
}
