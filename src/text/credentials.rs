//! Credentials by their looks: to find them, and to print none of them again.

use std::sync::LazyLock;

use regex::Regex;

/// Prefixes and forms that services give their keys, so that scanners can find them.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
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
    Regex::new(&forms.map(|form| format!("(?:{form})")).join("|")).expect("our own patterns")
});

/// Does a text hold something that looks like a credential of a known service?
pub fn is_known_credential(text: &str) -> bool {
    KNOWN.is_match(text)
}

/// The text with such credentials made unreadable. Every byte keeps its place.
pub(super) fn redacted(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for found in KNOWN.find_iter(text) {
        hide(&mut bytes, found.range());
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Hides all but the first characters, which tell which one it is; quotes and white space keep the look of the file.
pub(super) fn hide(text: &mut [u8], range: std::ops::Range<usize>) {
    let end = range.end.min(text.len());
    for byte in text.get_mut((range.start + 5).min(end)..end).unwrap_or_default() {
        if !byte.is_ascii_whitespace() && !b"\"'".contains(byte) {
            *byte = b'*';
        }
    }
}
