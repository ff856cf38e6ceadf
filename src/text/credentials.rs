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
