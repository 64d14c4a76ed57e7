//! What expressions answer, what they are refused for, and that nothing accepted can hang or blow up the process.

use std::time::{Duration, Instant};

use super::*;

const NAMES: [&str; 5] = ["$id", "$key", "$op", "$timestamp", "$tenant"];

const ORDER: &str = r#"{
    "status": "paid", "total": 1249.50, "cents": 123405, "amount": 12345678901234567890.123456789,
    "email": "Ada.Lovelace@Example.COM", "placed_at": "2024-06-01T12:34:56Z",
    "customer": {"id": "c-991", "first": "Ada", "last": "Lovelace"},
    "items": [{"sku": "A1", "quantity": 2, "price": 49.99}, {"sku": "A2", "quantity": 1, "price": 19.99}],
    "attributes": {"colour": {"v": "red"}, "size": {"v": "XL"}},
    "shipping": {"method": "express"}, "none": null
}"#;

fn variables() -> [(&'static str, Variable<'static>); 5] {
    [
        ("$id", Variable::Text("1718000000000-5")),
        ("$key", Variable::Text("order:acme:17")),
        ("$op", Variable::Text("insert")),
        ("$timestamp", Variable::Integer(1_718_000_000_000)),
        ("$tenant", Variable::None),
    ]
}

fn compile(text: &str) -> Expression {
    Expression::compile(text, &NAMES).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn evaluate(text: &str, document: &str) -> Result<Option<String>, ExpressionFault> {
    compile(text).evaluate(&Input::read(document)?, &variables())
}

#[track_caller]
fn gives(text: &str, result: &str) {
    assert_eq!(evaluate(text, ORDER), Ok(Some(result.to_owned())), "{text}");
}

fn problem(text: &str) -> String {
    match Expression::compile(text, &NAMES) {
        Ok(_) => panic!("{text} was accepted"),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn columns_are_computed() {
    gives(r#".customer.first + " " + .customer.last"#, r#""Ada Lovelace""#);
    gives(r#""\(.customer.first) \(.customer.last)""#, r#""Ada Lovelace""#);
    gives(".email | ascii_downcase", r#""ada.lovelace@example.com""#);
    gives(r#"if .total > 1000 then "large" elif .total > 100 then "middle" else "small" end"#, r#""large""#);
    gives("[.items[].quantity] | add", "3");
    gives(r#"first(.items[] | select(.sku == "A2")).quantity"#, "1");
    gives(r#".shipping.address.country // "DE""#, r#""DE""#);
    gives(r#".placed_at | fromdate | strftime("%d.%m.%Y %H:%M")"#, r#""01.06.2024 12:34""#);
    gives(r#"$key | split(":")[1]"#, r#""acme""#);
    gives(r#"$key | capture("^order:(?<tenant>[a-z]+):(?<number>\\d+)$") | .number | tonumber"#, "17");
    gives("$timestamp / 1000 | todate", r#""2024-06-10T06:13:20Z""#);
    gives(r#".email | test("@EXAMPLE"; "i")"#, "true");
    gives(r#".email | sub("@.*"; "")"#, r#""Ada.Lovelace""#);
    gives(r#""a-b-c" | gsub("(?<one>[a-z])"; "<\(.one)>")"#, r#""<a>-<b>-<c>""#);
    gives("[.items[].sku] | join(\",\")", r#""A1,A2""#);
    gives(".items | map(.quantity * .price) | add", "119.97");
    gives("reduce .items[] as {quantity: $n} (0; . + $n)", "3");
    gives("[foreach .items[] as $item (0; . + $item.quantity)]", "[2,3]");
}

#[test]
fn documents_are_reshaped() {
    gives(
        "{id: $id, customer: .customer.id, items: [.items[] | {sku, n: .quantity}], a: .attributes | map_values(.v)}",
        r#"{"id":"1718000000000-5","customer":"c-991","items":[{"sku":"A1","n":2},{"sku":"A2","n":1}],"a":{"colour":"red","size":"XL"}}"#,
    );
    gives(".customer + {since: 2019} | del(.first)", r#"{"id":"c-991","since":2019,"last":"Lovelace"}"#);
    gives(
        ".items[0] | .quantity += 1 | .price *= 2 | .name //= \"?\"",
        r#"{"sku":"A1","quantity":3,"price":99.98,"name":"?"}"#,
    );
    gives(".items | map(.price |= tostring)[0]", r#"{"sku":"A1","quantity":2,"price":"49.99"}"#);
    gives(".attributes | with_entries(.value |= .v)", r#"{"colour":"red","size":"XL"}"#);
    gives("[.customer | to_entries[] | .key]", r#"["id","first","last"]"#);
    gives(".items | group_by(.quantity > 1) | map(length)", "[1,1]");
    gives("[.. | numbers] | length", "7");
    gives("[.items[] | select(.sku != \"A1\")] | first | .sku", r#""A2""#);
    gives("(.items[] | select(.sku == \"A1\") | .quantity) = 9 | .items[0].quantity", "9");
    gives("[paths(type == \"number\")] | length", "7");
    gives("pick(.customer.id)", r#"{"customer":{"id":"c-991"}}"#);
    gives("[1, [2, [3]]] | flatten", "[1,2,3]");
    gives(". as {customer: {$first}, items: [$one]} | [$first, $one.sku]", r#"["Ada","A1"]"#);
    gives("[[1, 2], [3]] | transpose", "[[1,3],[2,null]]");
}

#[test]
fn nothing_and_null_are_no_value() {
    for text in [".missing", ".none", "empty", "$tenant", ".items[] | select(.sku == \"Z\")"] {
        assert_eq!(evaluate(text, ORDER), Ok(None), "{text}");
    }
    assert_eq!(evaluate(".items[].sku", ORDER), Err(ExpressionFault::Many));
    gives("false", "false");
}

#[test]
fn decimals_pass_through_untouched() {
    gives(".amount", "12345678901234567890.123456789");
    gives("{a: .amount, b: [.amount]} | .b[0]", "12345678901234567890.123456789");
    gives(".amount | tostring", r#""12345678901234567890.123456789""#);
    gives("\"\\(.amount)\"", r#""12345678901234567890.123456789""#);
    gives(".amount | tojson | fromjson", "12345678901234567890.123456789");
    gives("[.amount, 1] | max", "12345678901234567890.123456789");
    gives(".total", "1249.50");
    gives("-.amount | abs", "12345678901234567890.123456789");
    gives("12345678901234567890.123456789", "12345678901234567890.123456789");
    for number in ["1e400", "1E-7", "-0", "0.10", "123456789012345678901234567890", "-1.0e+2"] {
        let expected = if number == "-0" { "0" } else { number };
        assert_eq!(evaluate(".[0]", &format!("[{number}]")), Ok(Some(expected.to_owned())));
    }
}

#[test]
fn decimals_are_calculated_with_exactly() {
    gives(".cents / 100", "1234.05");
    gives("[.items[].price] | add", "69.98");
    gives(".amount + 0.000000001", "12345678901234567890.123456790");
    gives(".amount * 100 | floor", "1234567890123456789012");
    gives(".total - 1249.5", "0.00");
    gives("\"2024-06-01T12:34:56.123456789Z\" | fromdate", "1717245296.123456789");
    gives("\"2024-06-01T12:34:56.123456789Z\" | fromdate | todate", r#""2024-06-01T12:34:56.123456789Z""#);
}

#[test]
fn times_are_converted() {
    gives(r#""01/02/2024" | strptime("%d/%m/%Y") | mktime"#, "1706745600");
    gives(
        r#""2024-02-01 10:20:30 +0200" | strptime("%Y-%m-%d %H:%M:%S %z") | mktime | todate"#,
        r#""2024-02-01T08:20:30Z""#,
    );
    gives(r#""2024-02-01T10:20:30.5" | strptime("%Y-%m-%dT%H:%M:%S%.f") | mktime"#, "1706782830.5");
    gives("-0.5 | todate", r#""1969-12-31T23:59:59.500Z""#);
    for text in [r#""yesterday" | fromdate"#, r#"1e300 | todate"#, r#"1 | strftime("%Q")"#, "[1] | mktime"] {
        assert!(matches!(evaluate(text, ORDER), Err(ExpressionFault::Failed(_))), "{text}");
    }
}

#[test]
fn filters_answer_true_or_false() {
    let document = Input::read(ORDER).unwrap();
    let holds = |text: &str| compile(text).holds(&document, &variables());
    assert_eq!(holds(r#".status == "paid" and $op != "delete""#), Ok(true));
    assert_eq!(holds(r#".total > 2000 or (.customer.id | startswith("x"))"#), Ok(false));
    assert_eq!(holds(r#"any(.items[]; .sku == "A2")"#), Ok(true));
    assert_eq!(holds(r#".tags | . != null and contains(["a"])"#), Ok(false));
    assert_eq!(holds(".status"), Err(ExpressionFault::NotBoolean("\"paid\"".to_owned())));
    assert_eq!(holds(".missing"), Err(ExpressionFault::NotBoolean("null".to_owned())));
    assert_eq!(holds("select(false)"), Err(ExpressionFault::NotBoolean("nothing".to_owned())));
    assert_eq!(holds("true, true"), Err(ExpressionFault::Many));
    let long = holds("[.items, .items, .items, .items]").unwrap_err().to_string();
    assert!(long.ends_with('…') && long.len() < 300, "{long}");
}

#[test]
fn faults_say_what_failed() {
    for (text, words) in [
        (".status.nested", "cannot index"),
        (".status + 1", "cannot calculate"),
        (".cents / 0", "divided by zero"),
        ("error(\"no such tenant\")", "no such tenant"),
        ("\"a\" | tonumber", "not JSON"),
        ("\"a\" * 1000000000", "only numbers and objects"),
        ("{(1, 2 | tostring): 3} | .[{}]", "an index is a text or a number"),
    ] {
        let fault = evaluate(text, ORDER).unwrap_err().to_string();
        assert!(fault.contains(words), "{text}: {fault}");
    }
    for text in ["{(.cents): 1}", "[1e308 * 1e308 / 7]"] {
        assert!(matches!(evaluate(text, ORDER), Err(ExpressionFault::NotJson(_))), "{text}");
    }
}

#[test]
fn only_json_is_read() {
    for bad in
        ["", "{", "nul", "[1,]", "{\"a\":1}x", "NaN", "Infinity", "+1", "01", "[1 # 2\n]", "b\"x\"", "'a'", "{1:2}"]
    {
        assert!(matches!(Input::read(bad), Err(ExpressionFault::Document(_))), "{bad}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    Input::read(&deep(NESTING_MAX)).unwrap();
    for depth in [NESTING_MAX + 1, 1_000_000] {
        assert!(matches!(Input::read(&deep(depth)), Err(ExpressionFault::Document(_))));
        let text = format!("[{:?}]", deep(depth));
        assert!(matches!(evaluate(".[0] | fromjson", &text), Err(ExpressionFault::Failed(_))));
    }
    Input::read(&format!("{:?}", "[{".repeat(1_000))).unwrap();
    assert!(Input::read(&"9".repeat(2_000_000)).is_err());
}

#[test]
fn problems_have_their_place() {
    for (text, words) in [
        (".a +", "line 1, column 5: a value is expected, but the expression ends here"),
        (".a | (.b", "line 1, column 6: `(` is never closed"),
        (".a\n  | lenght", "line 2, column 5: there is no function `lenght`; did you mean `length`?"),
        ("status == 'paid'", "line 1, column 11: texts stand in double quotes"),
        (".ä | foo", "line 1, column 2: `ä` means nothing here"),
        ("\"ä\" | $nope", "line 1, column 7: there is no variable `$nope`; there are $id, $key"),
        (".a && .b", "line 1, column 4: `&` means nothing here; write `and`"),
        (".a = = 1", "line 1, column 6"),
        ("if .a then 1", "line 1, column 13"),
        ("map(.a; .b)", "line 1, column 1: `map` takes 1 arguments, divided by `;`, not 2"),
        ("zzz", "line 1, column 1: there is no function `zzz`; a member is `.zzz`"),
        (".a | test(\"(\")", "line 1, column 6: the pattern of `test`: unclosed group"),
        (".a | test(.b)", "line 1, column 6: the pattern of `test` must be a text"),
        ("", "line 1, column 1: a value is expected"),
        ("foo::bar", "line 1, column 1: there are no modules"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(words), "{text}: {problem}");
    }
}

#[test]
fn what_might_never_end_or_depends_on_the_machine_is_refused() {
    for text in [
        "def f: f; f",
        "def f: f | f; f",
        "repeat(.)",
        "[limit(3; repeat(.))]",
        "while(true; .)",
        "until(false; .)",
        "recurse(.)",
        "recurse",
        "range(1000000000)",
        "range(0; 1; 0.000001)",
        "[range(0; infinite)]",
        "combinations",
        "now",
        "env.HOME",
        "$ENV.HOME",
        "input",
        "inputs",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "input_filename",
        "import \"a\" as a; 1",
        "include \"a\"; 1",
        "localtime",
        "(reduce .[] as $x (.; .a)) = 1",
        "(foreach .[] as $x (.; .a)) |= 1",
        "getpath([\"a\"]) = 1",
        "del(getpath([\"a\"]))",
        "tobytes",
        "!charge",
        "key_values",
    ] {
        let problem = problem(text);
        assert!(problem.starts_with("line 1, column "), "{text}: {problem}");
    }
    assert!(problem("range(3)").contains("`.[]`"), "how to mend it");
}

/// Each of these ends soon, with a fault or a small answer, for a document made to hurt.
/// Each match of such a pattern is looked for to the end of the text.
#[test]
fn replacements_that_take_the_square_of_a_text_are_given_up() {
    let of = |pattern: &str, part: &str, times: usize| {
        let document = format!(r#"{{"s": "{}"}}"#, part.repeat(times));
        evaluate(&format!(r#".s | gsub("{pattern}"; "") | length"#), &document)
    };
    assert!(matches!(of("<[^>]*>|<", "<", 100_000), Err(ExpressionFault::Work { .. })));
    assert_eq!(of("\\\\s+", "word  ", 10_000), Ok(Some("40000".to_owned())));
}

#[test]
fn nothing_that_is_accepted_hangs_or_grows() {
    let numbers = format!("[{}]", vec!["7"; 3_000].join(","));
    let doubling = ". + .|".repeat(100) + ".";
    let pairs = "[., .]|".repeat(70) + "tostring";
    let fans = "(., .)|".repeat(60) + "empty";
    let boxes = "[.]|".repeat(150) + ".";
    let product =
        format!("{{{}, z: empty}}", ('a'..='y').map(|name| format!("{name}: (1, 2)")).collect::<Vec<_>>().join(", "));
    for text in [
        "\"ab\" as $x | reduce .[] as $i ($x; . + .)",
        "reduce .[] as $i (.; [., .])",
        "reduce .[] as $i (.; [., .]) | . == .",
        "reduce .[] as $i ({}; {a: ., b: .}) | tojson",
        "reduce .[] as $i (.; {a: .})",
        "reduce .[] as $i (2; . * .)",
        "reduce .[] as $i (1.5; . * .)",
        "reduce .[] as $i (3; . / 7)",
        "reduce .[] as $i ([1]; . + .)",
        "reduce .[] as $i (\"a\"; \"\\(.)\\(.)\")",
        "reduce .[] as $i (\"a\"; [., .] | join(.[0]))",
        "reduce .[] as $i (\"a,a\"; split(\",\") | join(\"a,a,a\"))",
        "reduce .[] as $i (.; . as $a | try ($a | .x) catch $a)",
        "[.[] as $a | .[] as $b | .[] as $c | $a + $b + $c] | add",
        "[.[] as $a | .[] as $b | .[] as $c | empty]",
        ". as $d | [.[] | $d == $d]",
        ". as $d | [.[] | $d | sort] | length",
        ". as $d | [.[] | $d | tostring] | length",
        ". as $d | [.[] | $d | contains($d)]",
        ". as $d | [.[] | [$d, $d] | .[0] | indices($d)]",
        ". as $d | [.[] | try ($d | .x) catch .] | length",
        ". as $d | [.[] | ($d | .x)?] | length",
        ". as $d | [.[] | (-$d)?] | length",
        ". as $d | [.[] | $d[1:]] | length",
        ". as $d | [.[] | $d[0] = 1] | length",
        ". as $d | [.[] | $d | map(. + 1)] | length",
        ". as $d | [.[] | $d[]] | length",
        ". as $d | [.[] | $d | ..] | length",
        ". as $d | [.[] | $d - $d] | length",
        ". as $d | [.[] | $d | group_by(.)] | length",
        ". as $d | [.[] | $d | unique_by($d)] | length",
        ". as $d | [.[] | $d | tojson | test(\"(7,){50}$\")] | length",
        "walk([., .])",
        ".. |= [., .]",
        "[.[] | 9e999999] | add",
        "[1000000000000] | transpose",
        "[999999999] | transpose",
        ".[1000000000] = 1",
        "[limit(1000000000000; .[], .[])] | length",
        "flatten(1000000000)",
        "first(.[] | select(. == 8))",
        "tojson | gsub(\"7\"; \"77777777777777777777777777777777\") | length",
        "label $out | foreach .[] as $i (0; . + 1; if . > 5 then ., break $out else empty end)",
        &doubling,
        &pairs,
        &fans,
        &boxes,
        &product,
    ] {
        let expression = compile(text);
        let input = Input::read(&numbers).unwrap();
        let begun = Instant::now();
        let answer = expression.evaluate(&input, &variables());
        let took = begun.elapsed();
        let bytes = answer.ok().flatten().map_or(0, |answer| answer.len());
        assert!(bytes < 1_000_000, "{text} gave {bytes} bytes");
        assert!(took < Duration::from_secs(5), "{text} took {took:?}");
    }
}

/// As deep as is accepted, on half of the stack that a thread has by default.
#[test]
fn accepted_expressions_fit_on_the_stack() {
    let nested = |open: &'static str, inner: &'static str, close: &'static str| {
        move |n: usize| open.repeat(n) + inner + &close.repeat(n)
    };
    let builds: [&dyn Fn(usize) -> String; 30] = [
        &nested("[", "1", "]"),
        &nested("[", ".[]?", "]"),
        &nested("{a:", "1", "}"),
        &nested("- ", "1", ""),
        &nested("1+", "1", ""),
        &nested("(", "1", "+1)"),
        &nested("1,", "1", ""),
        &nested(".|", ".", ""),
        &nested("1 as $x|", "$x", ""),
        &nested("try ", ".", ""),
        &nested("if . then ", "1", " end"),
        &nested("if empty then 1 else ", "1", " end"),
        &nested(". // (", "1", ")"),
        &nested("map(", ".", ")"),
        &nested("map_values(", ".", ")"),
        &nested("select(", ".", ")"),
        &nested("first(", ".", ")"),
        &nested("any(.[]?; ", ".", ")"),
        &nested("with_entries(", ".", ")"),
        &nested("walk(", ".", ")"),
        &nested("sort_by(", ".", ")"),
        &nested("group_by(", ".", ")"),
        &nested("[paths(", ".", ")]"),
        &nested("reduce .[]? as $x (", ".", "; .)"),
        &nested("(. | ", ".", ") |= 1"),
        &|n| format!("({}.) |= 1", ".a?, ".repeat(n)),
        &nested("(.[]? |= ", ".", ")"),
        &|n| format!("{{{}}}", (0..n).map(|n| format!("a{n}:1")).collect::<Vec<_>>().join(",")),
        &|n| format!("\"{}\"", "\\(1)".repeat(n)),
        &|n| format!(".a{}", "[0]?".repeat(n)),
    ];
    let documents = ["{\"a\": [[[1]]]}".to_owned(), "[".repeat(NESTING_MAX) + &"]".repeat(NESTING_MAX)];
    for (number, build) in builds.into_iter().enumerate() {
        let (mut accepted, mut refused) = (1, TEXT_MAX);
        while refused - accepted > 1 {
            let middle = accepted.midpoint(refused);
            let fits = Expression::compile(&build(middle), &NAMES).is_ok();
            *if fits { &mut accepted } else { &mut refused } = middle;
        }
        assert!(accepted > 30, "shape {number}: not more than {accepted}");
        for document in documents.clone() {
            let expression = compile(&build(accepted));
            let on_small_stack = thread::Builder::new().stack_size(1 << 20).spawn(move || {
                let answer = expression.evaluate(&Input::read(&document).unwrap(), &variables());
                drop((expression, answer));
            });
            on_small_stack.unwrap().join().unwrap();
        }
    }
}

/// What the compiler must survive.
#[test]
fn absurd_expressions_are_refused_without_harm() {
    for text in [
        "(".repeat(TEXT_MAX),
        "[".repeat(TEXT_MAX / 2) + &"]".repeat(TEXT_MAX / 2),
        "-".repeat(TEXT_MAX),
        "- ".repeat(TEXT_MAX / 2),
        "try ".repeat(TEXT_MAX / 4),
        ".|".repeat(TEXT_MAX / 2 - 1) + ".",
        "\"\\(".repeat(TEXT_MAX / 3),
        ".[".repeat(TEXT_MAX / 2),
        ". as [".to_owned() + &"[".repeat(TEXT_MAX - 10),
        "x".repeat(TEXT_MAX + 1),
        ".a | test(\"(a{1000}){1000}\")".to_owned(),
    ] {
        let problem = Expression::compile(&text, &NAMES).unwrap_err();
        assert!(problem.to_string().len() < 300, "{problem}");
    }
}

#[test]
fn long_documents_are_worked_on_in_linear_time() {
    let items: Vec<String> = (0..20_000).map(|n| format!(r#"{{"sku":"S{n}","n":{n},"price":{n}.25}}"#)).collect();
    let document = format!(r#"{{"items":[{}]}}"#, items.join(","));
    for (text, length) in [
        ("[.items[] | select(.n % 2 == 0) | {sku, total: (.n * .price)}] | length", "10000"),
        (".items | map({key: .sku, value: .n}) | from_entries | length", "20000"),
        ("[.items[].sku] | join(\",\") | length", "128889"),
        ("[.items[].price] | add", "199995000.00"),
        (".items | sort_by(-.n) | first | .n", "19999"),
        ("reduce .items[] as $i (\"\"; . + $i.sku) | length", "108890"),
    ] {
        let begun = Instant::now();
        assert_eq!(evaluate(text, &document), Ok(Some(length.to_owned())), "{text}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{text} took {took:?}");
    }
}

#[test]
fn variables_are_given_or_missed() {
    let input = Input::of_fields([("a", "1"), ("b", "x")]);
    let expression = compile("[.a, $id, $key]");
    assert_eq!(
        expression.evaluate(&input, &[("$key", Variable::Value(&input)), ("$id", Variable::Integer(5))]),
        Ok(Some(r#"["1",5,{"a":"1","b":"x"}]"#.to_owned()))
    );
    let fault = expression.evaluate(&input, &[("$id", Variable::Integer(5))]);
    assert_eq!(fault, Err(ExpressionFault::Variable("$key".to_owned())));
    assert_eq!(compile("1 as $id | $id").evaluate(&input, &variables()), Ok(Some("1".to_owned())));
}

#[test]
fn expressions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + fmt::Debug>(_: &T) {}
    let expression = compile(".a");
    shared(&expression);
    assert_eq!(format!("{expression:?}"), "Expression(\".a\")");
}

/// Everything offered compiles, with something for each of its arguments.
#[test]
fn every_function_offered_is_there() {
    for (name, arity) in functions::OFFERED {
        let argument = if matches!(*name, "test" | "capture" | "sub" | "gsub") { "\"g\"" } else { "." };
        let call = match arity {
            0 => (*name).to_owned(),
            _ => format!("{name}({})", vec![argument; *arity].join("; ")),
        };
        compile(&call);
        if functions::TARGETS.contains(&(name, *arity)) {
            compile(&format!("{call} |= ."));
        }
    }
}
