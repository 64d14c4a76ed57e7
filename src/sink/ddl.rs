//! Pure: the statements that make and extend tables, as the clients of the databases run them.

use sea_orm::DbBackend;

use super::sql::{quote, quote_table};
use crate::schema::{Change, NewColumn, NewIndex, NewTable};
use crate::settings::RdbmsKind;

/// The statement that makes a change, with comments and the semicolon at its end.
pub fn statement(change: &Change, rdbms: RdbmsKind) -> String {
    let quoted = |name: &str| quote(backend(rdbms), name);
    match change {
        Change::Create(table) => create(table, rdbms),
        Change::AddColumn(table, column) => {
            let table = quote_table(backend(rdbms), table);
            let remark =
                column.remark.as_ref().map(|remark| format!("-- {}\n", on_one_line(remark))).unwrap_or_default();
            format!("{remark}ALTER TABLE {table} ADD COLUMN {};", definition(column, rdbms))
        }
        Change::AddUniqueIndex(NewIndex { table, key, name }) => {
            let columns: Vec<String> = key.iter().map(|name| quoted(name)).collect();
            let (index, table) = match (rdbms, &table.schema) {
                // The index's name has the schema there, and the table's has not.
                (RdbmsKind::Sqlite, Some(schema)) => {
                    (format!("{}.{}", quoted(schema), quoted(name)), quoted(&table.table))
                }
                _ => (quoted(name), quote_table(backend(rdbms), table)),
            };
            format!("CREATE UNIQUE INDEX {index} ON {table} ({});", columns.join(", "))
        }
    }
}

/// In a comment, which a line break would end.
fn on_one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect::<String>() } else { c.to_string() };
    text.chars().map(shown).collect()
}

fn create(table: &NewTable, rdbms: RdbmsKind) -> String {
    let quoted = |name: &str| quote(backend(rdbms), name);
    let mut lines: Vec<(String, Option<&str>)> = Vec::new();
    if table.counted {
        let counted = match rdbms {
            RdbmsKind::Postgres => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            RdbmsKind::MySql | RdbmsKind::MariaDb => "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
            RdbmsKind::Sqlite => "integer PRIMARY KEY",
        };
        lines.push((
            format!("{} {counted}", quoted("id")),
            Some("counted by the database: nothing else tells rows apart"),
        ));
    }
    lines.extend(table.columns.iter().map(|column| (definition(column, rdbms), column.remark.as_deref())));
    if !table.key.is_empty() {
        let key: Vec<String> = table.key.iter().map(|name| quoted(name)).collect();
        lines.push((format!("PRIMARY KEY ({})", key.join(", ")), None));
    }
    let last = lines.len().saturating_sub(1);
    let body = lines.into_iter().enumerate().map(|(number, (line, remark))| {
        let comma = if number == last { "" } else { "," };
        let remark = remark.map(|remark| format!(" -- {}", on_one_line(remark))).unwrap_or_default();
        format!("    {line}{comma}{remark}\n")
    });
    let is_mysql = matches!(rdbms, RdbmsKind::MySql | RdbmsKind::MariaDb);
    let exact = is_mysql && table.columns.iter().any(|column| column.sql_type.ends_with("utf8mb4_bin"));
    format!(
        "-- {}\n{}CREATE TABLE {} (\n{}){};",
        on_one_line(&table.setting),
        if exact {
            "-- utf8mb4_bin: by any other collation `A` and `a` could be one key, and two documents one row\n"
        } else {
            ""
        },
        quote_table(backend(rdbms), &table.name),
        body.collect::<String>(),
        if is_mysql { " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4" } else { "" }
    )
}

fn backend(rdbms: RdbmsKind) -> DbBackend {
    match rdbms {
        RdbmsKind::Postgres => DbBackend::Postgres,
        RdbmsKind::MySql | RdbmsKind::MariaDb => DbBackend::MySql,
        RdbmsKind::Sqlite => DbBackend::Sqlite,
    }
}

fn definition(column: &NewColumn, rdbms: RdbmsKind) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{not_null}", quote(backend(rdbms), &column.name), column.sql_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableName;

    fn column(name: &str, sql_type: &str, nullable: bool, remark: Option<&str>) -> NewColumn {
        NewColumn { name: name.into(), sql_type: sql_type.into(), nullable, remark: remark.map(str::to_owned) }
    }

    #[test]
    fn a_table_is_made_in_the_words_of_its_database() {
        let keyed = Change::Create(NewTable {
            name: TableName::parse("shop.order"),
            setting: "streams.order".into(),
            columns: vec![
                column("id", "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", false, None),
                column("no`te", "longtext", true, Some("never seen")),
            ],
            key: vec!["id".into()],
            counted: false,
        });
        assert_eq!(
            statement(&keyed, RdbmsKind::MariaDb),
            "-- streams.order\n\
             -- utf8mb4_bin: by any other collation `A` and `a` could be one key, and two documents one row\n\
             CREATE TABLE `shop`.`order` (\n    \
             `id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,\n    \
             `no``te` longtext, -- never seen\n    \
             PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;"
        );
        let counted = Change::Create(NewTable {
            name: TableName::parse("log"),
            setting: "streams.log".into(),
            columns: vec![column("line", "text", true, None)],
            key: vec![],
            counted: true,
        });
        for (rdbms, id) in [
            (RdbmsKind::Postgres, "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
            (RdbmsKind::Sqlite, "integer PRIMARY KEY"),
        ] {
            let expected = format!(
                "-- streams.log\nCREATE TABLE \"log\" (\n    \"id\" {id}, -- counted by the database: nothing else tells \
                 rows apart\n    \"line\" text\n);"
            );
            assert_eq!(statement(&counted, rdbms), expected);
        }
    }

    #[test]
    fn a_name_does_not_end_the_comment_that_it_stands_in() {
        let table = Change::Create(NewTable {
            name: TableName::parse("a\nDROP TABLE z;\n--"),
            setting: "streams.x.tables.a\nDROP TABLE z;\n--".into(),
            columns: vec![column("c", "text", true, Some("why\nnot"))],
            key: vec![],
            counted: false,
        });
        assert_eq!(
            statement(&table, RdbmsKind::Postgres),
            "-- streams.x.tables.a\\nDROP TABLE z;\\n--\nCREATE TABLE \"a\nDROP TABLE z;\n--\" (\n    \"c\" text -- \
             why\\nnot\n);"
        );
    }

    #[test]
    fn a_table_is_extended() {
        let added = Change::AddColumn(TableName::parse("log"), column("at", "timestamptz", true, Some("why")));
        assert_eq!(
            statement(&added, RdbmsKind::Postgres),
            "-- why\nALTER TABLE \"log\" ADD COLUMN \"at\" timestamptz;"
        );
        let unique = Change::AddUniqueIndex(NewIndex {
            table: TableName::parse("aux.log"),
            key: vec!["a".into(), "b".into()],
            name: "log_a_b_key".into(),
        });
        assert_eq!(
            statement(&unique, RdbmsKind::Sqlite),
            "CREATE UNIQUE INDEX \"aux\".\"log_a_b_key\" ON \"log\" (\"a\", \"b\");"
        );
        assert_eq!(
            statement(&unique, RdbmsKind::Postgres),
            "CREATE UNIQUE INDEX \"log_a_b_key\" ON \"aux\".\"log\" (\"a\", \"b\");"
        );
    }
}
