//! PostgreSQL: every value by `COPY`, by a merge and by `INSERT`, which must come to the same.

use super::{Case, Trial, check, decimal_5_2, kept, refused, three_chars, whole};
use crate::support::database::Kind;

const PREPARE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
    CREATE DOMAIN short AS varchar(3);
    CREATE DOMAIN cheerful AS mood;
    CREATE DOMAIN list AS integer[];
    CREATE TABLE noted (name text, way text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted SELECT TG_TABLE_NAME, CASE WHEN current_query() LIKE 'COPY %' THEN 'copy'
            WHEN current_query() LIKE '%FROM pg_temp.%' THEN 'merge' ELSE 'insert' END;
        RETURN NULL; END $$;";

/// Types with a binary form.
fn binary() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(whole("smallint", i16::MIN.into(), i16::MAX.into()));
    cases.extend(whole("integer", i32::MIN.into(), i32::MAX.into()));
    cases.extend(whole("bigint", i64::MIN.into(), i64::MAX.into()));
    cases.extend(decimal_5_2("numeric(5,2)"));
    cases.extend(three_chars("varchar(3)"));
    cases.extend(three_chars("char(3)"));
    cases.extend(three_chars("short"));
    cases.extend(numbers());
    cases.extend(texts());
    cases.extend(times());
    cases.extend(arrays());
    cases
}

fn numbers() -> Vec<Case> {
    vec![
        kept("numeric", "12345678901234567890.123456789", "12345678901234567890.123456789"),
        kept("numeric", "1e-16383", format!("0.{}1", "0".repeat(16382))),
        refused("numeric", "1e-16384", "out_of_range"),
        refused("numeric", "1e131072", "out_of_range"),
        kept("numeric(5,-2)", "1234500", "1234500"),
        refused("numeric(5,-2)", "1234550", "out_of_range"),
        kept("real", "3.4028235e38", "3.4028235e+38"),
        kept("real", "0.1", "0.1"),
        refused("real", "3.5e38", "out_of_range"),
        refused("real", "1e-50", "out_of_range"),
        kept("double precision", "1.7976931348623157e308", "1.7976931348623157e+308"),
        kept("double precision", "-5e-324", "-5e-324"),
        kept("double precision", "\"0.1\"", "0.1"),
        refused("double precision", "1e309", "out_of_range"),
        refused("double precision", "\"Infinity\"", "wrong_type"),
        kept("boolean", "true", "true"),
        kept("boolean", "\"0\"", "false"),
        refused("boolean", "2", "wrong_type"),
    ]
}

fn texts() -> Vec<Case> {
    vec![
        kept("text", r#""a\\b\t\"c\"""#, "a\\b\t\"c\""),
        kept("text", "12345678901234567890.10", "12345678901234567890.10"),
        kept("name", format!("\"{}\"", "x".repeat(63)), "x".repeat(63)),
        refused("name", format!("\"{}\"", "x".repeat(64)), "too_long"),
        kept("bytea", r#""\u00e9\u0000""#, "\\xc3a900"),
        kept("json", r#"{"a" : [1.10, "\u0000"]}"#, r#"{"a" : [1.10, "\u0000"]}"#),
        kept("jsonb", r#"{"a": 12345678901234567890.123456789}"#, r#"{"a": 12345678901234567890.123456789}"#),
        kept("jsonb", r#""\ud83d\ude00""#, "\"\u{1F600}\""),
        kept("jsonb", "false", "false"),
        refused("json", r#"{"a": "\ud83d"}"#, "bad_json"),
        refused("jsonb", r#"{"\udc00": 1}"#, "bad_json"),
        refused("jsonb", r#"["\u0000"]"#, "out_of_range"),
        kept("uuid", r#""A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11""#, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        refused("uuid", "\"a0eebc99\"", "wrong_type"),
        kept("mood", r#""it's ok""#, "it's ok"),
        refused("mood", "\"glad\"", "wrong_type"),
        refused("mood", "\"Sad\"", "wrong_type"),
        kept("cheerful", "\"happy\"", "happy"),
        kept("inet", "\"10.0.0.1/24\"", "10.0.0.1/24"),
        kept("inet", "\"2001:DB8::1\"", "2001:db8::1/128"),
        kept("inet", "\"::ffff:10.0.0.1\"", "::ffff:10.0.0.1/128"),
        refused("inet", "\"10.0.0.256\"", "wrong_type"),
        kept("cidr", "\"10.0.0.0/8\"", "10.0.0.0/8"),
        refused("cidr", "\"10.0.0.1/8\"", "out_of_range"),
        kept("macaddr", "\"0800.2B01.0203\"", "08:00:2b:01:02:03"),
        refused("macaddr", "\"08:00:2b:01:02\"", "wrong_type"),
        kept("macaddr8", "\"08:00:2b:01:02:03:04:05\"", "08:00:2b:01:02:03:04:05"),
    ]
}

fn times() -> Vec<Case> {
    let mut cases = vec![
        kept("date", "\"0001-01-01\"", "0001-01-01"),
        kept("date", "\"9999-12-31\"", "9999-12-31"),
        refused("date", "\"2023-02-29\"", "wrong_type"),
        refused("date", "\"10000-01-01\"", "wrong_type"),
        refused("date", "\"2024-06-01T00:00:00Z\"", "wrong_type"),
        kept("time(3)", "\"00:00\"", "00:00:00"),
        kept("time(3)", "\"23:59:59.999999\"", "23:59:59.999"),
        refused("time(3)", "\"24:00:01\"", "out_of_range"),
        refused("time(3)", "\"12:00:00+02:00\"", "wrong_type"),
        kept("time with time zone", "\"12:00:00.5-05:30\"", "12:00:00.5-05:30"),
        kept("time with time zone", "\"12:00\"", "12:00:00+00"),
        kept("interval", "\"P1Y2M3DT4H5M6.5S\"", "1 year 2 mons 3 days 04:05:06.5"),
        kept("interval", "\"-1 days +02:03:04\"", "-1 days +02:03:04"),
        kept("interval", "\"PT2562047788H\"", "2562047788:00:00"),
        refused("interval", "\"PT2562047789H\"", "wrong_type"),
        refused("interval", "\"tomorrow\"", "wrong_type"),
        kept("interval day", "\"P3D\"", "3 days"),
        refused("interval day", "\"PT3H\"", "out_of_range"),
        refused("interval(0)", "\"PT0.5S\"", "out_of_range"),
        kept("timestamptz", "\"Sat, 01 Jun 2024 12:30:00 +0200\"", "2024-06-01 10:30:00+00"),
    ];
    for column in ["timestamp", "timestamp(3)"] {
        cases.extend([
            kept(column, "\"2024-06-01T12:30:00+02:00\"", "2024-06-01 10:30:00"),
            kept(column, "\"2024-06-01 12:30\"", "2024-06-01 12:30:00"),
            kept(column, "1717245000123", "2024-06-01 12:30:00.123"),
            kept(column, "-1.5", "1969-12-31 23:59:58.5"),
            kept(column, "\"-4712-01-01T00:00:00Z\"", "4713-01-01 00:00:00 BC"),
            kept(column, "\"+262141-12-31T23:59:59Z\"", "262141-12-31 23:59:59"),
            refused(column, "\"-4713-12-31T23:59:59Z\"", "out_of_range"),
            refused(column, "\"+262142-01-01T00:00:00Z\"", "out_of_range"),
            refused(column, "\"2016-12-31T23:59:60Z\"", "out_of_range"),
            refused(column, "\"2024-06-31T00:00:00Z\"", "wrong_type"),
            refused(column, "\"infinity\"", "wrong_type"),
        ]);
    }
    // The one thing that is cut.
    cases.push(kept("timestamp(3)", "\"2024-06-01T23:59:59.999999Z\"", "2024-06-01 23:59:59.999"));
    cases
}

fn arrays() -> Vec<Case> {
    vec![
        kept("integer[]", "[1, null, -2147483648]", "{1,NULL,-2147483648}"),
        kept("integer[]", "[]", "{}"),
        kept("integer[]", "[[1, 2], [3, 4]]", "{{1,2},{3,4}}"),
        kept("integer[]", "[[[1], [2]]]", "{{{1},{2}}}"),
        refused("integer[]", "[2147483648]", "out_of_range"),
        refused("integer[]", "[[1], [2, 3]]", "wrong_type"),
        refused("integer[]", "{}", "wrong_type"),
        kept("list", "[1]", "{1}"),
        kept("smallint[]", "[32767]", "{32767}"),
        kept("bigint[]", "[9223372036854775807]", "{9223372036854775807}"),
        kept("real[]", "[0.1, 1e38]", "{0.1,1e+38}"),
        kept("double precision[]", "[0.1, -5e-324]", "{0.1,-5e-324}"),
        kept("numeric(5,2)[]", "[1.25, 999.99]", "{1.25,999.99}"),
        refused("numeric(5,2)[]", "[1.255]", "out_of_range"),
        kept("boolean[]", "[true, 0]", "{t,f}"),
        kept("text[]", r#"["a\"b\\c,{}", "", "NULL", null, " "]"#, r#"{"a\"b\\c,{}","","NULL",NULL," "}"#),
        kept("varchar(3)[]", r#"["abc"]"#, "{abc}"),
        refused("varchar(3)[]", r#"["abcd"]"#, "too_long"),
        kept("char(3)[]", r#"["ab"]"#, "{\"ab \"}"),
        kept("bytea[]", r#"["\u0000\u00e9"]"#, r#"{"\\x00c3a9"}"#),
        kept("uuid[]", r#"["a0eebc999c0b4ef8bb6d6bb9bd380a11"]"#, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
        kept("timestamp(3)[]", r#"["2024-06-01T12:00:00.1239Z"]"#, r#"{"2024-06-01 12:00:00.123"}"#),
        kept("timestamptz[]", "[0]", r#"{"1970-01-01 00:00:00+00"}"#),
        kept("date[]", r#"["2024-06-01"]"#, "{2024-06-01}"),
        kept("time[]", r#"["12:30"]"#, "{12:30:00}"),
        kept("interval[]", r#"["P1D"]"#, "{\"1 day\"}"),
        kept("inet[]", r#"["::1"]"#, "{::1}"),
        kept("json[]", r#"[[1], "x"]"#, r#"{[1],"\"x\""}"#),
        kept("jsonb[]", r#"[{"a": [1, 2]}]"#, r#"{"{\"a\": [1, 2]}"}"#),
        refused("jsonb[]", r#"["\u0000"]"#, "out_of_range"),
    ]
}

/// Types without one.
fn others() -> Vec<Case> {
    vec![
        kept("mood[]", r#"["sad", null]"#, "{sad,NULL}"),
        refused("mood[]", r#"["glad"]"#, "wrong_type"),
        kept("\"char\"", "\"a\"", "a"),
        refused("\"char\"", "\"ab\"", "too_long"),
        refused("\"char\"", "\"é\"", "too_long"),
        kept("money", "-12.34", "-12.34"),
        kept("money", "92233720368547758.07", "92233720368547758.07"),
        refused("money", "92233720368547758.08", "out_of_range"),
        refused("money", "0.001", "out_of_range"),
        kept("bit(3)", "\"101\"", "101"),
        refused("bit(3)", "\"1011\"", "refused"),
        refused("bit(3)", "\"10\"", "refused"),
        kept("bit varying(3)", "\"10\"", "10"),
        refused("bit varying(3)", "\"1011\"", "too_long"),
        kept("int4range", "\"[1,5)\"", "[1,5)"),
        refused("int4range", "\"[5,1)\"", "refused"),
        kept("oid", "4294967295", "4294967295"),
        kept("point", "\"(1,2.5)\"", "(1,2.5)"),
        kept("tsvector", "\"a b\"", "'a' 'b'"),
        refused("point", "\"here\"", "wrong_type"),
    ]
}

fn read(column: &str, value: &str) -> String {
    match column {
        // What its text is depends on the locale.
        "money" => format!("{value}::numeric::text"),
        _ => format!("{value}::text"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_every_value_or_it_is_refused() {
    let trial = |name, settings, suffix, cases| Trial { name, settings, suffix, cases };
    // As many rows as are worth a merge.
    let twice = [binary(), binary()].concat();
    let trials = [
        trial(
            "copied",
            "    lanes: 1\n",
            "; CREATE TRIGGER note AFTER INSERT ON t_copied EXECUTE FUNCTION note()",
            binary(),
        ),
        // A table with a rule takes no `COPY`.
        trial(
            "inserted",
            "",
            "; CREATE TRIGGER note AFTER INSERT ON t_inserted EXECUTE FUNCTION note(); \
             CREATE RULE none AS ON UPDATE TO t_inserted DO ALSO NOTHING",
            binary(),
        ),
        trial(
            "merged",
            "    lanes: 1\n    mode: upsert\n    key: [n]\n",
            "; CREATE TRIGGER note AFTER INSERT ON t_merged EXECUTE FUNCTION note()",
            twice,
        ),
        trial("others", "", "; CREATE TRIGGER note AFTER INSERT ON t_others EXECUTE FUNCTION note()", others()),
    ];
    let database = check(Kind::Postgres, PREPARE, &trials, read).await;
    let ways = database.rows("SELECT DISTINCT name || ' ' || way FROM noted").await.concat();
    for (way, is_taken) in [
        ("t_copied copy", true),
        ("t_merged merge", true),
        ("t_inserted insert", true),
        ("t_inserted copy", false),
        ("t_others insert", true),
        ("t_others copy", false),
    ] {
        assert_eq!(ways.contains(&Some(way.to_owned())), is_taken, "{way}: {ways:?}");
    }
}
