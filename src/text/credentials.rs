//! Recognition of credentials by their format, to report them and to redact them in output.

use std::sync::LazyLock;

use regex::Regex;

/// Key formats of known services.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r"\b[sr]k_(live|test)_[A-Za-z0-9]{16,}",
        r"\bwhsec_[A-Za-z0-9+/=]{16,}",
        r"\bgh[pousr]_[A-Za-z0-9]{30,}",
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bglpat-[A-Za-z0-9_-]{16,}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
        r"\bshp(at|ca|pa|ss)_[A-Fa-f0-9]{24,}",
        r"\bpat-(na|eu)[0-9]-[A-Fa-f0-9-]{20,}",
        r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bAIza[A-Za-z0-9_-]{35}",
        r"\bya29\.[A-Za-z0-9_-]{20,}",
        r"\bsk-(ant-|proj-)?[A-Za-z0-9_-]{20,}",
        r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        r"(?i)^(bearer|basic)\s+[A-Za-z0-9+/_=.-]{16,}$",
        r"://[^/\s:@]+:[^/\s:@{}]+@",
    ];
    Regex::new(&patterns.map(|pattern| format!("(?:{pattern})")).join("|")).expect("our own patterns")
});

/// True if a text contains a string in the format of a known service's credential.
pub fn is_known_credential(text: &str) -> bool {
    KNOWN.is_match(text)
}

/// Names of the maps whose members are headers or parameters of requests.
const PARAMETERS: [&str; 6] = ["headers", "query", "form", "metadata", "authorizationParams", "tokenParams"];

/// True if a field of this name holds headers or parameters of requests by their names.
pub fn holds_parameters(field: &str) -> bool {
    PARAMETERS.contains(&field)
}

/// True if the name of a header or parameter is that of a key, such as `Ocp-Apim-Subscription-Key`.
pub fn is_key_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A key that identifies a record or a request is no credential.
    let identifies = ["idempotency", "cache", "partition", "routing", "sort", "surrogate", "public"];
    let is_key = name.ends_with("key") || ["auth", "x-auth", "pass", "pwd"].contains(&&*name);
    is_key && !identifies.iter().any(|word| name.contains(word))
}

/// True for a text as generated keys are: long, of several kinds of characters, without spaces and templates.
pub fn looks_random(text: &str) -> bool {
    let kinds = [
        text.bytes().any(|byte| byte.is_ascii_lowercase()),
        text.bytes().any(|byte| byte.is_ascii_uppercase()),
        text.bytes().any(|byte| byte.is_ascii_digit()),
    ];
    text.len() >= 16
        && !text.contains("{{")
        && !text.contains(['[', ' ', '/'])
        && kinds.iter().filter(|kind| **kind).count() >= 2
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// True for the value of a header or parameter that is a generated key, regardless of its name: letters and digits in one
/// long run. Identifiers with separators, such as UUIDs, media types and dates, are none, and neither are digests of content.
pub fn is_generated_key(name: &str, value: &str) -> bool {
    const MIN_RUN: usize = 20;
    const MIN_DISTINCT: usize = 8;
    let name = name.to_ascii_lowercase();
    if ["sha", "md5", "digest", "hash", "checksum", "etag", "match", "trace"].iter().any(|word| name.contains(word)) {
        return false;
    }
    value.split(|character: char| !character.is_ascii_alphanumeric()).any(|run| {
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let distinct: std::collections::BTreeSet<u8> = run.bytes().collect();
        run.len() >= MIN_RUN && digits >= 3 && run.len() - digits >= 3 && distinct.len() >= MIN_DISTINCT
    }) && looks_random(&value.replace(['/', ' '], ""))
}

/// True if the query of a URL or path holds a literal key, as in `/orders?code=…`.
pub fn url_holds_key(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = query.split(['&', '#']).filter_map(|parameter| parameter.split_once('='));
    parameters.any(|(name, value)| is_generated_key(name, value) || is_key_parameter(name) && looks_random(value))
}

/// Masks the credentials in a text. The length and all other bytes stay the same.
pub(super) fn redacted(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for credential in KNOWN.find_iter(text) {
        hide(&mut bytes, credential.range());
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Masks a range except for its first 5 bytes, which identify the credential. Quotes and white space are kept.
pub(super) fn hide(text: &mut [u8], range: std::ops::Range<usize>) {
    let end = range.end.min(text.len());
    for byte in text.get_mut((range.start + 5).min(end)..end).unwrap_or_default() {
        if !byte.is_ascii_whitespace() && !b"\"'".contains(byte) {
            *byte = b'*';
        }
    }
}
