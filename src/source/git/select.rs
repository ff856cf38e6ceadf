//! Selection of a commit: a branch, tag, version range or commit id, resolved in the server's list of references.

use git2::Oid;

use super::error::{fail, invalid, printable};
use crate::definition::environment::GitSource;
use crate::definition::schema_validator::nearest;
use crate::definition::version_range::{VersionRange, version_of_tag};
use crate::source::{FetchError, FetchReason};

/// Maximum number of references that a suggestion is chosen from.
const MAX_SUGGESTED: usize = 1000;

/// The selection of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Default,
    Branch(String),
    Tag(String),
    Semver(VersionRange),
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
            GitSource { semver: Some(range), .. } => {
                let wrong = "`semver` is not a range of versions such as `>=1.2.0 <2.0.0` or `~1.4`";
                VersionRange::parse(range).map(Selector::Semver).ok_or_else(|| invalid(wrong))
            }
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
            Selector::Semver(range) => match highest(range, heads) {
                Some((tag, head)) => Ok(Choice { tag: Some(tag.to_owned()), ..choice(tag, head) }),
                None => missing(format!("the repository has no tag in the range `{}`", range.text())),
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

/// The tag with the highest version in a range. Of equal versions, the last by name wins, independent of the order of the
/// list.
fn highest<'a>(range: &VersionRange, heads: &'a [Head]) -> Option<(&'a str, &'a Head)> {
    let tags = heads.iter().filter_map(|head| head.name.strip_prefix("refs/tags/").map(|tag| (tag, head)));
    let versions = tags.filter(|(tag, _)| !tag.ends_with("^{}"));
    let versions = versions.filter_map(|(tag, head)| version_of_tag(tag).map(|version| (version, tag, head)));
    let fitting = versions.filter(|(version, ..)| range.matches(version));
    fitting.max_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1))).map(|(_, tag, head)| (tag, head))
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
        Selector::Semver(VersionRange::parse(range).unwrap()).choose(&heads(&tags)).ok().map(|choice| choice.name)
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
