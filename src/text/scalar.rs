//! Resolution of unquoted scalars by the core schema of YAML 1.2, and numbers of both formats.

use serde_json::Number;

/// The meaning of an unquoted scalar.
#[derive(Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    /// A number with a leading zero, which YAML readers interpret differently.
    Ambiguous(Number),
    /// Infinity, not-a-number, or a float beyond 64 bits.
    NotFinite,
    /// An integer beyond 64 bits, with the nearest number.
    TooLarge(Number),
    /// Everything else, including `no`, `on`, `1_000`, `12:30` and dates.
    Text,
}

/// Resolves an unquoted scalar.
pub(super) fn plain(text: &str) -> Plain {
    match text.as_bytes() {
        [] => Plain::Null,
        [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => number(text),
        [b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F', ..] => match text {
            "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Bool(true),
            "false" | "False" | "FALSE" => Plain::Bool(false),
            _ => Plain::Text,
        },
        _ => Plain::Text,
    }
}

/// An integer of decimal digits with an optional sign, exact within 64 bits.
pub(super) fn integer(text: &str) -> Plain {
    if let Ok(value) = text.parse::<i64>() {
        Plain::Number(value.into())
    } else if let Ok(value) = text.parse::<u64>() {
        Plain::Number(value.into())
    } else {
        Plain::TooLarge(text.parse::<f64>().ok().and_then(Number::from_f64).unwrap_or(u64::MAX.into()))
    }
}

/// A finite float.
pub(super) fn float(text: &str) -> Plain {
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Plain::NotFinite, Plain::Number)
}

fn number(text: &str) -> Plain {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Plain::NotFinite;
    }
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Plain::Text;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let (digits, rest) = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        if digits.is_empty() || !rest.is_empty() {
            return Plain::Text;
        }
    } else if !rest.is_empty() {
        return Plain::Text;
    }
    let value = if whole.len() == unsigned.len() { integer(text) } else { float(text) };
    match value {
        Plain::Number(value) if whole.len() > 1 && whole.starts_with('0') => Plain::Ambiguous(value),
        value => value,
    }
}

fn radix(digits: &str, radix: u32) -> Plain {
    if digits.is_empty() || !digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
        return Plain::Text;
    }
    u64::from_str_radix(digits, radix).map_or(Plain::TooLarge(u64::MAX.into()), |value| Plain::Number(value.into()))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests;
