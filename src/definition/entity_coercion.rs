//! The conversion of native values to the types of canonical fields.

use jiff::civil;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::decimal::Decimal;
use super::entity::{Coercion, FieldType};

/// The order of day and month in a date of three numbers.
#[derive(Clone, Copy, PartialEq)]
enum DateOrder {
    MonthFirst,
    DayFirst,
    /// Decided by a number above 12.
    Unknown,
}

/// The decimal separator of an amount.
#[derive(Clone, Copy, PartialEq)]
enum DecimalSeparator {
    Point,
    Comma,
    /// Decided by the separators in the text.
    Unknown,
}

/// Converts a value that is not null. `target` is the type of the result.
///
/// # Errors
/// The value has none of the forms of the coercion.
pub(super) fn coerced(coercion: Coercion, target: FieldType, value: &Value) -> Result<Value, String> {
    match coercion {
        Coercion::Auto => match target {
            FieldType::String => string(value),
            FieldType::Integer | FieldType::Number => number(value, target, DecimalSeparator::Unknown),
            FieldType::Boolean => boolean(value),
            FieldType::Money => money(value),
            FieldType::Date | FieldType::DateTime => date(value, target, DateOrder::Unknown),
            FieldType::Object | FieldType::Array => Ok(value.clone()),
        },
        Coercion::Date => date(value, target, DateOrder::Unknown),
        Coercion::DateMonthFirst => date(value, target, DateOrder::MonthFirst),
        Coercion::DateDayFirst => date(value, target, DateOrder::DayFirst),
        Coercion::Number => number(value, target, DecimalSeparator::Point),
        Coercion::NumberDecimalComma => number(value, target, DecimalSeparator::Comma),
        Coercion::Boolean => boolean(value),
        Coercion::Money => money(value),
        Coercion::String => string(value),
    }
}

fn unusable(value: &Value, wanted: &str) -> String {
    match value {
        Value::String(_) => format!("this text is no {wanted}"),
        other => format!("{} is no {wanted}", kind(other)),
    }
}

fn string(value: &Value) -> Result<Value, String> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(unusable(value, "text")),
        scalar => Ok(Value::String(text_of(scalar))),
    }
}

fn boolean(value: &Value) -> Result<Value, String> {
    let is_true = match value {
        Value::Bool(value) => Some(*value),
        Value::String(_) | Value::Number(_) => match text_of(value).trim().to_lowercase().as_str() {
            "true" | "yes" | "1" | "on" => Some(true),
            "false" | "no" | "0" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    };
    is_true.map(Value::Bool).ok_or_else(|| unusable(value, "boolean, such as `yes` or `0`"))
}

fn number(value: &Value, target: FieldType, separator: DecimalSeparator) -> Result<Value, String> {
    if let Value::Number(number) = value
        && (target != FieldType::Integer || !number.is_f64())
    {
        return Ok(value.clone());
    }
    let parsed = amount(value, separator).ok_or_else(|| unusable(value, "number"))?;
    if target == FieldType::Integer && !parsed.is_whole() {
        return Err(unusable(value, "whole number"));
    }
    parsed.to_number().ok_or_else(|| "this number has too many digits for JSON; use `coerce: Money`".to_owned())
}

fn money(value: &Value) -> Result<Value, String> {
    let parsed = amount(value, DecimalSeparator::Unknown).ok_or_else(|| unusable(value, "amount of money"))?;
    Ok(Value::String(parsed.to_string()))
}

/// An amount without its currency symbol or code and without its separators of thousands.
fn amount(value: &Value, separator: DecimalSeparator) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => return Decimal::parse(&number.to_string()),
        Value::String(text) => text,
        _ => return None,
    };
    if let Some(plain) = Decimal::parse(text.trim()).filter(|_| separator != DecimalSeparator::Comma) {
        return Some(plain);
    }
    let is_symbol = |letter: char| letter.is_alphabetic() || letter.is_whitespace() || "$€£¥₹₩₽₺¢".contains(letter);
    let text = text.trim();
    let negative = text.starts_with('-') || (text.starts_with('(') && text.ends_with(')'));
    let text = text.trim_matches(|letter: char| is_symbol(letter) || "-+()".contains(letter));
    let point = match separator {
        DecimalSeparator::Point => '.',
        DecimalSeparator::Comma => ',',
        DecimalSeparator::Unknown => match (text.rfind('.'), text.rfind(',')) {
            (Some(point), Some(comma)) if comma > point => ',',
            (None, Some(comma)) => {
                // `1,234` has thousands, `12,5` and `12,50` have decimals.
                let is_thousands = text.len() - comma == 4 || text.matches(',').count() > 1;
                if is_thousands { '.' } else { ',' }
            }
            _ => '.',
        },
    };
    let (whole, fraction) = text.split_once(point).unwrap_or((text, ""));
    let groups: Vec<&str> = whole.split(['.', ',', ' ', '\u{a0}', '\u{202f}', '\'']).collect();
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped = groups.iter().skip(1).all(|group| group.len() == 3) && groups.iter().all(|group| is_digits(group));
    if !is_grouped || !(fraction.is_empty() || is_digits(fraction)) || text.ends_with(point) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let dot = if fraction.is_empty() { "" } else { "." };
    Decimal::parse(&format!("{sign}{}{dot}{fraction}", groups.concat()))
}

/// A date or a time: Unix seconds (10 digits) or milliseconds (13), ISO 8601, or three numbers.
fn date(value: &Value, target: FieldType, order: DateOrder) -> Result<Value, String> {
    let text = match value {
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        other => return Err(unusable(other, "date")),
    };
    let timestamp = timestamp(&text, order).map_err(|reason| reason.unwrap_or_else(|| unusable(value, "date")))?;
    Ok(match target {
        FieldType::Date => json!(timestamp.to_zoned(TimeZone::UTC).date().to_string()),
        _ => json!(timestamp.to_string()),
    })
}

/// The time of a text; times without an offset are in UTC. The error is a reason, or none for any other text.
fn timestamp(text: &str, order: DateOrder) -> Result<jiff::Timestamp, Option<String>> {
    let is_number = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    if is_number && matches!(text.len(), 10 | 13) {
        let number: i64 = text.parse().map_err(|_| None)?;
        let parsed = match text.len() {
            10 => jiff::Timestamp::from_second(number),
            _ => jiff::Timestamp::from_millisecond(number),
        };
        return parsed.map_err(|_| None);
    }
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(timestamp);
    }
    let in_utc = |date: civil::DateTime| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| None);
    if let Ok(date) = text.parse::<civil::DateTime>() {
        return in_utc(date);
    }
    let numbers: Option<Vec<i16>> = text.split(['-', '/', '.']).map(|part| part.parse().ok()).collect();
    let Some([first, second, year]) = numbers.as_deref() else { return Err(None) };
    let order = match order {
        DateOrder::Unknown if *first > 12 => DateOrder::DayFirst,
        DateOrder::Unknown if *second > 12 || first == second => DateOrder::MonthFirst,
        other => other,
    };
    let (month, day) = match order {
        DateOrder::MonthFirst => (*first, *second),
        DateOrder::DayFirst => (*second, *first),
        DateOrder::Unknown => {
            return Err(Some(
                "this date has a day or a month first; set `coerce: DateDayFirst` or `DateMonthFirst`".to_owned(),
            ));
        }
    };
    let part = |number: i16| i8::try_from(number).map_err(|_| None);
    let date = civil::Date::new(*year, part(month)?, part(day)?).map_err(|_| None)?;
    in_utc(date.to_datetime(civil::Time::midnight()))
}

/// The text of a scalar value.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The kind of a value in a sentence.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(coercion: Coercion, target: FieldType, rows: &[(Value, Value)]) {
        for (native, expected) in rows {
            assert_eq!(coerced(coercion, target, native).as_ref(), Ok(expected), "{native}");
        }
    }

    #[test]
    fn numbers_are_read_in_the_notation_of_their_country() {
        check(
            Coercion::Number,
            FieldType::Number,
            &[
                (json!("1,234.56"), json!(1234.56)),
                (json!("$1,234.56"), json!(1234.56)),
                (json!("1234.56"), json!(1234.56)),
                (json!(" -7 "), json!(-7)),
                (json!(7.5), json!(7.5)),
            ],
        );
        check(
            Coercion::NumberDecimalComma,
            FieldType::Number,
            &[(json!("1.234,56"), json!(1234.56)), (json!("12,5"), json!(12.5)), (json!("1.234"), json!(1234))],
        );
        check(Coercion::Number, FieldType::Integer, &[(json!("1,234"), json!(1234)), (json!("7.0"), json!(7))]);
        for native in [json!("many"), json!("1,23,4"), json!(""), json!(true), json!("12.5.1"), json!({})] {
            assert!(coerced(Coercion::Number, FieldType::Number, &native).is_err(), "{native}");
        }
        assert!(coerced(Coercion::Number, FieldType::Integer, &json!("7.5")).is_err());
    }

    #[test]
    fn money_is_text_without_symbol_and_with_all_digits() {
        let rows = [
            ("$1,234.50", "1234.50"),
            ("1.234,50 €", "1234.50"),
            ("12,5", "12.5"),
            ("1,234", "1234"),
            ("EUR 7", "7"),
            ("-3.10", "-3.10"),
            ("($3.10)", "-3.10"),
            ("1 234,50", "1234.50"),
        ];
        for (native, expected) in rows {
            check(Coercion::Money, FieldType::Money, &[(json!(native), json!(expected))]);
        }
        check(Coercion::Money, FieldType::Money, &[(json!(20.5), json!("20.5"))]);
        assert!(coerced(Coercion::Money, FieldType::Money, &json!("free")).is_err());
    }

    #[test]
    fn booleans_have_four_words_each() {
        for (native, expected) in [("yes", true), ("On", true), ("TRUE", true), ("no", false), ("off", false)] {
            check(Coercion::Boolean, FieldType::Boolean, &[(json!(native), json!(expected))]);
        }
        check(Coercion::Boolean, FieldType::Boolean, &[(json!(1), json!(true)), (json!(0), json!(false))]);
        assert!(coerced(Coercion::Boolean, FieldType::Boolean, &json!("perhaps")).is_err());
    }

    #[test]
    fn dates_are_read_from_numbers_iso_8601_and_three_numbers() {
        let rows = [
            (json!(1_767_225_600), "2026-01-01T00:00:00Z"),
            (json!("1767225600000"), "2026-01-01T00:00:00Z"),
            (json!("2026-01-01T02:00:00+02:00"), "2026-01-01T00:00:00Z"),
            (json!("2026-01-01T00:00:00"), "2026-01-01T00:00:00Z"),
            (json!("2026-01-01"), "2026-01-01T00:00:00Z"),
            (json!("31.01.2026"), "2026-01-31T00:00:00Z"),
            (json!("01/31/2026"), "2026-01-31T00:00:00Z"),
        ];
        for (native, expected) in rows {
            check(Coercion::Date, FieldType::DateTime, &[(native, json!(expected))]);
        }
        check(Coercion::DateMonthFirst, FieldType::Date, &[(json!("02-03-2026"), json!("2026-02-03"))]);
        check(Coercion::DateDayFirst, FieldType::Date, &[(json!("02.03.2026"), json!("2026-03-02"))]);
        let ambiguous = coerced(Coercion::Auto, FieldType::Date, &json!("02/03/2026")).unwrap_err();
        assert!(ambiguous.contains("DateDayFirst"), "{ambiguous}");
        for native in [json!("soon"), json!(7), json!("31/31/2026"), json!(1.5), json!([])] {
            assert!(coerced(Coercion::Date, FieldType::DateTime, &native).is_err(), "{native}");
        }
    }

    #[test]
    fn auto_converts_to_the_type_of_the_canonical_field() {
        check(Coercion::Auto, FieldType::String, &[(json!(7), json!("7"))]);
        check(Coercion::Auto, FieldType::Number, &[(json!("1.234,56"), json!(1234.56))]);
        check(Coercion::Auto, FieldType::Boolean, &[(json!("yes"), json!(true))]);
        check(Coercion::Auto, FieldType::Money, &[(json!("$5"), json!("5"))]);
        check(Coercion::Auto, FieldType::DateTime, &[(json!(1_767_225_600), json!("2026-01-01T00:00:00Z"))]);
        check(Coercion::Auto, FieldType::Array, &[(json!([1]), json!([1]))]);
        assert!(coerced(Coercion::String, FieldType::String, &json!({})).is_err());
    }
}
