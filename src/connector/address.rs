//! URLs of requests: validation, and encoding of values in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::error::{CallError, ErrorCode};

/// All characters except the unreserved ones (RFC 3986, 2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parses a URL without correcting it. URL parsers tolerate an empty host (the next segment becomes the host), `\\` for
/// `/`, tabs and `..`, each of which would send credentials to another address.
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

/// Appends query parameters.
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

/// True if a caller's value may be a segment of a path (registry format, 3).
pub(super) fn is_path_value(value: &str) -> bool {
    let length = value.chars().count();
    (1..=200).contains(&length)
        && !value.contains("..")
        && value != "."
        && !value
            .chars()
            .any(|character| character.is_whitespace() || character.is_control() || "/\\?#%".contains(character))
}

/// True for hosts that are reserved for examples (RFC 2606, RFC 6761), where no application can be reached.
pub fn is_example_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or(&host);
    let second = ["example.com", "example.org", "example.net"];
    ["example", "test", "invalid"].contains(&last)
        || second.iter().any(|known| host == *known || host.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')))
}
