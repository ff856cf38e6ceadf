//! Version ranges of tags (Semantic Versioning 2.0.0): `validate` and Git sources read them here.

use semver::VersionReq;

pub use semver::Version;

/// Maximum length of a version range in bytes, and maximum number of its alternatives.
const MAX_RANGE_BYTES: usize = 256;
const MAX_ALTERNATIVES: usize = 16;

/// A version range.
///
/// Comparators separated by spaces or commas must all hold; `||` separates alternatives. A bare version means exactly that
/// version, and `1.2` any `1.2.x`; `^` and `~` have the meaning of npm and Cargo. A pre-release (`1.0.0-rc.1`) matches only
/// if the range names a pre-release of the same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    text: String,
    any_of: Vec<VersionReq>,
}

impl VersionRange {
    /// Reads a range; `None` for any other text.
    pub fn parse(text: &str) -> Option<VersionRange> {
        if text.len() > MAX_RANGE_BYTES || text.split("||").count() > MAX_ALTERNATIVES {
            return None;
        }
        let any_of = text.split("||").map(|part| comparators(part).and_then(|part| VersionReq::parse(&part).ok()));
        Some(VersionRange { text: text.to_owned(), any_of: any_of.collect::<Option<Vec<_>>>()? })
    }

    /// The text that the range was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if a version is in the range.
    pub fn matches(&self, version: &Version) -> bool {
        self.any_of.iter().any(|range| range.matches(version))
    }
}

/// The version that a tag names, such as `v1.2.0`; `None` for any other tag.
pub fn version_of_tag(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix(['v', 'V']).unwrap_or(tag)).ok()
}

/// Comparators in the syntax of the `semver` crate: with commas, without `v`, and with `=` before a bare version.
fn comparators(text: &str) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    let mut operator = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        let at = word.find(|c| !"<>=^~".contains(c)).unwrap_or(word.len());
        let (sign, version) = word.split_at(at);
        operator += sign;
        if version.is_empty() {
            continue;
        }
        let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
        if version.is_empty() || !version.starts_with(|c: char| c.is_ascii_digit() || "*xX".contains(c)) {
            return None;
        }
        let is_any = version.starts_with(['*', 'x', 'X']);
        let sign = if operator.is_empty() && !is_any { "=" } else { &operator };
        all.push(format!("{sign}{version}"));
        operator.clear();
    }
    (operator.is_empty() && !all.is_empty()).then(|| all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_malformed_ranges() {
        for text in ["", " ", "||", ">=", "1.0.0 - 2.0.0", "latest", ">=1.0.0 <", "==1", "a||b", &"1||".repeat(50)] {
            assert!(VersionRange::parse(text).is_none(), "{text}");
        }
        assert!(VersionRange::parse(&format!(">=1.0.0{}", " ".repeat(300))).is_none());
    }
}
