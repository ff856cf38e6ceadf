//! Exact decimal numbers, for amounts that floating-point arithmetic would change.

use std::fmt;

use serde_json::{Number, Value};

/// Maximum number of decimal places.
const MAX_PLACES: u32 = 30;

/// A decimal number: `mantissa × 10^-places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    places: u32,
}

impl Decimal {
    /// Parses digits with an optional sign, decimal point and exponent. `None` for any other text, and for numbers beyond
    /// about 38 digits.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || digits.ends_with('.') {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mantissa = if number.starts_with('-') { -mantissa } else { mantissa };
        let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        match u32::try_from(places) {
            Ok(places) if places <= MAX_PLACES => Some(Decimal { mantissa, places }),
            Ok(_) => None,
            Err(_) => Some(Decimal { mantissa: mantissa.checked_mul(power(places.unsigned_abs())?)?, places: 0 }),
        }
    }

    /// The product; `None` if it is too large.
    pub(super) fn times(self, other: Decimal) -> Option<Decimal> {
        let places = self.places + other.places;
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        let product = Decimal { mantissa, places }.with_places_at_least(self.places);
        (product.places <= MAX_PLACES).then_some(product)
    }

    /// The sum; `None` if it is too large.
    pub(super) fn plus(self, other: Decimal) -> Option<Decimal> {
        let places = self.places.max(other.places);
        let aligned = |number: Decimal| number.mantissa.checked_mul(power(places - number.places)?);
        let sum = Decimal { mantissa: aligned(self)?.checked_add(aligned(other)?)?, places };
        Some(sum.with_places_at_least(self.places))
    }

    /// The number with at most these decimal places. Halves are rounded away from zero.
    pub(super) fn rounded(self, places: u32) -> Decimal {
        let Some(unit) = self.places.checked_sub(places).filter(|surplus| *surplus > 0).and_then(power) else {
            return self;
        };
        let (quotient, rest) = (self.mantissa / unit, self.mantissa % unit);
        let is_up = rest.unsigned_abs() >= unit.unsigned_abs() / 2;
        let step = if is_up { self.mantissa.signum() } else { 0 };
        Decimal { mantissa: quotient + step, places }
    }

    /// True if there is nothing but zeros after the decimal point.
    pub(super) fn is_whole(self) -> bool {
        self.with_places_at_least(0).places == 0
    }

    /// The number without zeros at its end beyond these decimal places.
    fn with_places_at_least(mut self, least: u32) -> Decimal {
        while self.places > least && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.places -= 1;
        }
        self
    }

    /// The JSON number; `None` if JSON cannot express it without a loss of digits before the decimal point.
    pub(super) fn to_number(self) -> Option<Value> {
        let short = self.with_places_at_least(0);
        if short.places > 0 {
            return Number::from_f64(short.to_string().parse().ok()?).map(Value::Number);
        }
        let small = i64::try_from(short.mantissa).map(Number::from);
        small.or_else(|_| u64::try_from(short.mantissa).map(Number::from)).ok().map(Value::Number)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.places as usize + 1;
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - self.places as usize);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn digits_are_read_and_written_unchanged() {
        for text in ["0", "7", "-7", "12.50", "0.1", "-0.05", "12345678901234567890123.45"] {
            assert_eq!(number(text).to_string(), text);
        }
        for (text, expected) in [("+1", "1"), ("1e3", "1000"), ("1.5E-3", "0.0015"), ("00.10", "0.10")] {
            assert_eq!(number(text).to_string(), expected);
        }
        for text in ["", "-", ".5", "5.", "1,5", "1 5", "x", "1e99", "1e-99", "--1", "1.2.3", "0x1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(number("0.1").times(number("3")).unwrap().to_string(), "0.3");
        assert_eq!(number("2460").times(number("0.01")).unwrap().to_string(), "24.6");
        assert_eq!(number("12.50").times(number("2")).unwrap().to_string(), "25.00");
        assert_eq!(number("0.1").plus(number("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(number("1").plus(number("-1.5")).unwrap().to_string(), "-0.5");
        assert_eq!(number(&"9".repeat(30)).times(number(&"9".repeat(30))), None);
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let rows = [("2.345", 2, "2.35"), ("-2.345", 2, "-2.35"), ("2.344", 2, "2.34"), ("0.5", 0, "1"), ("7", 2, "7")];
        for (text, places, expected) in rows {
            assert_eq!(number(text).rounded(places).to_string(), expected);
        }
    }

    #[test]
    fn json_numbers_keep_the_digits_before_the_point() {
        assert_eq!(number("18446744073709551615").to_number().unwrap().to_string(), "18446744073709551615");
        assert_eq!(number("12.50").to_number().unwrap().to_string(), "12.5");
        assert_eq!(number("18446744073709551616").to_number(), None);
    }
}
