//! MariaDB.

use super::{Case, Trial, check, decimal_5_2, kept, refused, three_chars, whole};
use crate::support::database::Kind;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (bits, signed, unsigned) in [
        (8, "tinyint", "tinyint unsigned"),
        (16, "smallint", "smallint unsigned"),
        (24, "mediumint", "mediumint unsigned"),
        (32, "int", "int unsigned"),
        (64, "bigint", "bigint unsigned"),
    ] {
        cases.extend(whole(signed, -(1 << (bits - 1)), (1 << (bits - 1)) - 1));
        cases.extend(whole(unsigned, 0, (1 << bits) - 1));
    }
    cases.extend(whole("year", 1901, 2155).into_iter().filter(|case| !case.value.contains("e1")));
    cases.extend(decimal_5_2("decimal(5,2)"));
    cases.extend(decimal_5_2("double(5,2)"));
    cases.extend(three_chars("varchar(3)"));
    cases.extend(three_chars("char(3)"));
    cases.extend(numbers());
    cases.extend(texts());
    cases.extend(times());
    cases
}

fn numbers() -> Vec<Case> {
    vec![
        kept("decimal(30,9)", "12345678901234567890.123456789", "12345678901234567890.123456789"),
        kept("decimal(30,9)", "\"-0.000000001\"", "-0.000000001"),
        refused("decimal(5,2) unsigned", "-1", "out_of_range"),
        kept("float", "1.5", "1.5"),
        refused("float", "1e39", "out_of_range"),
        refused("float", "1e-50", "out_of_range"),
        kept("double", "1.7976931348623157e308", "1.7976931348623157e308"),
        kept("double", "0.1", "0.1"),
        refused("double", "1e309", "out_of_range"),
        kept("boolean", "true", "1"),
        kept("boolean", "\"false\"", "0"),
        kept("bit(1)", "true", "1"),
        refused("bit(1)", "2", "out_of_range"),
        kept("bit(64)", "18446744073709551615", "18446744073709551615"),
        refused("bit(64)", "18446744073709551616", "out_of_range"),
    ]
}

fn texts() -> Vec<Case> {
    let text = |character: &str, count: usize| format!("\"{}\"", character.repeat(count));
    vec![
        kept("tinytext", text("x", 255), "x".repeat(255)),
        refused("tinytext", text("x", 256), "too_long"),
        refused("tinytext", text("é", 128), "too_long"),
        kept("tinytext character set latin1", text("é", 255), "é".repeat(255)),
        refused("tinytext character set latin1", text("é", 256), "too_long"),
        refused("tinytext character set latin1", "\"\u{1F600}\"", "wrong_type"),
        kept("text", text("x", 65_535), "x".repeat(65_535)),
        refused("text", text("x", 65_536), "too_long"),
        kept("mediumtext", text("x", 65_536), "x".repeat(65_536)),
        kept("enum('a','b''c')", "\"b'c\"", "b'c"),
        refused("enum('a','b''c')", "\"A\"", "wrong_type"),
        refused("enum('a','b''c')", "1", "wrong_type"),
        kept("set('a','b')", "\"b,a\"", "a,b"),
        kept("set('a','b')", r#"["b", "a"]"#, "a,b"),
        refused("set('a','b')", "\"a,c\"", "wrong_type"),
        kept("binary(3)", "\"ab\"", "616200"),
        refused("binary(3)", "\"abcd\"", "too_long"),
        kept("varbinary(3)", "\"é\"", "C3A9"),
        refused("varbinary(3)", "\"éé\"", "too_long"),
        kept("tinyblob", text("x", 255), "78".repeat(255)),
        refused("tinyblob", text("x", 256), "too_long"),
        kept("blob", r#""\u0000""#, "00"),
        kept("json", r#"{"a" : 12345678901234567890.123456789}"#, r#"{"a" : 12345678901234567890.123456789}"#),
        kept("json", r#"["\u0000"]"#, r#"["\u0000"]"#),
        kept("json", "1.10", "1.10"),
        refused("json", r#"["\udc00"]"#, "bad_json"),
        kept("uuid", r#""A0EEBC999C0B4EF8BB6D6BB9BD380A11""#, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        refused("uuid", "\"x\"", "wrong_type"),
        kept("inet4", "\"10.0.0.1\"", "10.0.0.1"),
        refused("inet4", "\"::1\"", "wrong_type"),
        kept("inet6", "\"2001:DB8::1\"", "2001:db8::1"),
        refused("inet6", "\"10.0.0.1\"", "wrong_type"),
    ]
}

fn times() -> Vec<Case> {
    vec![
        kept("date", "\"0001-01-01\"", "0001-01-01"),
        kept("date", "\"9999-12-31\"", "9999-12-31"),
        refused("date", "\"0000-00-00\"", "wrong_type"),
        refused("date", "\"2023-02-29\"", "wrong_type"),
        kept("time", "\"838:59:59\"", "838:59:59"),
        kept("time", "\"-838:59:59.9\"", "-838:59:59"),
        refused("time", "\"839:00:00\"", "out_of_range"),
        refused("time", "\"-839:00:00\"", "out_of_range"),
        kept("time(3)", "\"12:30\"", "12:30:00.000"),
        kept("time(3)", "\"23:59:59.999999\"", "23:59:59.999"),
        refused("time(3)", "\"12\"", "wrong_type"),
        kept("datetime(3)", "\"2024-06-01T12:30:00.9999+02:00\"", "2024-06-01 10:30:00.999"),
        kept("datetime(3)", "\"Sat, 01 Jun 2024 12:30:00 GMT\"", "2024-06-01 12:30:00.000"),
        kept("datetime(3)", "\"0001-01-01\"", "0001-01-01 00:00:00.000"),
        kept("datetime(3)", "\"9999-12-31T23:59:59.999999Z\"", "9999-12-31 23:59:59.999"),
        refused("datetime(3)", "\"+10000-01-01T00:00:00Z\"", "out_of_range"),
        refused("datetime(3)", "\"0000-12-31T23:59:59Z\"", "out_of_range"),
        kept("datetime", "1717245000123456", "2024-06-01 12:30:00"),
        kept("timestamp(3)", "1", "1970-01-01 00:00:01.000"),
        refused("timestamp(3)", "0", "out_of_range"),
        kept("timestamp(3)", "\"2038-01-19T03:14:07.999Z\"", "2038-01-19 03:14:07.999"),
        refused("timestamp(3)", "\"2106-02-07T06:28:16Z\"", "out_of_range"),
    ]
}

fn read(column: &str, value: &str) -> String {
    match column {
        _ if column.starts_with("bit") => format!("CAST({value} + 0 AS CHAR)"),
        _ if column.contains("binary") || column.contains("blob") => format!("HEX({value})"),
        _ => format!("CAST({value} AS CHAR)"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_keeps_every_value_or_it_is_refused() {
    let trial = |name, settings| Trial { name, settings, suffix: " CHARACTER SET utf8mb4", cases: cases() };
    let trials = [trial("appended", ""), trial("upserted", "    mode: upsert\n    key: [n]\n")];
    check(Kind::MariaDb, "", &trials, read).await;
}
