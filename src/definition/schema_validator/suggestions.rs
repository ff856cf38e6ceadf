//! Suggestions in messages: similar names, and lists of names.

use super::model::ObjectFields;

/// Finds the candidate that is most similar to a text: at most a third of the letters differ, or only case and
/// separators do.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let wanted = plain(text);
    let scored = candidates.map(|candidate| {
        let plain = plain(candidate);
        (strsim::damerau_levenshtein(&wanted, &plain), plain.len().max(wanted.len()), candidate)
    });
    let near = scored.filter(|(distance, length, _)| *distance * 3 <= *length).min_by_key(|(distance, ..)| *distance);
    near.map(|(_, _, candidate)| candidate)
}

/// Formats names as a list: `a`, `b` and `c`.
pub(crate) fn quoted_list<T: AsRef<str>>(names: &[T]) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let separator = match at {
            0 => "",
            _ if at + 1 == names.len() => " and ",
            _ => ", ",
        };
        text += separator;
        text += "`";
        text += name.as_ref();
        text += "`";
    }
    text
}

/// A name in backquotes; a description as it is.
pub(super) fn quoted(name: &str) -> String {
    if name.contains(' ') { name.to_owned() } else { format!("`{name}`") }
}

/// Maximum number of keys that a help names.
const MAX_NAMED_KEYS: usize = 24;

/// The names of fields, sorted.
pub(super) fn sorted(fields: &ObjectFields) -> Vec<&str> {
    let mut known: Vec<&str> = fields.by_name.keys().map(String::as_str).collect();
    known.sort_unstable();
    known
}

/// The field whose name is most similar to a text.
pub(super) fn nearest_field<'a>(name: &str, fields: &'a ObjectFields) -> Option<&'a str> {
    nearest(name, sorted(fields).into_iter())
}

/// The help for a value that is not a map of these fields.
pub(super) fn keys_help(fields: &ObjectFields) -> String {
    format!("write a map with {}", keys_of(fields))
}

/// The keys of a map: those that are required, or all.
pub(super) fn keys_of(fields: &ObjectFields) -> String {
    let known = sorted(fields);
    let (shown, rest) = known.split_at(known.len().min(MAX_NAMED_KEYS));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let noun = if known.len() == 1 { "the key" } else { "the keys" };
    let required: Vec<&str> = fields.required.iter().map(String::as_str).collect();
    match required.is_empty() || required.len() == known.len() {
        true => format!("{noun} {}{more}", quoted_list(shown)),
        false => format!("{noun} {}{more}, of which {} must be given", quoted_list(shown), quoted_list(&required)),
    }
}

/// The fields of a map, for a help: first those that it lacks and that are not reported themselves.
pub(super) fn possible_fields(fields: &ObjectFields, missing: &[&String], groups: &[&Vec<String>]) -> String {
    let mut needed = Vec::new();
    if !missing.is_empty() {
        needed.push(quoted_list(missing));
    }
    needed.extend(groups.iter().map(|group| format!("one of {}", quoted_list(group.as_slice()))));
    let is_needed = |name: &&str| {
        missing.iter().any(|field| field == name) || groups.iter().any(|group| group.iter().any(|field| field == name))
    };
    let rest: Vec<&str> = sorted(fields).into_iter().filter(|name| !is_needed(name)).collect();
    match (needed.is_empty(), rest.is_empty()) {
        (true, _) => format!("known fields: {}", quoted_list(&rest)),
        (false, true) => format!("it needs {}", needed.join(" and ")),
        (false, false) => format!("it needs {}; it may have {}", needed.join(" and "), quoted_list(&rest)),
    }
}
