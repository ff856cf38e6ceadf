//! The pages that people read, and their fenced blocks.
//!
//! The info string of a block says how it is tested:
//!
//! | info string | test |
//! |---|---|
//! | `console` | Runs each line that starts with `$ ` and compares the output that is shown; `…` stands for any text or lines. |
//! | `console,exit=1` | The same; the last command ends with this status. |
//! | `console,server` | Output of the running server, which appears after the commands before. |
//! | `console,stopped` | Like `console`, after the end of all servers of the page. |
//! | `console,not-run=REASON` | Not run; `evenkeel` commands are parsed by the program. |
//! | `LANGUAGE,file=PATH` | Written to this file, for the commands that follow; definitions are validated. |
//! | `yaml` with `apiVersion:` | Validated. `with=FOLDER` adds the definitions of a folder of the repository. |
//! | `yaml,invalid=CODE` | Validated; has exactly this finding. |
//! | `yaml,part=KIND` | The `spec` of a definition of this kind, or some of its fields: validated, required fields may be missing. |
//! | `yaml,other=REASON` | Not a definition; `evenkeel` commands in it are parsed. |
//! | `ts` | The code of a workflow: validated. `with=FOLDER` as above. |
//! | `json` | Parsed. |

use std::path::Path;

use super::files;
use crate::support::root;

/// A page, with its path in the repository.
pub(super) struct Page {
    pub path: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

/// A fenced block.
pub(super) struct Block {
    /// Line of the opening fence.
    pub line: usize,
    pub language: String,
    options: Vec<(String, String)>,
    pub text: String,
}

impl Block {
    /// The value of an option; empty if it has none.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// True for a block of definitions.
    pub fn is_definition(&self) -> bool {
        self.language == "yaml"
            && self.text.lines().any(|line| line.trim_start().starts_with("apiVersion: evenkeel.dev"))
    }
}

/// Options of each language.
const LANGUAGES: [(&str, &[&str]); 8] = [
    ("console", &["exit", "server", "stopped", "not-run"]),
    ("yaml", &["file", "with", "invalid", "part", "other"]),
    ("ts", &["file", "with"]),
    ("json", &["file"]),
    ("text", &["file"]),
    ("ini", &[]),
    ("jinja", &[]),
    ("mermaid", &[]),
];

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// If a fence is open, indented, or has an unknown language or option: its commands would not be tested.
    pub fn read(path: &str) -> Page {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let blocks = blocks(&text).unwrap_or_else(|error| panic!("{path}:{error}"));
        Page { path: path.to_owned(), text, blocks }
    }

    /// The text without fenced blocks; line numbers are kept.
    pub fn prose(&self) -> String {
        let mut is_fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let is_fence = line.starts_with("```");
            if !is_fenced && !is_fence {
                prose += line;
            }
            is_fenced ^= is_fence;
            prose.push('\n');
        }
        prose
    }
}

/// The fenced blocks of a text.
///
/// # Errors
/// The line and the mistake.
fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line)) {
        if line.trim_start().starts_with("```") && !line.starts_with("```") {
            return Err(format!("{number}: an indented fence"));
        }
        match (line.strip_prefix("```"), &mut open) {
            (Some(""), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => open = Some(block(number, info)?),
            (Some(_), Some(_)) => return Err(format!("{number}: a fence in a block")),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    match open {
        Some(block) => Err(format!("{}: a block without an end", block.line)),
        None => Ok(blocks),
    }
}

fn block(line: usize, info: &str) -> Result<Block, String> {
    let mut words = info.split(',');
    let language = words.next().unwrap_or_default().to_owned();
    let Some((_, known)) = LANGUAGES.iter().find(|(name, _)| *name == language) else {
        return Err(format!("{line}: a block in the language `{language}`; known are {LANGUAGES:?}"));
    };
    let option = |word: &str| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (word.to_owned(), String::new()),
    };
    let options: Vec<(String, String)> = words.map(option).collect();
    match options.iter().find(|(name, value)| {
        let needs_value = name != "server" && name != "stopped";
        !known.contains(&name.as_str()) || value.is_empty() == needs_value
    }) {
        Some((name, value)) => Err(format!("{line}: `{language}` has no option `{name}` with the value `{value}`")),
        None => Ok(Block { line, language, options, text: String::new() }),
    }
}

/// The pages that are written, not generated: README and the book without its reference.
pub(super) fn pages() -> Vec<Page> {
    let book = files("docs", "md").into_iter().map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    let is_written = |path: &String| !path.starts_with("docs/reference/");
    std::iter::once("README.md".to_owned()).chain(book.filter(is_written)).map(|path| Page::read(&path)).collect()
}

/// Writes a block with the option `file` below a folder.
pub(super) fn write_block(block: &Block, folder: &Path) {
    if let Some(path) = block.option("file") {
        assert!(!path.contains("..") && !path.starts_with('/'), "{path} leaves the folder");
        crate::support::write(&folder.join(path), &block.text);
    }
}

#[test]
fn a_block_that_would_not_be_tested_is_refused() {
    let read = |text: &str| blocks(text).map(|blocks| blocks.len());
    assert_eq!(read("a\n```console\n$ b\n```\n```yaml,part=Trigger\n```\n"), Ok(2));
    for (text, line) in [
        ("```sh\nevenkeel\n```\n", "1: "),
        ("```\nevenkeel\n```\n", "1: "),
        ("```console,skip\n```\n", "1: "),
        ("```console,not-run\n```\n", "1: "),
        ("```yaml,other=\n```\n", "1: "),
        ("\n  ```console\n  ```\n", "2: "),
        ("\n\n```console\n", "3: "),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(line), "{text}: {error}");
    }
}
