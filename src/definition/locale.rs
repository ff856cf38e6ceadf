//! Language tags (BCP 47: RFC 5646, section 2.1), by their form. The registry of subtags is not consulted.

/// True if a text is a well-formed language tag, such as `de`, `pt-BR` or `zh-Hant-TW`.
pub(super) fn is_tag(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let usable = |part: &&str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if text.len() > 64 || !parts.iter().all(usable) {
        return false;
    }
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = parts.as_slice();
    if next(&mut rest, |part| part.eq_ignore_ascii_case("x")) {
        return !rest.is_empty();
    }
    if !next(&mut rest, |part| (2..=8).contains(&part.len()) && letters(part)) {
        return false;
    }
    let short = parts.first().is_some_and(|language| language.len() <= 3);
    for _ in 0..3 {
        next(&mut rest, |part| short && part.len() == 3 && letters(part));
    }
    next(&mut rest, |part| part.len() == 4 && letters(part));
    next(&mut rest, |part| part.len() == 2 && letters(part) || part.len() == 3 && digits(part));
    let starts_with_digit = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    while next(&mut rest, |part| part.len() >= 5 || part.len() == 4 && starts_with_digit(part)) {}
    // Extensions and private use: a single character, and at least one part.
    while next(&mut rest, |part| part.len() == 1 && !part.eq_ignore_ascii_case("x")) {
        if !next(&mut rest, |part| part.len() >= 2) {
            return false;
        }
        while next(&mut rest, |part| part.len() >= 2) {}
    }
    let is_private = next(&mut rest, |part| part.eq_ignore_ascii_case("x"));
    rest.is_empty() != is_private
}

/// Takes the first part if it fits.
fn next(rest: &mut &[&str], fits: impl Fn(&str) -> bool) -> bool {
    match rest.split_first() {
        Some((first, after)) if fits(first) => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_tag;

    #[test]
    fn accepts_the_tags_of_the_standard_and_refuses_others() {
        for tag in [
            "de",
            "en-US",
            "pt-BR",
            "zh-Hant-TW",
            "zh-cmn-Hans-CN",
            "sl-rozaj-biske",
            "de-CH-1901",
            "es-419",
            "en-a-myext-b-another",
            "de-x-own",
            "x-own-tag",
            "hy-Latn-IT-arevela",
        ] {
            assert!(is_tag(tag), "{tag}");
        }
        for text in
            ["", "d", "de_DE", "german language", "de-", "-de", "1de", "en-US-", "de-x", "en-a", "de-419-DE", "ä"]
        {
            assert!(!is_tag(text), "{text}");
        }
        assert!(!is_tag(&format!("de-x-{}", "abcdefgh-".repeat(20))));
    }
}
