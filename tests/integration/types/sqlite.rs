//! SQLite, with and without strict types. What it says of a value tells how it is stored.

use super::{Case, Trial, check, kept, refused, whole};
use crate::support::database::Kind;

fn loose() -> Vec<Case> {
    let mut cases = whole("integer", i64::MIN.into(), i64::MAX.into());
    cases.extend(whole("tinyint unsigned", i64::MIN.into(), i64::MAX.into()));
    cases.extend([
        kept("decimal(30,9)", "123456.123456789", "123456.123456789"),
        kept("decimal(30,9)", "9223372036854775807", "9223372036854775807"),
        refused("decimal(30,9)", "12345678901234567890.123456789", "out_of_range"),
        refused("decimal(30,9)", "9007199254740993.0", "out_of_range"),
        refused("decimal(5,2)", "0.001", "out_of_range"),
        kept("decimal_text(30,9)", "12345678901234567890.123456789", "'12345678901234567890.123456789'"),
        kept("real", "0.1", "0.1"),
        kept("double", "1e308", "1.0e+308"),
        refused("double", "1e309", "out_of_range"),
        kept("boolean", "true", "1"),
        kept("boolean", "\"false\"", "0"),
        kept("varchar(3)", "\"007\"", "'007'"),
        refused("varchar(3)", "\"abcd\"", "too_long"),
        refused("text", r#""a\u0000""#, "out_of_range"),
        refused("text", r#""\ud83d""#, "bad_json"),
        kept("blob", r#""\u0000\u00e9""#, "X'00C3A9'"),
        refused("varbinary(3)", "\"éé\"", "too_long"),
        kept("json", r#"{"a" : [1.10]}"#, r#"'{"a" : [1.10]}'"#),
        refused("json", r#"["\udc00"]"#, "bad_json"),
        kept("uuid", r#""A0EEBC999C0B4EF8BB6D6BB9BD380A11""#, "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        kept("date", "\"2024-02-29\"", "'2024-02-29'"),
        refused("date", "\"2023-02-29\"", "wrong_type"),
        kept("time(3)", "\"12:30:01.9999\"", "'12:30:01.999'"),
        refused("time(3)", "\"24:00:00\"", "out_of_range"),
        kept("timestamp(3)", "\"Sat, 01 Jun 2024 12:30:00 +0200\"", "'2024-06-01 10:30:00'"),
        kept("timestamp(3)", "\"0000-01-01T00:00:00Z\"", "'0000-01-01 00:00:00'"),
        kept("timestamp(3)", "\"9999-12-31T23:59:59.9999Z\"", "'9999-12-31 23:59:59.999'"),
        refused("timestamp(3)", "\"+10000-01-01T00:00:00Z\"", "out_of_range"),
        kept("string", "\"7a\"", "'7a'"),
        kept("string", "\"7\"", "7"),
        kept("string", "1.50", "1.5"),
        refused("string", "\"007\"", "out_of_range"),
        refused("string", "\"1e5\"", "out_of_range"),
        refused("string", "true", "wrong_type"),
    ]);
    cases
}

fn strict() -> Vec<Case> {
    let mut cases = whole("int", i64::MIN.into(), i64::MAX.into());
    cases.extend([
        kept("real", "0.1", "0.1"),
        kept("text", "12345678901234567890.123456789", "'12345678901234567890.123456789'"),
        kept("blob", "\"é\"", "X'C3A9'"),
        kept("any", "\"007\"", "'007'"),
        kept("any", "12345678901234567890.123456789", "'12345678901234567890.123456789'"),
    ]);
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_value_or_it_is_refused() {
    let trials = [
        Trial { name: "loose", settings: "", suffix: "", cases: loose() },
        Trial { name: "strict", settings: "", suffix: " STRICT", cases: strict() },
    ];
    check(Kind::Sqlite, "", &trials, |_, value| format!("quote({value})")).await;
}
