//! Expressions of a mapping: filters, computed columns, and reshaping of documents, in jq. An expression is compiled
//! once, and can neither hang the process nor fill its memory, read anything but its document and variables, or answer
//! differently the next time.

use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Exn, Filter, Vars};
use jaq_json::{Map, Val};

mod decimal;
mod functions;
mod json;
mod matching;
mod moment;
mod problem;
mod reads;
mod rewrite;
mod work;

pub use problem::ExpressionProblem;
pub use reads::Reads;
pub use work::{NESTING_MAX, WORK_BASE, WORK_PER_BYTE};

use functions::{Machine, Run, Signature};
use json::Unwritable;
use problem::Refusal;
use rewrite::Rewriter;
use work::{Stop, Work};

/// Bytes of an expression's text.
pub const TEXT_MAX: usize = 8_192;

/// Bytes of what comes out of an expression.
pub const OUTPUT_MAX: usize = 16 << 20;

/// Stack to compile on: the parser goes down with each bracket.
const COMPILER_STACK: usize = 256 << 20;

/// A compiled expression. It may be shared between threads, and cloning it copies next to nothing.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    filter: Arc<Filter<Machine>>,
    patterns: Arc<[matching::Pattern]>,
    /// The variables that it uses.
    variables: Arc<[String]>,
    reads: Arc<Reads>,
    /// What each member of the object takes that it makes, if it does just that.
    made: Option<Arc<[(String, Reads)]>>,
}

/// A document that was read once, for any number of expressions.
#[derive(Clone, Debug)]
pub struct Input {
    value: Val,
    bytes: usize,
}

/// The value of a variable.
#[derive(Clone, Copy, Debug)]
pub enum Variable<'a> {
    /// `null`
    None,
    /// A text.
    Text(&'a str),
    /// A number.
    Integer(i64),
    /// Anything.
    Value(&'a Input),
}

/// Why an expression gave no answer for a document. What it says may quote the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionFault {
    /// The document cannot be read.
    #[error("the document {0}")]
    Document(String),
    /// What the expression does cannot be done with this document.
    #[error("the expression fails: {0}")]
    Failed(String),
    /// It would take too long or too much memory.
    #[error("the expression takes too much work for a document of {bytes} bytes")]
    Work {
        /// The document's length.
        bytes: usize,
    },
    /// It made something nested more than [`NESTING_MAX`] deep.
    #[error("the expression makes something nested more than {NESTING_MAX} deep")]
    Nesting,
    /// More than one value came out.
    #[error("more than one value comes out of the expression; collect them with `[…]` or choose with `first(…)`")]
    Many,
    /// What came out takes more than [`OUTPUT_MAX`] bytes.
    #[error("more than {OUTPUT_MAX} bytes come out of the expression")]
    Long,
    /// What came out cannot be written as JSON.
    #[error("{0} comes out of the expression, which is no JSON")]
    NotJson(&'static str),
    /// A filter answered something else than `true` or `false`.
    #[error("a filter answers true or false, not {0}")]
    NotBoolean(String),
    /// A variable that the expression uses was not given.
    #[error("the variable `{0}` was not given")]
    Variable(String),
}

impl Expression {
    /// Compiles an expression that may use `variables`, whose names begin with `$`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Expression, ExpressionProblem> {
        if text.len() > TEXT_MAX {
            return Err(Refusal::of_all(format!("an expression has at most {TEXT_MAX} bytes")).locate(text));
        }
        let failed = || Refusal::of_all("the expression cannot be compiled").locate(text);
        thread::scope(|scope| {
            let compiler = thread::Builder::new().stack_size(COMPILER_STACK);
            let compiler = compiler.spawn_scoped(scope, || {
                let arena = Arena::default();
                Expression::compile_on(&arena, text, variables).map_err(|refusal| refusal.locate(text))
            });
            compiler.map_err(|_| failed())?.join().unwrap_or_else(|_| Err(failed()))
        })
    }

    fn compile_on<'s>(arena: &'s Arena, text: &'s str, variables: &[&'s str]) -> Result<Expression, Refusal<'s>> {
        const MAIN: &str = "expression";
        let tree = problem::parse(text)?;
        let (reads, made) = (Reads::of(&tree), reads::of_members(&tree));
        let natives = functions::natives();
        let signatures: Vec<Signature> = natives.iter().map(|(name, binds, _)| (*name, binds.len())).collect();
        let mut rewriter = Rewriter::new(&signatures);
        let body = rewriter.expression(tree)?;
        let used = std::mem::take(&mut rewriter.variables);
        let used: Vec<&str> = variables.iter().filter(|name| used.contains(name)).copied().collect();
        let definitions = functions::definitions().map(|definition| rewriter.definition(definition));
        let mut definitions = definitions.collect::<Result<Vec<_>, _>>()?;
        definitions.push(jaq_core::load::parse::Def { name: MAIN, args: Vec::new(), body });

        let modules = Loader::new(definitions).load(arena, File { code: MAIN, path: () });
        let modules = modules.map_err(|_| Refusal::of_all("the expression cannot be compiled"))?;
        let compiler = Compiler::<_, Machine>::default().with_funs(natives).with_global_vars(used.iter().copied());
        let filter = compiler.compile(modules).map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, undefined)| undefined).next();
            undefined.map_or_else(
                || Refusal::of_all("the expression cannot be compiled"),
                |(name, kind)| Refusal::new(name, unknown(name, kind.as_str(), variables)),
            )
        })?;
        Ok(Expression {
            text: text.into(),
            filter: Arc::new(filter),
            patterns: rewriter.patterns.into(),
            variables: used.into_iter().map(str::to_owned).collect(),
            reads: reads.into(),
            made: made.map(Arc::from),
        })
    }

    /// Whether it uses a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|used| used == variable)
    }

    /// What it takes from its document.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// If it makes an object of named members and does nothing else: the names, and what each of them takes.
    pub fn made(&self) -> Option<&[(String, Reads)]> {
        self.made.as_deref()
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON text that comes out for `document`; `None` if that is `null` or nothing. A variable that the expression
    /// does not use need not be given.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn evaluate(
        &self,
        document: &Input,
        variables: &[(&str, Variable<'_>)],
    ) -> Result<Option<String>, ExpressionFault> {
        let value = self.run(document, variables)?.filter(|value| !matches!(value, Val::Null));
        let written = value.map(|value| json::write(&value, OUTPUT_MAX)).transpose();
        written.map_err(|unwritable| match unwritable {
            Unwritable::Long => ExpressionFault::Long,
            Unwritable::NotJson(what) => ExpressionFault::NotJson(what),
        })
    }

    /// Whether a filter lets `document` through.
    ///
    /// # Errors
    /// Why there is no answer. Anything but `true` and `false` is none.
    pub fn holds(&self, document: &Input, variables: &[(&str, Variable<'_>)]) -> Result<bool, ExpressionFault> {
        match self.run(document, variables)? {
            Some(Val::Bool(answer)) => Ok(answer),
            Some(other) => Err(ExpressionFault::NotBoolean(beginning(&other))),
            None => Err(ExpressionFault::NotBoolean("nothing".to_owned())),
        }
    }

    /// The only value that comes out.
    fn run(&self, document: &Input, given: &[(&str, Variable<'_>)]) -> Result<Option<Val>, ExpressionFault> {
        let mut bytes = document.bytes;
        let mut variables = Vec::with_capacity(self.variables.len());
        for name in self.variables.iter() {
            let (_, variable) =
                given.iter().find(|(given, _)| given == name).ok_or_else(|| ExpressionFault::Variable(name.clone()))?;
            bytes += variable.bytes();
            variables.push(variable.value());
        }
        let work = Work::for_document(bytes);
        let run = Run { lut: &self.filter.lut, work: &work, patterns: &self.patterns };
        let fault = |exception| fault(exception, bytes);
        // A document that brings the interpreter to panic must be this document's fault, not the process's.
        let only = catch_unwind(AssertUnwindSafe(|| {
            let context = Ctx::<Machine>::new(run, Vars::new(variables));
            let mut values = self.filter.id.run((context, document.value.clone()));
            let only = values.next().transpose().map_err(fault)?;
            match values.next().transpose().map_err(fault)? {
                None => Ok(only),
                Some(_) => Err(ExpressionFault::Many),
            }
        }));
        only.unwrap_or_else(|_| Err(ExpressionFault::Failed("the interpreter panicked".to_owned())))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Input {
    /// Reads a JSON document. Numbers keep all their digits; of members of one name the last one counts.
    ///
    /// # Errors
    /// It is not JSON, or nested more than [`NESTING_MAX`] deep.
    pub fn read(document: &str) -> Result<Input, ExpressionFault> {
        let value = json::read(document).map_err(ExpressionFault::Document)?;
        Ok(Input { value, bytes: document.len() })
    }

    /// Flat names and values, as an object of texts.
    pub fn of_fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Input {
        let mut bytes = 0;
        let members = fields.into_iter().map(|(name, value)| {
            bytes += name.len() + value.len();
            (Val::from(name.to_owned()), Val::from(value.to_owned()))
        });
        let value = Val::obj(members.collect::<Map>());
        Input { value, bytes }
    }
}

impl Input {
    /// Whether it is an object with this member, even if that is `null`.
    pub fn has(&self, member: &str) -> bool {
        matches!(&self.value, Val::Obj(members) if members.contains_key(&Val::from(member.to_owned())))
    }
}

impl Variable<'_> {
    fn bytes(&self) -> usize {
        match self {
            Variable::None | Variable::Integer(_) => 0,
            Variable::Text(text) => text.len(),
            Variable::Value(input) => input.bytes,
        }
    }

    fn value(&self) -> Val {
        match self {
            Variable::None => Val::Null,
            Variable::Text(text) => Val::from((*text).to_owned()),
            Variable::Integer(integer) => Val::Num(jaq_json::Num::from_integral(*integer)),
            Variable::Value(input) => input.value.clone(),
        }
    }
}

fn unknown(name: &str, kind: &str, variables: &[&str]) -> String {
    match (kind, variables) {
        ("variable", []) => format!("there is no variable `{name}`"),
        ("variable", known) => format!("there is no variable `{name}`; there are {}", known.join(", ")),
        _ => format!("there is no {kind} `{name}`"),
    }
}

fn fault(exception: Exn<'_, Val>, bytes: usize) -> ExpressionFault {
    match exception.get_err() {
        Ok(error) => ExpressionFault::Failed(beginning(&error)),
        Err(exception) => match exception.get_halt().map(Stop::of) {
            Ok(Stop::Work) => ExpressionFault::Work { bytes },
            Ok(Stop::Nesting) => ExpressionFault::Nesting,
            Err(_) => ExpressionFault::Failed("a `break` leads nowhere".to_owned()),
        },
    }
}

/// Enough of what might be very long to recognise it by.
fn beginning(shown: &impl fmt::Display) -> String {
    struct Beginning(String);

    impl Write for Beginning {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            const CHARS: usize = 200;
            let room = CHARS.saturating_sub(self.0.chars().count());
            self.0.extend(part.chars().take(room));
            // An error ends the writing.
            if room == 0 { Err(fmt::Error) } else { Ok(()) }
        }
    }

    let mut beginning = Beginning(String::new());
    let whole = write!(beginning, "{shown}").is_ok();
    beginning.0 + if whole { "" } else { "…" }
}

#[cfg(test)]
mod tests;
