//! Links between pages, their anchors, and the table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::blocks::{Page, pages};
use super::files;
use crate::support::root;

/// The folder of pages that are generated.
const REFERENCE: &str = "docs/reference/";
/// Pages outside of the book whose links are checked as well.
const OUTSIDE: [&str; 3] = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// The text of a page without code blocks.
fn prose(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page { path: path.to_owned(), text, blocks: Vec::new() }.prose()
}

/// The anchors of a page: explicit ones, and those that mdBook and GitHub make of its headings.
fn anchors(prose: &str) -> BTreeSet<String> {
    let explicit = Regex::new(r#"<a id="([^"]+)">"#).unwrap();
    let mut anchors: BTreeSet<String> = explicit.captures_iter(prose).map(|found| found[1].to_owned()).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    for heading in prose.lines().filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim();
        let anchor: String = link
            .replace_all(text, "$1")
            .chars()
            .filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                other => other.is_alphanumeric().then(|| other.to_ascii_lowercase()),
            })
            .collect();
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Link targets of a page that lie in the repository: the path and the anchor.
fn targets(path: &str, prose: &str) -> Vec<(String, String)> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let code = Regex::new("`[^`]*`").unwrap();
    let prose = code.replace_all(prose, "code");
    let all = link.captures_iter(&prose).map(|found| found[1].to_owned());
    let ours = all.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    ours.map(|target| {
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let file = match file {
            "" => PathBuf::from(path),
            file => normal(&Path::new(path).parent().unwrap().join(file)),
        };
        (file.display().to_string(), anchor.to_owned())
    })
    .collect()
}

/// The pages in the table of contents, in order.
fn contents() -> Vec<String> {
    targets("docs/SUMMARY.md", &prose("docs/SUMMARY.md")).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    let mut wrong = Vec::new();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let reference =
        files(REFERENCE, "md").into_iter().map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    let written = pages().into_iter().map(|page| page.path);
    for path in written.chain(OUTSIDE.map(str::to_owned)).chain(reference) {
        for (target, anchor) in targets(&path, &prose(&path)) {
            // In the book, a link to a file outside of it leads nowhere.
            if path.starts_with("docs/") && !target.starts_with("docs/") {
                wrong.push(format!("{path} links to {target}, which is outside of the book"));
            } else if !root().join(&target).exists() {
                wrong.push(format!("{path} links to {target}, which does not exist"));
            } else if !anchor.is_empty() {
                let known = known.entry(target.clone()).or_insert_with(|| anchors(&prose(&target)));
                if !known.contains(&anchor) {
                    wrong.push(format!("{path} links to {target}#{anchor}, which is not an anchor of that page"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_contents_lists_each_page_once() {
    let listed = contents();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a page is listed twice");
    let pages = files("docs", "md").into_iter().map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    let pages: BTreeSet<String> = pages.filter(|path| path != "docs/SUMMARY.md").collect();
    let missing: Vec<&String> = pages.difference(&unique).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
    let absent: Vec<&String> = unique.difference(&pages).collect();
    assert!(absent.is_empty(), "docs/SUMMARY.md lists {absent:?}, which do not exist");
}

#[test]
fn every_page_begins_with_its_title() {
    for page in pages().into_iter().filter(|page| page.path != "docs/SUMMARY.md") {
        let titles = page.prose().lines().filter(|line| line.starts_with("# ")).count();
        assert!(page.text.starts_with("# ") && titles == 1, "{} has {titles} titles", page.path);
    }
}

#[test]
fn anchors_are_those_of_headings() {
    let text = "# A\n<a id=\"b\"></a>\n## `spec.http`: what it is\n## Links [here](x.md)\n## A\n";
    let expected = ["a", "b", "spechttp-what-it-is", "links-here", "a-1"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    let found = targets("docs/guides/git.md", "[a](../a.md#b) [c](#d) `[e](f)` [g](https://h)");
    assert_eq!(found, [("docs/a.md".to_owned(), "b".to_owned()), ("docs/guides/git.md".to_owned(), "d".to_owned())]);
}
