//! Static analysis of templates.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::NameUse;
use super::{FieldLocation, Problem, check, host_rule, parser};

/// The result of [`analyse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Problems in the order of the source.
    pub problems: Vec<Problem>,
    /// Secrets that the template uses.
    pub secrets: Vec<NameUse>,
    /// Variables that the template uses.
    pub variables: Vec<NameUse>,
    /// Dotted paths that the template reads from the context, for example `input.email`, with the byte range of the first read.
    pub reads: BTreeMap<String, Range<usize>>,
    /// The reads that fail if the value is absent: without `default`, and tested with `is defined` or `in` nowhere in the
    /// template.
    pub unguarded: BTreeMap<String, Range<usize>>,
    /// True if the source contains no Jinja.
    pub plain: bool,
    /// True if the template is exactly one `{{ expression }}`.
    pub single_expression: bool,
}

/// Analyses a template.
///
/// All problems are collected, except that a syntax error hides the others.
/// `absolute_url` states that the template is an absolute URL whose scheme and
/// authority must not depend on data.  At [`FieldLocation::Url`] this also holds
/// for every source that starts with `http`.
pub fn analyse(source: &str, location: FieldLocation, absolute_url: bool) -> Analysis {
    let plain = parser::is_plain(source);
    let template = match parser::parse(source) {
        Ok(template) => template,
        Err(problem) => {
            return Analysis { problems: vec![problem], plain, ..Analysis::default() };
        }
    };
    let mut found = check::check(&template, Some(location));
    if absolute_url || (location == FieldLocation::Url && source.starts_with("http")) {
        host_rule::check(source, &template, &mut found.problems);
    }
    found.problems.sort_by_key(|problem| (problem.range.start, problem.range.end));
    Analysis {
        unguarded: found.unguarded(),
        problems: found.problems,
        secrets: found.secrets,
        variables: found.variables,
        reads: found.reads,
        plain,
        single_expression: parser::single_expression(&template).is_some(),
    }
}
