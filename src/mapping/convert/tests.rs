//! What each kind of column takes, and what it refuses: at the ends of its range and just beyond them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::mapping::timestamp::from_text;
use crate::row::{Array, Row};
use crate::table::{Address, IntervalPart};
use crate::value_format::{BytesEncoding, EpochUnit, Zone};
use RejectionClass::{BadJson, OutOfRange, TooLong, WrongType};

const FORMAT: ValueFormat = ValueFormat { zone: Zone::Utc, epoch: EpochUnit::Auto, encoding: BytesEncoding::Text };

fn column(kind: ColumnKind) -> Column {
    Column::new("c", "type", kind)
}

fn int() -> ColumnKind {
    ColumnKind::Int { min: i128::from(i32::MIN), max: i128::from(i32::MAX), takes_bool: false }
}

fn unsigned() -> ColumnKind {
    ColumnKind::Int { min: 0, max: i128::from(u64::MAX), takes_bool: true }
}

fn decimal(precision: u32, scale: i32) -> ColumnKind {
    ColumnKind::Decimal { precision: Some(precision), scale: Some(scale), as_float: false }
}

fn float_decimal() -> ColumnKind {
    ColumnKind::Decimal { precision: Some(30), scale: Some(9), as_float: true }
}

fn text_of(max_chars: Option<u64>, max_bytes: Option<u64>) -> ColumnKind {
    ColumnKind::Text { max_chars, max_bytes }
}

fn timestamp(fraction_digits: u32) -> ColumnKind {
    ColumnKind::timestamp(fraction_digits, 1..=9999)
}

fn clock(clock: Clock, fraction_digits: u32) -> ColumnKind {
    ColumnKind::Time { clock, fraction_digits }
}

fn interval(smallest: IntervalPart, fraction_digits: u32) -> ColumnKind {
    ColumnKind::Interval { smallest, fraction_digits }
}

fn choice(several: bool) -> ColumnKind {
    ColumnKind::Choice { members: vec!["a".into(), "b".into()], several }
}

fn array_of(kind: ColumnKind) -> ColumnKind {
    ColumnKind::Array { element: Box::new(column(kind)) }
}

fn array<const N: usize>(lengths: &[u32], values: [Value<'static>; N]) -> Value<'static> {
    Value::Array(Array::new(lengths, values.into_iter().collect::<Row>()))
}

fn takes(cases: impl IntoIterator<Item = (ColumnKind, &'static str, Value<'static>)>) {
    for (kind, document, expected) in cases {
        assert_eq!(super::json(document, &column(kind.clone()), &FORMAT), Ok(expected), "{document} to {kind:?}");
    }
}

fn refuses(cases: impl IntoIterator<Item = (ColumnKind, &'static str, RejectionClass)>) {
    for (kind, document, class) in cases {
        let rejection = super::json(document, &column(kind.clone()), &FORMAT).unwrap_err();
        assert_eq!(rejection.class, class, "{document} to {kind:?}: {rejection}");
    }
}

fn text(value: &'static str) -> Value<'static> {
    Value::text(value)
}

#[test]
fn whole_numbers() {
    takes([
        (int(), "null", Value::Null),
        (int(), "42", Value::Int(42)),
        (int(), "42.0", Value::Int(42)),
        (int(), "1e3", Value::Int(1000)),
        (int(), "12.5e1", Value::Int(125)),
        (int(), "-0", Value::Int(0)),
        (int(), "-0.0", Value::Int(0)),
        (int(), "0e99", Value::Int(0)),
        (int(), r#""-7""#, Value::Int(-7)),
        (int(), "2147483647", Value::Int(2147483647)),
        (int(), "-2147483648.00", Value::Int(-2147483648)),
        (unsigned(), "18446744073709551615", Value::UInt(u64::MAX)),
        (unsigned(), "1e18", Value::Int(1_000_000_000_000_000_000)),
        (unsigned(), "9007199254740993.0", Value::Int(9_007_199_254_740_993)),
        (unsigned(), "true", Value::Int(1)),
        (unsigned(), r#""true""#, Value::Int(1)),
    ]);
    refuses([
        (int(), "2147483648", OutOfRange),
        (int(), "-2147483649", OutOfRange),
        (int(), "1e300", OutOfRange),
        (int(), "1e99999999999999999999", OutOfRange),
        (int(), "1.5", WrongType),
        (int(), "1e-1", WrongType),
        (int(), "1.00000000000000001", WrongType),
        (int(), r#""12x""#, WrongType),
        (int(), r#""""#, WrongType),
        (int(), r#"" 1""#, WrongType),
        (int(), r#""+1""#, WrongType),
        (int(), "true", WrongType),
        (int(), r#""true""#, WrongType),
        (int(), "[1]", WrongType),
        (unsigned(), "-1", OutOfRange),
        (unsigned(), "18446744073709551616", OutOfRange),
        (unsigned(), "4503599627370497.4", WrongType),
    ]);
}

#[test]
fn booleans() {
    takes([
        (ColumnKind::Bool, "true", Value::Bool(true)),
        (ColumnKind::Bool, "1", Value::Bool(true)),
        (ColumnKind::Bool, r#""0""#, Value::Bool(false)),
        (ColumnKind::Bool, r#""false""#, Value::Bool(false)),
    ]);
    refuses([(ColumnKind::Bool, "2", WrongType), (ColumnKind::Bool, r#""yes""#, WrongType)]);
}

#[test]
fn floats() {
    let (double, single) = (ColumnKind::Float { single: false }, ColumnKind::Float { single: true });
    takes([
        (double.clone(), "0.1", Value::Float(0.1)),
        (double.clone(), "-0.0", Value::Float(-0.0)),
        (double.clone(), "0e-999", Value::Float(0.0)),
        (double.clone(), "1.7976931348623157e308", Value::Float(f64::MAX)),
        (double.clone(), "5e-324", Value::Float(5e-324)),
        (single.clone(), "3.4028234e38", Value::Float(3.4028234e38)),
        (single.clone(), "1e-45", Value::Float(1e-45)),
    ]);
    refuses([
        (double.clone(), "1e309", OutOfRange),
        (double.clone(), "1e-400", OutOfRange),
        (double.clone(), r#""inf""#, WrongType),
        (double, r#""NaN""#, WrongType),
        (single.clone(), "1e39", OutOfRange),
        (single, "1e-50", OutOfRange),
    ]);
}

#[test]
fn decimals() {
    let unlimited = || ColumnKind::Decimal { precision: None, scale: None, as_float: false };
    takes([
        (decimal(30, 9), "12345678901234567890.123456789", text("12345678901234567890.123456789")),
        (decimal(3, 1), "1.50", text("1.50")),
        (decimal(3, 3), "-0.001", text("-0.001")),
        (decimal(3, 0), "1e+2", text("100")),
        (decimal(3, 2), "-12.5e-1", text("-1.25")),
        (decimal(1, 0), "0.000", text("0.000")),
        (decimal(1, 0), "-0e4000000000", text("0")),
        (decimal(5, 2), "999.99", text("999.99")),
        (decimal(5, -2), "1234500", text("1234500")),
        (decimal(3, 5), "0.00999", text("0.00999")),
        // Not written out: only PostgreSQL has them, and reads them as they are.
        (unlimited(), "1e131071", text("1e131071")),
        (unlimited(), "1e-16383", text("1e-16383")),
    ]);
    refuses([
        (decimal(5, 2), "1000", OutOfRange),
        (decimal(5, 2), "1.234", OutOfRange),
        (decimal(5, 2), "1e-3", OutOfRange),
        (decimal(5, 2), "12e9223372036854775807", OutOfRange),
        (decimal(5, 2), "12e-9223372036854775808", OutOfRange),
        (decimal(5, -2), "1234550", OutOfRange),
        (decimal(5, -2), "12345600", OutOfRange),
        (decimal(3, 5), "0.01", OutOfRange),
        (unlimited(), "1e131072", OutOfRange),
        (unlimited(), "1e-16384", OutOfRange),
        (unlimited(), r#""NaN""#, WrongType),
    ]);
}

#[test]
fn decimals_that_sqlite_keeps() {
    takes([
        (float_decimal(), "123456.123456789", text("123456.123456789")),
        (float_decimal(), "9223372036854775807", text("9223372036854775807")),
        (float_decimal(), "1e18", text("1e18")),
        (ColumnKind::NumberOrText, "1.5", text("1.5")),
        (ColumnKind::NumberOrText, r#""1.5""#, text("1.5")),
        (ColumnKind::NumberOrText, r#""-7""#, text("-7")),
        (ColumnKind::NumberOrText, r#""7a""#, text("7a")),
        (ColumnKind::NumberOrText, r#""nan""#, text("nan")),
    ]);
    refuses([
        (float_decimal(), "1234567.123456789", OutOfRange),
        (float_decimal(), "9223372036854775808", OutOfRange),
        (float_decimal(), "9007199254740993.0", OutOfRange),
        (ColumnKind::NumberOrText, "1e400", OutOfRange),
        (ColumnKind::NumberOrText, r#""007""#, OutOfRange),
        (ColumnKind::NumberOrText, r#"" 7 ""#, OutOfRange),
        (ColumnKind::NumberOrText, r#""1.50""#, OutOfRange),
        (ColumnKind::NumberOrText, r#""1e5""#, OutOfRange),
        (ColumnKind::NumberOrText, r#"".5""#, OutOfRange),
    ]);
}

#[test]
fn equal_decimals_have_one_canonical_form() {
    for (number, expected) in [
        ("1", "1"),
        ("1.0", "1"),
        ("01.50", "1.5"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("12.5e-3", "0.0125"),
        ("-0.00", "0"),
        ("-00.10", "-0.1"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
    ] {
        assert_eq!(super::number::canonical_decimal(number), expected, "{number}");
    }
}

#[test]
fn texts() {
    let two = || text_of(Some(2), None);
    takes([
        (two(), "\"é\u{1F600}\"", text("é\u{1F600}")),
        (two(), r#""\u00e9\ud83d\ude00""#, text("é\u{1F600}")),
        (text_of(None, Some(4)), "\"\u{1F600}\"", text("\u{1F600}")),
        (text_of(None, None), "1.10", text("1.10")),
        (text_of(None, None), "true", text("true")),
        (text_of(None, None), r#""a\nb\\""#, text("a\nb\\")),
        (choice(false), r#""a""#, text("a")),
        (choice(true), r#""b,a""#, text("b,a")),
        (choice(true), r#"["b", "a"]"#, text("b,a")),
        (choice(true), "[]", text("")),
        (ColumnKind::Other, "5", text("5")),
    ]);
    refuses([
        (two(), r#""abc""#, TooLong),
        (text_of(None, Some(3)), "\"\u{1F600}\"", TooLong),
        (text_of(None, None), r#""a\u0000b""#, OutOfRange),
        (text_of(None, None), r#""\ud800""#, BadJson),
        (text_of(None, None), r#""\udc00\ud800""#, BadJson),
        (text_of(None, None), r#"{"a": 1}"#, WrongType),
        (choice(false), r#""c""#, WrongType),
        (choice(false), r#""a,b""#, WrongType),
        (choice(false), "1", WrongType),
        (choice(true), r#"["a,b"]"#, WrongType),
        (choice(true), r#"["c"]"#, WrongType),
        (ColumnKind::Uuid, r#""x""#, WrongType),
    ]);
    let uuid = text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    for form in ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"] {
        assert_eq!(super::text(form, &column(ColumnKind::Uuid), &FORMAT), Ok(uuid.clone()));
    }
}

#[test]
fn json_stays_as_it_stands() {
    let jsonb = Column { cast_type: r#""pg_catalog"."jsonb""#.into(), ..column(ColumnKind::Json) };
    let json = column(ColumnKind::Json);
    for document in
        [r#"{"a": [1, 1.10]}"#, r#""x""#, "1.10", "true", r#"["\ud83d\ude00", "\\ud800", "\\\\", "\n", "é"]"#]
    {
        for column in [&json, &jsonb] {
            assert_eq!(super::json(document, column, &FORMAT), Ok(Value::text(document)));
        }
    }
    assert_eq!(super::json("null", &json, &FORMAT), Ok(Value::Null));
    assert_eq!(super::text("a\"b", &json, &FORMAT), Ok(Value::text(r#""a\"b""#)));
    for document in [r#"{"a": "\ud800"}"#, r#"["\ud800\ud800"]"#, r#"["\udfff"]"#, r#"{"\uDC00": 1}"#, r#""\ud83dx""#] {
        for column in [&json, &jsonb] {
            assert_eq!(super::json(document, column, &FORMAT).unwrap_err().class, BadJson, "{document}");
        }
    }
    let nul = r#"{"a": "\\\u0000"}"#;
    assert_eq!(super::json(nul, &json, &FORMAT), Ok(Value::text(nul)));
    assert_eq!(super::json(nul, &jsonb, &FORMAT).unwrap_err().class, OutOfRange);
    assert_eq!(super::text("\0", &jsonb, &FORMAT).unwrap_err().class, OutOfRange);
}

#[test]
fn bytes() {
    let convert = |encoding, max, value: &str| {
        let column = column(ColumnKind::Bytes { max, padded: false });
        let format = ValueFormat { encoding, ..FORMAT };
        super::text(value, &column, &format).map(Value::into_owned).map_err(|rejection| rejection.class)
    };
    use BytesEncoding::{Base64, Hex, Text};
    let bytes = |bytes: &[u8]| Ok(Value::Bytes(bytes.to_vec().into()));
    for (encoding, value, expected) in [
        (Text, "é", bytes("é".as_bytes())),
        (Text, "\0", bytes(&[0])),
        (Base64, "+/8=", bytes(&[0xfb, 0xff])),
        (Base64, "+/8", bytes(&[0xfb, 0xff])),
        (Base64, "-_8", bytes(&[0xfb, 0xff])),
        (Base64, "", bytes(&[])),
        (Base64, "+_8", Err(WrongType)),
        (Base64, "+/9", Err(WrongType)),
        (Base64, "+/8=\n", Err(WrongType)),
        (Base64, "A", Err(WrongType)),
        (Hex, "00fF", bytes(&[0, 255])),
        (Hex, "\\x00ff", bytes(&[0, 255])),
        (Hex, "", bytes(&[])),
        (Hex, "0", Err(WrongType)),
        (Hex, "0x00", Err(WrongType)),
        (Hex, "00 ff", Err(WrongType)),
    ] {
        assert_eq!(convert(encoding, None, value), expected, "{value} as {encoding:?}");
    }
    assert_eq!(convert(Hex, Some(2), "00ff"), bytes(&[0, 255]));
    assert_eq!(convert(Hex, Some(2), "00ff00"), Err(TooLong));
    assert_eq!(convert(Text, Some(1), "é"), Err(TooLong));
    refuses([(ColumnKind::Bytes { max: None, padded: false }, "1", WrongType)]);
}

#[test]
fn instants() {
    let time = |value: &str| Value::Timestamp(from_text(value, &FORMAT).unwrap());
    takes([
        (timestamp(3), r#""2024-06-01T12:00:00.123456Z""#, time("2024-06-01T12:00:00.123Z")),
        (timestamp(3), "1717245000123", time("2024-06-01T12:30:00.123Z")),
        (timestamp(0), "1.717245e9", time("2024-06-01T12:30:00Z")),
        (timestamp(0), r#""Sat, 01 Jun 2024 12:30:00 +0200""#, time("2024-06-01T10:30:00Z")),
        (timestamp(6), r#""0001-01-01""#, time("0001-01-01T00:00:00Z")),
        (timestamp(6), r#""9999-12-31T23:59:59.9999999Z""#, time("9999-12-31T23:59:59.999999Z")),
    ]);
    refuses([
        (timestamp(0), r#""yesterday""#, WrongType),
        (timestamp(0), r#""2023-02-29T00:00:00Z""#, WrongType),
        (timestamp(0), "true", WrongType),
        (timestamp(0), "1e20", OutOfRange),
        (timestamp(0), r#""0000-12-31T23:59:59Z""#, OutOfRange),
        (timestamp(0), r#""+10000-01-01T00:00:00Z""#, OutOfRange),
        (timestamp(0), r#""2016-12-31T23:59:60Z""#, OutOfRange),
    ]);
    let berlin = ValueFormat { zone: Zone::parse("Europe/Berlin").unwrap(), ..FORMAT };
    let at = |value| super::text(value, &column(timestamp(0)), &berlin);
    assert_eq!(at("2024-06-01T12:00:00"), Ok(time("2024-06-01T10:00:00Z")));
    let skipped = at("2024-03-31T02:30:00").unwrap_err();
    assert_eq!(skipped.class, OutOfRange);
    assert!(skipped.message.contains("passed over by the clocks of Europe/Berlin"), "{skipped}");
}

#[test]
fn days_and_times() {
    let day = || clock(Clock::Day, 3);
    let span = || clock(Clock::Span, 0);
    let with_offset = || clock(Clock::DayWithOffset, 6);
    takes([
        (ColumnKind::Date, r#""2024-02-29""#, text("2024-02-29")),
        (ColumnKind::Date, r#""0001-01-01""#, text("0001-01-01")),
        (ColumnKind::Date, r#""9999-12-31""#, text("9999-12-31")),
        (day(), r#""12:30""#, text("12:30:00")),
        (day(), r#""12:30:01.120""#, text("12:30:01.12")),
        (day(), r#""23:59:59.9999""#, text("23:59:59.999")),
        (with_offset(), r#""12:30:00-05:30""#, text("12:30:00-05:30")),
        (with_offset(), r#""12:30:00Z""#, text("12:30:00+00:00")),
        (with_offset(), r#""12:30+02""#, text("12:30:00+02:00")),
        (with_offset(), r#""12:30""#, text("12:30:00+00:00")),
        (span(), r#""838:59:59""#, text("838:59:59")),
        (span(), r#""-838:59:59""#, text("-838:59:59")),
        (span(), r#""-00:00:00""#, text("00:00:00")),
    ]);
    refuses([
        (ColumnKind::Date, r#""2023-02-29""#, WrongType),
        (ColumnKind::Date, r#""0000-01-01""#, WrongType),
        (ColumnKind::Date, r#""10000-01-01""#, WrongType),
        (ColumnKind::Date, r#""2024-2-29""#, WrongType),
        (ColumnKind::Date, r#""2024-02-29T00:00:00Z""#, WrongType),
        (ColumnKind::Date, "20240229", WrongType),
        (day(), r#""24:00:00""#, OutOfRange),
        (day(), r#""12:60:00""#, OutOfRange),
        (day(), r#""12:30:60""#, OutOfRange),
        (day(), r#""-01:00:00""#, WrongType),
        (day(), r#""12:30:00Z""#, WrongType),
        (day(), r#""12:30:00+02:00""#, WrongType),
        (day(), r#""1:30""#, WrongType),
        (day(), r#""12:30:""#, WrongType),
        (day(), r#""12:30:00.""#, WrongType),
        (day(), r#""12:30 PM""#, WrongType),
        (day(), r#""é2:30""#, WrongType),
        (day(), "45000", WrongType),
        (with_offset(), r#""12:30:00+16:00""#, WrongType),
        (with_offset(), r#""12:30:00+é""#, WrongType),
        (with_offset(), r#""12:30:00+""#, WrongType),
        (span(), r#""839:00:00""#, OutOfRange),
        (span(), r#""-839:00:00""#, OutOfRange),
    ]);
    let berlin = ValueFormat { zone: Zone::parse("Europe/Berlin").unwrap(), ..FORMAT };
    assert!(super::text("12:30", &column(with_offset()), &berlin).unwrap_err().message.contains("needs an offset"));
}

#[test]
fn lengths_of_time() {
    takes([
        (interval(IntervalPart::Second, 6), r#""P1Y2M3DT4H5M6.5S""#, text("14 mons 3 days +04:05:06.500000")),
        (interval(IntervalPart::Second, 6), r#""90 minutes""#, text("0 mons 0 days +01:30:00.000000")),
        (interval(IntervalPart::Year, 6), r#""24 months""#, text("24 mons 0 days +00:00:00.000000")),
    ]);
    refuses([
        (interval(IntervalPart::Second, 6), r#""soon""#, WrongType),
        (interval(IntervalPart::Second, 6), "90", WrongType),
        (interval(IntervalPart::Second, 0), r#""PT0.5S""#, OutOfRange),
        (interval(IntervalPart::Minute, 6), r#""PT90S""#, OutOfRange),
        (interval(IntervalPart::Day, 6), r#""PT24H""#, OutOfRange),
        (interval(IntervalPart::Month, 6), r#""P1M1D""#, OutOfRange),
        (interval(IntervalPart::Year, 6), r#""P1Y1M""#, OutOfRange),
    ]);
}

#[test]
fn addresses() {
    for (address, value, expected) in [
        (Address::Host, "10.0.0.1", Ok("10.0.0.1")),
        (Address::Host, "10.0.0.1/32", Ok("10.0.0.1")),
        (Address::Host, "10.0.0.1/24", Ok("10.0.0.1/24")),
        (Address::Host, "2001:DB8:0::1/64", Ok("2001:db8::1/64")),
        (Address::Host, "10.0.0.1/33", Err(WrongType)),
        (Address::Host, "10.0.0.1/+8", Err(WrongType)),
        (Address::Host, "10.0.0.256", Err(WrongType)),
        (Address::Host, "10.0.0", Err(WrongType)),
        (Address::Host, "fe80::1%eth0", Err(WrongType)),
        (Address::Network, "10.0.0.0/8", Ok("10.0.0.0/8")),
        (Address::Network, "0.0.0.0/0", Ok("0.0.0.0/0")),
        (Address::Network, "10.0.0.1", Ok("10.0.0.1/32")),
        (Address::Network, "10.0.0.1/8", Err(OutOfRange)),
        (Address::Network, "::1/127", Err(OutOfRange)),
        (Address::V4, "10.0.0.1", Ok("10.0.0.1")),
        (Address::V4, "::1", Err(WrongType)),
        (Address::V6, "::1", Ok("::1")),
        (Address::V6, "10.0.0.1", Err(WrongType)),
        (Address::Mac, "08-00-2B-01-02-03", Ok("08:00:2b:01:02:03")),
        (Address::Mac, "0800.2b01.0203", Ok("08:00:2b:01:02:03")),
        (Address::Mac, "08002b010203", Ok("08:00:2b:01:02:03")),
        (Address::Mac, "08:00-2b:01:02:03", Err(WrongType)),
        (Address::Mac, "08:00:2b:01:02", Err(WrongType)),
        (Address::Mac, "08:00:2b:01:02:0g", Err(WrongType)),
        (Address::Mac8, "08:00:2b:01:02:03:04:05", Ok("08:00:2b:01:02:03:04:05")),
        (Address::Mac8, "08:00:2b:01:02:03", Err(WrongType)),
    ] {
        let converted = super::text(value, &column(ColumnKind::Address(address)), &FORMAT);
        assert_eq!(converted.map_err(|rejection| rejection.class), expected.map(Value::text), "{value} as {address:?}");
    }
}

#[test]
fn arrays() {
    let [one, two] = [Value::Int(1), Value::Int(2)];
    takes([
        (array_of(int()), "[1, null, 2]", array(&[3], [one.clone(), Value::Null, two.clone()])),
        (array_of(int()), "[]", array(&[], [])),
        (array_of(int()), "[[1], [2]]", array(&[2, 1], [one.clone(), two.clone()])),
        (array_of(int()), r#""[1, 2]""#, array(&[2], [one, two])),
        (array_of(ColumnKind::Json), "[[1], {}]", array(&[2], [text("[1]"), text("{}")])),
        (array_of(text_of(Some(1), None)), r#"["a", "\u00e9"]"#, array(&[2], [text("a"), text("é")])),
        (array_of(decimal(5, 2)), "[1.25]", array(&[1], [text("1.25")])),
    ]);
    refuses([
        (array_of(int()), "1", WrongType),
        (array_of(int()), r#""{1,2}""#, WrongType),
        (array_of(int()), r#"{"a": 1}"#, WrongType),
        (array_of(int()), "[[1], [2, 3]]", WrongType),
        (array_of(int()), "[[1], 2]", WrongType),
        (array_of(int()), "[1, [2]]", WrongType),
        (array_of(int()), "[null, [2]]", WrongType),
        (array_of(int()), "[[2], null]", WrongType),
        (array_of(int()), "[[], []]", WrongType),
        (array_of(int()), "[[[[[[[1]]]]]]]", WrongType),
        (array_of(int()), "[1, 2147483648]", OutOfRange),
        (array_of(text_of(Some(1), None)), r#"["a", "bc"]"#, TooLong),
        (array_of(text_of(None, None)), r#"["\ud800"]"#, BadJson),
        (array_of(decimal(5, 2)), "[1.255]", OutOfRange),
    ]);
    let rejection = super::json("[1, 2.5]", &column(array_of(int())), &FORMAT).unwrap_err();
    assert_eq!(rejection.message, "element 1: `2.5` is not a whole number");
}

#[test]
fn keys_have_the_form_in_which_they_are_stored() {
    let padded = column(ColumnKind::Bytes { max: Some(3), padded: true });
    assert_eq!(canonical(Value::Bytes(vec![1].into()), &padded), Value::Bytes(vec![1, 0, 0].into()));
    let single = column(ColumnKind::Float { single: true });
    assert_eq!(canonical(Value::Float(0.1), &single), Value::Float(f64::from(0.1f32)));
    assert_eq!(canonical(text("1.0"), &column(decimal(5, 2))), text("1"));
}
