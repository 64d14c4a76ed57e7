//! Arithmetic on numbers as they are written: `0.1 + 0.2` is `0.3`. The interpreter alone would go through a float.

use std::cmp::Ordering;

use jaq_json::Num;
use num_bigint::{BigInt, Sign};

/// Digits before and after the point up to which a number with a fraction or an exponent is calculated with exactly.
const DIGITS_MAX: i64 = 1_000;

/// Digits that a division may add after the point to come to an end.
const QUOTIENT_DIGITS: u32 = 40;

/// Bits up to which integers may grow.
const BITS_MAX: u64 = 16_384;

/// A number: `digits` / 10^`scale`.
#[derive(Clone, Debug)]
struct Decimal {
    digits: BigInt,
    /// Never negative, and at most `DIGITS_MAX`.
    scale: u32,
}

/// An operation between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A way to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the next lower one.
    Floor,
    /// To the next higher one.
    Ceil,
    /// To the nearest one, and from the middle away from zero.
    Round,
}

/// `left` `operation` `right`. Exact, unless one of them is a float already (a quotient that does not end, for
/// instance) or has an exponent beyond all measure.
///
/// # Errors
/// A division by zero, or a result too large to go on with.
pub(super) fn calculate(left: Num, operation: Operation, right: Num) -> Result<Num, &'static str> {
    let dividing = matches!(operation, Operation::Divide | Operation::Remainder);
    if dividing && right == Num::Int(0) {
        return Err("a number cannot be divided by zero");
    }
    let written = matches!(left, Num::Dec(_)) || matches!(right, Num::Dec(_));
    let exact = if written || operation == Operation::Divide {
        Decimal::of(&left)
            .zip(Decimal::of(&right))
            .and_then(|(left, right)| left.calculate(operation, right))
            .map(Decimal::into_num)
    } else {
        None
    };
    let result = exact.unwrap_or_else(|| match operation {
        Operation::Add => left + right,
        Operation::Subtract => left - right,
        Operation::Multiply => left * right,
        Operation::Divide => left / right,
        Operation::Remainder => left % right,
    });
    match &result {
        Num::BigInt(integer) if integer.bits() > BITS_MAX => Err("a number became too large"),
        Num::Dec(digits) if digits.len() as i64 > 3 * DIGITS_MAX => Err("a number became too long"),
        _ => Ok(result),
    }
}

/// The integer that `number` is rounded to.
pub(super) fn round(number: Num, rounding: Rounding) -> Num {
    if let Num::Int(_) | Num::BigInt(_) = number {
        return number;
    }
    if let Some(decimal) = Decimal::of(&number) {
        return decimal.round(rounding).into_num();
    }
    let Num::Float(float) = float(&number) else { return number };
    Num::Float(match rounding {
        Rounding::Floor => float.floor(),
        Rounding::Ceil => float.ceil(),
        Rounding::Round => float.round(),
    })
}

fn float(number: &Num) -> Num {
    match number {
        Num::Dec(digits) => Num::from_dec_str(digits),
        other => other.clone(),
    }
}

impl Decimal {
    /// `None` for a float, and for what has more digits than is sane.
    fn of(number: &Num) -> Option<Decimal> {
        match number {
            Num::Int(integer) => Some(Decimal { digits: BigInt::from(*integer), scale: 0 }),
            Num::BigInt(integer) => Some(Decimal { digits: (**integer).clone(), scale: 0 }),
            // What a rounding of a float gives is an integer all the same.
            Num::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => {
                Some(Decimal { digits: BigInt::from(*float as i64), scale: 0 })
            }
            Num::Float(_) => None,
            Num::Dec(text) => Decimal::parse(text),
        }
    }

    /// Of a number of JSON.
    fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let scale = (fraction.len() as i64).checked_sub(exponent)?;
        if scale.abs() > DIGITS_MAX || whole.len() + fraction.len() > DIGITS_MAX as usize {
            return None;
        }
        let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
        Some(match u32::try_from(scale) {
            Ok(scale) => Decimal { digits, scale },
            Err(_) => Decimal { digits: digits * ten_to(scale.unsigned_abs() as u32), scale: 0 },
        })
    }

    fn calculate(self, operation: Operation, other: Decimal) -> Option<Decimal> {
        if operation == Operation::Multiply {
            let scale = Some(self.scale + other.scale).filter(|scale| i64::from(*scale) <= DIGITS_MAX)?;
            return Some(Decimal { digits: self.digits * other.digits, scale });
        }
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.digits_at(scale), other.digits_at(scale));
        match operation {
            Operation::Add => Some(Decimal { digits: left + right, scale }),
            Operation::Subtract => Some(Decimal { digits: left - right, scale }),
            Operation::Remainder => Some(Decimal { digits: left % right, scale }),
            Operation::Divide => {
                let left = left * ten_to(QUOTIENT_DIGITS);
                let quotient = &left / &right;
                (&quotient * right == left)
                    .then(|| Decimal { digits: quotient, scale: QUOTIENT_DIGITS }.without_zeros())
            }
            Operation::Multiply => None,
        }
    }

    fn digits_at(&self, scale: u32) -> BigInt {
        &self.digits * ten_to(scale - self.scale)
    }

    /// Without zeros at the end of its fraction.
    fn without_zeros(mut self) -> Decimal {
        let zero = BigInt::from(0);
        while self.scale > 0 && &self.digits % 10 == zero {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    fn round(self, rounding: Rounding) -> Decimal {
        let unit = ten_to(self.scale);
        let toward_zero = &self.digits / &unit;
        let rest = &self.digits - &toward_zero * &unit;
        let away = match (rounding, rest.sign()) {
            (_, Sign::NoSign) => 0,
            (Rounding::Floor, Sign::Minus) => -1,
            (Rounding::Ceil, Sign::Plus) => 1,
            (Rounding::Floor | Rounding::Ceil, _) => 0,
            (Rounding::Round, sign) => match (BigInt::from(rest.magnitude() * 2_u32).cmp(&unit), sign) {
                (Ordering::Less, _) => 0,
                (_, Sign::Minus) => -1,
                _ => 1,
            },
        };
        Decimal { digits: toward_zero + away, scale: 0 }
    }

    /// Integers as the interpreter has them, others as they are written.
    fn into_num(self) -> Num {
        if self.scale == 0 {
            return isize::try_from(&self.digits).map_or_else(|_| Num::big_int(self.digits.clone()), Num::Int);
        }
        let scale = self.scale as usize;
        let sign = if self.digits.sign() == Sign::Minus { "-" } else { "" };
        let digits = format!("{:0>width$}", self.digits.magnitude(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        Num::Dec(format!("{sign}{whole}.{fraction}").into())
    }
}

fn ten_to(power: u32) -> BigInt {
    BigInt::from(10).pow(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Num {
        text.parse::<isize>()
            .map_or_else(|_| text.parse().map_or_else(|_| Num::Dec(text.to_owned().into()), Num::big_int), Num::Int)
    }

    #[track_caller]
    fn gives(left: &str, operation: Operation, right: &str, result: &str) {
        let answer = calculate(number(left), operation, number(right)).map(|number| number.to_string());
        assert_eq!(answer.as_deref(), Ok(result), "{left} {operation:?} {right}");
    }

    #[test]
    fn decimals_are_calculated_as_they_are_written() {
        gives("0.1", Operation::Add, "0.2", "0.3");
        gives("19.99", Operation::Add, "20", "39.99");
        gives("1.10", Operation::Add, "2.20", "3.30");
        gives("1", Operation::Subtract, "0.999999999999999999999", "0.000000000000000000001");
        gives("-0.05", Operation::Subtract, "0.05", "-0.10");
        gives("12345678901234567890.123456789", Operation::Multiply, "2", "24691357802469135780.246913578");
        gives("1.5e3", Operation::Add, "1", "1501");
        gives("5.5", Operation::Remainder, "2", "1.5");
        gives("-5.5", Operation::Remainder, "2", "-1.5");
        gives("9223372036854775807", Operation::Add, "1", "9223372036854775808");
    }

    #[test]
    fn quotients_are_exact_where_they_end() {
        gives("123456", Operation::Divide, "100", "1234.56");
        gives("5", Operation::Divide, "100", "0.05");
        gives("-5", Operation::Divide, "100", "-0.05");
        gives("12345678901234567890", Operation::Divide, "100", "123456789012345678.9");
        gives("10", Operation::Divide, "5", "2");
        gives("1", Operation::Divide, "3", "0.3333333333333333");
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        for zero in ["0", "0.0", "-0.00", "0e5"] {
            for operation in [Operation::Divide, Operation::Remainder] {
                calculate(number("1"), operation, number(zero)).unwrap_err();
            }
        }
    }

    #[test]
    fn numbers_beyond_all_measure_stay_small() {
        let huge = number("1e999999999");
        assert_eq!(calculate(huge.clone(), Operation::Add, number("1.5")).unwrap().to_string(), "Infinity");
        let mut grown = number("123456789");
        let refused = (0..64).find_map(|_| match calculate(grown.clone(), Operation::Multiply, grown.clone()) {
            Ok(more) => {
                grown = more;
                None
            }
            Err(words) => Some(words),
        });
        assert_eq!(refused, Some("a number became too large"));
        let _ = round(huge, Rounding::Floor);
    }

    #[test]
    fn numbers_are_rounded_as_they_are_written() {
        for (text, floor, ceil, nearest) in [
            ("12345678901234567890.5", "12345678901234567890", "12345678901234567891", "12345678901234567891"),
            ("-0.5", "-1", "0", "-1"),
            ("-1.4", "-2", "-1", "-1"),
            ("2.49", "2", "3", "2"),
            ("7", "7", "7", "7"),
        ] {
            for (rounding, result) in [(Rounding::Floor, floor), (Rounding::Ceil, ceil), (Rounding::Round, nearest)] {
                assert_eq!(round(number(text), rounding).to_string(), result, "{rounding:?} of {text}");
            }
        }
    }
}
