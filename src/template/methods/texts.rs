//! Methods of strings.

use minijinja::Error;
use minijinja::value::Value;

use super::super::arguments::{Args, unknown_method};
use super::super::budget::bad_argument;
use super::super::containers::List;
use super::super::convert::text;
use super::super::cost;
use super::super::filters::{braces, capitalized, replaced, split_on};

/// Calls a method of a string.
#[allow(clippy::too_many_lines, reason = "one arm per method")]
pub(super) fn call(value: &str, name: &str, args: &Args<'_>) -> Result<Value, Error> {
    // All methods are linear in the text; the result is at most three times as
    // large unless stated otherwise below.
    args.budget.charge_work(value.len())?;
    let changed = |new: String| -> Result<Value, Error> {
        args.end(0)?;
        Ok(Value::from(new))
    };
    let tripled = || args.budget.charge_memory(value.len().saturating_mul(3));
    let every = |test: fn(char) -> bool| -> Result<Value, Error> {
        args.end(0)?;
        Ok(Value::from(!value.is_empty() && value.chars().all(test)))
    };
    match name {
        "lower" => {
            tripled()?;
            changed(value.to_lowercase())
        }
        "upper" => {
            tripled()?;
            changed(value.to_uppercase())
        }
        "title" => {
            tripled()?;
            let mut out = String::with_capacity(value.len());
            let mut start = true;
            for c in value.chars() {
                if start {
                    out.extend(c.to_uppercase());
                } else {
                    out.extend(c.to_lowercase());
                }
                start = !c.is_alphabetic();
            }
            changed(out)
        }
        "capitalize" => {
            tripled()?;
            changed(capitalized(value))
        }
        "strip" | "lstrip" | "rstrip" => {
            let chars = args.text(0, "chars")?;
            args.end(1)?;
            let per_char = chars.as_ref().map_or(1, String::len);
            args.budget.charge_work(value.len().saturating_mul(per_char))?;
            let unwanted = |c: char| match &chars {
                Some(chars) => chars.contains(c),
                None => c.is_whitespace(),
            };
            let stripped = match name {
                "strip" => value.trim_matches(unwanted),
                "lstrip" => value.trim_start_matches(unwanted),
                _ => value.trim_end_matches(unwanted),
            };
            args.budget.charge_memory(stripped.len())?;
            Ok(Value::from(stripped))
        }
        "removeprefix" | "removesuffix" => {
            let part = args.need_text(0, "part")?;
            args.end(1)?;
            args.budget.charge_memory(value.len())?;
            let cut = if name == "removeprefix" {
                value.strip_prefix(part.as_str())
            } else {
                value.strip_suffix(part.as_str())
            };
            Ok(Value::from(cut.unwrap_or(value)))
        }
        "split" => {
            let separator = args.text(0, "sep")?;
            let most = args.int(1, "maxsplit")?;
            args.end(2)?;
            split_on(args, value, separator.as_deref(), most)
        }
        "splitlines" => {
            args.end(0)?;
            let count = value.lines().count();
            args.budget.charge_memory(value.len().saturating_add(count.saturating_mul(64)))?;
            List::mutable(&args.budget, value.lines().map(Value::from).collect())
        }
        "startswith" | "endswith" => {
            let wanted = args.get(0, "prefix")?.ok_or_else(|| args.missing("prefix"))?;
            args.end(1)?;
            let fits = |part: &str| {
                if name == "startswith" { value.starts_with(part) } else { value.ends_with(part) }
            };
            if let Some(part) = wanted.as_str() {
                return Ok(Value::from(fits(part)));
            }
            // As in Python, a tuple of alternatives is accepted.
            let parts = cost::collect_items(&args.budget, &wanted)?;
            Ok(Value::from(parts.iter().any(|part| part.as_str().is_some_and(fits))))
        }
        "find" | "rfind" | "index" => {
            let part = args.need_text(0, "sub")?;
            args.end(1)?;
            let found = if name == "rfind" { value.rfind(&part) } else { value.find(&part) };
            match found {
                Some(byte) => Ok(Value::from(value[..byte].chars().count())),
                None if name == "index" => Err(bad_argument("`index`: the text is not there")),
                None => Ok(Value::from(-1)),
            }
        }
        "count" => {
            let part = args.need_text(0, "sub")?;
            args.end(1)?;
            Ok(Value::from(value.matches(part.as_str()).count()))
        }
        "replace" => {
            let from = args.need_text(0, "old")?;
            let to = args.need_text(1, "new")?;
            // As in Python, a negative count replaces everything.
            let most = args.int(2, "count")?.and_then(|most| usize::try_from(most).ok());
            args.end(3)?;
            replaced(args, value, &from, &to, most).map(Value::from)
        }
        "join" => {
            let parts = args.get(0, "iterable")?.ok_or_else(|| args.missing("iterable"))?;
            args.end(1)?;
            let mut out = String::new();
            for (at, part) in cost::collect_items(&args.budget, &parts)?.iter().enumerate() {
                let part = text(&args.budget, part)?;
                let separator = if at == 0 { "" } else { value };
                args.budget.charge_memory(part.len().saturating_add(separator.len()))?;
                out.push_str(separator);
                out.push_str(&part);
            }
            Ok(Value::from(out))
        }
        "format" => {
            let names = args.keywords()?;
            braces(&args.budget, value, args.pos, &names).map(Value::from)
        }
        "zfill" => {
            let width = args.size(0, "width")?.ok_or_else(|| args.missing("width"))?;
            args.end(1)?;
            args.budget.charge_memory(value.len().saturating_add(width))?;
            let zeros = "0".repeat(width.saturating_sub(value.chars().count()));
            let (sign, digits) = value.split_at(usize::from(value.starts_with(['-', '+'])));
            Ok(Value::from(format!("{sign}{zeros}{digits}")))
        }
        "isdigit" | "isnumeric" => every(char::is_numeric),
        "isalpha" => every(char::is_alphabetic),
        "isalnum" => every(char::is_alphanumeric),
        "isspace" => every(char::is_whitespace),
        "isupper" | "islower" => {
            args.end(0)?;
            let cased = value.chars().any(char::is_alphabetic);
            let wrong = if name == "isupper" {
                value.chars().any(char::is_lowercase)
            } else {
                value.chars().any(char::is_uppercase)
            };
            Ok(Value::from(cased && !wrong))
        }
        _ => Err(unknown_method()),
    }
}
