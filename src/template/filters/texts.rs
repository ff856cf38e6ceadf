//! Filters that return text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

use super::super::budget::bad_argument;
use super::super::convert::{json_text, pairs, parse_json, text};
use super::super::cost;
use super::format::percent;
use crate::template::arguments::{Args, NativeFilter};
use crate::template::url_encoding::percent_encode;

pub(super) const FILTERS: &[(&str, NativeFilter)] = &[
    ("base64_decode", base64_decode),
    ("base64_encode", base64_encode),
    ("capitalize", capitalize),
    ("center", center),
    ("e", escape),
    ("escape", escape),
    ("format", format),
    ("from_json", from_json),
    ("indent", indent),
    ("json_encode", to_json),
    ("lower", lower),
    ("pprint", pprint),
    ("replace", replace),
    ("safe", string),
    ("string", string),
    ("title", title),
    ("tojson", to_json),
    ("trim", trim),
    ("truncate", truncate),
    ("upper", upper),
    ("urlencode", urlencode),
    ("wordcount", wordcount),
];

/// Applies a function to the filtered text.  `growth` is the maximum number of
/// bytes that one byte can become.
fn mapped(args: &Args<'_>, growth: usize, make: impl FnOnce(&str) -> String) -> Result<Value, Error> {
    args.end(1)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_memory(text.len().saturating_mul(growth))?;
    Ok(Value::from(make(&text)))
}

fn lower(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    mapped(args, 3, str::to_lowercase)
}

fn upper(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    mapped(args, 3, str::to_uppercase)
}

fn string(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    Ok(Value::from(text(&args.budget, value)?.into_owned()))
}

fn capitalize(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    mapped(args, 3, capitalized)
}

/// Converts the first letter to upper case and all others to lower case.
pub(in super::super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        None => String::new(),
        Some(first) => first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect(),
    }
}

fn title(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    mapped(args, 3, titled)
}

/// Converts the first letter of each word to upper case.
fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '-' | '(' | '{' | '[' | '<') {
            out.push(c);
            start = true;
        } else if start {
            out.extend(c.to_uppercase());
            start = false;
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

fn escape(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    mapped(args, 6, |text| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#x27;"),
                c => out.push(c),
            }
        }
        out
    })
}

fn trim(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let chars = args.text(1, "chars")?;
    args.end(2)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_memory(text.len())?;
    let per_char = chars.as_ref().map_or(1, String::len);
    args.budget.charge_work(text.len().saturating_mul(per_char))?;
    Ok(Value::from(match chars {
        None => text.trim(),
        Some(chars) => text.trim_matches(|c| chars.contains(c)),
    }))
}

fn replace(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let from = args.need_text(1, "old")?;
    let to = args.need_text(2, "new")?;
    let most = args.size(3, "count")?;
    args.end(4)?;
    let text = text(&args.budget, args.value()?)?;
    replaced(args, &text, &from, &to, most).map(Value::from)
}

/// Replaces text, after charging the exact cost.
pub(in super::super) fn replaced(
    args: &Args<'_>,
    text: &str,
    from: &str,
    to: &str,
    most: Option<usize>,
) -> Result<String, Error> {
    args.budget.charge_work(text.len().saturating_mul(2))?;
    let most = most.unwrap_or(usize::MAX);
    let found = text.matches(from).take(most).count();
    args.budget.charge_memory(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(text.replacen(from, to, found))
}

fn indent(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let width = args.size(1, "width")?.unwrap_or(4);
    let first = args.flag(2, "first")?;
    let blank = args.flag(3, "blank")?;
    args.end(4)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_work(text.len())?;
    let lines = text.matches('\n').count().saturating_add(1);
    args.budget.charge_memory(text.len().saturating_add(lines.saturating_mul(width)))?;
    let pad = " ".repeat(width);
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if (at > 0 || first) && (blank || !line.trim().is_empty()) {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

fn center(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let width = args.size(1, "width")?.unwrap_or(80);
    args.end(2)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_memory(text.len().saturating_add(width))?;
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2;
    let (left, right) = (" ".repeat(left), " ".repeat(missing - left));
    Ok(Value::from(format!("{left}{text}{right}")))
}

fn truncate(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let length = args.size(1, "length")?.unwrap_or(255);
    let kill_words = args.flag(2, "killwords")?;
    let end = args.text(3, "end")?.unwrap_or_else(|| "...".to_owned());
    let leeway = args.size(4, "leeway")?.unwrap_or(5);
    args.end(5)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_memory(text.len().saturating_add(end.len()))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::from(&*text));
    }
    let keep = length.saturating_sub(end.chars().count());
    let cut: String = text.chars().take(keep).collect();
    let cut = match cut.rfind(' ') {
        Some(at) if !kill_words => &cut[..at],
        _ => &cut,
    };
    Ok(Value::from(format!("{cut}{end}")))
}

fn wordcount(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let text = text(&args.budget, args.value()?)?;
    args.budget.charge_work(text.len())?;
    Ok(Value::from(text.split_whitespace().count()))
}

fn format(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(usize::MAX)?;
    let pattern = text(&args.budget, args.value()?)?;
    let rest = args.pos.get(1..).unwrap_or_default();
    percent(&args.budget, &pattern, rest).map(Value::from)
}

fn from_json(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    if let Some(text) = value.as_str() {
        parse_json(&args.budget, text.as_bytes(), true)
    } else if let Some(bytes) = value.as_bytes() {
        parse_json(&args.budget, bytes, true)
    } else {
        Err(bad_argument(format!("`from_json` takes a text, not a {}", value.kind())))
    }
}

fn to_json(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let indent = match args.get(1, "indent")? {
        // As in minijinja: true means two spaces.
        Some(value) if value.kind() == ValueKind::Bool => value.is_true().then_some(2),
        Some(value) if value.is_none() => None,
        Some(_) => args.size(1, "indent")?,
        None => None,
    };
    args.end(2)?;
    json_text(&args.budget, args.value()?, indent).map(Value::from)
}

fn pprint(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    json_text(&args.budget, args.value()?, Some(2)).map(Value::from)
}

fn base64_encode(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    let encode = |bytes: &[u8]| -> Result<Value, Error> {
        args.budget.charge_memory((bytes.len() / 3 + 1).saturating_mul(4))?;
        Ok(Value::from(STANDARD.encode(bytes)))
    };
    match value.as_bytes() {
        Some(bytes) => encode(bytes),
        None => encode(text(&args.budget, value)?.as_bytes()),
    }
}

fn base64_decode(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let text = text(&args.budget, args.value()?)?;
    let text = text.trim();
    args.budget.charge_memory(text.len().saturating_mul(2))?;
    // Both alphabets occur in practice, with and without padding.
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    for engine in engines {
        if let Ok(bytes) = engine.decode(text) {
            return Ok(match String::from_utf8(bytes) {
                Ok(text) => Value::from(text),
                Err(error) => Value::from_bytes(error.into_bytes()),
            });
        }
    }
    Err(bad_argument("the text is not base64"))
}

fn urlencode(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    args.end(1)?;
    let value = args.value()?;
    let mut out = String::new();
    let list = match value.kind() {
        ValueKind::Map => pairs(&args.budget, value)?,
        ValueKind::Seq | ValueKind::Iterable => cost::collect_items(&args.budget, value)?
            .iter()
            .map(|pair| match cost::collect_items(&args.budget, pair)?.as_slice() {
                [key, value] => Ok((key.clone(), value.clone())),
                _ => Err(bad_argument("`urlencode` takes a text, a map or a list of pairs")),
            })
            .collect::<Result<_, _>>()?,
        _ => {
            percent_encode(args, &mut out, value, true)?;
            return Ok(Value::from(out));
        }
    };
    for (key, item) in &list {
        // As in Python's urlencode after Jinja removed missing values.
        if item.is_none() || item.is_undefined() {
            continue;
        }
        if !out.is_empty() {
            out.push('&');
        }
        percent_encode(args, &mut out, key, false)?;
        out.push('=');
        percent_encode(args, &mut out, item, false)?;
    }
    Ok(Value::from(out))
}
