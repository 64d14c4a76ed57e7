//! What is said of tables and columns, and the words for what is wrong with it.

use super::super::load::tests::{assert_problems, good};
use super::super::{ColumnSettings, ColumnSource, Mask, OnNull, WriteBehind, WriteMode};
use crate::event::Op;

#[test]
fn a_table_says_what_reaches_it_or_takes_it_from_its_stream() {
    let settings = good(
        "table_defaults: {columns: {id: $key}, write_behind: {patch: false}}\n\
         streams:\n  \
           order:\n    \
             write_behind: {delete: false}\n    \
             tables:\n      \
               a: {write_behind: {insert: false, delete: true}}\n      \
               b: {filter: .x, write_behind: {patch: true, upsert: null}}\n  \
           plain: {write_behind: {update: false}}\n",
        &[],
    );
    let off =
        |taken: WriteBehind| Op::ALL.into_iter().filter(|op| !taken.allows(*op)).map(Op::name).collect::<Vec<_>>();
    let [a, b] = settings.stream("order").expect("runs").tables.as_slice() else { panic!("{settings:?}") };
    assert_eq!((off(a.write_behind), a.filter.as_deref()), (vec!["insert", "patch"], None));
    assert_eq!((off(b.write_behind), b.filter.as_deref()), (vec!["delete"], Some(".x")));
    assert!(off(settings.stream("order").expect("runs").write_behind()).is_empty());
    assert_eq!(off(settings.stream("plain").expect("runs").write_behind()), ["update", "patch"]);

    // What is said for all tables is not said of streams.
    let settings = good(
        "table_defaults: {filter: .n > 3, write_behind: {delete: null, update: false}}\n\
         streams:\n  \
           a: {filter: .x, tables: {t: {columns: {i: $id}}, u: {columns: {i: $id}, filter: .n, write_behind: {update: true}}}}\n  \
           b: {columns: {i: $id}}\n",
        &[],
    );
    let filters = |entity: &str| {
        let stream = settings.stream(entity).expect("runs");
        let all = std::iter::once(&stream.filter).chain(stream.tables.iter().map(|table| &table.filter));
        all.map(|filter| filter.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(
        (filters("a"), filters("b")),
        (vec![".x".into(), ".n > 3".into(), ".n".into()], vec!["".into(), ".n > 3".into()])
    );
    assert!(off(settings.stream("a").expect("runs").write_behind()).is_empty());
    assert_eq!(off(settings.stream("b").expect("runs").write_behind()), ["update"]);
}

#[test]
fn a_document_that_is_gone_can_delete_only_where_deletes_are_written() {
    let stream = |table: &str| {
        format!("streams: {{order: {{on_missing: delete, write_behind: {{delete: false}}, tables: {{a: {table}}}}}}}\n")
    };
    good(&stream("{columns: {id: $key}, key: [id], write_behind: {delete: true}}"), &[]);
    let expected = "streams.order.on_missing: is delete, and `write_behind.delete` is false: nothing would be deleted";
    assert_problems(&stream("{columns: {id: $key}, key: [id]}"), &[], &[expected]);
}

#[test]
fn a_stream_has_several_tables_or_the_keys_of_one() {
    let settings = good(
        "table_defaults: {mode: upsert, key: [id]}\n\
         streams:\n  \
           order:\n    \
             tables:\n      \
               orders: {columns: {id: id, total: {from: total, default: 0, required: true}}}\n      \
               items: {table: shop.order_items, mode: append, columns: auto}\n  \
           plain: {columns: {id: $id, v: {value: x, on_null: reject}, \"*\": auto}}\n",
        &[("PIPELINE__STREAMS__ORDER__TABLES__ORDERS__COLUMNS__TOTAL__DEFAULT", "7")],
    );
    let [items, orders] = settings.stream("order").expect("runs").tables.as_slice() else { panic!("{settings:?}") };
    assert_eq!((items.setting.as_str(), items.table.as_str()), ("streams.order.tables.items", "shop.order_items"));
    assert_eq!((items.auto.is_some(), items.columns.len(), items.mode), (true, 0, WriteMode::Append));
    assert_eq!(
        (orders.table.as_str(), orders.mode, orders.key.as_slice()),
        ("orders", WriteMode::Upsert, &["id".into()][..])
    );
    let total =
        ColumnSettings { default: Some("\"7\"".into()), required: true, ..ColumnSettings::from("total", "total") };
    assert_eq!(orders.columns, [ColumnSettings::from("id", "id"), total]);
    let [plain] = settings.stream("plain").expect("runs").tables.as_slice() else { panic!("{settings:?}") };
    assert_eq!((plain.setting.as_str(), plain.mode, plain.auto.is_some()), ("streams.plain", WriteMode::Upsert, true));
    let v = ColumnSettings {
        source: ColumnSource::Constant("\"x\"".into()),
        on_null: OnNull::Reject,
        ..ColumnSettings::from("v", "")
    };
    assert_eq!(plain.columns, [ColumnSettings::from("id", "$id"), v]);
}

#[test]
fn every_column_has_what_column_defaults_say() {
    let settings = good(
        "column_defaults: {mask: redact}\n\
         streams: {a: {mask_key: 0123456789abcdef, columns: {a: b, c: {from: d, mask: last4}, \"*\": auto}}}\n",
        &[],
    );
    let stream = settings.stream("a").expect("runs");
    let masks: Vec<_> = stream.masked_columns().map(|column| (column.column.as_str(), column.mask)).collect();
    assert_eq!(masks, [("a", Some(Mask::Redact)), ("c", Some(Mask::Last4)), ("*", Some(Mask::Redact))]);
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));
}

#[test]
fn what_is_wrong_with_tables_and_columns_is_said_with_its_place() {
    for (text, expected) in [
        ("streams: {a: {mode: upsert, tables: {t: {columns: {i: $id}}}}}", {
            "streams.a.mode: is the short form of a single table: this stream has `tables`, so put it into one of them"
        }),
        ("streams: {a: {tables: {t: {mode: upsert, columns: {i: $id}}}}}", {
            "streams.a.tables.t.key: must name the columns that identify a row, because mode is upsert"
        }),
        ("streams: {a: {tables: {t: {column: {i: $id}, columns: {i: $id}}}}}", {
            "streams.a.tables.t.column: is not a setting: did you mean `streams.a.tables.t.columns`? (from my.yaml)"
        }),
        ("streams: {a: {mode: log, key: [i], columns: {i: $id}}}", {
            "streams.a.key: must be [] in mode log: every event is a new row, and no row is ever looked for"
        }),
        ("streams: {a: {mode: log, version: v, columns: {i: $id, v: v}}}", {
            "streams.a.version: does not go with mode log: rows stay as they are"
        }),
        ("streams: {a: {mode: log, columns: {i: $id, n: {add: n}}}}", {
            "streams.a.columns.n.add: does not go with mode log: rows stay as they are"
        }),
        ("streams: {a: {mode: log, for_each: \"l[*]\", columns: {i: $id}}}", {
            "streams.a.for_each: does not go with mode log: an update or a delete would have no items to tell of"
        }),
        ("streams: {a: {tables: {t: {}}}}", "streams.a.tables.t.columns: must name at least one column"),
        ("streams: {a: {tables: {change: {columns: {i: $id}}, chnge: {mode: append}}}}", {
            "streams.a.tables.chnge.columns: must name at least one column; did you mean `streams.a.tables.change`?"
        }),
        ("streams: {a: {tables: {t: {columns: {i: $id}}, write_behind: {delete: false}, filter: .x}}}", {
            "streams.a.tables.filter: is no table: it belongs below one of the tables, or to the stream itself\n\
             streams.a.tables.write_behind: is no table: it belongs below one of the tables, or to the stream itself"
        }),
        ("streams: {a: {columns: {i: {form: x}}}}", {
            "streams.a.columns.i: needs one of `from`, `value`, `expr` and `add`\n\
             streams.a.columns.i.form: is not a setting: did you mean `streams.a.columns.i.from`? (from my.yaml)"
        }),
        ("streams: {a: {columns: {i: {from: x, value: 1}}}}", {
            "streams.a.columns.i: can have only one of `from`, `value`, `expr` and `add`"
        }),
        ("streams: {a: {columns: {i: {from: x, default: 1.5}}}}", {
            "streams.a.columns.i.default: must be a text, a whole number, true or false; put other numbers in quotes, not \
             1.5 (from my.yaml)"
        }),
        ("streams: {a: {columns: all}}", {
            "streams.a.columns: must be auto, or a section of columns, not `all` (from my.yaml)"
        }),
        ("streams: {a: {key: [i], version: v, columns: {i: $id, v: v}}}", {
            "streams.a.version: needs mode upsert: in mode append every insert is a new row"
        }),
        ("streams: {a: {mode: upsert, key: [i], version: w, columns: {i: $id, v: v}}}", {
            "streams.a.version: names `w`, which is not one of the columns"
        }),
        ("streams: {a: {key: [i], soft_delete: d, columns: {i: $id, d: d}}}", {
            "streams.a.soft_delete: names `d`, which the pipeline sets itself: remove it from `columns`"
        }),
        ("streams: {a: {soft_delete: d, columns: {i: $id}}}", {
            "streams.a.soft_delete: needs `key`: the columns that identify a row"
        }),
        ("streams: {a: {columns: {i: $id, n: {add: n}}}}", {
            "streams.a.key: must name the columns that identify a row, because `n` adds"
        }),
        ("streams: {a: {key: [i], columns: {i: $id, n: {add: n}}}}", {
            "streams.a.mode: must be upsert, because `n` adds: in append every insert is a new row"
        }),
        ("streams: {a: {key: [i], for_each: \"l[*]\", columns: {i: $id}}}", {
            "streams.a.mode: must be upsert for rows with a `key`, which a new list replaces; in append every item is a new \
             row, and there is no key"
        }),
        ("streams: {a: {mode: upsert, key: [i], soft_delete: d, for_each: \"l[*]\", columns: {i: $id}}}", {
            "streams.a.for_each: cannot stand beside `soft_delete`: put that into a table of its own"
        }),
        ("column_defaults: {on_null: ignore}", {
            "column_defaults.on_null: must be one of write, default, reject, not `ignore` (from my.yaml)"
        }),
        ("streams: {a: {mask_key: secret, columns: {i: {from: x, mask: md5}}}}", {
            "streams.a.columns.i.mask: must be one of none, hash, redact, last4, not `md5` (from my.yaml)\n\
             streams.a.mask_key: must be 16 to 4096 characters: a short one is guessed"
        }),
    ] {
        assert_problems(text, &[], &expected.lines().collect::<Vec<_>>());
    }
}
