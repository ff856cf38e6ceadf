//! Files by number, and positions within them.

use std::sync::{Arc, OnceLock};

use super::span::{Position, Range, SourceId, Span};

/// The format of a file, determined by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.yaml` and `.yml`, in any case.
    Yaml,
    /// `.json`, in any case.
    Json,
}

impl Format {
    /// The format of a file name, `None` for a file that cannot contain definitions.
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

/// One file with its display path and text, or a document composed of parts of several files.
#[derive(Clone, Debug)]
pub struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: OnceLock<Arc<[u32]>>,
    /// The origins of the text, in order. Empty for a file.
    parts: Box<[SourcePart]>,
}

/// A part of a file that is included in a composed document.
#[derive(Clone, Debug)]
pub struct SourcePart {
    /// The file.
    pub source: Arc<Source>,
    /// The number of the file.
    pub id: SourceId,
    /// The included bytes.
    pub range: Range,
    /// True if paths in this part are relative to the root of the definitions instead of the file.
    pub from_root: bool,
    /// Offset of this part in the composed text.
    start: u32,
}

impl SourcePart {
    /// Creates a part from a range of a file, clipped to the file's text and to whole characters.
    pub fn new(source: Arc<Source>, id: SourceId, range: Range, from_root: bool) -> SourcePart {
        let start = floor_char_boundary(&source.text, range.start as usize) as u32;
        let end = floor_char_boundary(&source.text, range.end.max(range.start) as usize) as u32;
        SourcePart { source, id, range: Range { start, end }, from_root, start: 0 }
    }

    /// The included text.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.start as usize..self.range.end as usize).unwrap_or_default()
    }
}

impl Source {
    /// Creates a file. `path` is displayed unchanged: relative to the folder that was read, with `/` between its parts.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { path: path.into(), text: text.into(), line_starts: OnceLock::new(), parts: Box::default() }
    }

    /// Concatenates parts of files under the path of the first part. Returns the offset of each part as well.
    pub fn composed(mut parts: Vec<SourcePart>) -> (Source, Vec<u32>) {
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

    /// The parts of a composed document; empty for a file.
    pub fn parts(&self) -> &[SourcePart] {
        &self.parts
    }

    /// The part that contains an offset; `None` for a file.
    pub fn part(&self, offset: u32) -> Option<&SourcePart> {
        let after = self.parts.partition_point(|part| part.start <= offset);
        self.parts.get(after.saturating_sub(1))
    }

    /// The original location of a range. `own` is this source's number, used if it is a file. A range that begins in
    /// one part and ends in another is cut at the end of the first.
    pub fn original_span(&self, own: SourceId, range: Range) -> Span {
        let Some(part) = self.part(range.start) else { return range.within(own) };
        let moved = |offset: u32| (offset - part.start.min(offset) + part.range.start).min(part.range.end);
        Range { start: moved(range.start), end: moved(range.end.max(range.start)) }.within(part.id)
    }

    /// The path of the file that contains an offset originally, and the line there.
    pub fn line_of(&self, offset: u32) -> (&str, u32) {
        match self.part(offset) {
            None => (&self.path, self.position(offset).line),
            Some(part) => {
                let at = offset - part.start.min(offset) + part.range.start;
                (&part.source.path, part.source.position(at).line)
            }
        }
    }

    /// The base of relative paths written at an offset; empty for the root.
    pub fn base_path_at(&self, offset: u32) -> &str {
        match self.part(offset) {
            None => &self.path,
            Some(part) if part.from_root => "",
            Some(part) => &part.source.path,
        }
    }

    /// The display path, shared.
    pub fn shared_path(&self) -> Arc<str> {
        Arc::clone(&self.path)
    }

    /// The display path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The format by the path's extension; YAML if the extension is unknown.
    pub fn format(&self) -> Format {
        Format::of(&self.path).unwrap_or(Format::Yaml)
    }

    /// Line and column of a byte offset. An offset past the end is the end.
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

/// All loaded files by number. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    /// The slot of a removed file is empty until its number is reused.
    sources: Arc<Vec<Option<Arc<Source>>>>,
    prefix: Arc<str>,
    is_in_repository: bool,
}

impl SourceMap {
    /// Sets the prefix of display paths, such as the folder given on the command line, so that displayed paths can be
    /// opened from the working directory. Paths in definitions stay relative to the source.
    #[must_use]
    pub fn with_path_prefix(mut self, prefix: &str) -> SourceMap {
        self.prefix = match prefix.trim_end_matches('/') {
            "" | "." if !prefix.starts_with('/') => "".into(),
            prefix => format!("{}/", prefix.strip_prefix("./").unwrap_or(prefix)).into(),
        };
        self
    }

    /// Declares that the prefix is the folder of the files in their repository.
    #[must_use]
    pub fn in_repository(self, is_in_repository: bool) -> SourceMap {
        SourceMap { is_in_repository, ..self }
    }

    /// The path of a file from the root of its repository, or from the root of the source if it is in none.
    pub fn repository_path(&self, path: &str) -> String {
        if self.is_in_repository { format!("{}{path}", self.prefix) } else { path.to_owned() }
    }

    /// The prefix of display paths; empty for none.
    pub fn path_prefix(&self) -> &str {
        &self.prefix
    }

    /// The display path of a file, with the prefix; empty for an unknown file.
    pub fn display_path(&self, id: SourceId) -> String {
        self.find(id).map_or_else(String::new, |source| format!("{}{}", self.prefix, source.path()))
    }

    /// Adds a file and returns its number.
    pub fn add(&mut self, source: impl Into<Arc<Source>>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX - 1));
        Arc::make_mut(&mut self.sources).push(Some(source.into()));
        id
    }

    /// Replaces all files.
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

    /// The file with a number that this map assigned.
    ///
    /// # Panics
    /// If the number comes from another map, which is a bug.
    pub fn get(&self, id: SourceId) -> &Arc<Source> {
        self.find(id).expect("a number of this map")
    }

    /// The file with a number; `None` for [`SourceId::UNKNOWN`].
    pub fn find(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(id.0 as usize)?.as_ref()
    }

    /// `path:line:column` of the start of a span; empty for an unknown file.
    pub fn display_position(&self, span: Span) -> String {
        match self.find(span.source) {
            Some(source) => {
                let at = source.position(span.start);
                format!("{}:{}:{}", self.display_path(span.source), at.line, at.column)
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
