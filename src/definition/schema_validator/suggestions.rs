//! Suggestions in messages: similar names, and lists of names.

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
