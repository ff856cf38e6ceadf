//! Files by number, and where a byte stands in them.

use std::sync::{Arc, OnceLock};

/// Number of a file in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

impl SourceId {
    /// The source of a value or a finding that was not given its file yet.
    pub const UNKNOWN: SourceId = SourceId(u32::MAX);
}

/// A range of bytes in one file, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A place as people count it: both from 1, the column in characters (not bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// How a file is written, told from its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.yaml` and `.yml`, in any case.
    Yaml,
    /// `.json`, in any case.
    Json,
}

impl Format {
    /// The format of a file name, `None` for a file that holds no definitions.
    pub fn of(path: &str) -> Option<Format> {
        let (_, extension) = path.rsplit_once('.')?;
        if extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml") {
            Some(Format::Yaml)
        } else if extension.eq_ignore_ascii_case("json") {
            Some(Format::Json)
        } else {
            None
        }
    }
}

/// One file: its path as shown to people, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: OnceLock<Arc<[u32]>>,
}

impl Source {
    /// `path` is shown as it is: relative to the folder that was read, with `/` between its parts.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { path: path.into(), text: text.into(), line_starts: OnceLock::new() }
    }

    /// Path as shown to people.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The format by the path's extension; YAML where it tells nothing.
    pub fn format(&self) -> Format {
        Format::of(&self.path).unwrap_or(Format::Yaml)
    }

    /// Line and column of a byte offset; an offset past the end gives the end.
    pub fn position(&self, offset: u32) -> Position {
        let offset = floor_char_boundary(&self.text, offset as usize);
        let starts = self.line_starts();
        let line = starts.partition_point(|&start| start as usize <= offset).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0) as usize;
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        Position { line: line as u32, column: column as u32 + 1 }
    }

    /// Offset and text of a line by its number from 1, without its line break; empty past the end.
    pub fn line(&self, number: u32) -> (usize, &str) {
        let starts = self.line_starts();
        let start = starts.get((number as usize).saturating_sub(1)).map_or(self.text.len(), |&start| start as usize);
        let end = starts.get(number as usize).map_or(self.text.len(), |&end| end as usize);
        let line = self.text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(line);
        (start, line.strip_suffix('\r').unwrap_or(line))
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| line_starts(&self.text))
    }
}

/// All files that were read, by number.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: Vec<Arc<Source>>,
    prefix: Arc<str>,
}

impl SourceMap {
    /// Shows every path after `prefix`, such as the folder that was named on the command line: paths that people and
    /// tools are shown can then be opened from where they are. Paths in definitions stay relative to the source.
    #[must_use]
    pub fn shown_under(mut self, prefix: &str) -> SourceMap {
        self.prefix = match prefix.trim_end_matches('/') {
            "" | "." if !prefix.starts_with('/') => "".into(),
            prefix => format!("{}/", prefix.strip_prefix("./").unwrap_or(prefix)).into(),
        };
        self
    }

    /// The path of a file as shown to people; empty where it is unknown.
    pub fn shown(&self, id: SourceId) -> String {
        self.find(id).map_or_else(String::new, |source| format!("{}{}", self.prefix, source.path()))
    }

    /// Adds a file and gives it its number.
    pub fn add(&mut self, source: impl Into<Arc<Source>>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX - 1));
        self.sources.push(source.into());
        id
    }

    /// The file of a number that this map gave out.
    ///
    /// # Panics
    /// For a number from another map, which is a fault in the program.
    pub fn get(&self, id: SourceId) -> &Arc<Source> {
        &self.sources[id.0 as usize]
    }

    /// The file of a number, `None` for [`SourceId::UNKNOWN`].
    pub fn find(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(id.0 as usize)
    }

    /// `path:line:column` of a span's start.
    pub fn place(&self, span: Span) -> String {
        match self.find(span.source) {
            Some(source) => {
                let at = source.position(span.start);
                format!("{}:{}:{}", self.shown(span.source), at.line, at.column)
            }
            None => String::new(),
        }
    }

    /// All files in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Arc<Source>)> {
        self.sources.iter().enumerate().map(|(index, source)| (SourceId(index as u32), source))
    }
}

fn line_starts(text: &str) -> Arc<[u32]> {
    std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1))
        .collect()
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
