//! What an evaluation may cost. Every step that could multiply values, make them grow or go through all of one pays
//! for it first (`rewrite` sees to that), so that neither an expression nor a document can hang the process or fill its
//! memory.

use std::cell::Cell;

use jaq_core::Exn;
use jaq_json::{Num, Val};

/// Units that every evaluation may spend. A unit is a value, or 64 bytes of a text; it takes about 50 ns.
pub const WORK_BASE: u64 = 100_000;

/// Units more for each byte of the document.
pub const WORK_PER_BYTE: u64 = 16;

/// How deep a document, or what is made of it, may be nested.
pub const NESTING_MAX: usize = 128;

/// Bytes of a text that weigh as much as a value.
const TEXT_UNIT: usize = 64;

/// What an evaluation has left to spend.
#[derive(Debug)]
pub struct Work {
    left: Cell<u64>,
}

/// Why an evaluation was stopped; no `try` of the expression catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Stop {
    /// Nothing is left to spend.
    Work = 1,
    /// A value is nested too deeply.
    Nesting = 2,
}

impl Stop {
    /// As the interpreter carries it.
    fn exception<'a>(self) -> Exn<'a, Val> {
        Exn::halt(self as i32)
    }

    /// From what the interpreter carried.
    pub fn of(code: i32) -> Stop {
        if code == Stop::Nesting as i32 { Stop::Nesting } else { Stop::Work }
    }
}

impl Work {
    /// What may be spent on a document of so many bytes.
    pub fn for_document(bytes: usize) -> Work {
        let more = WORK_PER_BYTE.saturating_mul(bytes as u64);
        Work { left: Cell::new(WORK_BASE.saturating_add(more)) }
    }

    /// Spends `units`.
    pub fn spend<'a>(&self, units: u64) -> Result<(), Exn<'a, Val>> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.exhausted()),
        }
    }

    /// Ends the evaluation, whatever is left.
    pub fn exhausted<'a>(&self) -> Exn<'a, Val> {
        self.left.set(0);
        Stop::Work.exception()
    }

    /// Spends what a text of so many bytes weighs.
    pub fn spend_text<'a>(&self, bytes: usize) -> Result<(), Exn<'a, Val>> {
        self.spend(1 + (bytes / TEXT_UNIT) as u64)
    }

    /// Spends what `value` weighs, with all that is in it, as often as it is in it. Answers how much that was.
    pub fn spend_value<'a>(&self, value: &Val) -> Result<u64, Exn<'a, Val>> {
        let before = self.left.get();
        self.weigh(value, 0)?;
        Ok(before - self.left.get())
    }

    fn weigh<'a>(&self, value: &Val, depth: usize) -> Result<(), Exn<'a, Val>> {
        if depth > NESTING_MAX {
            return Err(Stop::Nesting.exception());
        }
        match value {
            Val::Null | Val::Bool(_) => self.spend(1),
            Val::Num(Num::Dec(digits)) => self.spend_text(digits.len()),
            Val::Num(Num::BigInt(integer)) => self.spend(1 + integer.bits() / 64),
            Val::Num(_) => self.spend(1),
            Val::TStr(text) | Val::BStr(text) => self.spend_text(text.len()),
            Val::Arr(items) => {
                self.spend(1)?;
                items.iter().try_for_each(|item| self.weigh(item, depth + 1))
            }
            Val::Obj(members) => {
                self.spend(1)?;
                members.iter().try_for_each(|(name, value)| {
                    self.weigh(name, depth + 1)?;
                    self.weigh(value, depth + 1)
                })
            }
        }
    }
}
