//! Positions: extends the parser's ranges to what an author sees as the value.

use granit_parser::ScalarStyle;

use super::super::lines::tab_indentation;
use super::{Builder, Tagged};
use crate::text::span::Range;
use crate::text::tree::range;

/// Skips blanks, line breaks and comments.
fn skip_blank(bytes: &[u8], mut at: usize, end: usize) -> usize {
    while at < end {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            Some(b'#') if at == 0 || matches!(bytes.get(at - 1), Some(b' ' | b'\t' | b'\n' | b'\r')) => {
                at += bytes.get(at..end).map_or(0, |rest| rest.iter().take_while(|byte| **byte != b'\n').count());
            }
            _ => break,
        }
    }
    at
}

impl Builder<'_> {
    /// The range of a scalar in the source text.
    pub(super) fn scalar_range(&self, style: ScalarStyle, tag: Tagged<'_>, start: usize, end: usize) -> Range {
        let from = tag.map_or(self.cursor, |(_, tag)| (tag.end as usize).max(self.cursor));
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = self.block_header(from.min(start), start).unwrap_or(start);
                range(header, self.block_end(header, end))
            }
            ScalarStyle::Plain if start == end => {
                if let Some((_, tag)) = tag {
                    return tag;
                }
                // An empty value: its position is right after the `:`, `-` or `?` that it follows.
                let bytes = self.text.as_bytes();
                let at = skip_blank(bytes, from, start);
                let at = match bytes.get(at) {
                    Some(b':') if !self.expects_key() => at + 1,
                    Some(b'-' | b'?') if at < start => at + 1,
                    _ => from,
                };
                range(at, at)
            }
            _ => range(start, end),
        }
    }

    /// Offset of the `|` or `>` of a block scalar; the parser's range starts at its content. Between the last token and
    /// the content there are at most a `:` or `-`, an anchor, comments and the header.
    fn block_header(&self, from: usize, content: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        loop {
            at = skip_blank(bytes, at, content);
            if at >= content {
                return None;
            }
            if matches!(bytes.get(at), Some(b'|' | b'>')) {
                let rest = bytes.get(at + 1..)?;
                let indicators = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-')).count();
                let after = rest.get(indicators..)?;
                let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                let next = after.get(blanks);
                if indicators <= 2
                    && (matches!(next, None | Some(b'\n' | b'\r')) || (blanks > 0 && next == Some(&b'#')))
                {
                    return Some(at);
                }
            }
            at += 1;
        }
    }

    /// End of a block scalar: the end of its last line that is not blank, trailing blanks of that line included.
    fn block_end(&self, header: usize, end: usize) -> usize {
        let Some(written) = self.text.get(header..end) else { return end };
        let content = written.trim_end_matches([' ', '\t', '\n', '\r']).len();
        let rest = written.get(content..).unwrap_or_default();
        header + content + rest.find(['\n', '\r']).unwrap_or(rest.len())
    }

    /// Reports a key whose indentation contains a tab, which the parser accepts at the start of a document.
    pub(super) fn check_indentation(&mut self, key: Range) {
        if self.stack.last().is_some_and(|open| open.flow) {
            return;
        }
        let before = self.text.as_bytes().get(..key.start as usize).unwrap_or_default();
        // Only the indentation is scanned: a line may be as long as the file.
        let width = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'-' | b'?')).count();
        let (before, indentation) = before.split_at(before.len() - width);
        if matches!(before.last(), None | Some(b'\n' | b'\r'))
            && let Some(tab) = indentation.iter().position(|byte| *byte == b'\t')
        {
            self.report(tab_indentation(before.len() + tab));
        }
    }
}
