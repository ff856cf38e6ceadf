//! JSON (RFC 8259) to a [`Document`], by hand: strict, exact about places, and without recursion, so that nesting
//! costs heap that is limited and never the stack.

use super::scalar::{self, Plain};
use super::tree::{Budget, MAX_FINDINGS, MapBuilder, excerpt, finding, range, slice, too_deep, too_many};
use super::{Document, Finding, Key, Kind, Node, Range, ReadLimits, SourceId, Text, TextStyle, codes};

mod lexer;

/// Reads the one document of `text`; none where the text is blank or has a syntax error.
pub(super) fn parse(text: &str, limits: &ReadLimits, findings: &mut Vec<Finding>) -> Vec<Document> {
    let most = findings.len() + MAX_FINDINGS;
    let mut reader = Reader { text, limits, budget: Budget::new(limits), findings, most, at: 0, stack: Vec::new() };
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
    budget: Budget,
    findings: &'a mut Vec<Finding>,
    /// Findings after which the file is given up.
    most: usize,
    at: usize,
    stack: Vec<Open>,
}

/// A list or map that is still open.
struct Open {
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
            // The value may be the last of its list or map, which then is the last of the next one out.
            loop {
                let Some(open) = self.stack.pop() else { return self.end().map(|()| Some(node)) };
                match self.attach(open, node)? {
                    Some(closed) => node = closed,
                    None => break,
                }
            }
        }
    }

    /// Reads a scalar or an empty list or map; `None` where a list or map was opened.
    fn value(&mut self) -> Result<Option<Node>, Finding> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'[') => {
                self.opens(start)?;
                if self.peek() != Some(b']') {
                    self.stack.push(Open { start, content: Content::List(Vec::new()) });
                    return Ok(None);
                }
                self.at += 1;
                Kind::List(Vec::new())
            }
            Some(b'{') => {
                self.opens(start)?;
                if self.peek() != Some(b'}') {
                    let key = self.key()?;
                    self.stack.push(Open { start, content: Content::Map(MapBuilder::default(), key) });
                    return Ok(None);
                }
                self.at += 1;
                Kind::Map(Vec::new())
            }
            Some(b'"') => {
                let value = self.string()?;
                self.budget.charge(1, value.len(), self.limits, range(start, self.at))?;
                Kind::Text(Text { value: value.into(), style: TextStyle::Quoted })
            }
            Some(b'-' | b'0'..=b'9') => {
                self.budget.charge(1, 0, self.limits, range(start, self.at))?;
                Kind::Number(self.number()?)
            }
            _ => {
                self.budget.charge(1, 0, self.limits, range(start, self.at))?;
                self.word()?
            }
        };
        Ok(Some(Node { kind, span: range(start, self.at) }))
    }

    /// Puts a value into the list or map that is open. Gives that back where it ends here; where it goes on, it
    /// stays open and the next value is due.
    fn attach(&mut self, mut open: Open, node: Node) -> Result<Option<Node>, Finding> {
        self.skip_blank();
        if self.findings.len() >= self.most {
            return Err(too_many(range(self.at, self.at)));
        }
        let next = self.peek();
        let kind = match open.content {
            Content::List(mut items) => {
                items.push(node);
                match next {
                    Some(b']') => Kind::List(items),
                    Some(b',') => {
                        self.comma(b']')?;
                        self.stack.push(Open { start: open.start, content: Content::List(items) });
                        return Ok(None);
                    }
                    _ => return Err(self.separator(open.start, "`,` or `]`")),
                }
            }
            Content::Map(mut map, key) => {
                map.insert_or_report(key, node, self.text, self.findings);
                match next {
                    Some(b'}') => Kind::Map(map.finish()),
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

    /// Steps over an opening bracket.
    fn opens(&mut self, start: usize) -> Result<(), Finding> {
        let here = range(start, start + 1);
        if self.stack.len() >= self.limits.depth {
            return Err(too_deep(self.limits, here));
        }
        self.budget.charge(1, 0, self.limits, here)?;
        self.at += 1;
        self.skip_blank();
        Ok(())
    }

    /// Steps over a comma, which must not be the last thing before a closing bracket.
    fn comma(&mut self, close: u8) -> Result<(), Finding> {
        let comma = self.at;
        self.at += 1;
        self.skip_blank();
        if self.peek() == Some(close) {
            let message = format!("a comma before `{}`", char::from(close));
            return Err(finding(&codes::SYNTAX, range(comma, comma + 1), message)
                .help("remove the comma; JSON has no trailing ones"));
        }
        Ok(())
    }

    /// Reads a key and its colon, up to the value.
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
                let message = "something follows the value, and a JSON file holds one value";
                Err(finding(&codes::SYNTAX, here, message)
                    .help("put it into a file of its own, or write YAML with `---` between documents"))
            }
        }
    }

    /// Neither a comma nor the closing bracket follows a value.
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
