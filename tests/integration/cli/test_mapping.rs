//! `pipeline test-mapping`: cases pass or fail as the pipeline itself would do, on every database.

use std::fs;
use std::path::Path;

use super::{CONFIGURATION, FAILED, SUCCESS, assert_parts, migrated, pipeline};
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;

const TABLES: &str = "CREATE TABLE orders (id varchar(20) PRIMARY KEY, customer varchar(10) NOT NULL, total numeric(12, 2), \
                      CHECK (total >= 0))";

const STREAMS: &str = r#"streams:
  order:
    table: orders
    mode: upsert
    key: [id]
    filter: .status != "draft"
    document: hash
    columns: {id: $key, customer: name, total: {from: total, default: 0}}
"#;

/// Cases that all hold.
const CASES: &str = r#"cases:
  - name: the last one wins
    events:
      - {key: "order:1", document: {name: Ada, total: 10}}
      - {op: upsert, key: "order:1", document: {name: Bob, total: 12.5}}
      - {op: insert, key: "order:2", document: {name: Eve}}
    rows:
      orders:
        - {id: "order:2", customer: Eve, total: 0.00}
        - {id: "order:1", customer: Bob, total: 12.50}
  - name: a deleted order
    events:
      - {key: "order:1", document: {name: Ada}}
      - {op: delete, key: "order:1"}
  - name: refused by us, by the database, passed over, and gone
    events:
      - {key: "order:1", document: {total: 1}, rejected: {class: missing_value, column: customer}}
      - {key: "order:2", document: {name: Ada, total: -1}, rejected: constraint}
      - {key: "order:3", document: {name: Ada, status: draft}, skipped: true}
      - {key: "order:4", rejected: {class: missing_document, message: "order:4"}}
      - {key: "order:5", document: {name: Eve}}
    rows:
      orders: [{id: "order:5"}]
"#;

/// Runs the cases of a text, and of nothing else.
async fn tested(config: &str, cases: &str, more: &[&str]) -> (Option<i32>, String) {
    let folder = folder::temporary("cases");
    let file = folder.path().join("my.test.yaml");
    fs::write(&file, cases).unwrap();
    let file = file.to_string_lossy().into_owned();
    let mut args = vec!["test-mapping", &file];
    args.extend(more);
    let output = pipeline(config, &args).await;
    let text = (output.stdout + &output.stderr).replace(&file, "my.test.yaml");
    (output.code, text)
}

fn file(cases: &str) -> String {
    format!("{STREAMS}schema: {TABLES}\n{cases}")
}

#[tokio::test]
async fn cases_hold_without_any_server() {
    let (code, text) = tested("no settings at all", &file(CASES), &[]).await;
    assert_eq!(code, SUCCESS, "{text}");
    assert_eq!(
        text,
        "my.test.yaml\n  ok  the last one wins\n  ok  a deleted order\n  ok  refused by us, by the database, passed over, \
         and gone\n  3 of 3 cases passed\n"
    );
}

#[tokio::test]
async fn the_same_cases_hold_on_each_database_and_nothing_of_them_remains() {
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = database.settings_yaml();
        let before = tested(&config, &file(CASES), &["--database"]).await;
        assert_eq!(before.0, CONFIGURATION, "{kind:?}: {before:?}");
        migrated(&config).await;
        let without = tested(&config, &file(CASES), &["--database"]).await;
        assert_eq!(without.0, CONFIGURATION, "{kind:?}: {without:?}");
        assert_parts(&without.1, &["error: my.test.yaml: streams.order.table: there is no table `orders`"]);
        database.execute(TABLES).await;
        let (code, text) = tested(&config, &file(CASES), &["--database"]).await;
        assert_eq!(code, SUCCESS, "{kind:?}: {text}");
        for table in ["orders", "write_behind_checkpoint", "write_behind_dead_letter"] {
            assert_eq!(database.count(table).await, 0, "{kind:?}: {table}");
        }
        database.execute("INSERT INTO orders (id, customer) VALUES ('x', 'y')").await;
        let (code, text) = tested(&config, &file(CASES), &["--database"]).await;
        assert_eq!(code, CONFIGURATION, "{kind:?}: {text}");
        assert_parts(&text, &["error: my.test.yaml:11: table orders holds rows already"]);
        assert_eq!(database.count("orders").await, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn what_differs_is_shown_with_its_line() {
    let wrong = CASES
        .replace("total: 12.50", "total: 12.51")
        .replace("{op: delete, key: \"order:1\"}", "{op: delete, key: \"order:9\"}")
        .replace("column: customer", "column: total");
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = database.settings_yaml();
        migrated(&config).await;
        database.execute(TABLES).await;
        let (code, text) = tested(&config, &file(&wrong), &["--database"]).await;
        assert_eq!(code, FAILED, "{kind:?}: {text}");
        let decimals = if kind == Kind::Sqlite { ["12.5", "0"] } else { ["12.50", "0.00"] };
        assert_parts(
            &text,
            &[
                &format!(
                    "  FAILED  the last one wins (my.test.yaml:11)\n    orders: the row of line 19 is another\n      \
                     - total: 12.51\n      + total: {}\n",
                    decimals[0]
                ),
                &format!(
                    "    orders: a row that is not expected\n      + {{id: order:1, customer: Ada, total: {}}}\n",
                    decimals[1]
                ),
                "    the event of line 26\n      - rejected: missing_value, column total\n      + rejected: missing_value, \
                 column customer, column `customer`",
                "  0 of 3 cases passed; - is what was expected, + what there is\nerror: 3 of 3 cases failed\n",
            ],
        );
    }
}

#[tokio::test]
async fn broken_files_are_told_in_full_with_the_nearest_name() {
    let broken = file("cases:\n  - evnts: []\n  - events: [{documnt: {}}]\n    rows: {orders: {id: 1}}\nshema: x\n");
    let (code, text) = tested("", &broken, &[]).await;
    assert_eq!(code, CONFIGURATION, "{text}");
    assert_eq!(
        text,
        "error: my.test.yaml:11: `evnts` is no key of this: did you mean `events`?\n\
         error: my.test.yaml:11: a case needs `events`, a list\n\
         error: my.test.yaml:12: `documnt` is no key of this: did you mean `document`?\n\
         error: my.test.yaml:13: the rows of a table must be a list; `[]` is none\n\
         error: my.test.yaml:14: `shema` is no key of this: did you mean `schema`?\n"
    );
    let parts_of = [
        ("streams: [", "error: my.test.yaml:2: while parsing a node"),
        ("a: 1\na: 2\n", "my.test.yaml:2: `a` is there twice"),
        (
            "streams: {a: {kee: [x], columns: {x: y}}}\ncases: [{events: [{}]}]",
            "streams.a.kee: is not a setting: did you mean",
        ),
        ("settings: gone.yaml\ncases: [{events: [{}]}]", "gone.yaml: the settings file cannot be read"),
        ("cases: []", "a test file needs `settings`"),
    ];
    for (text, part) in parts_of {
        let (code, said) = tested("", text, &[]).await;
        assert_eq!(code, CONFIGURATION, "{said}");
        assert_parts(&said, &[part]);
    }
    let (code, text) = tested("", &file("cases: [{events: [{key: k}], rows: {orders: [{idd: 1}]}}]"), &[]).await;
    assert_eq!(code, CONFIGURATION, "{text}");
    assert_parts(&text, &["error: my.test.yaml:10: table orders has no column `idd`: did you mean `id`?"]);
}

#[tokio::test]
async fn the_examples_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().to_string_lossy().into_owned());
    let files: Vec<String> = files.filter(|file| file.ends_with(".test.yaml")).collect();
    assert!(!files.is_empty());
    let args: Vec<&str> = ["test-mapping"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = pipeline("", &args).await;
    assert_eq!(output.code, SUCCESS, "{output:?}");
}
