//! Selection of a commit: a branch, tag, version range or commit id, resolved in the server's list of references.

use git2::Oid;
use semver::{Version, VersionReq};

use super::error::{fail, invalid, printable};
use crate::definition::environment::GitSource;
use crate::definition::schema_validator::nearest;
use crate::source::{FetchError, FetchReason};

/// Maximum length of a version range in bytes, and maximum number of its alternatives.
const MAX_RANGE_BYTES: usize = 256;
const MAX_ALTERNATIVES: usize = 16;

/// Maximum number of references that a suggestion is chosen from.
const MAX_SUGGESTED: usize = 1000;

/// The selection of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Default,
    Branch(String),
    Tag(String),
    Semver(Range),
    Commit(Oid),
}

/// A reference that a server lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The full name, such as `refs/heads/main`; `refs/tags/v1^{}` for the commit that an annotated tag points to.
    pub(super) name: String,
    /// The object that the reference points to.
    pub(super) oid: Oid,
    /// The target of a symbolic reference, such as the default branch for `HEAD`.
    pub(super) target: Option<String>,
}

/// The chosen reference and object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The name that people see, such as `main` or `v1.2.0`.
    pub(super) name: String,
    /// The reference to fetch; `None` for a commit that no reference points to.
    pub(super) reference: Option<String>,
    /// The object that the reference points to: a commit, or an annotated tag.
    pub(super) object: Oid,
    /// The short name of the tag, if a tag was chosen.
    pub(super) tag: Option<String>,
}

impl Selector {
    /// The selection that a source defines.
    ///
    /// # Errors
    /// `Invalid` for a malformed version range, commit id or name.
    pub(super) fn of(spec: &GitSource) -> Result<Selector, FetchError> {
        let plain = |name: &str| {
            let bad = name.is_empty() || name.len() > 255 || name.starts_with(['-', '/']) || name.contains("..");
            let bad = bad || name.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c));
            if bad { Err(invalid("the branch or tag is not a name that Git allows")) } else { Ok(name.to_owned()) }
        };
        match spec {
            GitSource { commit: Some(commit), .. } => {
                let digits = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                let oid = Oid::from_str(commit).ok().filter(|_| digits);
                oid.map(Selector::Commit).ok_or_else(|| invalid("`commit` is not 40 hexadecimal digits"))
            }
            GitSource { tag: Some(tag), .. } => Ok(Selector::Tag(plain(tag)?)),
            GitSource { semver: Some(range), .. } => Ok(Selector::Semver(Range::parse(range)?)),
            GitSource { branch: Some(branch), .. } => Ok(Selector::Branch(plain(branch)?)),
            _ => Ok(Selector::Default),
        }
    }

    /// Resolves the selection in the server's list. Takes linear time.
    ///
    /// # Errors
    /// `RevisionNotFound` if no reference matches.
    pub(super) fn choose(&self, heads: &[Head]) -> Result<Choice, FetchError> {
        let missing = |message: String| Err(fail(FetchReason::RevisionNotFound, message));
        let find = |name: &str| heads.iter().find(|head| head.name == name);
        if heads.is_empty() && !matches!(self, Selector::Commit(_)) {
            return missing("the repository is empty: it has no commits yet".to_owned());
        }
        match self {
            Selector::Branch(branch) => match find(&format!("refs/heads/{branch}")) {
                Some(head) => Ok(choice(branch, head)),
                None => {
                    missing(format!("the repository has no branch `{branch}`{}", near(heads, "refs/heads/", branch)))
                }
            },
            Selector::Tag(tag) => match find(&format!("refs/tags/{tag}")) {
                Some(head) => Ok(Choice { tag: Some(tag.clone()), ..choice(tag, head) }),
                None => missing(format!("the repository has no tag `{tag}`{}", near(heads, "refs/tags/", tag))),
            },
            Selector::Semver(range) => match range.highest(heads) {
                Some((tag, head)) => Ok(Choice { tag: Some(tag.to_owned()), ..choice(tag, head) }),
                None => missing(format!("the repository has no tag in the range `{}`", range.text)),
            },
            Selector::Commit(oid) => {
                let named = heads.iter().find(|head| head.oid == *oid && !head.name.ends_with("^{}"));
                let reference = named.map(|head| head.name.clone());
                Ok(Choice { name: "commit".to_owned(), reference, object: *oid, tag: None })
            }
            Selector::Default => {
                let Some(head) = find("HEAD") else {
                    return missing("the repository has no default branch; name a `branch`".to_owned());
                };
                let name = head.target.as_deref().and_then(|target| target.strip_prefix("refs/heads/"));
                Ok(choice(name.unwrap_or("HEAD"), head))
            }
        }
    }
}

fn choice(name: &str, head: &Head) -> Choice {
    Choice { name: name.to_owned(), reference: Some(head.name.clone()), object: head.oid, tag: None }
}

/// A version range (Semantic Versioning 2.0.0).
///
/// Comparators separated by spaces or commas must all hold; `||` separates alternatives. A bare version means exactly that
/// version, and `1.2` any `1.2.x`; `^` and `~` have the meaning of npm and Cargo. A pre-release (`1.0.0-rc.1`) matches only
/// if the range names a pre-release of the same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    text: String,
    any_of: Vec<VersionReq>,
}

impl Range {
    pub(super) fn parse(text: &str) -> Result<Range, FetchError> {
        let wrong = || invalid("`semver` is not a range of versions such as `>=1.2.0 <2.0.0` or `~1.4`");
        if text.len() > MAX_RANGE_BYTES || text.split("||").count() > MAX_ALTERNATIVES {
            return Err(wrong());
        }
        let any_of = text.split("||").map(|part| comparators(part).and_then(|part| VersionReq::parse(&part).ok()));
        let any_of = any_of.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
        Ok(Range { text: text.to_owned(), any_of })
    }

    /// The highest version in the range. Of equal versions, the last by name wins, independent of the order of the list.
    fn highest<'a>(&self, heads: &'a [Head]) -> Option<(&'a str, &'a Head)> {
        let tags = heads.iter().filter_map(|head| head.name.strip_prefix("refs/tags/").map(|tag| (tag, head)));
        let versions = tags.filter_map(|(tag, head)| version(tag).map(|version| (version, tag, head)));
        let fitting = versions.filter(|(version, ..)| self.any_of.iter().any(|range| range.matches(version)));
        fitting.max_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1))).map(|(_, tag, head)| (tag, head))
    }
}

fn version(tag: &str) -> Option<Version> {
    if tag.ends_with("^{}") {
        return None;
    }
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

/// The branch or tag with the most similar name, for a message.
fn near(heads: &[Head], prefix: &str, name: &str) -> String {
    let names = heads.iter().filter_map(|head| head.name.strip_prefix(prefix)).filter(|name| !name.ends_with("^{}"));
    let near = nearest(name, names.take(MAX_SUGGESTED));
    near.map_or_else(String::new, |near| format!("; did you mean `{}`?", printable(near, 100)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(names: &[&str]) -> Vec<Head> {
        let oid = |at: usize| Oid::from_str(&format!("{at:040x}")).unwrap();
        let head = |(at, name): (usize, &&str)| Head { name: (*name).to_owned(), oid: oid(at), target: None };
        names.iter().enumerate().map(head).collect()
    }

    fn chosen(range: &str, tags: &[&str]) -> Option<String> {
        let tags: Vec<String> = tags.iter().map(|tag| format!("refs/tags/{tag}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        Selector::Semver(Range::parse(range).unwrap()).choose(&heads(&tags)).ok().map(|choice| choice.name)
    }

    #[test]
    fn ranges_choose_the_highest_version() {
        let tags =
            ["1.0.0", "v1.2.0", "v1.2.0^{}", "1.10.0", "v2.0.0-rc.1", "v2.0.0-rc.2", "latest", "1.3", "v0.9.1+b7"];
        for (range, tag) in [
            ("*", Some("1.10.0")),
            (">=1.0.0 <2.0.0", Some("1.10.0")),
            (">= 1.0.0, < v1.10.0", Some("v1.2.0")),
            ("~1.2", Some("v1.2.0")),
            ("^1", Some("1.10.0")),
            ("1.2", Some("v1.2.0")),
            ("1.x", Some("1.10.0")),
            ("1.0.0", Some("1.0.0")),
            ("v1.0.0", Some("1.0.0")),
            ("0.9.1", Some("v0.9.1+b7")),
            (">=2.0.0-0", Some("v2.0.0-rc.2")),
            (">=2.0.0", None),
            ("<1.0.0 || ^3", Some("v0.9.1+b7")),
            (">=0.0.0 <=999999.999999.999999", Some("1.10.0")),
        ] {
            assert_eq!(chosen(range, &tags).as_deref(), tag, "{range}");
        }
    }

    #[test]
    fn equal_versions_do_not_depend_on_the_order() {
        assert_eq!(chosen("*", &["v1.0.0", "1.0.0"]), chosen("*", &["1.0.0", "v1.0.0"]));
        assert_eq!(chosen("*", &["1.0.0+a", "1.0.0+b"]), Some("1.0.0+b".into()));
    }

    #[test]
    fn rejects_malformed_ranges() {
        for text in ["", " ", "||", ">=", "1.0.0 - 2.0.0", "latest", ">=1.0.0 <", "==1", "a||b", &"1||".repeat(50)] {
            assert!(Range::parse(text).is_err(), "{text}");
        }
        assert!(Range::parse(&format!(">=1.0.0{}", " ".repeat(300))).is_err());
    }

    #[test]
    fn branches_tags_commits_and_the_default_are_found() {
        let mut heads = heads(&["HEAD", "refs/heads/main", "refs/heads/v1", "refs/tags/v1", "refs/tags/v1^{}"]);
        heads[0].target = Some("refs/heads/main".into());
        let choose = |selector: Selector| selector.choose(&heads).map(|choice| (choice.name, choice.reference));
        let found = |name: &str, reference: &str| Ok((name.to_owned(), Some(reference.to_owned())));
        assert_eq!(choose(Selector::Default), found("main", "HEAD"));
        assert_eq!(choose(Selector::Branch("v1".into())), found("v1", "refs/heads/v1"));
        assert_eq!(choose(Selector::Tag("v1".into())), found("v1", "refs/tags/v1"));
        assert_eq!(choose(Selector::Commit(heads[1].oid)), found("commit", "refs/heads/main"));
        let hidden = Selector::Commit(Oid::from_str(&"a".repeat(40)).unwrap());
        assert_eq!(choose(hidden), Ok(("commit".to_owned(), None)));
        for selector in [Selector::Branch("gone".into()), Selector::Tag("gone".into())] {
            let error = selector.choose(&heads).unwrap_err();
            assert_eq!(error.reason, FetchReason::RevisionNotFound);
            assert!(error.message.contains("`gone`"));
        }
        assert!(Selector::Default.choose(&[]).unwrap_err().message.contains("empty"));
    }
}
