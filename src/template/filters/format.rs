//! Text formatting as in Python: `"%s" | format(…)` and `"{}".format(…)`.

use minijinja::Error;
use minijinja::value::Value;

use super::super::budget::{Budget, bad_argument};
use super::super::convert::text;
use super::super::cost::defined;

/// Maximum width and precision of a field.
const MAX_WIDTH: usize = 1024;

/// `%`-formatting: `%s %d %i %f %x %X %o %e %%` with flags, width, precision.
pub(in super::super) fn percent(budget: &Budget, pattern: &str, values: &[Value]) -> Result<String, Error> {
    budget.charge_memory(pattern.len())?;
    let mut out = String::with_capacity(pattern.len());
    let mut values = values.iter();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (spec, after) = Spec::parse(&rest[at + 1..])?;
        rest = after;
        if spec.conversion == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| bad_argument("the format has more fields than there are values"))?;
        let field = spec.field(budget, defined(value)?)?;
        budget.charge_memory(field.len())?;
        out.push_str(&field);
    }
    if values.next().is_some() {
        return Err(bad_argument("there are more values than the format has fields"));
    }
    out.push_str(rest);
    Ok(out)
}

/// `{}`-formatting: `{}`, `{0}` and `{name}`, without format specifications.
pub(in super::super) fn braces(
    budget: &Budget,
    pattern: &str,
    values: &[Value],
    names: &[(String, Value)],
) -> Result<String, Error> {
    budget.charge_memory(pattern.len())?;
    let mut out = String::with_capacity(pattern.len());
    let mut next = 0_usize;
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            out.push_str(&brace[..1]);
            rest = &brace[2..];
            continue;
        }
        let field = brace.strip_prefix('{').and_then(|field| field.split_once('}'));
        let Some((field, after)) = field else {
            return Err(bad_argument("the format has a single brace"));
        };
        rest = after;
        let value = if field.is_empty() {
            next += 1;
            values.get(next - 1)
        } else if let Ok(at) = field.parse::<usize>() {
            values.get(at)
        } else {
            names.iter().find(|(name, _)| name == field).map(|(_, value)| value)
        };
        let value = value.ok_or_else(|| {
            bad_argument("the format has a field without a value (only `{}`, `{0}` and `{name}` are known)")
        })?;
        let part = text(budget, value)?;
        budget.charge_memory(part.len())?;
        out.push_str(&part);
    }
    out.push_str(rest);
    Ok(out)
}

/// One field of a `%`-format.
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl Spec {
    /// Parses what follows a `%`; also returns what follows the field.
    fn parse(source: &str) -> Result<(Spec, &str), Error> {
        let mut spec = Spec { left: false, zero: false, plus: false, width: 0, precision: None, conversion: '%' };
        let flags = source.trim_start_matches(['-', '0', '+', ' ', '#']);
        for flag in source[..source.len() - flags.len()].chars() {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                _ => {}
            }
        }
        let (width, mut rest) = number(flags)?;
        spec.width = width.unwrap_or(0);
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            spec.precision = Some(precision.unwrap_or(0));
            rest = after;
        }
        let mut chars = rest.chars();
        spec.conversion = chars.next().ok_or_else(|| bad_argument("the format ends inside of a field"))?;
        Ok((spec, chars.as_str()))
    }

    fn field(&self, budget: &Budget, value: &Value) -> Result<String, Error> {
        let body = match self.conversion {
            's' => {
                let text = text(budget, value)?;
                budget.charge_memory(text.len())?;
                match self.precision {
                    Some(max) => text.chars().take(max).collect(),
                    None => text.into_owned(),
                }
            }
            'd' | 'i' | 'u' => integer(value)?.to_string(),
            'x' => signed(integer(value)?, |digits| format!("{digits:x}")),
            'X' => signed(integer(value)?, |digits| format!("{digits:X}")),
            'o' => signed(integer(value)?, |digits| format!("{digits:o}")),
            'f' | 'F' => format!("{:.*}", self.precision.unwrap_or(6), float(value)?),
            'e' => scientific(float(value)?, self.precision.unwrap_or(6)),
            other if other.is_ascii_alphabetic() => {
                return Err(bad_argument(format!("`%{other}` is not supported")));
            }
            _ => return Err(bad_argument("the format has a `%` without a conversion")),
        };
        Ok(self.pad(body))
    }

    fn pad(&self, mut body: String) -> String {
        let numeric = self.conversion != 's';
        if numeric && self.plus && !body.starts_with('-') {
            body.insert(0, '+');
        }
        let missing = self.width.saturating_sub(body.chars().count());
        if missing == 0 {
            body
        } else if self.left {
            body + &" ".repeat(missing)
        } else if numeric && self.zero {
            let sign = usize::from(body.starts_with(['-', '+']));
            body.insert_str(sign, &"0".repeat(missing));
            body
        } else {
            " ".repeat(missing) + &body
        }
    }
}

fn number(source: &str) -> Result<(Option<usize>, &str), Error> {
    let rest = source.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &source[..source.len() - rest.len()];
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(number) if number <= MAX_WIDTH => Ok((Some(number), rest)),
        _ => Err(bad_argument("a field of the format is too wide")),
    }
}

fn integer(value: &Value) -> Result<i128, Error> {
    if let Ok(number) = i128::try_from(value.clone()) {
        return Ok(number);
    }
    match f64::try_from(value.clone()) {
        // `as` saturates; Python truncates as well.
        Ok(number) if number.is_finite() => Ok(number as i128),
        _ => Err(bad_argument(format!("the format takes a number, not a {}", value.kind()))),
    }
}

fn float(value: &Value) -> Result<f64, Error> {
    f64::try_from(value.clone()).map_err(|_| bad_argument(format!("the format takes a number, not a {}", value.kind())))
}

fn signed(number: i128, digits: impl FnOnce(u128) -> String) -> String {
    let digits = digits(number.unsigned_abs());
    if number < 0 { format!("-{digits}") } else { digits }
}

/// Rust writes `1e2` where C and Python write `1e+02`.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}
