//! URLs of requests: what may be one, and how values become part of one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{CallError, ErrorCode};

/// Everything but the unreserved characters (RFC 3986, 2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL whose parts are those that were written: parsers forgive much, such as an empty host (the next segment becomes
/// the host), `\\` for `/`, tabs, and `..`, and each of that would send credentials elsewhere.
pub(super) fn parse(text: &str) -> Result<Url, CallError> {
    let wrong = |detail: &str| CallError::new(ErrorCode::Template, format!("url: {detail}"));
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !scheme("https://") && !scheme("http://") {
        return Err(wrong("it does not start with `https://`; is a variable empty?"));
    }
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(wrong("it has no host; is a variable empty?"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte) || byte >= 0x80;
    if authority.contains('@') {
        return Err(wrong("it holds a user name or password"));
    }
    if !authority.bytes().all(allowed) {
        return Err(wrong("the host holds a character that no host has"));
    }
    if text.chars().any(|character| character.is_control() || character == '\\') {
        return Err(wrong("it holds a control character or `\\`"));
    }
    let path = rest.get(authority.len()..).unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
    let dots = |segment: &str| {
        let segment = segment.replace("%2e", ".").replace("%2E", ".");
        segment == "." || segment == ".."
    };
    if path.split('/').any(dots) {
        return Err(wrong("a segment of the path is `.` or `..`"));
    }
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it has no host; is a variable empty?"));
    }
    Ok(url)
}

/// Adds parameters after those that are there.
pub(super) fn append_query<'a>(url: &mut Url, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut query = url.query().unwrap_or_default().to_owned();
    let before = query.len();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, ENCODED));
        query.push('=');
        query.extend(utf8_percent_encode(value, ENCODED));
    }
    if query.len() > before {
        url.set_query(Some(&query));
    }
}

/// May a caller's value be a segment of a path? (registry format, 3.)
pub(super) fn is_path_value(value: &str) -> bool {
    let length = value.chars().count();
    (1..=200).contains(&length)
        && !value.contains("..")
        && value != "."
        && !value
            .chars()
            .any(|character| character.is_whitespace() || character.is_control() || "/\\?#%".contains(character))
}
