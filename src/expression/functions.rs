//! The functions of the language: what the interpreter brings and is let through, and what is made here because the
//! interpreter's own would go through floats, could grow without bounds, or needs more crates.

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, run, v};
use jaq_core::{Bind, Cv, DataT, Error, Exn, Native, ValX, data};
use jaq_json::{Rc, Val};

use super::decimal::{self, Operation, Rounding};
use super::matching::{self, Pattern};
use super::work::Work;
use super::{json, moment};

/// The interpreter's types.
pub(super) struct Machine;

impl DataT for Machine {
    type V<'a> = Val;
    type Data<'a> = Run<'a>;
}

/// One evaluation.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub lut: &'a jaq_core::Lut<Machine>,
    pub work: &'a Work,
    pub patterns: &'a [Pattern],
}

impl<'a> data::HasLut<'a, Machine> for Run<'a> {
    fn lut(&self) -> &'a jaq_core::Lut<Machine> {
        self.lut
    }
}

/// What goes into a function: context and value.
pub(super) type Call<'a> = Cv<'a, Machine>;
type Answer<'a> = ValX<'a, Val>;

/// Names and numbers of arguments.
pub(super) type Signature = (&'static str, usize);

/// What an expression may call.
pub(super) const OFFERED: &[Signature] = &[
    ("abs", 0),
    ("add", 0),
    ("add", 1),
    ("all", 0),
    ("all", 1),
    ("all", 2),
    ("any", 0),
    ("any", 1),
    ("any", 2),
    ("arrays", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("booleans", 0),
    ("capture", 1),
    ("capture", 2),
    ("ceil", 0),
    ("contains", 1),
    ("del", 1),
    ("empty", 0),
    ("endswith", 1),
    ("error", 0),
    ("error", 1),
    ("explode", 0),
    ("false", 0),
    ("first", 0),
    ("first", 1),
    ("flatten", 0),
    ("flatten", 1),
    ("floor", 0),
    ("from_entries", 0),
    ("fromdate", 0),
    ("fromjson", 0),
    ("getpath", 1),
    ("group_by", 1),
    ("gsub", 2),
    ("gsub", 3),
    ("has", 1),
    ("implode", 0),
    ("in", 1),
    ("index", 1),
    ("indices", 1),
    ("inside", 1),
    ("isempty", 1),
    ("iterables", 0),
    ("join", 1),
    ("keys", 0),
    ("keys_unsorted", 0),
    ("last", 0),
    ("last", 1),
    ("length", 0),
    ("limit", 2),
    ("ltrim", 0),
    ("ltrimstr", 1),
    ("map", 1),
    ("map_values", 1),
    ("max", 0),
    ("max_by", 1),
    ("min", 0),
    ("min_by", 1),
    ("mktime", 0),
    ("not", 0),
    ("nth", 1),
    ("nth", 2),
    ("null", 0),
    ("nulls", 0),
    ("numbers", 0),
    ("objects", 0),
    ("path", 1),
    ("paths", 0),
    ("paths", 1),
    ("pick", 1),
    ("reverse", 0),
    ("rindex", 1),
    ("round", 0),
    ("rtrim", 0),
    ("rtrimstr", 1),
    ("scalars", 0),
    ("select", 1),
    ("skip", 2),
    ("sort", 0),
    ("sort_by", 1),
    ("split", 1),
    ("startswith", 1),
    ("strftime", 1),
    ("strings", 0),
    ("strptime", 1),
    ("sub", 2),
    ("sub", 3),
    ("test", 1),
    ("test", 2),
    ("to_entries", 0),
    ("toboolean", 0),
    ("todate", 0),
    ("tojson", 0),
    ("tonumber", 0),
    ("tostring", 0),
    ("transpose", 0),
    ("trim", 0),
    ("true", 0),
    ("type", 0),
    ("unique", 0),
    ("unique_by", 1),
    ("utf8bytelength", 0),
    ("values", 0),
    ("walk", 1),
    ("with_entries", 1),
    ("@json", 0),
    ("@text", 0),
];

/// Of what is offered, what may stand on the left of an assignment. Others say no, or recurse as often as there are
/// items.
pub(super) const TARGETS: &[Signature] = &[
    ("arrays", 0),
    ("booleans", 0),
    ("empty", 0),
    ("first", 0),
    ("iterables", 0),
    ("last", 0),
    ("nth", 1),
    ("nulls", 0),
    ("numbers", 0),
    ("objects", 0),
    ("scalars", 0),
    ("select", 1),
    ("strings", 0),
    ("values", 0),
];

/// What other jq's have and an expression may not call, and why.
pub(super) const WITHHELD: &[(&str, &str)] = &[
    ("repeat", "might never end; go through what the document has with `.[]`, `map` or `reduce`"),
    ("while", "might never end; go through what the document has with `.[]`, `map` or `reduce`"),
    ("until", "might never end; go through what the document has with `.[]`, `map` or `reduce`"),
    ("recurse", "might never end; `..` goes through all that is in a value"),
    ("range", "might go on for too long; go through what the document has with `.[]` or `to_entries[]`"),
    ("combinations", "might go on for too long"),
    ("now", "would give another answer each time; `$timestamp` is when the entry was added"),
    ("localtime", "depends on the machine; times here are UTC"),
    ("strflocaltime", "depends on the machine; times here are UTC"),
    ("env", "depends on the machine"),
    ("input", "would read something else; `.` is the document"),
    ("inputs", "would read something else; `.` is the document"),
    ("debug", "would write into the log"),
    ("stderr", "would write into the log"),
    ("halt", "would end the process; `error(\"…\")` refuses the event"),
    ("halt_error", "would end the process; `error(\"…\")` refuses the event"),
    ("setpath", "is not offered; assign to a path: `.a.b = …`"),
    ("delpaths", "is not offered; delete a path: `del(.a.b)`"),
    ("match", "is not offered; `capture` gives the named groups"),
    ("scan", "is not offered; `capture` gives the named groups"),
    ("splits", "is not offered; `split` divides at a text"),
    ("nan", "is no JSON"),
    ("infinite", "is no JSON"),
    ("import", "would read a file"),
    ("include", "would read a file"),
];

/// Definitions that those offered are made of.
const INNER: &[Signature] = &[
    ("!empty", 0),
    ("isarray", 0),
    ("isboolean", 0),
    ("isnumber", 0),
    ("isobject", 0),
    ("isstring", 0),
    ("range", 1),
    ("range", 2),
    ("recurse", 1),
    ("totype", 2),
];

/// Functions of the interpreter that are replaced or left out.
const REPLACED: &[&str] = &[
    "capture",
    "ceil",
    "escape_sh",
    "floor",
    "fromdate",
    "fromjson",
    "gsub",
    "halt",
    "join",
    "round",
    "sub",
    "test",
    "tobytes",
    "todate",
];

/// The definitions, written in the language itself, as the interpreter brings them.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let wanted = |definition: &Def<&'static str>| {
        let signature = (definition.name, definition.args.len());
        !REPLACED.contains(&signature.0) && (OFFERED.contains(&signature) || INNER.contains(&signature))
    };
    jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).filter(wanted)
}

/// A function that lets its value through, on the left of an assignment too, after it is paid for.
macro_rules! transparent {
    ($name:literal, $pay:ident) => {
        (
            $name,
            v(0),
            Native::new(|call| box_once($pay(call.0.data(), &call.1).map(|()| call.1)))
                .with_paths(|call| box_once($pay(call.0.data(), &call.1.0).map(|()| call.1)))
                .with_update(|call, update| match $pay(call.0.data(), &call.1) {
                    Ok(()) => update(call.1),
                    Err(stop) => box_once(Err(stop)),
                }),
        )
    };
}

/// The functions, of the interpreter and from here.
pub(super) fn natives() -> Vec<Fun<Machine>> {
    let theirs = jaq_core::funs().chain(jaq_std::base_funs()).chain(jaq_json::funs());
    let mut natives: Vec<Fun<Machine>> = theirs.filter(|(name, ..)| !REPLACED.contains(name)).collect();
    natives.extend([
        transparent!("!step", step),
        transparent!("!charge", charge),
        run(("!product", v(1), |mut call| {
            let other = call.0.pop_var();
            box_once(product(&other, call))
        })),
        run(("!key", v(0), |call| box_once(key(call)))),
        run(("!add", v(2), |call| box_once(arithmetic(call, Operation::Add)))),
        run(("!subtract", v(2), |call| box_once(arithmetic(call, Operation::Subtract)))),
        run(("!multiply", v(2), |call| box_once(arithmetic(call, Operation::Multiply)))),
        run(("!divide", v(2), |call| box_once(arithmetic(call, Operation::Divide)))),
        run(("!remainder", v(2), |call| box_once(arithmetic(call, Operation::Remainder)))),
        run(("!test", v(1), |call| box_once(matching::test(call)))),
        run(("!capture", v(1), |call| matching::capture(call))),
        run(("!sub", substitution(), |call| box_once(matching::replace(call, false)))),
        run(("!gsub", substitution(), |call| box_once(matching::replace(call, true)))),
        run(("floor", v(0), |call| box_once(rounded(call.1, Rounding::Floor)))),
        run(("ceil", v(0), |call| box_once(rounded(call.1, Rounding::Ceil)))),
        run(("round", v(0), |call| box_once(rounded(call.1, Rounding::Round)))),
        run(("fromjson", v(0), |call| box_once(from_json(&call.1)))),
        run(("join", v(1), |mut call| box_once(join(&call.0.pop_var(), &call)))),
        run(("fromdate", v(0), |call| box_once(moment::from_date(&call.1)))),
        run(("todate", v(0), |call| box_once(moment::to_date(&call.1)))),
        run(("mktime", v(0), |call| box_once(moment::make_time(&call.1)))),
        run(("strftime", v(1), |mut call| box_once(moment::format(&call.0.pop_var(), &call.1)))),
        run(("strptime", v(1), |mut call| box_once(moment::parse(&call.0.pop_var(), &call.1)))),
    ]);
    natives
}

/// A pattern, and what takes the place of what it finds.
fn substitution() -> Box<[Bind]> {
    [Bind::Var(()), Bind::Fun(())].into()
}

/// A failure that the expression may catch.
pub(super) fn failure<'a>(words: impl ToString) -> Exn<'a, Val> {
    Error::str(words).into()
}

/// Pays for one of several values.
fn step<'a>(run: &Run<'_>, _: &Val) -> Result<(), Exn<'a, Val>> {
    run.work.spend(1)
}

/// Pays for a value with all that is in it.
fn charge<'a>(run: &Run<'_>, value: &Val) -> Result<(), Exn<'a, Val>> {
    run.work.spend_value(value).map(drop)
}

/// Pays for what takes as long as the product of two values.
fn product<'a>(other: &Val, call: Call<'a>) -> Answer<'a> {
    let work = call.0.data().work;
    let (one, other) = (work.spend_value(&call.1)?, work.spend_value(other)?);
    work.spend(one.saturating_mul(other))?;
    Ok(call.1)
}

/// Lets a name or a number of an item through. Arrays and objects as indexes mean a search or a slice.
fn key<'a>(call: Call<'a>) -> Answer<'a> {
    match call.1 {
        Val::Arr(_) | Val::Obj(_) => Err(failure("an index is a text or a number")),
        key => Ok(key),
    }
}

/// `left` `operation` `right`, of whatever they are.
fn arithmetic<'a>(mut call: Call<'a>, operation: Operation) -> Answer<'a> {
    let work = call.0.data().work;
    let (right, left) = (call.0.pop_var(), call.0.pop_var());
    // Where `.` is what is on the left, as when a `reduce` gathers, only the last one to hold it need not copy it.
    drop(call);
    let (left, right) = match (left, right) {
        (Val::Num(left), Val::Num(right)) => {
            work.spend(1)?;
            return decimal::calculate(left, operation, right).map(Val::Num).map_err(failure);
        }
        other => other,
    };
    work.spend(1 + copying(&left))?;
    work.spend_value(&right)?;
    let result = match operation {
        Operation::Add => left + right,
        Operation::Subtract => left - right,
        Operation::Multiply if matches!((&left, &right), (Val::Obj(_), Val::Obj(_))) => left * right,
        Operation::Multiply => return Err(failure("only numbers and objects can be multiplied")),
        Operation::Divide => left / right,
        Operation::Remainder => left % right,
    };
    let result = result.map_err(Exn::from)?;
    if operation != Operation::Add {
        work.spend_value(&result)?;
    }
    Ok(result)
}

/// What it takes to copy a value as far as it must be to add to it: nothing if nobody else holds it.
fn copying(value: &Val) -> u64 {
    let size = match value {
        Val::Arr(items) if Rc::strong_count(items) > 1 => items.len() / 8,
        Val::Obj(members) if Rc::strong_count(members) > 1 => members.len() / 2,
        Val::TStr(text) | Val::BStr(text) => text.len() / 1024,
        _ => 0,
    };
    size as u64
}

fn rounded<'a>(value: Val, rounding: Rounding) -> Answer<'a> {
    match value {
        Val::Num(number) => Ok(Val::Num(decimal::round(number, rounding))),
        _ => Err(failure("only numbers are rounded")),
    }
}

fn from_json<'a>(value: &Val) -> Answer<'a> {
    let text = text(value)?;
    json::read(text).map_err(|why| failure(format_args!("a text {why}")))
}

/// One text of the texts, numbers and booleans of an array.
fn join<'a>(separator: &Val, call: &Call<'a>) -> Answer<'a> {
    let Val::Arr(items) = &call.1 else { return Err(failure("only arrays are joined")) };
    let separator = text(separator)?;
    call.0.data().work.spend_text(items.len().saturating_mul(separator.len()))?;
    let mut joined = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            joined.push_str(separator);
        }
        match item {
            Val::Null => {}
            Val::Bool(_) | Val::Num(_) => joined.push_str(&item.to_string()),
            Val::TStr(_) => joined.push_str(text(item)?),
            _ => return Err(failure("arrays and objects cannot be joined")),
        }
    }
    Ok(Val::from(joined))
}

/// A value as the text that it must be.
pub(super) fn text<'a>(value: &Val) -> Result<&str, Exn<'a, Val>> {
    match value {
        Val::TStr(text) => str::from_utf8(text).map_err(failure),
        _ => Err(failure("a text is wanted")),
    }
}
