//! Comparison of the output that a page shows with the actual one.

/// Checks that an output is the one shown. `…` as a line stands for any lines, and in a line for any text. Empty lines and
/// spaces at the end of a line do not count.
///
/// # Errors
/// Both outputs.
pub(super) fn compare(shown: &[String], actual: &str) -> Result<(), String> {
    let actual = lines(actual.lines());
    let shown = lines(shown.iter().map(String::as_str));
    match is_same(&shown, &actual) {
        true => Ok(()),
        false => Err(format!("shown:\n{}\n\nactual:\n{}", shown.join("\n"), actual.join("\n"))),
    }
}

/// Checks that lines appear in this order, with any lines between them.
///
/// # Errors
/// The line that is missing, and the output.
pub(super) fn contains(shown: &[String], actual: &str) -> Result<(), String> {
    let mut rest = actual.lines();
    for line in shown.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty() && *line != "…") {
        if !rest.any(|actual| is_line(line, actual.trim_end())) {
            return Err(format!("`{line}` is not in:\n{actual}"));
        }
    }
    Ok(())
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    lines.map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

fn is_same(shown: &[&str], actual: &[&str]) -> bool {
    match shown.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line.trim() == "…" => {
            (0..=actual.len()).any(|skipped| is_same(rest, &actual[skipped..]))
        }
        Some((line, rest)) => {
            actual.split_first().is_some_and(|(first, others)| is_line(line, first) && is_same(rest, others))
        }
    }
}

fn is_line(shown: &str, actual: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = actual.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(position) = rest.find(part) else { return false };
        rest = &rest[position + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn an_output_that_differs_is_refused() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (text, actual) in [
        ("a\nb", "a  \n\nb\n"),
        ("a…\nc", "a, 5 ms\nc"),
        ("…\nc", "a\nb\nc\n"),
        ("a\n…", "a\n"),
        ("a … b … c", "a 1 b 2 c"),
        ("id …", "id 7"),
    ] {
        assert!(compare(&shown(text), actual).is_ok(), "{text}");
        assert!(contains(&shown(text), actual).is_ok(), "{text}");
    }
    for (text, actual) in
        [("a\nb", "a\n"), ("a", "a\nb"), ("a\nc", "a\nb\nc"), ("a…c", "ab"), ("a", "ab"), ("…\nc", "c\nd")]
    {
        assert!(compare(&shown(text), actual).is_err(), "{text}");
    }
    assert!(contains(&shown("b\na"), "a\nb\n").is_err());
}
