//! Patterns of files that a source does not read, in the syntax of gitignore(5).

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::text::Digest;

/// The file of patterns, in the folder that is read. Files of this name in deeper folders are not read.
pub const IGNORE_FILE: &str = ".evenkeelignore";
/// Maximum size of the file of patterns, in bytes.
pub const MAX_IGNORE_BYTES: usize = 64 << 10;
/// Maximum number of patterns of one source.
pub const MAX_PATTERNS: usize = 1000;

/// The files and folders that a source does not read: the patterns of `.evenkeelignore`, then those of `exclude` in the
/// Environment, of which the last one that matches decides.
///
/// An ignored file is treated as absent: its definitions are removed like those of a deleted file, since ignoring it is
/// a deliberate act, and the guards against removals apply. A pattern that cannot be read is an error, so that nothing
/// is removed because of it.
#[derive(Clone, Debug)]
pub struct IgnoreRules {
    matcher: Gitignore,
    digest: Digest,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// The line in `.evenkeelignore`, from 1; `None` for a pattern of `exclude`.
    pub line: Option<usize>,
    /// The cause, with the pattern.
    pub message: String,
}

impl IgnoreRules {
    /// Compiles patterns: the text of `.evenkeelignore`, and those of `exclude`. Patterns that cannot be used are
    /// returned and skipped.
    pub fn new(text: &str, exclude: &[String]) -> (IgnoreRules, Vec<PatternError>) {
        let mut builder = GitignoreBuilder::new("");
        let mut errors = Vec::new();
        let lines = text.strip_prefix('\u{FEFF}').unwrap_or(text).lines().zip(1..).map(|(line, at)| (line, Some(at)));
        let all = lines.chain(exclude.iter().map(|pattern| (pattern.as_str(), None)));
        let patterns = all.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
        for (number, (pattern, line)) in patterns.enumerate() {
            if number >= MAX_PATTERNS {
                let message = format!("there are more than {MAX_PATTERNS} patterns; the rest is not used");
                errors.push(PatternError { line, message });
                break;
            }
            if let Err(error) = builder.add_line(None, pattern) {
                errors.push(PatternError { line, message: described(pattern, &error) });
            }
        }
        let matcher = builder.build().unwrap_or_else(|error| {
            errors.push(PatternError { line: None, message: format!("the patterns cannot be combined: {error}") });
            Gitignore::empty()
        });
        let exclude = exclude.iter().map(String::as_bytes);
        let digest = Digest::of_parts(std::iter::once(text.as_bytes()).chain(exclude));
        (IgnoreRules { matcher, digest }, errors)
    }

    /// True if a file or folder is not read, by its path from the folder of the source. Parent folders are not matched:
    /// the content of an ignored folder is never visited, so that no later pattern includes it again.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        matches!(self.matcher.matched(path, is_folder), Match::Ignore(_))
    }

    /// The identity of the patterns.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Default for IgnoreRules {
    fn default() -> IgnoreRules {
        IgnoreRules::new("", &[]).0
    }
}

/// The problem of one pattern, if it cannot be used.
pub fn problem_of(pattern: &str) -> Option<String> {
    if pattern.trim().is_empty() || pattern.starts_with('#') {
        return Some("is empty or a comment".to_owned());
    }
    let error = GitignoreBuilder::new("").add_line(None, pattern).err()?;
    Some(cause(&error))
}

fn described(pattern: &str, error: &ignore::Error) -> String {
    format!("the pattern `{pattern}` {}", cause(error))
}

fn cause(error: &ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => format!("cannot be used: {err}"),
        ignore::Error::WithLineNumber { err, .. } | ignore::Error::WithPath { err, .. } => cause(err),
        other => format!("cannot be used: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_syntax_of_gitignore() {
        let text =
            "# comment\n\nschemas/\n*.tmp.yaml\n/docker-compose.yaml\nvendor/**/x.yaml\n!vendor/keep/x.yaml\n\\#odd\n";
        let (rules, errors) = IgnoreRules::new(text, &["charts".to_owned(), "!important.tmp.yaml".to_owned()]);
        assert_eq!(errors, []);
        for (path, is_folder, ignored) in [
            ("schemas", true, true),
            ("schemas", false, false),
            ("deep/schemas", true, true),
            ("a.tmp.yaml", false, true),
            ("deep/a.tmp.yaml", false, true),
            ("important.tmp.yaml", false, false),
            ("docker-compose.yaml", false, true),
            ("deep/docker-compose.yaml", false, false),
            ("vendor/a/x.yaml", false, true),
            ("vendor/keep/x.yaml", false, false),
            ("charts", true, true),
            ("charts", false, true),
            ("#odd", false, true),
            ("a.yaml", false, false),
        ] {
            assert_eq!(rules.ignores(path, is_folder), ignored, "{path}");
        }
        assert!(!IgnoreRules::default().ignores("a.yaml", false));
    }

    #[test]
    fn reports_patterns_that_cannot_be_used_and_uses_the_others() {
        let (rules, errors) = IgnoreRules::new("a.yaml\na[z-a].yaml\n", &["b[z-a]".to_owned()]);
        assert!(rules.ignores("a.yaml", false));
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [Some(2), None]);
        assert!(errors[0].message.contains("`a[z-a].yaml`"), "{errors:?}");
        assert!(problem_of("b[z-a]").is_some() && problem_of("#").is_some() && problem_of("*.json").is_none());
        let many = "x\n".repeat(MAX_PATTERNS + 1);
        assert_eq!(IgnoreRules::new(&many, &[]).1.len(), 1);
        assert_eq!(IgnoreRules::new(&"x\n".repeat(MAX_PATTERNS), &[]).1, []);
    }

    #[test]
    fn the_identity_depends_on_all_patterns() {
        let digest = |text: &str, exclude: &[&str]| {
            let exclude: Vec<String> = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
            IgnoreRules::new(text, &exclude).0.digest()
        };
        assert_eq!(digest("a\n", &["b"]), digest("a\n", &["b"]));
        assert_ne!(digest("a\n", &["b"]), digest("a\n", &[]));
        assert_ne!(digest("a\n", &["b"]), digest("", &["a", "b"]));
    }
}
