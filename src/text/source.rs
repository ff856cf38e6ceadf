//! Files by number, and where a byte stands in them.

use std::sync::{Arc, OnceLock};

use super::Range;

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

/// One file: its path as shown to people, and its text. Or parts of several files that make one document together.
#[derive(Clone, Debug)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: OnceLock<Arc<[u32]>>,
    /// Where its text was written, in order; nothing for a file, which is where its own text was written.
    parts: Box<[Part]>,
}

/// A part of a file in the text of a document that is composed of several.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file.
    pub source: Arc<Source>,
    /// Its number.
    pub id: SourceId,
    /// Which of its bytes.
    pub range: Range,
    /// Are paths in it relative to the root of the definitions, instead of to the file?
    pub from_root: bool,
    /// Where it begins in the composed text.
    start: u32,
}

impl Part {
    /// These bytes of a file, clipped to what it has and to whole characters.
    pub fn new(source: Arc<Source>, id: SourceId, range: Range, from_root: bool) -> Part {
        let start = floor_char_boundary(&source.text, range.start as usize) as u32;
        let end = floor_char_boundary(&source.text, range.end.max(range.start) as usize) as u32;
        Part { source, id, range: Range { start, end }, from_root, start: 0 }
    }

    /// The bytes.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.start as usize..self.range.end as usize).unwrap_or_default()
    }
}

impl Source {
    /// `path` is shown as it is: relative to the folder that was read, with `/` between its parts.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { path: path.into(), text: text.into(), line_starts: OnceLock::new(), parts: Box::default() }
    }

    /// The text of parts of files, one after the other, under the path of the first. Each part begins at the offset
    /// that is given back for it.
    pub fn composed(mut parts: Vec<Part>) -> (Source, Vec<u32>) {
        let mut text = String::with_capacity(parts.iter().map(|part| part.text().len()).sum());
        let mut starts = Vec::with_capacity(parts.len());
        for part in &mut parts {
            part.start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            starts.push(part.start);
            text.push_str(part.text());
        }
        let path = parts.first().map_or_else(|| "".into(), |part| Arc::clone(&part.source.path));
        let source = Source { parts: parts.into(), ..Source::new(path, text) };
        (source, starts)
    }

    /// The parts that it is composed of; none for a file.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that an offset lies in; `None` in a file.
    pub fn part(&self, offset: u32) -> Option<&Part> {
        let after = self.parts.partition_point(|part| part.start <= offset);
        self.parts.get(after.saturating_sub(1))
    }

    /// Where a range was really written; `own` is the number of this source where it is a file. A range that begins in
    /// one part and ends in another ends with the first.
    pub fn written(&self, own: SourceId, range: Range) -> Span {
        let Some(part) = self.part(range.start) else { return range.within(own) };
        let moved = |offset: u32| (offset - part.start.min(offset) + part.range.start).min(part.range.end);
        Range { start: moved(range.start), end: moved(range.end.max(range.start)) }.within(part.id)
    }

    /// The file that an offset was really written in, and the line there.
    pub fn line_of(&self, offset: u32) -> (&str, u32) {
        match self.part(offset) {
            None => (&self.path, self.position(offset).line),
            Some(part) => {
                let at = offset - part.start.min(offset) + part.range.start;
                (&part.source.path, part.source.position(at).line)
            }
        }
    }

    /// The path that paths written at an offset are relative to; empty for the root.
    pub fn path_at(&self, offset: u32) -> &str {
        match self.part(offset) {
            None => &self.path,
            Some(part) if part.from_root => "",
            Some(part) => &part.source.path,
        }
    }

    /// Path as shown to people, shared.
    pub fn shared_path(&self) -> Arc<str> {
        Arc::clone(&self.path)
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

/// All files that were read, by number. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    /// Numbers of files that are gone stay empty until they are given out again.
    sources: Arc<Vec<Option<Arc<Source>>>>,
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
        Arc::make_mut(&mut self.sources).push(Some(source.into()));
        id
    }

    /// Takes files with their numbers instead of those it had.
    pub fn set(&mut self, sources: impl IntoIterator<Item = (SourceId, Arc<Source>)>) {
        let mut all = Vec::new();
        for (id, source) in sources {
            let at = id.0 as usize;
            if at >= all.len() {
                all.resize(at + 1, None);
            }
            if let Some(slot) = all.get_mut(at) {
                *slot = Some(source);
            }
        }
        self.sources = Arc::new(all);
    }

    /// The file of a number that this map gave out.
    ///
    /// # Panics
    /// For a number from another map, which is a fault in the program.
    pub fn get(&self, id: SourceId) -> &Arc<Source> {
        self.find(id).expect("a number of this map")
    }

    /// The file of a number, `None` for [`SourceId::UNKNOWN`].
    pub fn find(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(id.0 as usize)?.as_ref()
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

    /// All files in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Arc<Source>)> {
        let numbered = self.sources.iter().enumerate();
        numbered.filter_map(|(index, source)| Some((SourceId(index as u32), source.as_ref()?)))
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
