//! Everything there is to know about a template without running it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{FieldLocation, Problem, check, host_rule, shape};

/// A secret or variable that a template uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The name of the secret or variable.
    pub name: String,
    /// The bytes of the call.
    pub range: Range<usize>,
    /// Whether a `default` filter stands directly behind the call.
    pub has_default: bool,
}

/// What [`analyse`] finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    /// What stands wrong, in the order of the source.
    pub problems: Vec<Problem>,
    /// The secrets used.
    pub secrets: Vec<Use>,
    /// The variables used.
    pub variables: Vec<Use>,
    /// The dotted paths read from the context, for example `input.email`, each with the place where it is first read.
    pub reads: BTreeMap<String, Range<usize>>,
    /// Whether there is no Jinja in the source at all.
    pub plain: bool,
    /// Whether the template is exactly one `{{ expression }}`.
    pub single_expression: bool,
}

/// Analyses a template.
///
/// All problems are collected, except that a syntax error hides the others.
/// `host` says that the template is an absolute URL whose scheme and authority
/// must not depend on data; a source that starts with `http` is taken as one
/// in any case at [`FieldLocation::Url`].
pub fn analyse(source: &str, site: FieldLocation, host: bool) -> Analysis {
    let plain = shape::is_plain(source);
    let template = match shape::parse(source) {
        Ok(template) => template,
        Err(problem) => {
            return Analysis { problems: vec![problem], plain, ..Analysis::default() };
        }
    };
    let mut found = check::check(&template, Some(site));
    if host || (site == FieldLocation::Url && source.starts_with("http")) {
        host_rule::check(source, &template, &mut found.problems);
    }
    found.problems.sort_by_key(|problem| (problem.range.start, problem.range.end));
    Analysis {
        problems: found.problems,
        secrets: found.secrets,
        variables: found.variables,
        reads: found.reads,
        plain,
        single_expression: shape::single_expression(&template).is_some(),
    }
}
