//! The JSON (RFC 8259) parser: strict, with exact positions, and without recursion, so that nesting uses limited heap
//! and never the stack.

use super::codes;
use super::finding::Finding;
use super::limits::ReadLimits;
use super::node::{Document, Key, Node, NodeKind, Text, TextStyle};
use super::scalar::{self, Plain};
use super::span::SourceId;
use super::tree::{MAX_FINDINGS, MapBuilder, ReadBudget, excerpt, finding, range, slice, too_deep, too_many};

mod lexer;

/// Parses the document of a file. Returns nothing if the text is blank or has a syntax error.
pub(super) fn parse(text: &str, limits: &ReadLimits, findings: &mut Vec<Finding>) -> Vec<Document> {
    let max_findings = findings.len() + MAX_FINDINGS;
    let mut reader =
        Reader { text, limits, budget: ReadBudget::new(limits), findings, max_findings, at: 0, stack: Vec::new() };
    match reader.document() {
        Ok(root) => root.into_iter().map(|root| Document { source: SourceId::UNKNOWN, root }).collect(),
        Err(finding) => {
            findings.push(finding);
            Vec::new()
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    limits: &'a ReadLimits,
    budget: ReadBudget,
    findings: &'a mut Vec<Finding>,
    /// Number of findings at which reading stops.
    max_findings: usize,
    at: usize,
    stack: Vec<OpenCollection>,
}

/// A list or map that is still open.
struct OpenCollection {
    start: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(MapBuilder, Key),
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Option<Node>, Finding> {
        self.skip_blank();
        if self.at == self.text.len() {
            return Ok(None);
        }
        loop {
            let Some(mut node) = self.value()? else { continue };
            // The value may complete its list or map, which in turn may complete the enclosing one.
            loop {
                let Some(open) = self.stack.pop() else { return self.end().map(|()| Some(node)) };
                match self.attach(open, node)? {
                    Some(closed) => node = closed,
                    None => break,
                }
            }
        }
    }

    /// Reads a scalar or an empty list or map. Returns `None` if a list or map was opened.
    fn value(&mut self) -> Result<Option<Node>, Finding> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'[') => {
                self.open_bracket(start)?;
                if self.peek() != Some(b']') {
                    self.stack.push(OpenCollection { start, content: Content::List(Vec::new()) });
                    return Ok(None);
                }
                self.at += 1;
                NodeKind::List(Vec::new())
            }
            Some(b'{') => {
                self.open_bracket(start)?;
                if self.peek() != Some(b'}') {
                    let key = self.key()?;
                    self.stack.push(OpenCollection { start, content: Content::Map(MapBuilder::default(), key) });
                    return Ok(None);
                }
                self.at += 1;
                NodeKind::Map(Vec::new())
            }
            Some(b'"') => {
                let value = self.string()?;
                self.budget.charge(1, value.len(), self.limits, range(start, self.at))?;
                NodeKind::Text(Text { value: value.into(), style: TextStyle::Quoted })
            }
            Some(b'-' | b'0'..=b'9') => {
                self.budget.charge(1, 0, self.limits, range(start, self.at))?;
                NodeKind::Number(self.number()?)
            }
            _ => {
                self.budget.charge(1, 0, self.limits, range(start, self.at))?;
                self.word()?
            }
        };
        Ok(Some(Node { kind, span: range(start, self.at) }))
    }

    /// Adds a value to the open list or map. Returns the list or map if it is complete; otherwise it stays open and the
    /// next value follows.
    fn attach(&mut self, mut open: OpenCollection, node: Node) -> Result<Option<Node>, Finding> {
        self.skip_blank();
        if self.findings.len() >= self.max_findings {
            return Err(too_many(range(self.at, self.at)));
        }
        let next = self.peek();
        let kind = match open.content {
            Content::List(mut items) => {
                items.push(node);
                match next {
                    Some(b']') => NodeKind::List(items),
                    Some(b',') => {
                        self.comma(b']')?;
                        self.stack.push(OpenCollection { start: open.start, content: Content::List(items) });
                        return Ok(None);
                    }
                    _ => return Err(self.separator(open.start, "`,` or `]`")),
                }
            }
            Content::Map(mut map, key) => {
                map.insert_or_report(key, node, self.text, self.findings);
                match next {
                    Some(b'}') => NodeKind::Map(map.finish()),
                    Some(b',') => {
                        self.comma(b'}')?;
                        open.content = Content::Map(map, self.key()?);
                        self.stack.push(open);
                        return Ok(None);
                    }
                    _ => return Err(self.separator(open.start, "`,` or `}`")),
                }
            }
        };
        self.at += 1;
        Ok(Some(Node { kind, span: range(open.start, self.at) }))
    }

    /// Consumes an opening bracket.
    fn open_bracket(&mut self, start: usize) -> Result<(), Finding> {
        let here = range(start, start + 1);
        if self.stack.len() >= self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        self.budget.charge(1, 0, self.limits, here)?;
        self.at += 1;
        self.skip_blank();
        Ok(())
    }

    /// Consumes a comma. A trailing comma before a closing bracket is an error.
    fn comma(&mut self, close: u8) -> Result<(), Finding> {
        let comma = self.at;
        self.at += 1;
        self.skip_blank();
        if self.peek() == Some(close) {
            let message = format!("a comma before `{}`", char::from(close));
            return Err(finding(&codes::SYNTAX, range(comma, comma + 1), message)
                .help("remove the comma; JSON has no trailing commas"));
        }
        Ok(())
    }

    /// Reads a key, its colon and the blanks before the value.
    fn key(&mut self) -> Result<Key, Finding> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {}
            Some(b'/' | b'#' | b'\'') | None => return Err(self.unexpected("a key in double quotes")),
            Some(_) => {
                let name = self.bare_word();
                let name = if name.start == name.end { self.character() } else { name };
                let message = format!("a key in double quotes was expected, not `{}`", excerpt(slice(self.text, name)));
                return Err(finding(&codes::SYNTAX, name, message).help("put keys in double quotes"));
            }
        }
        let name = self.string()?;
        let span = range(start, self.at);
        self.budget.charge(0, name.len(), self.limits, span)?;
        self.skip_blank();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:` after a key"));
        }
        self.at += 1;
        self.skip_blank();
        Ok(Key { name: name.into(), span })
    }

    fn end(&mut self) -> Result<(), Finding> {
        self.skip_blank();
        match self.peek() {
            None => Ok(()),
            Some(b'/' | b'#') => Err(self.unexpected("the end of the file")),
            Some(_) => {
                let here = self.character();
                let message = "text follows the value; a JSON file contains one value";
                Err(finding(&codes::SYNTAX, here, message)
                    .help("put it into a file of its own, or write YAML with `---` between documents"))
            }
        }
    }

    /// The finding for a value that is followed by neither a comma nor the closing bracket.
    fn separator(&self, open: usize, expected: &str) -> Finding {
        let finding = self.unexpected(expected);
        finding.also(range(open, open + 1).within(SourceId::UNKNOWN), "opened here")
    }

    fn number(&mut self) -> Result<serde_json::Number, Finding> {
        let start = self.at;
        let is_float = self.number_end()?;
        let here = range(start, self.at);
        let text = slice(self.text, here);
        match if is_float { scalar::float(text) } else { scalar::integer(text) } {
            Plain::Number(number) => Ok(number),
            Plain::TooLarge(number) => {
                let message = format!("the integer `{}` does not fit into 64 bits", excerpt(text));
                self.findings.push(finding(&codes::OUT_OF_RANGE, here, message).help("write it as a string"));
                Ok(number)
            }
            _ => {
                let message = format!("`{}` is beyond a 64-bit float", excerpt(text));
                self.findings.push(finding(&codes::NOT_FINITE, here, message).help("write it as a string"));
                Ok(0.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
