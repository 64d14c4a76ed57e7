//! One document, many rows.

use super::{add, dead, run_through, setting};
use crate::support::database::Kind;

const ORDERS: &str = "CREATE TABLE orders (id varchar(20) PRIMARY KEY, customer varchar(20), deleted timestamp NULL)";

const KEYED: &str = "CREATE TABLE order_lines (order_id varchar(20), sku varchar(20), qty int NOT NULL, price decimal(12, 2), \
                     place int, note varchar(9) DEFAULT 'kept', PRIMARY KEY (order_id, sku))";

/// The line's own key is the database's.
const UNKEYED: [&str; 3] = [
    "CREATE TABLE order_lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id varchar(20), sku varchar(20), qty int NOT NULL)",
    "CREATE TABLE order_lines (id bigint AUTO_INCREMENT PRIMARY KEY, order_id varchar(20), sku varchar(20), qty int NOT NULL)",
    "CREATE TABLE order_lines (id integer PRIMARY KEY, order_id varchar(20), sku varchar(20), qty int NOT NULL)",
];

fn unkeyed(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => UNKEYED[0],
        Kind::MariaDb => UNKEYED[1],
        Kind::Sqlite => UNKEYED[2],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_stay_and_go_with_their_order() {
    let stream = r#"    tables:
      orders: {mode: upsert, key: [id], columns: {id: $key, customer: customer.name}}
      order_lines:
        mode: upsert
        key: [order_id, sku]
        for_each: order.lines[*]
        columns:
          order_id: $key
          sku: $item.sku
          qty: $item.count.pieces
          price: {expr: '$item.cents / 100'}
          place: $index
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[ORDERS, KEYED]).await;
        let line = |sku: &str, qty: i32| format!(r#"{{"sku": "{sku}", "count": {{"pieces": {qty}}}, "cents": 1999}}"#);
        let document = |lines: &[String]| {
            format!(r#"{{"customer": {{"name": "Ada"}}, "order": {{"lines": [{}]}}}}"#, lines.join(", "))
        };
        let first = document(&[line("a", 1), line("b", 2), line("c", 3)]);
        let second = document(&[line("c", 4), line("d", 5)]);
        let (none, twice) = (document(&[]), document(&[line("a", 1), line("b", 2), line("a", 3)]));
        let without = document(&[line("a", 1), r#"{"sku": "b", "cents": 1}"#.to_owned()]);
        let all: [&[(&str, &str)]; 7] = [
            &[("key", "o1"), ("payload", &first)],
            &[("key", "o2"), ("payload", &first)],
            &[("key", "o3"), ("payload", &first)],
            &[("key", "o4"), ("payload", &first)],
            &[("key", "bad1"), ("payload", &twice)],
            &[("key", "bad2"), ("payload", &without)],
            &[("key", "bad3"), ("payload", r#"{"order": {"lines": {"sku": "a"}}}"#)],
        ];
        add(&mut setting, &all).await;
        run_through(&setting, stream, 7).await;
        let lines = "SELECT order_id, sku, qty, price, place, note FROM order_lines ORDER BY order_id, sku";
        let of = |order: &str| {
            ["a|1|19.99|0", "b|2|19.99|1", "c|3|19.99|2"].map(|line| format!("{order}|{line}|kept")).to_vec()
        };
        assert_eq!(setting.rows(lines).await, [of("o1"), of("o2"), of("o3"), of("o4")].concat(), "{kind:?}");
        let letters = dead(&setting).await;
        assert_eq!(letters.len(), 3, "{letters:?}");
        assert!(
            letters[0].starts_with("constraint|table order_lines: items 0 and 2 have the same key (order_id, sku)"),
            "{letters:?}"
        );
        assert!(
            letters[1].starts_with("missing_value|table order_lines: item 1: column `qty` must not be NULL"),
            "{letters:?}"
        );
        assert!(
            letters[2]
                .starts_with("wrong_type|table order_lines: the document's `order.lines` is an object, not a list"),
            "{letters:?}"
        );
        // Rows that stay are changed, not made again: what the mapping does not write stays too.
        setting.database.execute("UPDATE order_lines SET note = 'old' WHERE sku = 'c'").await;
        let all: [&[(&str, &str)]; 6] = [
            &[("op", "update"), ("key", "o1"), ("payload", &second)],
            &[("op", "upsert"), ("key", "o2"), ("payload", &none)],
            &[("op", "delete"), ("key", "o3")],
            &[("op", "patch"), ("key", "o4"), ("payload", r#"{"customer": {"name": "Bob"}}"#)],
            &[("op", "update"), ("key", "gone"), ("payload", &first)],
            &[("op", "patch"), ("key", "gone"), ("payload", &first)],
        ];
        add(&mut setting, &all).await;
        run_through(&setting, stream, 13).await;
        let changed = ["o1|c|4|19.99|0|old".to_owned(), "o1|d|5|19.99|1|kept".to_owned()].to_vec();
        let stayed = of("o4").iter().map(|line| line.replace("c|3|19.99|2|kept", "c|3|19.99|2|old")).collect();
        assert_eq!(setting.rows(lines).await, [changed, stayed].concat(), "{kind:?}");
        assert_eq!(setting.rows("SELECT id, customer FROM orders ORDER BY id").await, ["o1|Ada", "o2|Ada", "o4|Bob"]);
        assert_eq!(dead(&setting).await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_without_a_key_of_their_own_are_replaced_as_a_whole() {
    let stream = r#"    tables:
      orders: {mode: upsert, key: [id], soft_delete: deleted, columns: {id: $key}}
      order_lines: {mode: upsert, key: [order_id], for_each: "lines[*]", columns: {order_id: $key, sku: $item, qty: {expr: $index + 1}}}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[ORDERS, unkeyed(kind)]).await;
        let all: [&[(&str, &str)]; 6] = [
            &[("key", "o1"), ("payload", r#"{"lines": ["a", "a", "b"]}"#)],
            &[("key", "o2"), ("payload", r#"{"lines": ["c"]}"#)],
            &[("key", "o3"), ("payload", r#"{"lines": ["d"]}"#)],
            &[("op", "update"), ("key", "o1"), ("payload", r#"{"lines": ["b", "b"]}"#)],
            &[("op", "update"), ("key", "none"), ("payload", r#"{"lines": ["b", "b"]}"#)],
            // Its row stays, marked, and so do its lines.
            &[("op", "delete"), ("key", "o2")],
        ];
        add(&mut setting, &all).await;
        run_through(&setting, stream, 6).await;
        let lines = "SELECT order_id, sku, qty FROM order_lines ORDER BY order_id, qty";
        assert_eq!(setting.rows(lines).await, ["o1|b|1", "o1|b|2", "o2|c|1", "o3|d|1"], "{kind:?}");
        // What is marked as deleted takes no update.
        let all: [&[(&str, &str)]; 2] = [
            &[("op", "update"), ("key", "o2"), ("payload", r#"{"lines": []}"#)],
            &[("op", "update"), ("key", "o3"), ("payload", r#"{}"#)],
        ];
        add(&mut setting, &all).await;
        run_through(&setting, stream, 8).await;
        assert_eq!(setting.rows(lines).await, ["o1|b|1", "o1|b|2", "o2|c|1"], "{kind:?}");
        assert_eq!(dead(&setting).await, Vec::<String>::new(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_appended_from_a_hash_too() {
    let stream = "    table: order_lines\n    for_each: items[*]\n    document: fields\n    \
                  columns: {order_id: $key, \"*\": auto}\n";
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[unkeyed(kind)]).await;
        let items: Vec<String> = (0..100).map(|n| format!(r#"{{"sku": "s{n}", "qty": {n}}}"#)).collect();
        let items = format!("[{}]", items.join(","));
        let entries: Vec<[(&str, &str); 2]> = (0..50).map(|_| [("key", "o"), ("items", items.as_str())]).collect();
        let mut entries: Vec<&[(&str, &str)]> = entries.iter().map(|entry| entry.as_slice()).collect();
        let bad: &[(&str, &str)] = &[("key", "o"), ("items", r#"[{"sku": "s", "qty": "many"}]"#)];
        entries.insert(20, bad);
        add(&mut setting, &entries).await;
        run_through(&setting, stream, 51).await;
        let sums = "SELECT count(*), sum(qty), count(DISTINCT sku) FROM order_lines";
        assert_eq!(setting.rows(sums).await, ["5000|247500|100"], "{kind:?}");
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert!(dead[0].contains("item 0: column `qty`"), "{dead:?}");
    }
}

/// Its own row may be marked as deleted, or not be there at all, and its lines are: they stay as they are, whether the events
/// come in one batch or one by one.
#[tokio::test(flavor = "multi_thread")]
async fn lines_stay_while_their_order_is_marked_as_deleted() {
    let stream = r#"    tables:
      # By name the first with this key, and not the one whose row stays.
      notes: {mode: upsert, key: [order_id], columns: {order_id: $key, note: note}}
      orders: {mode: upsert, key: [id], soft_delete: deleted, columns: {id: $key, customer: customer}}
      order_lines:
        mode: upsert
        key: [order_id, sku]
        for_each: lines[*]
        columns: {order_id: $key, sku: $item, qty: {value: 1}}
"#;
    let notes = "CREATE TABLE notes (order_id varchar(20) PRIMARY KEY, note varchar(9))";
    let with = |skus: &'static str| format!(r#"{{"customer": "Ada", "lines": [{skus}]}}"#);
    let (ab, b, c, none) = (with(r#""a", "b""#), with(r#""b""#), with(r#""c""#), with(""));
    let entries: [&[(&str, &str)]; 14] = [
        &[("key", "nulled"), ("payload", &ab)],
        &[("key", "nulled"), ("op", "patch"), ("payload", r#"{"lines": null}"#)],
        &[("key", "marked"), ("payload", &ab)],
        &[("key", "marked"), ("op", "delete")],
        &[("key", "marked"), ("op", "update"), ("payload", &c)],
        &[("key", "changed"), ("payload", &ab)],
        &[("key", "changed"), ("op", "update"), ("payload", &b)],
        &[("key", "changed"), ("op", "delete")],
        &[("key", "emptied"), ("payload", &ab)],
        &[("key", "emptied"), ("op", "delete")],
        &[("key", "emptied"), ("op", "patch"), ("payload", &none)],
        &[("key", "revived"), ("payload", &ab)],
        &[("key", "revived"), ("op", "delete")],
        &[("key", "revived"), ("payload", &c)],
    ];
    for kind in Kind::ALL {
        for batch_size in [1, 1_000] {
            let mut setting = setting(kind, &[ORDERS, KEYED, notes]).await;
            // Nobody's, for all that the pipeline knows.
            setting.database.execute("INSERT INTO order_lines (order_id, sku, qty) VALUES ('nobody', 'x', 1)").await;
            add(&mut setting, &entries).await;
            add(&mut setting, &[&[("key", "nobody"), ("op", "update"), ("payload", &c)]]).await;
            run_through(&setting, &format!("    batch_size: {batch_size}\n{stream}"), 15).await;
            let rows = setting.rows("SELECT order_id, sku FROM order_lines ORDER BY order_id, sku").await;
            let expected =
                ["changed|b", "emptied|a", "emptied|b", "marked|a", "marked|b", "nobody|x", "revived|c"].as_slice();
            assert_eq!(rows, expected, "{kind:?}, batches of {batch_size}");
            assert_eq!(dead(&setting).await, Vec::<String>::new(), "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_that_stay_are_changed_and_not_made_again() {
    let table = "CREATE TABLE parts (id varchar(20), sku varchar(20), note text, picked int, PRIMARY KEY (id, sku))";
    let stream = "    table: parts\n    mode: upsert\n    key: [id, sku]\n    for_each: lines[*]\n    \
                  columns: {id: $key, sku: $item.sku, note: $item.note}\n";
    for kind in Kind::ALL {
        let table = if kind == Kind::MariaDb { table.replace("text", "longtext") } else { table.to_owned() };
        let mut setting = setting(kind, &[&table]).await;
        let note = "x".repeat(600_000);
        let line = |sku: &str| format!(r#"{{"sku": "{sku}", "note": "{note}"}}"#);
        let both = format!(r#"{{"lines": [{}, {}]}}"#, line("a"), line("b"));
        add(&mut setting, &[&[("key", "o"), ("payload", &both)]]).await;
        run_through(&setting, stream, 1).await;
        setting.database.execute("UPDATE parts SET picked = 7").await;
        let other = format!(r#"{{"lines": [{}, {}]}}"#, line("b"), line("c"));
        add(&mut setting, &[&[("key", "o"), ("payload", &other)]]).await;
        run_through(&setting, stream, 2).await;
        let rows = setting.rows("SELECT sku, COALESCE(picked, 0) FROM parts ORDER BY sku").await;
        assert_eq!(rows, ["b|7", "c|0"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_are_one_row_only_to_the_database_are_refused() {
    let stream = "    table: parts\n    mode: upsert\n    key: [id, sku]\n    for_each: lines[*]\n    \
                  columns: {id: $key, sku: $item}\n";
    for (kind, collation) in [(Kind::MariaDb, "utf8mb4_general_ci"), (Kind::Sqlite, "NOCASE")] {
        let table = format!("CREATE TABLE parts (id int, sku varchar(20) COLLATE {collation}, PRIMARY KEY (id, sku))");
        let mut setting = setting(kind, &[&table]).await;
        add(&mut setting, &[&[("key", "1"), ("payload", r#"{"lines": ["a", "b", "A"]}"#)]]).await;
        add(&mut setting, &[&[("key", "2"), ("payload", r#"{"lines": ["a", "b"]}"#)]]).await;
        run_through(&setting, stream, 2).await;
        assert_eq!(setting.rows("SELECT id, sku FROM parts ORDER BY id, sku").await, ["2|a", "2|b"], "{kind:?}");
        let letters = dead(&setting).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].starts_with("constraint|items 0 and 2 have the same key (id, sku)"), "{letters:?}");
    }
}
