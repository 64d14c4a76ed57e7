//! Names of tables and columns, as each database reads them.

use crate::settings::RdbmsKind;
use crate::table::TableName;

/// How a database tells names apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Which database it is.
    pub rdbms: RdbmsKind,
    /// The schema of a table whose name has none.
    pub default_schema: Option<String>,
    /// Whether `X` and `x` are one table.
    pub ignores_case: bool,
}

impl Names {
    /// Whether both are names of one table.
    pub fn same_table(&self, one: &TableName, two: &TableName) -> bool {
        let same = |one: &str, two: &str| one == two || self.ignores_case && one.to_lowercase() == two.to_lowercase();
        let schema = |name: &TableName| name.schema.clone().or_else(|| self.default_schema.clone());
        let same_schema = match (schema(one), schema(two)) {
            (Some(one), Some(two)) => same(&one, &two),
            (one, two) => one == two,
        };
        same_schema && same(&one.table, &two.table)
    }

    /// Whether both are names of one column. No more than PostgreSQL looks at the case.
    pub fn same_column(&self, one: &str, two: &str) -> bool {
        match self.rdbms {
            RdbmsKind::Postgres => one == two,
            RdbmsKind::Sqlite => one.eq_ignore_ascii_case(two),
            RdbmsKind::MySql | RdbmsKind::MariaDb => one.to_lowercase() == two.to_lowercase(),
        }
    }

    /// Why there can be no such name, if there can be none. PostgreSQL would cut it without a word, and never find it.
    pub fn too_long(&self, name: &str) -> Option<String> {
        const POSTGRES_BYTES: usize = 63;
        const MYSQL_CHARS: usize = 64;
        match self.rdbms {
            RdbmsKind::Postgres if name.len() > POSTGRES_BYTES => {
                Some(format!("has {} bytes, and PostgreSQL keeps {POSTGRES_BYTES} of a name", name.len()))
            }
            RdbmsKind::MySql | RdbmsKind::MariaDb if name.chars().count() > MYSQL_CHARS => {
                Some(format!("has {} characters, and a name here has at most {MYSQL_CHARS}", name.chars().count()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rdbms: RdbmsKind, default_schema: &str, ignores_case: bool) -> Names {
        Names { rdbms, default_schema: Some(default_schema.to_owned()), ignores_case }
    }

    #[test]
    fn a_table_has_several_names() {
        let postgres = names(RdbmsKind::Postgres, "public", false);
        let sqlite = names(RdbmsKind::Sqlite, "main", true);
        let same = |names: &Names, one, two| names.same_table(&TableName::parse(one), &TableName::parse(two));
        assert!(same(&postgres, "x", "public.x") && !same(&postgres, "x", "X") && !same(&postgres, "x", "shop.x"));
        assert!(same(&sqlite, "x", "main.X") && !same(&sqlite, "x", "aux.x"));
    }

    #[test]
    fn names_have_room_for_so_much() {
        let postgres = names(RdbmsKind::Postgres, "public", false);
        let maria = names(RdbmsKind::MariaDb, "w", false);
        let umlauts = "ä".repeat(32);
        assert_eq!(postgres.too_long(&"x".repeat(63)), None);
        assert_eq!(postgres.too_long(&umlauts).unwrap_or_default(), "has 64 bytes, and PostgreSQL keeps 63 of a name");
        assert_eq!(maria.too_long(&umlauts), None);
        assert!(maria.too_long(&"x".repeat(65)).is_some() && !postgres.same_column("A", "a"));
        assert!(maria.same_column("Ä", "ä") && !names(RdbmsKind::Sqlite, "main", true).same_column("Ä", "ä"));
    }
}
