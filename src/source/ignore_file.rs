//! The file of ignored paths at the root of a source.

use super::unreadable::UnreadableFile;
use crate::definition::ignore_rules::{IGNORE_FILE, IgnoreRules, MAX_IGNORE_BYTES, PatternError};
use crate::text::codes;

/// The rules of a source, with the problems of its file of patterns as findings.
///
/// `content` is the content of the file, of which at most one byte more than [`MAX_IGNORE_BYTES`] need be read; `None` if
/// it does not exist. A problem never excludes anything silently: it is an error, after which nothing is removed.
pub(super) fn rules(
    content: Option<Result<Vec<u8>, String>>,
    exclude: &[String],
) -> (IgnoreRules, Vec<UnreadableFile>) {
    let report = |message: String, help: &str| {
        UnreadableFile::new(IGNORE_FILE.to_owned(), &codes::IGNORE_PATTERN, message, help)
    };
    let mut problems = Vec::new();
    let text = match content {
        None => String::new(),
        Some(Ok(bytes)) if bytes.len() > MAX_IGNORE_BYTES => {
            let message = format!("the file is larger than {} KiB", MAX_IGNORE_BYTES >> 10);
            problems.push(report(message, "use fewer patterns, such as one for a folder"));
            String::new()
        }
        Some(Ok(bytes)) => String::from_utf8(bytes).unwrap_or_else(|_| {
            problems.push(report("the file is not UTF-8".to_owned(), "save it as UTF-8"));
            String::new()
        }),
        Some(Err(message)) => {
            problems.push(report(message, "make it a regular file that can be read"));
            String::new()
        }
    };
    let (rules, errors) = IgnoreRules::new(&text, exclude);
    problems.extend(errors.into_iter().map(|PatternError { line, message }| match line {
        Some(line) => report(format!("line {line}: {message}"), "write a pattern as in `.gitignore`"),
        None => report(message, "correct `exclude` of the source"),
    }));
    (rules, problems)
}
