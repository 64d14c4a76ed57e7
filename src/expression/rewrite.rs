//! Goes through the syntax tree of an expression before it is compiled: refuses what it may not have, and puts a price
//! on everything that could multiply values, make them grow, or go through all of one. `!charge` and its like, which no
//! expression can write, are the functions that take the price.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

use super::functions::{OFFERED, Signature, TARGETS, WITHHELD};
use super::matching;
use super::problem::Refusal;

/// How deep an expression may be nested. Each level takes stack when it is evaluated.
const DEPTH_MAX: usize = 160;

/// Names for what an expression did not name itself.
const HIDDEN: &str = "$!";

type Tree<'s> = Term<&'s str>;
type Result<'s, T = Tree<'s>> = std::result::Result<T, Refusal<'s>>;

/// What was rewritten, and what was met on the way.
pub(super) struct Rewriter<'n, 's> {
    /// What is not written in the language itself.
    natives: &'n [Signature],
    /// In the definitions that come with the language, what their arguments and inner definitions are called.
    inner: Option<Vec<&'s str>>,
    /// The regular expressions.
    pub patterns: Vec<matching::Pattern>,
    /// The variables, declared or not.
    pub variables: Vec<&'s str>,
}

/// Where a part of the tree stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// On the left of an assignment.
    target: bool,
    /// Inside of a `try`, which makes a text of what failed.
    tried: bool,
}

impl Place {
    fn deeper(self, levels: usize) -> Place {
        Place { depth: self.depth + levels, ..self }
    }

    /// Not on the left of an assignment itself, only inside of it.
    fn aside(self) -> Place {
        Place { target: false, ..self.deeper(1) }
    }
}

impl<'n, 's> Rewriter<'n, 's> {
    /// For an expression.
    pub fn new(natives: &'n [Signature]) -> Rewriter<'n, 's> {
        Rewriter { natives, inner: None, patterns: Vec::new(), variables: Vec::new() }
    }

    /// The tree of an expression.
    pub fn expression(&mut self, tree: Tree<'s>) -> Result<'s> {
        self.inner = None;
        self.tree(tree, Place { depth: 0, target: false, tried: false })
    }

    /// A definition that comes with the language.
    pub fn definition(&mut self, definition: Def<&'s str>) -> Result<'s, Def<&'s str>> {
        self.inner = Some(definition.args.clone());
        let body = self.tree(definition.body, Place { depth: 0, target: false, tried: true })?;
        Ok(Def { body, ..definition })
    }

    fn tree(&mut self, tree: Tree<'s>, place: Place) -> Result<'s> {
        if place.depth > DEPTH_MAX {
            return Err(Refusal::of_all(format!("the expression is nested more than {DEPTH_MAX} deep; divide it")));
        }
        let next = place.deeper(1);
        let aside = place.aside();
        Ok(match tree {
            Term::Id | Term::Num(_) | Term::Arr(None) | Term::Break(_) => tree,
            Term::Var(name) => {
                self.variables.push(name);
                tree
            }
            Term::Recurse => paid(Term::Recurse),
            Term::Str(format, parts) => self.text(format, parts, aside)?,
            Term::Arr(Some(items)) => charged(Term::Arr(Some(self.boxed(*items, aside)?))),
            Term::Obj(members) if members.is_empty() => Term::Obj(members),
            Term::Obj(members) => {
                let member = |(level, (name, value)): (usize, (Tree<'s>, Option<Tree<'s>>))| {
                    let value = value.map(|value| self.tree(value, aside.deeper(level))).transpose()?;
                    Ok((self.tree(name, aside.deeper(level))?, value))
                };
                charged(Term::Obj(members.into_iter().enumerate().map(member).collect::<Result<_>>()?))
            }
            Term::Neg(value) => {
                let value = self.tree(*value, aside)?;
                Term::Neg(Box::new(if place.tried { charged(value) } else { value }))
            }
            Term::BinOp(left, operator, right) => self.operation(*left, operator, *right, place)?,
            Term::Label(name, body) => Term::Label(name, self.boxed(*body, next)?),
            Term::Fold(name, source, pattern, arguments) => {
                if place.target {
                    return Err(Refusal::new(name, format!("`{name}` cannot stand on the left of an assignment")));
                }
                let (count, shape) = (arguments.len(), if name == "reduce" { 2..=2 } else { 2..=3 });
                if !shape.contains(&count) {
                    let form = format!("`{name} SOURCE as $name (BEGINNING; NEXT)`");
                    return Err(Refusal::new(name, format!("`{name}` has the form {form}")));
                }
                let source = self.boxed(*source, aside)?;
                let pattern = self.pattern(pattern, aside)?;
                let arguments = arguments.into_iter().map(|argument| self.tree(argument, aside));
                Term::Fold(name, source, pattern, arguments.collect::<Result<_>>()?)
            }
            Term::TryCatch(body, catch) => {
                let catch = catch.map(|catch| self.boxed(*catch, next)).transpose()?;
                Term::TryCatch(self.boxed(*body, Place { tried: true, ..next })?, catch)
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut level = 0;
                let mut branch = |(condition, body)| {
                    level += 1;
                    Ok((self.tree(condition, aside.deeper(level))?, self.tree(body, next.deeper(level))?))
                };
                let branches = branches.into_iter().map(&mut branch).collect::<Result<Vec<_>>>()?;
                let levels = branches.len();
                let otherwise = otherwise.map(|body| self.boxed(*body, next.deeper(levels))).transpose()?;
                Term::IfThenElse(branches, otherwise)
            }
            Term::Def(definitions, body) => self.definitions(definitions, *body, next)?,
            Term::Call(name, arguments) => self.call(name, arguments, place)?,
            Term::Path(root, Path(parts)) => self.path(*root, parts, place)?,
        })
    }

    fn boxed(&mut self, tree: Tree<'s>, place: Place) -> Result<'s, Box<Tree<'s>>> {
        self.tree(tree, place).map(Box::new)
    }

    fn text(&mut self, format: Option<&'s str>, parts: Vec<StrPart<&'s str, Tree<'s>>>, place: Place) -> Result<'s> {
        if let Some(format) = format {
            self.check(format, 0, place)?;
        }
        let mut calculated = false;
        let part = |(level, part)| {
            Ok(match part {
                StrPart::Term(tree) => {
                    calculated = true;
                    StrPart::Term(charged(self.tree(tree, place.deeper(level))?))
                }
                StrPart::Str(text) => StrPart::Str(text),
                StrPart::Char(character) => StrPart::Char(character),
            })
        };
        let parts = parts.into_iter().enumerate().map(part).collect::<Result<_>>()?;
        let text = Term::Str(format, parts);
        Ok(if calculated { charged(text) } else { text })
    }

    fn operation(&mut self, left: Tree<'s>, operator: BinaryOp<&'s str>, right: Tree<'s>, place: Place) -> Result<'s> {
        let (next, aside) = (place.deeper(1), place.aside());
        let target = Place { target: true, ..next };
        Ok(match operator {
            BinaryOp::Pipe(None) => {
                let (left, right) = (self.boxed(left, next)?, self.boxed(right, next)?);
                Term::BinOp(left, BinaryOp::Pipe(None), right)
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let left = self.boxed(left, aside)?;
                let pattern = self.pattern(pattern, aside)?;
                Term::BinOp(left, BinaryOp::Pipe(Some(pattern)), self.boxed(right, next)?)
            }
            BinaryOp::Comma => {
                let left = self.boxed(left, next)?;
                let right = then(self.tree(right, next)?, call("!step"));
                Term::BinOp(left, BinaryOp::Comma, Box::new(right))
            }
            BinaryOp::Alt => Term::BinOp(self.boxed(left, next)?, BinaryOp::Alt, self.boxed(right, next)?),
            BinaryOp::Or | BinaryOp::And => Term::BinOp(self.boxed(left, aside)?, operator, self.boxed(right, aside)?),
            BinaryOp::Cmp(_) => {
                // To compare with what stands in the expression takes no longer than that is long.
                let short = is_literal(&left) || is_literal(&right);
                let (left, right) = (self.tree(left, aside)?, self.tree(right, aside)?);
                let (left, right) = if short { (left, right) } else { (charged(left), charged(right)) };
                Term::BinOp(Box::new(left), operator, Box::new(right))
            }
            BinaryOp::Math(operation) => {
                Term::Call(function(operation), vec![self.tree(left, aside)?, self.tree(right, aside)?])
            }
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateAlt => {
                let left = self.boxed(left, target)?;
                charged(Term::BinOp(left, operator, self.boxed(right, aside)?))
            }
            BinaryOp::UpdateMath(operation) => {
                // `l += r` is `r as $x | l |= . + $x`.
                let (left, right) = (self.boxed(left, target)?, self.tree(right, aside)?);
                let sum = Term::Call(function(operation), vec![Term::Id, Term::Var(HIDDEN)]);
                let update = charged(Term::BinOp(left, BinaryOp::Update, Box::new(sum)));
                bind(right, update)
            }
        })
    }

    fn pattern(&mut self, pattern: Pattern<&'s str>, place: Place) -> Result<'s, Pattern<&'s str>> {
        if place.depth > DEPTH_MAX {
            return self.tree(Term::Id, place).map(|_| pattern);
        }
        Ok(match pattern {
            Pattern::Var(name) => Pattern::Var(name),
            Pattern::Arr(items) => {
                let items = items.into_iter().map(|item| self.pattern(item, place.deeper(1)));
                Pattern::Arr(items.collect::<Result<_>>()?)
            }
            Pattern::Obj(members) => {
                let member = |(name, value)| Ok((self.index(name, place)?, self.pattern(value, place.deeper(1))?));
                Pattern::Obj(members.into_iter().map(member).collect::<Result<_>>()?)
            }
        })
    }

    fn path(&mut self, root: Tree<'s>, parts: Vec<(Part<Tree<'s>>, jaq_core::path::Opt)>, place: Place) -> Result<'s> {
        let spreads = parts.iter().any(|(part, _)| matches!(part, Part::Range(..)));
        let root = self.tree(root, place.deeper(1))?;
        let aside = place.aside();
        let part = |(level, (part, optional))| {
            let place = aside.deeper(level);
            let part = match part {
                Part::Index(index) => Part::Index(self.index(index, place)?),
                Part::Range(from, to) => {
                    let from = from.map(|from| self.tree(from, place)).transpose()?;
                    Part::Range(from, to.map(|to| self.tree(to, place)).transpose()?)
                }
            };
            Ok((part, optional))
        };
        let parts = parts.into_iter().enumerate().map(part).collect::<Result<_>>()?;
        let root = if spreads || place.tried { charged(root) } else { root };
        Ok(Term::Path(Box::new(root), Path(parts)))
    }

    /// The name of a member or the number of an item.
    fn index(&mut self, index: Tree<'s>, place: Place) -> Result<'s> {
        let literal = is_literal(&index) && !matches!(index, Term::Arr(_) | Term::Obj(_));
        let index = self.tree(index, place)?;
        Ok(if literal { index } else { then(index, call("!key")) })
    }

    fn definitions(&mut self, definitions: Vec<Def<&'s str>>, body: Tree<'s>, place: Place) -> Result<'s> {
        let Some(outer) = self.inner.clone() else {
            let name = definitions.first().map_or("", |definition| definition.name);
            return Err(Refusal::new(name, "an expression cannot define functions; name values with `… as $name | …`"));
        };
        let names = definitions.iter().flat_map(|definition| definition.args.iter().chain([&definition.name]));
        let inner = self.inner.get_or_insert_default();
        inner.extend(names.copied());
        let definition = |definition: Def<&'s str>| {
            let body = self.tree(definition.body, place)?;
            Ok(Def { body, ..definition })
        };
        let definitions = definitions.into_iter().map(definition).collect::<Result<_>>()?;
        let body = self.boxed(body, place)?;
        self.inner = Some(outer);
        Ok(Term::Def(definitions, body))
    }

    fn call(&mut self, name: &'s str, arguments: Vec<Tree<'s>>, place: Place) -> Result<'s> {
        self.check(name, arguments.len(), place)?;
        // What `del` is given is the left of an assignment.
        let aside = Place { target: name == "del" && self.inner.is_none(), ..place.aside() };
        if matches!(name, "test" | "capture" | "sub" | "gsub") {
            // The pattern and the flags stay as they are.
            let argument = |(number, argument)| if number == 1 { self.tree(argument, aside) } else { Ok(argument) };
            let arguments = arguments.into_iter().enumerate().map(argument).collect::<Result<_>>()?;
            return matching::compile(name, arguments, &mut self.patterns).map(paid);
        }
        let arity = arguments.len();
        let arguments = arguments.into_iter().map(|argument| self.tree(argument, aside));
        let mut arguments = arguments.collect::<Result<Vec<_>>>()?;
        let given = self.inner.as_ref().is_some_and(|inner| inner.contains(&name));
        if given || !lists(self.natives, name, arity) {
            return Ok(Term::Call(name, arguments));
        }
        if matches!(name, "contains" | "indices")
            && let Some(other) = arguments.pop()
        {
            // These take as long as the product of both.
            let price = Term::Call("!product", vec![Term::Var(HIDDEN)]);
            return Ok(bind(other, then(price, Term::Call(name, vec![Term::Var(HIDDEN)]))));
        }
        Ok(paid(Term::Call(name, arguments.into_iter().map(charged).collect())))
    }

    /// Whether an expression may call this function here.
    fn check(&self, name: &'s str, arity: usize, place: Place) -> Result<'s, ()> {
        if self.inner.is_some() {
            return Ok(());
        }
        if name.contains("::") {
            return Err(Refusal::new(name, "there are no modules"));
        }
        if !lists(OFFERED, name, arity) {
            return Err(Refusal::new(name, why_not(name, arity)));
        }
        if place.target && !lists(TARGETS, name, arity) {
            return Err(Refusal::new(name, format!("`{name}` cannot stand on the left of an assignment")));
        }
        Ok(())
    }
}

/// Why there is no function of this name and number of arguments.
fn why_not(name: &str, arity: usize) -> String {
    if let Some((_, why)) = WITHHELD.iter().find(|(withheld, _)| *withheld == name) {
        return format!("`{name}` {why}");
    }
    let arities: Vec<String> =
        OFFERED.iter().filter(|(offered, _)| *offered == name).map(|(_, arity)| arity.to_string()).collect();
    if !arities.is_empty() {
        let arities = arities.join(" or ");
        return format!("`{name}` takes {arities} arguments, divided by `;`, not {arity}");
    }
    const SIMILAR: f64 = 0.7;
    let similarity = |offered: &str| strsim::jaro_winkler(name, offered);
    let nearest =
        OFFERED.iter().map(|(offered, _)| *offered).max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
    match nearest.filter(|nearest| similarity(nearest) > SIMILAR) {
        Some(nearest) => format!("there is no function `{name}`; did you mean `{nearest}`? A member is `.{name}`"),
        None => format!("there is no function `{name}`; a member is `.{name}`, a text `\"{name}\"`"),
    }
}

fn lists(signatures: &[Signature], name: &str, arity: usize) -> bool {
    signatures.iter().any(|(known, arguments)| *known == name && *arguments == arity)
}

/// The function that calculates.
fn function(operation: Math) -> &'static str {
    match operation {
        Math::Add => "!add",
        Math::Sub => "!subtract",
        Math::Mul => "!multiply",
        Math::Div => "!divide",
        Math::Rem => "!remainder",
    }
}

/// Whether a term is a value of about its own length.
fn is_literal(tree: &Term<&str>) -> bool {
    match tree {
        Term::Num(_) | Term::Arr(None) => true,
        Term::Str(None, parts) => parts.iter().all(|part| !matches!(part, StrPart::Term(_))),
        Term::Obj(members) => members.is_empty(),
        Term::Neg(value) => is_literal(value),
        Term::Call(name, arguments) => arguments.is_empty() && matches!(*name, "true" | "false" | "null"),
        _ => false,
    }
}

fn call<'s>(name: &'static str) -> Tree<'s> {
    Term::Call(name, Vec::new())
}

/// `first | second`
fn then<'s>(first: Tree<'s>, second: Tree<'s>) -> Tree<'s> {
    Term::BinOp(Box::new(first), BinaryOp::Pipe(None), Box::new(second))
}

/// `value as $! | body`
fn bind<'s>(value: Tree<'s>, body: Tree<'s>) -> Tree<'s> {
    Term::BinOp(Box::new(value), BinaryOp::Pipe(Some(Pattern::Var(HIDDEN))), Box::new(body))
}

/// What goes into `tree` is paid for.
fn paid(tree: Tree<'_>) -> Tree<'_> {
    then(call("!charge"), tree)
}

/// What comes out of `tree` is paid for.
fn charged(tree: Tree<'_>) -> Tree<'_> {
    match tree {
        Term::Id => call("!charge"),
        tree => then(tree, call("!charge")),
    }
}
