//! `pipeline schema` finds no difference where there is none: what it made is what was declared.

use super::{FAILED, assert_parts, config, pipeline, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

const POSTGRES: &[&str] = &[
    "int[]",
    "int4[]",
    "varchar(20)[]",
    "char(3)[]",
    "numeric(30,9)[]",
    "timestamptz[]",
    "timestamp(3)[]",
    "timestamp(3) with time zone[]",
    "time[]",
    "text[][]",
    "mood[]",
    "mood",
    "interval(3)",
    "interval",
    "interval day to second(3)",
    "interval year",
    "float(20)",
    "float(24)",
    "float(25)",
    "float",
    "real",
    "double precision",
    "numeric(5,-2)",
    "decimal(5)",
    "dec",
    "character varying(20) COLLATE \"C\"",
    "char",
    "character(5)",
    "bpchar",
    "varchar",
    "name",
    "smallint",
    "boolean",
    "timestamp (3)",
    "time(0) with time zone",
    "money",
    "jsonb",
    "json",
    "uuid",
    "bytea",
    "bit(3)",
    "varbit(5)",
    "inet",
    "cidr",
    "macaddr8",
    "int4range",
    "point",
];

const MARIADB: &[&str] = &[
    "enum('a', 'b')",
    "enum(\"a\",\"b\")",
    "ENUM( 'a' ,'b' )",
    "enum('it''s', 'x,y', 'end  ', 'a)b')",
    "set('a', 'b')",
    "int(5) zerofill",
    "int unsigned",
    "integer",
    "bool",
    "bit(5)",
    "year(4)",
    "decimal(5) zerofill",
    "fixed(5,1)",
    "dec",
    "real",
    "float(7,2)",
    "float(24)",
    "float(25)",
    "double(10,2)",
    "double precision",
    "text(10)",
    "text(63)",
    "text(64)",
    "text(20000)",
    "text(5000000)",
    "text(100) CHARACTER SET latin1",
    "blob(10)",
    "blob(300)",
    "tinytext",
    "mediumblob",
    "longtext",
    "varchar(20) binary",
    "varchar(20) CHARACTER SET latin1",
    "character varying(20)",
    "national varchar(20)",
    "char",
    "binary(3)",
    "varbinary(5)",
    "json",
    "uuid",
    "inet6",
    "datetime(3)",
    "timestamp(3)",
    "time(6)",
    "point",
];

const SQLITE: &[&str] = &["varchar(20)", "decimal(10,2)", "timestamp(3)", "uuid_text", "time(3)", "mood", "blob(3)"];

#[tokio::test]
async fn a_column_that_was_made_is_what_was_declared() {
    let redis = RedisServer::start();
    for (kind, types) in [(Kind::Postgres, POSTGRES), (Kind::MariaDb, MARIADB), (Kind::Sqlite, SQLITE)] {
        let database = TestDatabase::new(kind).await;
        if kind == Kind::Postgres {
            database.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')").await;
        }
        let columns = types.iter().enumerate().map(|(number, sql_type)| {
            // A text of YAML in single quotes doubles those.
            format!("      c{number}: {{from: c{number}, type: '{}'}}\n", sql_type.replace('\'', "''"))
        });
        let settings = config(&redis, &database) + "streams:\n  thing:\n    columns:\n" + &columns.collect::<String>();
        succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        let same = pipeline(&settings, &["schema", "diff", "--sample", "0"]).await;
        assert!(same.stdout.starts_with("nothing differs"), "{kind:?}: {same:?}");

        // The same is true of columns that are added.
        database.execute("DROP TABLE thing").await;
        database.execute("CREATE TABLE thing (other integer)").await;
        succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        let same = pipeline(&settings, &["schema", "diff", "--sample", "0"]).await;
        assert!(same.stdout.starts_with("nothing differs"), "{kind:?}: {same:?}");
    }
}

/// Texts that are added to a table of another character set hold every character all the same.
#[tokio::test]
async fn added_texts_hold_every_character() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    database.execute("CREATE TABLE thing (id int PRIMARY KEY) DEFAULT CHARACTER SET latin1").await;
    let columns =
        "{id: $key, t: t, v: {from: v, type: varchar(20)}, l: {from: l, type: varchar(9) CHARACTER SET latin1}}";
    let settings = format!("{}streams:\n  thing:\n    columns: {columns}\n", config(&redis, &database));
    succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
    let sets = "SELECT column_name, character_set_name FROM information_schema.columns WHERE table_schema = database() \
                AND table_name = 'thing' AND character_set_name IS NOT NULL ORDER BY column_name";
    let text = |text: &str| Some(text.to_owned());
    let expected = [("l", "latin1"), ("t", "utf8mb4"), ("v", "utf8mb4")].map(|(name, set)| [text(name), text(set)]);
    assert_eq!(database.rows(sets).await, expected);
}

/// `{}` is a name that the tables of the connection have anyway.
#[tokio::test]
async fn a_table_with_two_names_is_made_once() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let other = match kind {
            Kind::Postgres => "public.x".to_owned(),
            Kind::MariaDb => format!("{}.x", database.access().database),
            Kind::Sqlite => "main.X".to_owned(),
        };
        let streams = format!(
            "streams:\n  one:\n    tables:\n      x: {{mode: upsert, key: [id], columns: {{id: $key, a: a}}}}\n      \
             {other}: {{mode: upsert, key: [id], columns: {{id: $key, b: b}}}}\n  two:\n    table: {other}\n    \
             mode: upsert\n    key: [id]\n    columns: {{id: $key, c: c}}\n"
        );
        let settings = config(&redis, &database) + &streams;
        let made = succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        assert_eq!(made.matches("created table").count(), 1, "{kind:?}: {made}");
        assert_eq!(made.matches("added column").count(), 2, "{kind:?}: {made}");
        succeeding(&settings, &["schema", "diff", "--sample", "0"]).await;
    }
}

/// What has the name of the index that is to be made is no reason to fail.
#[tokio::test]
async fn an_index_takes_a_name_that_is_free() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (a varchar(20), b integer)").await;
        let index = match kind {
            Kind::Postgres => "ALTER TABLE thing ADD CONSTRAINT thing_a_key UNIQUE (a) DEFERRABLE",
            Kind::MariaDb => "CREATE INDEX Thing_a_key ON thing (b)",
            Kind::Sqlite => "CREATE UNIQUE INDEX Thing_a_key ON thing (a) WHERE b > 0",
        };
        database.execute(index).await;
        let streams = "streams:\n  thing:\n    mode: upsert\n    key: [a]\n    columns: {a: $key, b: b}\n";
        let settings = config(&redis, &database) + streams;
        let printed = succeeding(&settings, &["schema", "print", "--sample", "0"]).await;
        assert_parts(&printed, &["thing_a_key1"]);
        succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        succeeding(&settings, &["schema", "diff", "--sample", "0"]).await;
    }
}

/// MariaDB's JSON is a text with a check that names the column.
#[tokio::test]
async fn json_has_any_name() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    let streams = "streams:\n  thing:\n    columns: {\"a`b\": {from: a, type: json}}\n";
    let settings = config(&redis, &database) + streams;
    succeeding(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
    let explained = pipeline(&settings, &["schema", "diff", "--sample", "0"]).await;
    assert!(explained.stdout.starts_with("nothing differs"), "{explained:?}");
    database.execute("ALTER TABLE thing MODIFY `a``b` longtext").await;
    let differs = pipeline(&settings, &["schema", "diff", "--sample", "0"]).await;
    assert_eq!(differs.code, FAILED, "{differs:?}");
}
