//! Words for people: what was most likely meant, and lists of names.

/// The candidate that is most likely meant: at most a third of its letters differ, or only case and separators do.
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

/// `a`, `b` and `c`
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
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
