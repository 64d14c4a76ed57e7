//! Pure: how a statement gives a row that is there already its new values, and when it leaves it as it is.

use sea_orm::DbBackend;

use super::sql::{places_besides, quote};
use crate::table::{Column, ColumnKind, TablePlan};

/// The row that is there, in statements that change it.
#[derive(Clone, Copy)]
pub struct Existing<'a> {
    backend: DbBackend,
    plan: &'a TablePlan,
}

impl<'a> Existing<'a> {
    /// A row of this table.
    pub fn new(backend: DbBackend, plan: &'a TablePlan) -> Self {
        Existing { backend, plan }
    }

    /// What follows the table's name, so that its row can be told from the new one.
    pub fn alias(self) -> &'static str {
        let looks_at_it = !self.plan.adds.is_empty() || self.plan.version.is_some() || self.plan.soft_delete.is_some();
        if looks_at_it && self.backend != DbBackend::MySql { " AS t" } else { "" }
    }

    fn quoted(self, place: usize) -> String {
        quote(self.backend, &self.plan.columns[place].name)
    }

    /// The column at `place` as it is before the statement.
    fn old(self, place: usize) -> String {
        let name = self.quoted(place);
        // MySQL has no alias for it, and what it has not assigned yet is the old value.
        if self.backend == DbBackend::MySql { name } else { format!("t.{name}") }
    }

    /// The value of a column that is added to: `base` and `new`, where SQLite would go on with a float after the last integer.
    fn sum(self, place: usize, base: &str, new: &str) -> String {
        let sum = format!("{base} + {new}");
        let is_integer = matches!(self.plan.columns[place].kind, ColumnKind::Int { .. });
        if self.backend != DbBackend::Sqlite || !is_integer {
            return sum;
        }
        // The absolute value of the least integer is none.
        format!("CASE WHEN typeof({sum}) = 'integer' THEN {sum} ELSE abs(-9223372036854775807 - 1) END")
    }

    /// Whether the row is not marked as deleted.
    fn is_alive(self) -> Option<String> {
        let mark = self.plan.soft_delete?;
        Some(is_alive(&self.old(mark), &self.plan.columns[mark]))
    }

    /// Whether the row is not newer than a version.
    fn is_not_newer(self, place: usize, new: &str) -> String {
        let old = self.old(place);
        format!("({old} IS NULL OR {old} <= {new})")
    }

    /// What an upsert does where the row is there.
    pub fn on_conflict(self) -> String {
        let Existing { backend, plan } = self;
        let key: Vec<String> = plan.key.iter().map(|place| self.quoted(*place)).collect();
        let mut others: Vec<usize> = places_besides(plan).collect();
        // MySQL assigns one after another: what the others look at comes last.
        others.sort_by_key(|place| (plan.version == Some(*place), plan.soft_delete == Some(*place)));
        if backend == DbBackend::MySql {
            if others.is_empty() {
                return format!("ON DUPLICATE KEY UPDATE {0} = {0}", key[0]);
            }
            // VALUES() is deprecated in MySQL 8.0.20, but its successor is unknown to MariaDB.
            let new = |place: usize| format!("VALUES({})", self.quoted(place));
            let guard = plan.version.map(|version| self.is_not_newer(version, &new(version)));
            let set = others.iter().map(|place| {
                let (name, value) = (self.quoted(*place), self.upserted(*place, &new(*place)));
                match &guard {
                    Some(guard) => format!("{name} = IF({guard}, {value}, {name})"),
                    None => format!("{name} = {value}"),
                }
            });
            return format!("ON DUPLICATE KEY UPDATE {}", set.collect::<Vec<_>>().join(", "));
        }
        if others.is_empty() {
            return format!("ON CONFLICT ({}) DO NOTHING", key.join(", "));
        }
        let new = |place: usize| format!("excluded.{}", self.quoted(place));
        let set =
            others.iter().map(|place| format!("{} = {}", self.quoted(*place), self.upserted(*place, &new(*place))));
        let set = set.collect::<Vec<_>>().join(", ");
        let guard = plan.version.map(|version| format!(" WHERE {}", self.is_not_newer(version, &new(version))));
        format!("ON CONFLICT ({}) DO UPDATE SET {set}{}", key.join(", "), guard.unwrap_or_default())
    }

    fn upserted(self, place: usize, new: &str) -> String {
        if !self.plan.adds.contains(&place) {
            return new.to_owned();
        }
        let old = format!("COALESCE({}, 0)", self.old(place));
        // A row that was deleted begins anew.
        let base = match self.is_alive() {
            Some(alive) => format!("CASE WHEN {alive} THEN {old} ELSE 0 END"),
            None => old,
        };
        self.sum(place, &base, new)
    }

    /// The columns that an update of those at `places` sets, each with its value, where `new` gives the placeholder of one.
    pub fn set(self, places: &[usize], new: impl Fn(usize) -> String) -> String {
        let set: Vec<usize> = places.iter().copied().filter(|place| !self.plan.key.contains(place)).collect();
        if set.is_empty() {
            // The row is its key. A statement that changes nothing still says whether there is one.
            let before = if self.backend == DbBackend::Postgres { "t." } else { "" };
            let same =
                self.plan.key.iter().map(|place| self.quoted(*place)).map(|name| format!("{name} = {before}{name}"));
            return same.collect::<Vec<_>>().join(", ");
        }
        let assigned = set.into_iter().map(|place| {
            let value = match self.plan.adds.contains(&place) {
                true => self.sum(place, &format!("COALESCE({}, 0)", self.old(place)), &self.summand(place, new(place))),
                false => new(place),
            };
            format!("{} = {value}", self.quoted(place))
        });
        assigned.collect::<Vec<_>>().join(", ")
    }

    /// MySQL makes a float of a text that it adds.
    fn summand(self, place: usize, new: String) -> String {
        match self.plan.columns[place].kind {
            ColumnKind::Decimal { scale, .. } if self.backend == DbBackend::MySql => {
                // MariaDB has up to 38 digits after the point, MySQL columns of up to 30.
                format!("CAST({new} AS DECIMAL(65, {}))", scale.unwrap_or_default().clamp(0, 38))
            }
            _ => new,
        }
    }

    /// Which rows an update of the columns at `places` leaves as they are, after the condition on the key.
    pub fn guards(self, places: &[usize], new: impl Fn(usize) -> String) -> String {
        let version = self.plan.version.filter(|version| places.contains(version));
        let newest = version.map(|version| self.is_not_newer(version, &new(version)));
        self.is_alive().into_iter().chain(newest).map(|guard| format!(" AND {guard}")).collect()
    }
}

/// Whether a row whose deletion `column` marks is not deleted.
pub fn is_alive(column: &str, of: &Column) -> String {
    match of.kind {
        ColumnKind::Bool => format!("{column} IS NOT TRUE"),
        ColumnKind::Int { .. } => format!("COALESCE({column}, 0) = 0"),
        _ => format!("{column} IS NULL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Table, TableName};

    fn plan() -> TablePlan {
        let int = || ColumnKind::Int { min: i64::MIN.into(), max: i64::MAX.into(), takes_bool: false };
        let columns = [
            ("id", int()),
            ("version", int()),
            ("deleted", ColumnKind::timestamp(6, 1..=9999)),
            ("name", ColumnKind::Text { max_chars: None, max_bytes: None }),
            ("total", ColumnKind::Decimal { precision: Some(20), scale: Some(4), as_float: false }),
        ];
        let columns = columns.into_iter().map(|(name, kind)| Column::new(name, "", kind)).collect();
        TablePlan::new(Table::new(TableName::parse("t"), Vec::new()), columns, vec![0])
    }

    #[test]
    fn an_upsert_of_each_dialect() {
        let plan = TablePlan { columns: plan().columns[..3].to_vec(), ..plan() };
        for (backend, expected) in [
            (DbBackend::MySql, "ON DUPLICATE KEY UPDATE `version` = VALUES(`version`), `deleted` = VALUES(`deleted`)"),
            (
                DbBackend::Sqlite,
                r#"ON CONFLICT ("id") DO UPDATE SET "version" = excluded."version", "deleted" = excluded."deleted""#,
            ),
        ] {
            assert_eq!(Existing::new(backend, &plan).on_conflict(), expected);
        }
    }

    /// What guards a row must still be what it was when the other columns are assigned.
    #[test]
    fn the_guard_is_on_every_column_and_comes_last() {
        let plan = TablePlan { version: Some(1), soft_delete: Some(2), adds: vec![4], ..plan() };
        let sql = Existing::new(DbBackend::MySql, &plan).on_conflict();
        let guard = "IF((`version` IS NULL OR `version` <= VALUES(`version`)), ";
        assert_eq!(sql.matches(guard).count(), 4, "{sql}");
        let places = ["`name` = ", "`total` = ", "`deleted` = ", "`version` = "].map(|set| sql.find(set));
        assert!(places.is_sorted() && places[0].is_some(), "{sql}");
        let sql = Existing::new(DbBackend::Postgres, &plan).on_conflict();
        assert!(sql.ends_with(r#" WHERE (t."version" IS NULL OR t."version" <= excluded."version")"#), "{sql}");
        let sum =
            r#""total" = CASE WHEN t."deleted" IS NULL THEN COALESCE(t."total", 0) ELSE 0 END + excluded."total""#;
        assert!(sql.contains(sum), "{sql}");
    }

    #[test]
    fn an_update_sets_what_it_has() {
        let plan = TablePlan { version: Some(1), soft_delete: Some(2), adds: vec![4], ..plan() };
        let existing = Existing::new(DbBackend::MySql, &plan);
        let new = |_| "?".to_owned();
        assert_eq!(existing.set(&[0, 3], new), "`name` = ?");
        assert_eq!(existing.set(&[0, 4], new), "`total` = COALESCE(`total`, 0) + CAST(? AS DECIMAL(65, 4))");
        assert_eq!(existing.guards(&[0, 2], new), " AND `deleted` IS NULL");
        let all = " AND `deleted` IS NULL AND (`version` IS NULL OR `version` <= ?)";
        assert_eq!(existing.guards(&[0, 1, 3], new), all);
    }
}
